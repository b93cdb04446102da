// Running the `sepal` command in tests.
#pragma once

#include "bench/machine.h"
#include "catch.h"
#include "support.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <vector>

namespace sepal {

struct Ran {
    int code;
    std::string out, err;
};

// Without the line that AddressSanitizer itself writes when libHalide switches stacks to compile a kernel.
inline std::string without_sanitizer_note(std::string err) {
#ifdef __SANITIZE_ADDRESS__
    const size_t note = err.find("WARNING: ASan doesn't fully support makecontext");
    if (note != std::string::npos) {
        const size_t begin = err.rfind('\n', note) + 1, end = err.find('\n', note);  // npos + 1 is 0: the first line
        err.erase(begin, end + 1 - begin);
    }
#endif
    return err;
}

// Runs `before` SEPAL `arguments` in bash.
inline Ran run(const std::string &arguments, const std::string &before = "") {
    const TemporaryFolder folder;
    const std::string script = fmt::format("{} {} {} >{} 2>{}", before, shell_quote(SEPAL_COMMAND), arguments,
                                           shell_quote(folder.path("out")), shell_quote(folder.path("err")));
    const int status = std::system(("exec bash -c " + shell_quote(script)).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), bytes_of(folder.path("out")),
            without_sanitizer_note(bytes_of(folder.path("err")))};
}

// Exit code 2 and one sentence on stderr that holds all the parts.
inline void check_bad_input(const Ran &ran, const std::vector<std::string> &parts) {
    INFO(ran.err);
    CHECK(ran.code == 2);
    CHECK(ran.err.compare(0, 7, "sepal: ") == 0);
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
    for (const std::string &part : parts) CHECK(ran.err.find(part) != std::string::npos);
}

// Variables for run() with which the command takes made-up peaks of one thread of x64 from the folder instead of measuring them.
inline std::string made_up_peaks(const TemporaryFolder &folder) {
    Machine machine = detect_machine();
    machine.isa = Isa::x64;
    machine.fma = {{Isa::x64, 1, 100, 0}};
    machine.bandwidth = {{"dram", 1, 0, 1 << 28, {10, 0}, {10, 0}, {10, 0}, {}, {}}};
    std::string why;
    REQUIRE(store_machine(machine, folder.path("sepal/machine.json"), why));
    return fmt::format("XDG_CACHE_HOME={} SEPAL_MAX_ISA=x64", shell_quote(folder.path(".")));
}

}  // namespace sepal
