#include "compile_kernel.h"

#include "build_module.h"
#include "compile_object.h"
#include "llc.h"
#include "tools/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace sepal {
namespace {

namespace fs = std::filesystem;

constexpr int child_seconds = 300;  // after which it counts as stalled

// An error message on one line, cut where it is long.
std::string as_one_line(std::string text) {
    for (char &ch : text)
        if (ch == '\n' || ch == '\t') ch = ' ';
    if (text.size() > 300) text = text.substr(0, 297) + "...";
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
}

// Autoschedulers and knobs from records may fail an assertion, crash or stall: each runs in a child process. Empty when it succeeded.
std::string compile_in_child(const KernelSpec &spec, const fs::path &object) {
    int channel[2];
    if (pipe(channel) != 0) throw std::runtime_error(std::string("pipe: ") + std::strerror(errno));
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
    if (child == 0) {
        close(channel[0]);
        alarm(child_seconds);
        std::string error;
        try {
            compile_object(spec, object.string());
        } catch (const Halide::Error &e) {
            error = e.what();
        } catch (const std::exception &e) {
            error = e.what();
            if (error.empty()) error = "failed without a message";
        }
        const ssize_t written = ::write(channel[1], error.data(), error.size());
        _exit(written == ssize_t(error.size()) ? (error.empty() ? 0 : 1) : 3);
    }
    close(channel[1]);
    std::string error;
    char buffer[4096];
    for (ssize_t n; (n = ::read(channel[0], buffer, sizeof buffer)) > 0;) error.append(buffer, size_t(n));
    close(channel[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? fmt::format("not finished after {} s", child_seconds)
                                           : fmt::format("crashed: {}", strsignal(WTERMSIG(status)));
    return WEXITSTATUS(status) == 0 ? "" : as_one_line(error);
}

}  // namespace

std::string compile_kernel(const std::string &spec_path, const std::string &folder) {
    const fs::path output = folder;
    const KernelSpec spec = kernel_spec_from_json(read_file(spec_path));
    fs::create_directories(output);
    const fs::path object = output / (spec.name + ".o");
    const auto start = std::chrono::steady_clock::now();
    std::string error;
    if (spec.output_alignment > 0) error = why_no_llc();
    if (error.empty() && (spec.scheduler == "hand" || spec.scheduler == "reference")) {
        try {
            compile_object(spec, object.string());
        } catch (const LlcFailed &e) {
            error = e.what();
        } catch (const Halide::Error &e) {
            throw std::runtime_error(fmt::format("{} could not be compiled: {}", spec.name, as_one_line(e.what())));
        }
    } else if (error.empty()) {
        error = compile_in_child(spec, object);
        if (!error.empty() && spec.scheduler == "tuned") error = "the knobs of its tuning record do not compile: " + error;
    }
    if (!error.empty()) {
        fmt::print(stderr, "{}: not built: {}\n", spec.name, error);
        Halide::Module(spec.name, kernel_target(spec.isa, spec.os)).compile({{Halide::OutputFileType::object, object.string()}});
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    write_file((output / (spec.name + ".built.json")).string(),
               {nlohmann::json{{"error", error}, {"object_bytes", fs::file_size(object)}, {"compile_seconds", seconds}}.dump() + "\n"});
    return error;
}

void compile_packer(const std::string &spec_path, const std::string &folder) {
    const fs::path output = folder;
    const FunctionSpec spec = function_spec_from_json(read_file(spec_path));
    fs::create_directories(output);
    compile_object(spec, (output / (spec.name + ".o")).string());
}

}  // namespace sepal
