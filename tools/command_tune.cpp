// sepal tune: searches schedules for problems on this machine. sepal tune-trial: one trial, in the process that the former starts for it.
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/threads.h"
#include "schedules/schedule_check.h"
#include "tools/command.h"
#include "tools/compile/kernel_spec.h"
#include "tools/compile/llc.h"
#include "tools/selection.h"
#include "tools/tuning/commit.h"
#include "tools/tuning/knob_source.h"
#include "tools/tuning/session.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

namespace sepal {
namespace {

struct Options : MeasuredProblems {
    std::string isa, database = "tuning.jsonl", shard = "1/1";
    double minutes = 10;
    int64_t trials = 0;
    uint32_t seed = 1;
};

volatile sig_atomic_t interrupted = 0;
void on_signal(int) { interrupted = 1; }

// Without SA_RESTART, so that waiting ends at once.
void catch_interrupts() {
    struct sigaction action = {};
    action.sa_handler = on_signal;
    for (int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

Shard parse_shard(const std::string &text) {
    Shard shard;
    char slash = 0, rest = 0;
    if (std::sscanf(text.c_str(), "%9d%c%9d%c", &shard.index, &slash, &shard.count, &rest) != 3 || slash != '/' || shard.count < 1 ||
        shard.index < 1 || shard.index > shard.count)
        throw BadInput(fmt::format("--shard is \"{}\"; allowed: K/N with 1 <= K <= N, such as 2/4", text));
    return shard;
}

// The one that --isa names; without it, for each problem the best one whose hand-written schedule takes it.
Isa isa_for(const Options &o, const ConvProblem &problem, const Cpu &cpu) {
    if (!o.isa.empty()) {
        const auto isa = cpu_isa_from_name(o.isa);
        if (!isa) throw BadInput(fmt::format("--isa is \"{}\"; allowed: {}", o.isa, cpu_isa_names()));
        if (!cpu.runs(*isa)) throw BadInput(fmt::format("--isa is \"{}\"; this CPU runs up to {}", o.isa, name(cpu.best)));
        return *isa;
    }
    std::string why_not;
    const auto spec = specialise_for(problem, cpu, why_not);
    return spec ? spec->isa : cpu.best;
}

int tune(const Options &o, bool trials_given) {
    const ProblemSet set = o.load();
    if (!(o.minutes > 0 && o.minutes <= 1e5)) throw BadInput(fmt::format("--minutes is {}; allowed: more than 0, up to 100000", o.minutes));
    if (trials_given && o.trials < 1) throw BadInput(fmt::format("--trials is {}; allowed: 1 or more, for each problem", o.trials));
    TuneOptions options;
    options.shard = parse_shard(o.shard);
    const Cpu cpu = Cpu::detect();
    for (const ConvProblem &problem : set.problems)
        if (std::string why = why_no_schedule(problem.dtype, cpu.best); !why.empty() || problem.layout != Layout::nhwc) {
            if (why.empty()) why = fmt::format("tuning searches the schedules for nhwc, not those for {}", name(problem.layout));
            throw BadInput(fmt::format("problem \"{}\" has nothing to tune: {}", problem.name, why));
        }
    for (const ConvProblem &problem : set.problems) options.tasks.push_back({problem, isa_for(o, problem, cpu)});
    options.threads = o.threads;
    options.seconds = trials_given ? 0 : 60 * o.minutes;
    options.trials = o.trials;
    options.seed = o.seed;
    options.commit = sepal_commit();
    options.streaming = why_no_llc().empty();

    TuningLog log(o.database);
    const TuningDatabase known = read_tuning_records(o.database);
    print_warnings(known.complaints);

    Progress progress(0);
    MeasureOptions measuring;
    measuring.progress = [&](const std::string &what) { progress.show("measuring " + what, 0); };
    const Machine machine = measure_or_reuse(o.threads, measuring, [&](const std::string &sentence) {
        progress.clear();
        fmt::print(stderr, "sepal: warning: {}\n", sentence);
    });
    progress.clear();

    catch_interrupts();
    const auto plural = [](size_t count) { return count == 1 ? "" : "s"; };
    fmt::print("{} problem{}, {} thread{}, seed {}, shard {}; {}; records: {} ({} so far)\n\n{}\n", options.tasks.size(),
               plural(options.tasks.size()), o.threads, plural(size_t(o.threads)), o.seed, o.shard,
               trials_given ? fmt::format("{} trials for each", o.trials) : duration(options.seconds), o.database, known.records.size(),
               machine_table(machine, o.threads));
    std::fflush(stdout);

    std::vector<TuneOutcome> outcomes;
    {
        Display display(machine);
        const TrialRunner runner(own_trial_command(), [&] {
            display.tick();
            return interrupted != 0;
        });
        const TuneContext context{machine, runner, [&](const TuningRecord &r) { log.append(r); }, [] { return interrupted != 0; }, display};
        outcomes = tune(options, context, known.records);
    }
    fmt::print("\n{}{}\n", interrupted ? "Interrupted; the same command goes on from here.\n" : "", outcome_table(outcomes));
    fmt::print("To compare with everything else: sepal bench {} --name {} --threads {} --tuning {}\n",
               o.suite.empty() ? "--problems " + shell_quote(o.problems) : "--suite " + shell_quote(o.suite), shell_quote(o.name), o.threads,
               shell_quote(o.database));
    fmt::print("To build with it: copy {} to schedules/tuning/ and build again.\n", o.database);
    return interrupted ? exit_interrupted : exit_ok;
}

// Standard output carries the answer only: what a compiler or a kernel prints goes to standard error.
int tune_trial() {
    std::string request;
    std::getline(std::cin, request);
    const int answer = dup(STDOUT_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    const auto say = [&](const std::string &line) {
        if (dprintf(answer, "%s\n", line.c_str()) < 0) throw BadInput("the trial's answer cannot be written");
    };
    const TrialRequest parsed = trial_request_from_json(request);
    if (!Cpu::detect().runs(parsed.isa) || parsed.threads > int(allowed_cpus().size()))
        throw BadInput("trial: fields \"isa\" and \"threads\" are more than this machine has");
    say(to_json(do_trial(parsed, [&] { say(trial_compiled_line); })));
    return exit_ok;
}

}  // namespace

void add_tune_command(CLI::App &app, int &exit_code) {
    auto o = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("tune", "Search schedules for problems on this machine and keep a record of each trial");
    o->add_to(*command, "to tune");
    command->add_option("--isa", o->isa, "Instruction set to tune for (default: the best one that takes the problem)");
    auto *minutes = command->add_option("--minutes", o->minutes, "How long, for all problems together")->capture_default_str();
    auto *trials = command->add_option("--trials", o->trials, "Instead of a time: how many trials for each problem, recorded ones included");
    command->add_option("--db", o->database, "The file of records: read, then appended to")->capture_default_str();
    command->add_option("--seed", o->seed, "Equal seeds propose equal candidates on equal measurements")->capture_default_str();
    command->add_option("--shard", o->shard, "K/N: only part K of N of the candidates, for N sessions with databases of their own")
        ->capture_default_str();
    minutes->excludes(trials);
    command->callback([o, trials, &exit_code] { exit_code = tune(*o, trials->count() > 0); });

    CLI::App *trial = app.add_subcommand("tune-trial", "One trial of a tuning session: JSON on standard input and output")->group("");
    trial->callback([&exit_code] { exit_code = tune_trial(); });
}

}  // namespace sepal
