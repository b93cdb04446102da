// sepal bench: checks and measures the variants on a suite or a file of problems.
#include "bench/gpu/gpu_runner.h"
#include "bench/html_report.h"
#include "bench/memory.h"
#include "bench/network.h"
#include "bench/peer.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/runner.h"
#include "bench/session_folder.h"
#include "bench/threads.h"
#include "tools/command.h"
#include "tools/compile/in_process.h"
#include "tools/compile/plan_kernels.h"
#include "tools/device_option.h"
#include "tools/emulated_report.h"
#include "tools/files.h"
#include "tools/installed.h"
#include "tools/selection.h"
#include "tools/tuning/knob_source.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <new>
#include <optional>

namespace sepal {
namespace {

constexpr double default_seconds = 1.5;
constexpr double most_emulated_seconds = 10;  // for a variant on a problem that can be made smaller
constexpr const char *unfused_name = "unfused";

struct Options : MeasuredProblems {
    std::string variants, json, csv, html, machine, tuning, candidates, peers, peers_python;
    double seconds = default_seconds;
    DeviceOption device;
};

// What is measured on: the CPU of this machine, or a GPU.
class Target {
public:
    Target(const ChosenDevice &device, Machine cpu) : device_(device), cpu_(std::move(cpu)) {}
    Target(const ChosenDevice &device, GpuMachine gpu) : device_(device), gpu_(std::move(gpu)) {}
    Processor processor() const { return device_.processor(); }
    bool on_gpu() const { return device_.gpu != nullptr; }
    // Of a CUDA device that measures, as ptxas names it; empty otherwise. (What the emulator reports is of all architectures.)
    std::string arch() const {
        return on_gpu() && !device_.emulated && processor().backend() == Backend::cuda ? fmt::format("sm_{}", device_.gpu->info().compute_capability) : "";
    }
    std::string table(int threads) const { return on_gpu() ? gpu_machine_text(gpu_) : machine_table(cpu_, threads); }
    nlohmann::ordered_json json() const { return on_gpu() ? to_json(gpu_) : to_json(cpu_); }
    double estimate(const ConvProblem &problem, int candidates, const RunnerOptions &options) const {
        return on_gpu() ? estimate_gpu_seconds(problem, candidates, options) : estimate_seconds(problem, candidates, cpu_, options);
    }
    // Whether its memory holds the problem.
    bool fits(const ConvProblem &problem) const {
        const int64_t bytes = on_gpu() ? gpu_.info.memory_bytes : available_memory();  // 0: not known
        return bytes <= 0 || (on_gpu() ? gpu_memory_needed(problem, gpu_) : memory_needed(problem, cpu_)) <= double(bytes);
    }
    std::vector<Result> run(const std::vector<Candidate> &candidates, const RunnerOptions &options) const {
        return on_gpu() ? run_candidates_on_gpu(candidates, gpu_, device_.gpu, options) : run_candidates(candidates, cpu_, options);
    }

private:
    ChosenDevice device_;
    Machine cpu_;
    GpuMachine gpu_;
};

// The text as one word for a shell, quoted only where that is needed.
std::string word(const std::string &text) {
    const bool plain = !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+") == std::string::npos;
    return plain ? text : shell_quote(text);
}

// A pattern that matches this text alone.
std::string exact_glob(const std::string &text) {
    std::string out;
    for (char c : text) out += (std::string("*?[\\").find(c) != std::string::npos ? "\\" : "") + std::string(1, c);
    return out;
}

std::string command_line(const Options &o, const std::string &name, const std::string &variants, const std::string &peers) {
    std::string line = "sepal bench " + (o.problems.empty() ? "--suite " + word(o.suite) : "--problems " + word(o.problems));
    if (name != "*") line += " --name " + word(name);
    if (!variants.empty()) line += " --variants " + word(variants);
    if (!peers.empty()) line += " --peers " + word(peers);
    if (!peers.empty() && !o.peers_python.empty()) line += " --peers-python " + word(o.peers_python);
    if (o.device.text() != "cpu") line += " --device " + word(o.device.text());
    line += fmt::format(" --threads {}", o.threads);
    if (!o.tuning.empty()) line += " --tuning " + word(o.tuning);
    if (!o.candidates.empty()) line += " --candidates " + word(o.candidates);
    if (o.seconds != default_seconds) line += fmt::format(" --seconds {}", o.seconds);
    return line;
}

std::string utc_date() {
    const std::time_t t = std::time(nullptr);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&t));
    return text;
}

