#include "tools/tuning/session.h"

#include "bench/statistics.h"
#include "bench/timer.h"
#include "tools/tuning/standing.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace sepal {
namespace {

constexpr double alone_seconds = 0.4, turns_seconds = 0.8, confirm_seconds = 2.0;  // of timing, for each schedule
constexpr double promising = 1.03;  // times the best one's score, by the quickest sample: worth a comparison in turns
constexpr double hopeless = 1.3;    // times the same: not worth more samples
constexpr double compile_limit_seconds = 60;

CoreBudget budget_of(const Machine &machine, int threads, bool streaming) {
    CoreBudget budget;
    for (const CacheLevel &cache : machine.caches) {
        if (cache.level == "L1") budget.l1_bytes = cache.bytes;
        if (cache.level == "L2") budget.l2_bytes = cache.bytes;
    }
    budget.threads = threads;
    budget.streaming = streaming;
    return budget;
}

// A run that is much slower than any that is worth waiting for: 5 GFLOP/s for each thread.
double run_limit(const ConvProblem &problem, int threads, double seconds) {
    const double checked_macs = std::min(problem.flops() / 2, 1e9), reference_macs_per_s = 1e8, runs = 10;
    return 20 + seconds + checked_macs / reference_macs_per_s + runs * problem.flops() / (5e9 * threads);
}

struct Task {
    const TuneTask *task;
    std::unique_ptr<Search> search;
    std::unique_ptr<Standing> standing;
    double spent = 0;          // seconds of this session
    double longest_trial = 0;  // seconds
    bool exhausted = false;
};

class Session {
public:
    Session(const TuneOptions &options, const TuneContext &context, const std::vector<TuningRecord> &known)
        : o_(options), c_(context), known_(known), machine_(fingerprint(context.machine)), start_(now()) {
        for (const TuneTask &task : o_.tasks) tasks_.push_back({&task, nullptr, nullptr});
    }

    std::vector<TuneOutcome> run() {
        while (!c_.stop()) {
            Task *task = next_task();
            if (!task) break;
            const double begin = now();
            prepare(*task);
            if (!out_of_trials(*task)) {
                const TuningRecord *best = task->standing->best();
                const auto proposal = task->search->next(task->standing->records(), best ? &best->schedule : nullptr);
                if (proposal)
                    trial(*task, *proposal);
                else
                    task->exhausted = true;
            }
            task->spent += now() - begin;
        }
        for (Task &task : tasks_) {
            prepare(task);
            if (!c_.stop()) confirm(task);
        }
        std::vector<TuneOutcome> outcomes;
        for (const Task &task : tasks_) outcomes.push_back(outcome(task));
        return outcomes;
    }

private:
    void prepare(Task &task) const {
        if (task.search) return;
        const TuneTask &t = *task.task;
        task.search = std::make_unique<Search>(t.problem, t.isa, budget_of(c_.machine, o_.threads, o_.streaming), o_.seed, o_.shard);
        task.standing = std::make_unique<Standing>(task.search->space().hand());
        for (const TuningRecord &r : known_)
            if (r.threads == o_.threads && is_for(r, t.problem, t.isa) && r.machine.key() == machine_.key()) task.standing->add(r);
    }

    bool out_of_trials(const Task &task) const { return o_.trials > 0 && task.standing && task.standing->trials() >= o_.trials; }

    // Null at the end of the session: what is left of the time is for the comparisons at the end.
    Task *next_task() {
        double reserve = 0;
        for (const Task &task : tasks_)
            if (task.standing && !task.standing->confirmed()) reserve += 2 * task.longest_trial + 2 * confirm_seconds;
        if (o_.seconds > 0 && tried_ > 0 && now() - start_ + reserve >= o_.seconds) return nullptr;
        Task *next = nullptr;
        for (Task &task : tasks_)
            if (!task.exhausted && !out_of_trials(task) && (!next || task.spent < next->spent)) next = &task;
        return next;
    }

    double share() const {
        if (o_.seconds > 0) return (now() - start_) / o_.seconds;
        double done = 0;
        for (const Task &task : tasks_)
            if (task.standing) done += task.exhausted ? 1.0 : double(task.standing->trials()) / double(o_.trials);
        return done / double(tasks_.size());
    }

    TrialAnswer measure(const Task &task, const std::vector<Schedule> &schedules, double seconds, double stop_score, const std::string &what) {
        const TuneTask &t = *task.task;
        c_.display.trying(outcome(task), what, share(), now() - start_);
        const TrialLimits limits{compile_limit_seconds, run_limit(t.problem, o_.threads, seconds * double(schedules.size()))};
        TrialAnswer answer = c_.runner.run({t.problem, t.isa, o_.threads, schedules, seconds, stop_score}, limits);
        std::string why;  // of any schedule: the probe was the same for all
        for (size_t i = 0; i < answer.timings.size(); i++)
            if (const Timing &timing = answer.timings[i]; timing.verdict == Verdict::ok && why.empty())
                why = why_disturbed(t.problem, schedules[i], summarise(timing.samples_ms).median, answer.fma_gflops);
        for (Timing &timing : answer.timings)
            if (timing.verdict == Verdict::ok && !why.empty()) timing = {Verdict::disturbed, why, {}};
        return answer;
    }

