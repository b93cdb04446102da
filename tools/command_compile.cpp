// sepal compile: kernels for the problems of a file, as a library that an application links with Sepal's runtime.
#include "bench/threads.h"
#include "tools/command.h"
#include "tools/compile/build_tools.h"
#include "tools/compile/kernel_library.h"
#include "tools/program.h"
#include "tools/selection.h"
#include "tools/tuning/database.h"
#include "tools/tuning/knob_source.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace sepal {
namespace {

struct Options {
    std::string problems, name = "*", scheduler = "hand", tuning, output, library = "kernels", os = "linux", spec, link;
    std::vector<std::string> isas;
    int threads = 1, jobs = std::max(1, int(allowed_cpus().size()));
    bool plan_only = false;
};

KernelLibrary plan(const Options &o) {
    if (o.problems.empty()) throw BadInput("--problems is missing: the file of the problems to compile kernels for");
    if (o.isas.empty()) throw BadInput("--isa is missing: the instruction sets to compile for, any of " + isa_names());
    KernelLibraryRequest request;
    request.name = o.library;
    request.scheduler = o.scheduler;
    request.threads = o.threads;
    const auto os = os_from_name(o.os);
    if (!os) throw BadInput(fmt::format("--os \"{}\" is unknown; allowed: {}", o.os, os_names()));
    request.os = *os;
    for (const std::string &text : o.isas) request.isas.push_back(library_isa(text));
    if (!o.tuning.empty()) {
        const TuningDatabase database = read_tuning_files({o.tuning});
        print_warnings(database.complaints);
        request.records = database.records;
    }
    return plan_library(request, problems_matching(o.problems, "", o.name).problems, o.problems);
}

// Each object by a process of its own, o.jobs at a time: the steps that a build system would take. Throws what the first that failed said.
void compile_objects(const std::vector<std::string> &names, const Options &o) {
    std::mutex mutex;
    size_t next = 0, done = 0;
    std::string failure;
    const auto work = [&] {
        std::unique_lock<std::mutex> lock(mutex);
        while (next < names.size() && failure.empty()) {
            const std::string name = names[next++];
            lock.unlock();
            std::string printed;
            const int status = run_program({"/proc/self/exe", "compile", "--spec", fmt::format("{}/{}.spec.json", o.output, name), "--library", o.library, "--output", o.output}, printed);
            lock.lock();
            const std::string said = printed.rfind("sepal: ", 0) == 0 ? printed.substr(7) : printed;
            if (status != 0 && failure.empty()) failure = said.empty() ? fmt::format("{} could not be compiled: the process ended with status {}", name, status) : said;
            if (status != 0) continue;
            fmt::print(stderr, "{}", printed);  // why a kernel is not built
            fmt::print("[{}/{}] {}\n", ++done, names.size(), name);
            std::fflush(stdout);
        }
    };
    std::vector<std::thread> workers;
    for (size_t i = 1; i < std::min(size_t(o.jobs), names.size()); i++) workers.emplace_back(work);
    work();
    for (std::thread &worker : workers) worker.join();
    while (!failure.empty() && failure.back() == '\n') failure.pop_back();
    if (!failure.empty()) throw std::runtime_error(failure);
}

// Of a family of compilers that a C compiler belongs to.
std::string cpp_compiler(const std::string &c) {
    const std::string gnu = "gcc", clang = "clang";
    if (c.size() >= gnu.size() && c.compare(c.size() - gnu.size(), gnu.size(), gnu) == 0) return c.substr(0, c.size() - gnu.size()) + "g++";
    return c.size() >= clang.size() && c.compare(c.size() - clang.size(), clang.size(), clang) == 0 ? c + "++" : "$CXX";
}

void compile(const Options &o) {
    if (!o.spec.empty()) {  // one step of a build
        if (o.output.empty()) throw BadInput("--output is missing: the folder of the object");
        compile_library_object(o.spec, o.library, o.output);
        return;
    }
    if (o.output.empty()) throw BadInput("--output is missing: the folder to write to");
    if (!o.link.empty()) {  // the last step of a build
        write_library_table(o.output, o.link);
        return;
    }
    const KernelLibrary library = plan(o);
    write_library_plan(library, o.output);
    for (const std::string &note : library.notes) fmt::print(stderr, "sepal: {}\n", note);
    if (o.plan_only) {
        for (const KernelSpec &spec : library.kernels) fmt::print("{}\n", spec.name);
        for (const FunctionSpec &spec : library.packers) fmt::print("{}\n", spec.name);
        return;
    }
    std::vector<std::string> names;
    for (const KernelSpec &spec : library.kernels) names.push_back(spec.name);
    for (const FunctionSpec &spec : library.packers) names.push_back(spec.name);
    compile_objects(names, o);
    write_library_table(o.output, o.library);
    make_static_library(library, o.output);
    const bool native = is_native(library.family, library.os);
    const std::string compiler = native ? "cc" : build_tool(BuildTool::compiler, library.family, library.os);
    fmt::print("{0}/{1}.h, {0}/{1}.c, {0}/lib{1}.a: {2} kernel{4} for {3} problem{5}\n"
               "Build with: {6} -c app.c -I{0} $(pkg-config --cflags sepal) && {7} app.o -L{0} -l{1} $(pkg-config --libs sepal){8}\n",
               o.output, o.library, library.kernels.size(), library.problems.size(), library.kernels.size() == 1 ? "" : "s",
               library.problems.size() == 1 ? "" : "s", compiler, native ? "c++" : cpp_compiler(compiler),
               native ? "" : fmt::format(" (PKG_CONFIG_PATH: Sepal for {})", machine_name(library.family, library.os)));
}

}  // namespace

void add_compile_command(CLI::App &app, int &exit_code) {
    auto options = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("compile", "Compile kernels for the problems of a file to a library for applications");
    command->add_option("--problems", options->problems, "The file of problems");
    command->add_option("--name", options->name, "Only problems whose names match this pattern");
    command->add_option("--isa", options->isas, "Instruction sets to compile for: " + isa_names())->delimiter(',');
    command->add_option("--os", options->os, "The system that programs are for: " + os_names())->capture_default_str();
    command->add_option("--scheduler", options->scheduler, "hand, tuned (with --tuning), mullapudi2016, adams2019 (CPUs), li2018 or anderson2021 (GPUs)")->capture_default_str();
    command->add_option("--tuning", options->tuning, "A file of tuning records, of `sepal tune`");
    command->add_option("--threads", options->threads, "Of the records: those measured on so many threads")->check(CLI::Range(1, 1024))->capture_default_str();
    command->add_option("-j,--jobs", options->jobs, "Kernels compiled at a time")->check(CLI::Range(1, 1024))->capture_default_str();
    command->add_option("-o,--output", options->output, "The folder to write to, made if it is not there");
    command->add_option("--library", options->library, "Name of the library and prefix of its functions")->capture_default_str();
    command->add_flag("--plan", options->plan_only, "Write the header and a .spec.json for each kernel only, and print their names: for build systems");
    command->add_option("--spec", options->spec, "Compile the kernel of this .spec.json only");
    command->add_option("--table", options->link, "Write the table of this library, whose kernels are compiled, only");
    command->callback([options, &exit_code] {
        compile(*options);
        exit_code = exit_ok;
    });
}

}  // namespace sepal