// The kernels compiled in process for one run of the command. One that failed is remembered as its error.
class InProcessKernels {
public:
    // arch: of the GPU, such as "sm_90": machine code is made for it only. Empty: for all.
    InProcessKernels(const KnobSource &knobs, std::string arch) : knobs_(knobs), arch_(std::move(arch)) {}

    // For a GPU, or the best ISA of the CPU whose hand-written schedule takes the problem. Null, with `error` set, when there is none or it
    // could not be compiled. `tell` is called before a compilation.
    const InProcessKernel *hand(const ConvProblem &problem, const Processor &processor, const std::function<void(const std::string &)> &tell,
                                std::string &error) {
        const auto [entry, is_new] = kernels_.try_emplace(problem.key());
        Compiled &compiled = entry->second;
        if (is_new) compile(compiled, problem, processor, tell);
        error = compiled.error;
        return compiled.kernel.get();
    }

    // Of that spec. Otherwise the same.
    const InProcessKernel *candidate(const KernelSpec &spec, const ConvProblem &problem, const std::function<void(const std::string &)> &tell, std::string &error) {
        const auto [entry, is_new] = kernels_.try_emplace(to_json(spec));
        Compiled &compiled = entry->second;
        if (is_new) {
            tell(fmt::format("{}: compiling the candidate {}", problem.name, spec.name));
            compile(compiled, spec);
        }
        error = compiled.error;
        return compiled.kernel.get();
    }

private:
    struct Compiled {
        std::unique_ptr<InProcessKernel> kernel;
        std::string error;
    };

    void compile(Compiled &compiled, const KernelSpec &spec) const {
        try {
            compiled.kernel = compile_in_process(spec, arch_);
            compiled.error.clear();
        } catch (const std::runtime_error &e) {
            compiled.error = e.what();
        }
    }

    void compile(Compiled &compiled, const ConvProblem &problem, const Processor &processor, const std::function<void(const std::string &)> &tell) const {
        const std::optional<KernelSpec> spec = knobs_.specialise(problem, processor, compiled.error);
        if (!spec) return;
        const std::string origin = knobs_.origin(*spec, problem);
        tell(fmt::format("{}: no {} {} variant specialised to it is compiled in; compiling one in process{}", problem.name,
                         origin.empty() ? "hand-written" : "such tuned", name(problem.op), origin.empty() ? "" : "; " + origin));
        compile(compiled, *spec);
    }

    const KnobSource &knobs_;
    std::string arch_;
    std::map<std::string, Compiled> kernels_;
};

const std::vector<std::string> &known_peers(const Processor &processor) { return processor.backend() == Backend::cuda ? gpu_peer_names() : peer_names(); }

// What is to be measured on one problem.
class Selection {
public:
    Selection(const Options &o, const KnobSource &knobs, const Target &target, const PeerTools &tools)
        : o_(o), knobs_(knobs), target_(target), processor_(target.processor()), kernels_(knobs, target.arch()) {
        if (o.peers.empty()) return;
        const std::string device = target.on_gpu() ? fmt::format("cuda:{}", parse_device(o.device.text()).index) : "cpu";
        for (const std::string &peer : parse_peers(o.peers, known_peers(target.processor()))) peers_.push_back(std::make_unique<Peer>(peer, tools, o.threads, device));
    }

