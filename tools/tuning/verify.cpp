#include "tools/tuning/verify.h"

#include "bench/runner.h"
#include "bench/threads.h"
#include "tools/compile/in_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>

namespace sepal {
namespace {

constexpr double least_margin_pct = 3;  // medians of one kernel in two processes differ by as much

std::string why_not_here(const TuningRecord &r, const Cpu &cpu) {
    const int cpus = int(allowed_cpus().size());
    if (!cpu.runs(r.isa)) return fmt::format("needs {}, this CPU runs up to {}", name(r.isa), name(cpu.best));
    if (r.threads > cpus) return fmt::format("needs {} threads, this process may use {} CPUs", r.threads, cpus);
    return {};
}

bool is_heuristic(const TuningRecord &r) {
    const Schedule derived = derive({}, r.problem.op, r.isa, r.problem);
    return std::all_of(std::begin(knobs), std::end(knobs), [&](const Knob &k) { return derived.*k.member == r.schedule.*k.member; });
}

Candidate candidate(const ConvProblem &problem, const Variant &variant) {
    Candidate c;
    c.problem = problem;
    c.name = variant.name;
    c.variant = &variant;
    return c;
}

}  // namespace

Verification verify_record(const BestRecord &best, double seconds, const std::function<void(const std::string &)> &tell) {
    const TuningRecord &record = *best.record;
    const ConvProblem &problem = record.problem;
    const Cpu cpu = Cpu::detect();
    Verification v;
    v.best = best;
    v.stated_pct = record.pct_fma_peak();
    v.skipped = why_not_here(record, cpu);
    if (!v.skipped.empty()) return v;

    std::unique_ptr<InProcessKernel> tuned, heuristic;
    try {
        if (tell) tell("compiling");
        tuned = compile_in_process(specialise(record));
        if (!is_heuristic(record)) heuristic = compile_in_process(problem, record.isa, "hand");
    } catch (const std::runtime_error &e) {
        v.broken = e.what();
        return v;
    }
    RunnerOptions options;
    options.threads = record.threads;
    options.seconds = seconds;
    options.cpu = cpu;
    options.progress = [&](const std::string &what, double) {
        if (tell) tell(what);
    };
    std::vector<Candidate> candidates = {candidate(problem, tuned->variant())};
    if (heuristic) candidates.push_back(candidate(problem, heuristic->variant()));
    const std::vector<Result> results = run_candidates(candidates, detect_machine(), options);
    const Result &now = results[0], *hand = heuristic && results[2].timed() ? &results[2] : nullptr;  // warm
    if (!now.timed()) {
        (now.check == "failed" ? v.broken : v.skipped) = now.check == "failed" ? "its result is wrong: " + now.check_message : now.check;
        return v;
    }
    v.now_pct = now.pct_isa_peak();
    v.margin_pct = std::max({least_margin_pct, now.milliseconds.spread_pct, summarise(record.samples_ms).spread_pct});
    if (hand) {
        v.gain_pct = 100 * (hand->milliseconds.median / now.milliseconds.median - 1);
        v.margin_pct = std::max(v.margin_pct, hand->milliseconds.spread_pct);
    }
    const double slower_than_stated_pct = 100 * (v.stated_pct / v.now_pct - 1);
    const double slower_than_hand_pct = hand ? 100 * (now.milliseconds.median / hand->milliseconds.median - 1) : 0;
    if (!best.from_elsewhere && slower_than_stated_pct > v.margin_pct)
        v.broken = fmt::format("{:.1f} % slower than it states relative to the FMA peak", slower_than_stated_pct);
    else if (slower_than_hand_pct > v.margin_pct)
        v.broken = fmt::format("slower than the heuristic's knobs by {:.1f} %", slower_than_hand_pct);
    return v;
}

}  // namespace sepal