    TuningRecord record(const Task &task, const TrialAnswer &answer, size_t index, const Schedule &schedule, int64_t number,
                        const std::string &by) const {
        TuningRecord r;
        r.problem = task.task->problem;
        r.isa = task.task->isa;
        r.threads = o_.threads;
        r.schedule = schedule;
        r.verdict = answer.timings[index].verdict;
        r.error = answer.timings[index].error;
        r.samples_ms = answer.timings[index].samples_ms;
        r.fma_gflops = answer.fma_gflops;
        r.machine = machine_;
        if (const FmaPeak *peak = c_.machine.peak(r.isa, o_.threads)) r.machine_fma_gflops = peak->gflops;
        r.halide = halide_version();
        r.commit = o_.commit;
        r.seed = o_.seed;
        r.trial = number;
        r.proposed_by = by;
        return r;
    }

    void keep(Task &task, const TuningRecord &r) const {
        c_.append(r);
        task.standing->add(r);
    }

    // Appends what the turns gave: the challenger, and the incumbent when both were timed.
    void keep_turns(Task &task, const TrialAnswer &answer, const std::vector<Schedule> &pair, int64_t number, const std::string &by) const {
        keep(task, record(task, answer, 0, pair[0], number, by));
        if (answer.timings[0].verdict == Verdict::ok && answer.timings[1].verdict == Verdict::ok)
            keep(task, record(task, answer, 1, pair[1], number, by_incumbent));
    }

    void trial(Task &task, const Proposal &proposal) {
        const double begin = now();
        const int64_t number = task.standing->next_trial();
        const TuningRecord *best = task.standing->best();
        const double best_score = best ? score(*best) : 0;
        const std::string what = fmt::format("{} ({})", knobs_text(proposal.schedule), proposal.proposed_by);
        const TrialAnswer alone = measure(task, {proposal.schedule}, alone_seconds, hopeless * best_score, what);
        if (alone.interrupted) return;
        TuningRecord first = record(task, alone, 0, proposal.schedule, number, proposal.proposed_by);
        if (best && first.verdict == Verdict::ok && optimistic_score(first) < promising * best_score) {
            const std::vector<Schedule> pair = {proposal.schedule, best->schedule};
            const TrialAnswer turns = measure(task, pair, turns_seconds, 0, what + " against the best");
            if (turns.interrupted) return;
            keep_turns(task, turns, pair, number, proposal.proposed_by);
        } else {
            keep(task, first);
        }
        tried_++;
        task.longest_trial = std::max(task.longest_trial, now() - begin);
        const TuningRecord *now_best = task.standing->best();
        const TuningRecord &told = *std::find_if(task.standing->records().begin(), task.standing->records().end(),
                                                 [&](const TuningRecord &r) { return r.trial == number; });
        const bool is_best = now_best && key(now_best->schedule) == key(proposal.schedule) && told.verdict == Verdict::ok;
        c_.display.result(outcome(task), told, is_best);
    }

    void confirm(Task &task) {
        const TuningRecord *best = task.standing->best();
        if (!best || !task.standing->hand() || task.standing->confirmed()) return;
        const std::vector<Schedule> pair = {task.search->space().hand(), best->schedule};
        const TrialAnswer turns = measure(task, pair, confirm_seconds, 0, "the hand schedule against the best");
        if (turns.interrupted) return;
        keep_turns(task, turns, pair, task.standing->next_trial(), by_confirmation);
    }

    TuneOutcome outcome(const Task &task) const {
        TuneOutcome out;
        out.problem = task.task->problem;
        out.isa = task.task->isa;
        out.exhausted = task.exhausted;
        if (!task.standing) return out;
        const auto [hand, best] = task.standing->hand_and_best();
        if (hand) out.hand = *hand;
        if (best) out.best = *best;
        out.trials = task.standing->trials();
        out.failed = task.standing->failed();
        out.confirmed = task.standing->confirmed();
        return out;
    }

    const TuneOptions &o_;
    const TuneContext &c_;
    const std::vector<TuningRecord> &known_;
    MachineFingerprint machine_;
    double start_;
    int64_t tried_ = 0;  // in this session
    std::vector<Task> tasks_;
};

}  // namespace

std::vector<TuneOutcome> tune(const TuneOptions &options, const TuneContext &context, const std::vector<TuningRecord> &known) {
    return Session(options, context, known).run();
}

}  // namespace sepal