    // The candidates; without the in-process ones when `compile` is false, for counting.
    std::vector<Candidate> candidates(const ConvProblem &problem, const std::string &published, bool compile,
                                      const std::function<void(const std::string &)> &tell) {
        const Registry &registry = Registry::builtin();
        Candidate common;
        common.problem = problem;
        common.suite = o_.suite.empty() ? o_.problems : o_.suite;
        common.published = published;
        std::vector<Candidate> all;
        const auto wanted = [&](const std::string &name) { return o_.variants.empty() || matches(o_.variants, name); };
        const auto add = [&](Candidate c, const std::string &name) {
            c.name = name;
            c.reproduce = c.peer ? command_line(o_, exact_glob(problem.name), o_.variants, c.peer->name())
                                 : command_line(o_, exact_glob(problem.name), exact_glob(name), "");
            all.push_back(std::move(c));
        };

        const auto chosen = choose_variants(problem, registry, processor_, o_.threads, o_.variants.empty() ? std::function<bool(const std::string &)>() : wanted);
        const bool pair = problem.op == Operator::depsep && wanted(unfused_name);
        const bool compiled_in = specialised_hand(problem, registry, processor_, o_.threads) && !knobs_.from_file_only(problem, processor_);
        const bool needs_own = !compiled_in && wants_in_process(problem);
        const bool fits = target_.fits(problem);
        if (needs_own && (!compile || !fits)) {
            if (!compile) add(common, "in process");
        } else if (needs_own) {
            Candidate own = common;
            std::string error;
            if (const InProcessKernel *kernel = kernels_.hand(problem, processor_, tell, error)) {
                own.variant = &kernel->variant();
                own.compile_seconds = kernel->compile_seconds();
                add(own, own.variant->name);
            } else {
                own.unavailable = "cannot be compiled in process: " + error;
                add(own, "hand, in process");
            }
        }
        for (const KernelSpec &spec : o_.candidates.empty() ? std::vector<KernelSpec>() : plan_candidates(o_.candidates, problem, processor_.best)) {
            const auto has_name = [&](const Variant *v) { return v->name == spec.name; };
            if (!wanted(spec.name) || std::any_of(chosen.begin(), chosen.end(), has_name)) continue;
            Candidate own = common;
            std::string error;
            const InProcessKernel *kernel = compile && fits ? kernels_.candidate(spec, problem, tell, error) : nullptr;
            if (kernel) own.variant = &kernel->variant(), own.compile_seconds = kernel->compile_seconds();
            if (!error.empty()) own.unavailable = "cannot be compiled in process: " + error;
            if (kernel || !error.empty() || !compile) add(own, spec.name);
        }
        for (const Variant *v : chosen) {
            Candidate c = common;
            c.variant = v;
            add(c, v->name);
        }
        if (pair) {
            Candidate c = common;
            c.variant = half(problem.depthwise_half(), compile && fits, c, tell);
            c.second = half(problem.pointwise_half(), compile && fits, c, tell);
            if (!c.variant || !c.second) c.unavailable = "there is no hand-written variant for its halves";
            add(c, unfused_name);
        }
        for (const auto &peer : peers_) {
            Candidate c = common;
            c.peer = peer.get();
            add(c, peer->name());
        }
        return all;
    }

private:
    // Whether --variants, where it is given, names the kernel that would be compiled in process.
    bool wants_in_process(const ConvProblem &problem) const {
        if (o_.variants.empty()) return true;
        std::string ignored;
        const std::optional<KernelSpec> spec = knobs_.specialise(problem, processor_, ignored);
        return spec && matches(o_.variants, spec->name);
    }

