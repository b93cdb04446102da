#include "installed.h"

#include "bad_input.h"

#include <fmt/format.h>

#include <filesystem>

namespace sepal {
namespace {

namespace fs = std::filesystem;

std::string one_of(const char *installed, const char *built, const std::string &file) {
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error), beside = program.parent_path().parent_path();
    const fs::path first = beside / installed / file, second = beside / built / file;
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

}  // namespace sepal
