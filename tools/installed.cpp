#include "installed.h"

#include "bad_input.h"
#include "environment.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace sepal {
namespace {

namespace fs = std::filesystem;

fs::path beside_program() {
    std::error_code error;
    return fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
}

std::string one_of(const char *installed, const char *built, const std::string &file) {
    std::error_code error;
    const fs::path first = beside_program() / installed / file, second = beside_program() / built / file;
    for (const fs::path &path : {first, second})
        if (fs::exists(path, error)) return path.string();
    throw BadInput(fmt::format("{} is neither at {} nor at {}; install Sepal again", file, first.string(), second.string()));
}

}  // namespace

std::string installed_file(const std::string &file) { return one_of("share/sepal", "package", file); }
std::string installed_headers() {
    const fs::path header = one_of("include", "package/include", "sepal/sepal.h");
    return header.parent_path().parent_path().string();
}

std::string build_setting(const std::string &name) {
    static const std::map<std::string, std::string> settings = [] {
        std::map<std::string, std::string> found;
        std::ifstream file(beside_program() / "package" / "settings.txt");
        for (std::string line; std::getline(file, line);)
            if (const size_t equals = line.find('='); equals != std::string::npos) found[line.substr(0, equals)] = line.substr(equals + 1);
        return found;
    }();
    const auto at = settings.find(name);
    return at == settings.end() ? "" : at->second;
}

bool is_build() { return !build_setting("scripts").empty(); }

std::string on_path(const std::vector<std::string> &programs) {
    std::error_code error;
    for (const std::string &program : programs) {
        std::istringstream folders(from_environment("PATH"));
        for (std::string folder; std::getline(folders, folder, ':');)
            if (const fs::path path = fs::path(folder) / program; fs::exists(path, error)) return path.string();
    }
    return {};
}

std::string own_python() { return is_build() ? build_setting("python") : "python3"; }

std::string own_script(const std::string &file) {
    const std::string sources = build_setting("scripts");
    return sources.empty() ? installed_file(file) : sources + "/" + file;
}

}  // namespace sepal