    // The best hand-written variant for one half of a depsep: as specialised as the fused kernel, so that the comparison is fair.
    const Variant *half(const ConvProblem &problem, bool compile, Candidate &c, const std::function<void(const std::string &)> &tell) {
        const Registry &registry = Registry::builtin();
        if (const Variant *v = specialised_hand(problem, registry, processor_, o_.threads)) return v;
        std::string error;
        const InProcessKernel *kernel = compile ? kernels_.hand(problem, processor_, tell, error) : nullptr;
        if (!kernel) return first_hand(problem, registry, processor_, o_.threads);
        c.compile_seconds += kernel->compile_seconds();
        return &kernel->variant();
    }

    const Options &o_;
    const KnobSource &knobs_;
    const Target &target_;
    Processor processor_;
    InProcessKernels kernels_;
    std::vector<std::unique_ptr<Peer>> peers_;
};

Machine get_machine(const Options &o, Progress &progress) {
    if (o.machine.empty()) {
        MeasureOptions options;
        options.progress = [&](const std::string &what) { progress.show("measuring " + what, 0); };
        const auto warn = [&](const std::string &sentence) {
            progress.clear();
            fmt::print(stderr, "sepal: warning: {}\n", sentence);
        };
        Machine machine = measure_or_reuse(o.threads, options, warn);
        progress.clear();
        return machine;
    }
    Machine machine = load_machine(o.machine);
    const Machine here = detect_machine();
    if (machine.cpu != here.cpu || machine.isa != here.isa)
        throw BadInput(fmt::format("{}: field \"cpu\" is \"{}\" with {}, this machine is \"{}\" with {}; allowed: a file that `sepal peak --json` "
                                   "wrote here", o.machine, machine.cpu, name(machine.isa), here.cpu, name(here.isa)));
    if (!machine.measured(o.threads))
        throw BadInput(fmt::format("{}: holds no peaks for {} thread{}; `sepal peak --threads {} --json {}` measures them", o.machine, o.threads,
                                   o.threads == 1 ? "" : "s", o.threads, word(o.machine)));
    return machine;
}

// The report as the files that were asked for, which are then told.
void write_outputs(const Options &o, const HtmlTools &tools, const nlohmann::ordered_json &report, const std::string &csv, const std::string &temporary_folder) {
    const std::string json = report.dump(2) + "\n";
    if (!o.json.empty()) write_file(o.json, {json});
    if (!o.csv.empty()) write_file(o.csv, {csv});
    if (!o.html.empty()) {
        std::vector<std::string> tuning;
        if (!o.tuning.empty()) tuning.push_back(o.tuning);
        const std::string file = o.json.empty() ? temporary_folder + "/report.json" : o.json;
        if (o.json.empty()) write_file(file, {json});
        write_html(tools, file, o.html, tuning);
    }
    for (const std::string &file : {o.json, o.csv, o.html})
        if (!file.empty()) fmt::print("written: {}\n", file);
}

// What there is so far, after each problem but the last: whoever ends the command early has it.
void keep(const Options &o, const nlohmann::ordered_json &report, const std::string &csv) {
    if (!o.json.empty()) write_file(o.json, {report.dump(2) + "\n"});
    if (!o.csv.empty()) write_file(o.csv, {csv});
}

void print_title(const Options &o, const ProblemSet &set) {
    fmt::print("{}\n{}{}", set.title.empty() ? (o.suite.empty() ? o.problems : o.suite) : set.title, set.description, set.description.empty() ? "" : "\n");
}

BadInput no_candidates(const Options &o) {
    return BadInput(fmt::format("--variants \"{}\" matches no variant that takes one of the problems; `sepal list` names them", o.variants));
}

