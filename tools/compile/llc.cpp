#include "llc.h"

#include "passes/hot_loop.h"
#include "tools/environment.h"
#include "tools/files.h"
#include "tools/installed.h"
#include "tools/program.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <vector>

namespace sepal {
namespace {

constexpr int least_version = 21;  // Halide's own: an older one does not know its IR

std::string path() {
    if (const std::string named = from_environment("SEPAL_LLC"); !named.empty()) return named;
    const std::string configured = build_setting("llc");
    return configured.empty() && !is_build() ? on_path({"llc-22", "llc-23", "llc-24", "llc-21", "llc"}) : configured;
}

std::string needed() { return fmt::format("streaming stores need llc of LLVM {} or newer", least_version); }

std::string first_line(const std::string &text) { return text.substr(0, text.find('\n')); }

std::string look(const std::string &llc) {
    if (llc.empty()) return needed() + ", and none was found; Debian's package llvm-22 has one, SEPAL_LLC names another";
    std::string printed;
    const int status = run_program({llc, "--version"}, printed);
    if (status < 0) return fmt::format("{}, and {} cannot be run: {}", needed(), llc, std::strerror(errno));
    const std::string before = "LLVM version ";
    const size_t at = printed.find(before);
    if (status != 0 || at == std::string::npos)
        return fmt::format("{}, and {} is none: `{} --version` ends with status {} and prints \"{}\"", needed(), llc, llc, status, first_line(printed));
    const int version = std::atoi(printed.c_str() + at + before.size());
    return version >= least_version ? "" : fmt::format("{}, and {} is of LLVM {}", needed(), llc, version);
}

}  // namespace

std::string why_no_llc() {
    static std::mutex mutex;
    static std::map<std::string, std::string> known;
    std::lock_guard<std::mutex> lock(mutex);
    const std::string llc = path();
    const auto found = known.find(llc);
    return found != known.end() ? found->second : known[llc] = look(llc);
}

std::string compile_ir(const std::string &ir) {
    if (const std::string why = why_no_llc(); !why.empty()) throw LlcFailed(why);
    const ScratchFolder folder("sepal-llc", "no temporary folder can be made for llc");
    const std::string from = folder.path() + "/kernel.ll", to = folder.path() + "/kernel.s";
    write_file(from, {ir});
    const auto compiled = [&](std::vector<std::string> options) {
        // CPU and features stand at each function, what may be done to floating-point arithmetic at each instruction.
        std::vector<std::string> command = {path(), "-O3", "--relocation-model=pic", "--function-sections", "-o", to, from};
        command.insert(command.end(), options.begin(), options.end());
        std::string printed;
        const int status = run_program(command, printed);
        if (status < 0) throw LlcFailed(fmt::format("{} cannot be run: {}", path(), std::strerror(errno)));
        if (status != 0) throw LlcFailed(fmt::format("{} failed on Halide's code with status {}: {}", path(), status, first_line(printed)));
        if (!std::filesystem::exists(to)) throw LlcFailed(fmt::format("{} ended well on Halide's code but wrote no assembly", path()));
        return read_file(to);
    };
    const std::string assembly = compiled({});
    const int spills = hot_loop_spills(assembly);
    if (spills == 0) return assembly;
    // LLVM 22 orders instructions from the bottom up, which can take more registers than a tile of accumulators leaves; from the top down it
    // takes fewer for some.
    const std::string other = compiled({"--misched-prera-direction=topdown"});
    return hot_loop_spills(other) < spills ? other : assembly;
}

}  // namespace sepal
