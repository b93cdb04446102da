// sepal-compile: the ahead-of-time driver.
//   kernel SPEC.json OUTPUT   OUTPUT/<name>.o and OUTPUT/<name>.built.json. An autoscheduler that cannot do the operator, knobs of a
//                             tuning record that do not compile, or no suitable LLVM for streaming stores, are no error of the build:
//                             the object is empty, .built.json and a sentence on stderr carry the reason.
//   packer SPEC.json OUTPUT   OUTPUT/<name>.o: a function that packs filters.
//   runtime OBJECT            Halide's runtime, shared by all kernels, with what kernels for GPUs call.
//   table OUTPUT.inc SPEC...  the C++ table of variants, from the specs and what stands beside them in .built.json.
#include "build_module.h"
#include "compile_object.h"
#include "llc.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

using namespace sepal;
using json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr int child_seconds = 300;  // after which it counts as stalled

std::string read(const fs::path &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(fmt::format("{}: cannot be read", path.string()));
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path &path, const std::string &text) {
    const fs::path temporary = path.string() + ".part";
    std::ofstream file(temporary, std::ios::binary);
    file << text;
    file.close();
    if (!file) throw std::runtime_error(fmt::format("{}: cannot be written", temporary.string()));
    fs::rename(temporary, path);
}

// The first line of an error message, without the name of the failing internal file.
std::string first_line(std::string text) {
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
    return WEXITSTATUS(status) == 0 ? "" : first_line(error);
}

void compile_kernel(const std::string &spec_path, const fs::path &output) {
    const KernelSpec spec = kernel_spec_from_json(read(spec_path));
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
        }
    } else if (error.empty()) {
        error = compile_in_child(spec, object);
        if (!error.empty() && spec.scheduler == "tuned") error = "the knobs of its tuning record do not compile: " + error;
    }
    if (!error.empty()) {
        fmt::print(stderr, "{}: not built: {}\n", spec.name, error);
        Halide::Module(spec.name, kernel_target(spec.isa)).compile({{Halide::OutputFileType::object, object.string()}});
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    write(output / (spec.name + ".built.json"),
          json{{"error", error}, {"object_bytes", fs::file_size(object)}, {"compile_seconds", seconds}}.dump() + "\n");
}

void compile_packer(const std::string &spec_path, const fs::path &output) {
    const FunctionSpec spec = function_spec_from_json(read(spec_path));
    fs::create_directories(output);
    compile_object(spec, (output / (spec.name + ".o")).string());
}

// The CUDA driver and OpenCL are looked for when a device is opened, so that this runs where there is neither.
Halide::Target runtime_target() {
    return Halide::Target(std::string(halide_target(Isa::x64)))
        .with_feature(Halide::Target::CUDA)
        .with_feature(Halide::Target::CUDACapability80)
        .with_feature(Halide::Target::OpenCL);
}

std::string quoted(const std::string &text) { return json(text).dump(); }

void write_table(const fs::path &output, const std::vector<std::string> &spec_paths) {
    constexpr const char *relations[] = {"equal", "at_least", "multiple_of"};
    std::string declarations, rows;
    std::set<std::string> packers;
    for (const std::string &path : spec_paths) {
        const KernelSpec spec = kernel_spec_from_json(read(path));
        const json built = json::parse(read(fs::path(path).parent_path() / (spec.name + ".built.json")));
        const std::string error = built.at("error");
        if (error.empty()) declarations += fmt::format("extern \"C\" int {}_argv(void **);\n", spec.name);
        const auto packer = packer_for(spec.filter_layout, spec.isa, spec.dtype);
        if (packer && packers.insert(packer->name).second) declarations += fmt::format("extern \"C\" int {}_argv(void **);\n", packer->name);
        const FilterLayout &filter = spec.filter_layout;
        std::string knobs, when;
        for (const auto &[token, value] : spec.knobs) knobs += fmt::format("{{\"{}\", {}}}, ", token, value);
        for (const Condition &c : spec.when)
            when += fmt::format("{{Field::{}, Condition::Relation::{}, {}}}, ", name(c.field),
                                relations[int(c.relation)], c.value);
        rows += fmt::format("    {{\"{}\", Operator::{}, DType::{}, Layout::{}, Isa::{}, \"{}\", \"{}\", {},\n     {{{{{}}}}}, {{{{{}}}}}, {}, {{FilterLayout::Kind({}), {}, {}}}, {}, {}, {}, {}, {}, {}, {}, {}}},\n",
                            spec.name, name(spec.op), name(spec.dtype), name(spec.layout), name(spec.isa), spec.scheduler, spec.suite,
                            spec.tuned_threads, knobs, when, spec.when.size(), int(filter.kind), filter.panel, filter.tile, spec.block_pixels,
                            spec.block_two_rows, spec.residual, packer ? packer->name + "_argv" : "nullptr", spec.output_alignment, error.empty() ? spec.name + "_argv" : "nullptr",
                            quoted(error), error.empty() ? built.at("object_bytes").get<int64_t>() : 0);
    }
    write(output, declarations + "\nnamespace sepal {\nnamespace {\nconstexpr Variant variants[] = {\n" + rows + "};\n}\n}\n");
}

}  // namespace

int main(int argc, char **argv) try {
    const std::string verb = argc > 1 ? argv[1] : "";
    if (verb == "kernel" && argc == 4) {
        compile_kernel(argv[2], argv[3]);
    } else if (verb == "packer" && argc == 4) {
        compile_packer(argv[2], argv[3]);
    } else if (verb == "runtime" && argc == 3) {
        Halide::compile_standalone_runtime(std::string(argv[2]), runtime_target());
    } else if (verb == "table" && argc > 3) {
        write_table(argv[2], {argv + 3, argv + argc});
    } else {
        throw std::runtime_error(
            "usage: sepal-compile kernel SPEC.json OUTPUT | packer SPEC.json OUTPUT | runtime OBJECT | table OUTPUT.inc SPEC.json...");
    }
    return 0;
} catch (const std::exception &e) {
    fmt::print(stderr, "sepal-compile: {}\n", e.what());
    return 2;
}