// Told before the run: how long each problem will take at the machine's measured peaks, the longest first.
double print_estimate(const ProblemSet &set, const std::vector<int> &counts, const Target &target, const RunnerOptions &options) {
    std::vector<std::pair<double, std::string>> longest;
    double total = 0;
    for (size_t i = 0; i < set.problems.size(); i++) {
        const double seconds = target.estimate(set.problems[i], counts[i], options);
        total += seconds;
        longest.emplace_back(seconds, set.problems[i].name);
    }
    std::sort(longest.rbegin(), longest.rend());
    fmt::print("\nEstimated time: {} for {} problem{} (slow variants take longer); the longest:", duration(total), set.problems.size(),
               set.problems.size() == 1 ? "" : "s");
    longest.resize(std::min<size_t>(3, longest.size()));
    for (size_t i = 0; i < longest.size(); i++) fmt::print("{} {} {}", i ? "," : "", longest[i].second, duration(longest[i].first));
    fmt::print("\n");
    return total;
}

// Refuses what a GPU has no use for.
void check_gpu_options(const Options &o, const ChosenDevice &device) {
    const auto refuse = [&](const std::string &option, const char *what) {
        if (!option.empty()) throw BadInput(fmt::format("{}; leave it out with --device {}", what, device.option));
    };
    refuse(o.tuning, "--tuning reads records of kernels for CPUs");
    if (device.emulated) {
        refuse(o.peers, "--peers measures libraries on CPUs and on CUDA devices");
        refuse(o.machine, "--machine holds peaks of a CPU or of a CUDA device");
        refuse(o.csv, "--csv holds times, and the emulator has none: --json holds what is calculated");
        refuse(o.seconds != default_seconds ? "given" : "", "--seconds is for measuring, and the emulator has no times");
    }
    if (device.gpu->backend() == Backend::cuda) return;
    refuse(o.peers, "--peers measures libraries on CPUs and on CUDA devices");
    refuse(o.machine, "--machine holds peaks of a CPU or of a CUDA device");
}

GpuMachine get_gpu_machine(const Options &o, const ChosenDevice &device, Progress &progress) {
    GpuMachine machine = describe_gpu(*device.gpu, device.option);
    if (o.machine.empty()) {
        measure_peaks(machine, device.gpu, [&](const std::string &what) { progress.show("measuring " + what, 0); });
        progress.clear();
        return machine;
    }
    machine.peaks = gpu_peaks_from_json(read_file(o.machine), o.machine);
    if (machine.peaks->device.name != machine.info.name)
        throw BadInput(fmt::format("{}: field \"name\" of \"device\" is \"{}\", --device {} is \"{}\"; allowed: a file that `sepal peak --device {} --json` wrote here", o.machine,
                                   machine.peaks->device.name, device.option, machine.info.name, device.option));
    return machine;
}

// Each variant checked in the emulator, and instead of times what can be calculated of its kernels.
int bench_in_emulator(const Options &o, const ChosenDevice &device, const ProblemSet &set, Selection &selection, const HtmlTools &tools, const std::string &temporary_folder) {
    print_title(o, set);
    fmt::print("\nKernels run in the emulator: what follows is calculated, not measured on a GPU.\n{}\n", static_report_legend);
    Progress progress(0);
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    const auto whole_report = [&](bool complete) {
        return nlohmann::ordered_json{{"device", device.option}, {"calculated", true}, {"note", "calculated, not measured on a GPU"},
                                      {"title", set.title}, {"description", set.description}, {"command", command_line(o, o.name, o.variants, "")},
                                      {"date", utc_date()}, {"complete", complete}, {"legend", static_report_legend}, {"static_reports", all}};
    };
    std::vector<StaticReport> kernels;
    bool any = false, failed = false;
    const auto tell = [&](const std::string &sentence) {
        progress.clear();
        fmt::print("{}\n", sentence);
        std::fflush(stdout);
    };
    const auto report = [&](const Variant &variant, const ConvProblem &problem) {
        any = true;
        EmulatedReport r;
        r.variant = variant.name;
        r.asked = r.run = problem;
        if (const std::string why = device.why_not_runnable(variant); !why.empty()) {
            r.check = "skipped: " + why;
        } else {
            progress.show(fmt::format("{}: {} in the emulator", problem.name, variant.name), 0);
            r = report_in_emulator(variant, problem, device, most_emulated_seconds);
        }
        tell(to_text(r));
        failed = failed || r.check == "failed";
        kernels.insert(kernels.end(), r.kernels.begin(), r.kernels.end());
        all.push_back(to_json(r));
    };
    for (const ConvProblem &problem : set.problems) {
        const std::vector<Candidate> candidates = selection.candidates(problem, "", true, tell);
        for (const Candidate &c : candidates) {
            if (!c.unavailable.empty()) {
                tell(fmt::format("{} on {}: skipped: {}\n", c.name, problem.name, c.unavailable));
            } else if (c.second) {  // both halves, each with its own kernel
                report(*c.variant, problem.depthwise_half());
                report(*c.second, problem.pointwise_half());
            } else {
                report(*c.variant, problem);
            }
        }
        keep(o, whole_report(false), "");
    }
    progress.clear();
    if (!any) throw no_candidates(o);
    fmt::print("Calculated, for {}; bounds on {}:\n{}", "the newest architecture of each", gpu_model("h200").title, summary_text(kernels));
    write_outputs(o, tools, whole_report(true), "", temporary_folder);
    return failed ? exit_check_failed : exit_ok;
}

int bench(const Options &o) {
    const ChosenDevice device = o.device.open();
    const ProblemSet set = o.load();
    if (device.gpu) check_gpu_options(o, device);
    if (size_t others = 0; !o.variants.empty() && names_a_variant(Registry::builtin(), o.variants)) (void)variants_matching(Registry::builtin(), o.variants, device.processor(), others);
    if (!(o.seconds > 0 && o.seconds <= 3600)) throw BadInput(fmt::format("--seconds is {}; allowed: more than 0, up to 3600", o.seconds));
    for (const std::string &file : {o.json, o.csv, o.html})
        if (!file.empty()) check_writable(file);
    if ((!o.json.empty() && (o.json == o.csv || o.json == o.html)) || (!o.csv.empty() && o.csv == o.html))
        throw BadInput("--json, --csv and --html name the same file; give each its own");
    std::optional<SessionFolder> temporary_files;
    if (!o.html.empty() || !o.peers.empty()) temporary_files.emplace();
    HtmlTools tools;
    if (!o.html.empty()) tools = find_html_tools(own_python(), own_script("report.py"));

    const KnobSource knobs(o.tuning, o.threads);
    PeerTools peer_tools;
    if (!o.peers.empty()) {
        (void)parse_peers(o.peers, known_peers(device.processor()));
        peer_tools = find_peer_tools(o.peers_python);
    } else if (!o.peers_python.empty()) {
        throw BadInput("--peers-python is given without --peers; --peers all measures all of them");
    }

    RunnerOptions options;
    options.threads = o.threads;
    options.seconds = o.seconds;
    options.cpu = device.cpu;
    if (device.emulated) {
        const Target target(device, describe_gpu(*device.gpu, device.option));
        Selection selection(o, knobs, target, peer_tools);
        set_num_threads(o.threads);
        return bench_in_emulator(o, device, set, selection, tools, temporary_files ? temporary_files->path() : "");
    }
    std::optional<Progress> progress(std::in_place, 0);
    const Target target = device.gpu ? Target(device, get_gpu_machine(o, device, *progress)) : Target(device, get_machine(o, *progress));
    Selection selection(o, knobs, target, peer_tools);
    std::vector<int> counts;
    for (size_t i = 0; i < set.problems.size(); i++) counts.push_back(int(selection.candidates(set.problems[i], "", false, {}).size()));
    if (std::all_of(counts.begin(), counts.end(), [](int n) { return n == 0; }))
        throw no_candidates(o);

    print_title(o, set);
    fmt::print("\n{}\nFLOPs: {}\nBytes: {}\n{}{}", target.table(o.threads), flop_convention, byte_convention, device.gpu ? gpu_column_legend : column_legend,
               o.peers.empty() ? "" : peer_legend);
    const double total = print_estimate(set, counts, target, options);
    fmt::print("To reproduce a line: {} --name PROBLEM --variants VARIANT\n\n{}", command_line(o, "*", "", ""), table_header(target.on_gpu()));
    std::fflush(stdout);

    progress.emplace(total);
    const RunDescription run{command_line(o, o.name, o.variants, o.peers), utc_date(), set.title, set.description};
    std::vector<Result> results;
    for (size_t i = 0; i < set.problems.size(); i++) {
        const ConvProblem &problem = set.problems[i];
        progress->begin(target.estimate(problem, counts[i], options));
        options.progress = [&](const std::string &what, double fraction) { progress->show(problem.name + ": " + what, fraction); };
        const auto tell = [&](const std::string &sentence) {
            progress->clear();
            fmt::print("{}\n", sentence);
            std::fflush(stdout);
        };
        std::vector<Candidate> candidates = selection.candidates(problem, set.published[i], true, tell);
        for (Candidate &c : candidates) c.occurs = set.network ? set.occurs[i] : 0;
        std::vector<Result> block;
        try {
            block = target.run(candidates, options);
        } catch (const std::bad_alloc &) {
            for (Candidate &c : candidates) c.unavailable = "memory ran out";
            block = target.run(candidates, options);
        }
        progress->clear();
        if (block.empty()) fmt::print("\n{}: no variant that matches --variants \"{}\" takes it\n", problem.name, o.variants);
        fmt::print("{}", table_block(block));
        std::fflush(stdout);
        results.insert(results.end(), block.begin(), block.end());
        if (i + 1 < set.problems.size()) keep(o, report_json(target.json(), results, run, false), report_csv(results));
    }
    fmt::print("{}", network_text(network_totals(results)));
    write_outputs(o, tools, report_json(target.json(), results, run), report_csv(results), temporary_files ? temporary_files->path() : "");
    return std::any_of(results.begin(), results.end(), [](const Result &r) { return r.check == "failed" && !r.candidate.peer; }) ? exit_check_failed : exit_ok;
}

}  // namespace

void add_bench_command(CLI::App &app, int &exit_code) {
    auto o = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("bench", "Check the variants on a suite or a file of problems, then measure them side by side");
    o->add_to(*command, "to run");
    command->add_option("--variants", o->variants, "Only variants whose names match this pattern (\"unfused\": depthwise, then pointwise); "
                                                   "default: hand-written and autoscheduled ones of the best ISA");
    command->add_option("--peers", o->peers, "Other libraries to measure beside: all, or names with commas between them of " + fmt::format("{}, on a GPU {}", fmt::join(peer_names(), ", "), fmt::join(gpu_peer_names(), ", ")) +
                                                 "; tools/peers.sh installs them");
    command->add_option("--peers-python", o->peers_python, "The Python that has them (default: $SEPAL_PEERS_PYTHON, or build/peers/bin/python3 of the sources)");
    command->add_option("--json", o->json, "Write the results to this file as JSON");
    command->add_option("--csv", o->csv, "Write the results to this file as CSV");
    command->add_option("--html", o->html, "Write a report with plots to this file");
    o->device.add_to(*command);
    command->add_option("--machine", o->machine, "Take the machine's peaks from this file of `sepal peak --json` (default: measured once and kept)");
    command->add_option("--tuning", o->tuning, "Take the knobs of kernels from this file of tuning records, where it has one for the problem");
    command->add_option("--candidates", o->candidates, "Also measure the kernels of this file, compiled in process for each problem: rows of hand-written variants with their knobs");
    command->add_option("--seconds", o->seconds, "Time to spend on each problem and variant")->capture_default_str();
    command->callback([o, &exit_code] { exit_code = bench(*o); });
}

}  // namespace sepal
