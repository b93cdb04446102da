// The trial itself: do_trial().
#include "bench/memory.h"
#include "bench/probes.h"
#include "bench/statistics.h"
#include "bench/threads.h"
#include "bench/timer.h"
#include "schedules/schedule_check.h"
#include "tools/checker.h"
#include "tools/compile/in_process.h"
#include "tools/tuning/trial.h"

#include <algorithm>
#include <new>
#include <optional>

namespace sepal {
namespace {

constexpr double sample_seconds = 1e-3;   // the least length of a sample
constexpr double slow_seconds = 1.0;      // of one run: no run is made that is not needed
constexpr int least_rounds = 5, least_slow_rounds = 3, most_rounds = 60;
constexpr int rounds_before_stop = 4;     // of which none must be quick for a schedule to be given up as much too slow

// One schedule on its way: whatever stops it is its verdict.
struct Entry {
    Timing timing;
    std::unique_ptr<InProcessKernel> kernel;
    std::unique_ptr<Plan> plan;
    const void *skip = nullptr;  // of a problem with a residual
    int64_t batch = 1;
    double run_seconds = 0;

    bool alive() const { return timing.verdict == Verdict::ok; }
    void fail(Verdict verdict, const std::string &error) {
        timing = {verdict, error.empty() ? "failed without a message" : error, {}};
        std::replace(timing.error.begin(), timing.error.end(), '\n', ' ');
        while (timing.error.back() == ' ' && timing.error.size() > 1) timing.error.pop_back();
    }
};

void compile(Entry &e, const TrialRequest &request, const Schedule &schedule) {
    try {
        if (const std::string why = why_not_valid(schedule, request.problem, request.isa); !why.empty()) return e.fail(Verdict::refused, why);
        e.kernel = compile_in_process(specialise(request.problem, request.isa, "hand", schedule));
    } catch (const std::bad_alloc &) {
        e.fail(Verdict::refused, "memory ran out while it was compiled");
    } catch (const std::exception &error) {
        e.fail(Verdict::refused, error.what());
    }
}

void check(Entry &e, Tensors &tensors) {
    const CheckResult result = check_variant(e.kernel->variant(), tensors);
    // A kernel that could not run at all compared nothing.
    if (!result.passed) e.fail(result.compared > 0 ? Verdict::wrong : Verdict::refused, result.message);
}

// Mean seconds of `runs` runs in a row; 0, and the entry failed, when one reports an error.
double run(Entry &e, int64_t runs, const AlignedArray &input, AlignedArray &output) {
    const double start = now();
    for (int64_t i = 0; i < runs; i++) {
        const Status status = e.plan->run(input.data(), output.data(), e.skip);
        if (status.ok()) continue;
        e.fail(Verdict::refused, status.message);
        return 0;
    }
    return (now() - start) / double(runs);
}

void choose_batch(Entry &e, const AlignedArray &input, AlignedArray &output) {
    e.run_seconds = run(e, 1, input, output);
    while (e.alive() && e.run_seconds * double(e.batch) < sample_seconds) {
        e.batch *= 2;
        e.run_seconds = run(e, e.batch, input, output);
    }
}

}  // namespace

TrialAnswer do_trial(const TrialRequest &request, const std::function<void()> &compiled) {
    std::vector<Entry> entries(request.schedules.size());
    for (size_t i = 0; i < entries.size(); i++) compile(entries[i], request, request.schedules[i]);
    compiled();

    TrialAnswer answer;
    const auto finish = [&] {
        for (Entry &e : entries) answer.timings.push_back(std::move(e.timing));
        return std::move(answer);
    };
    const auto any_alive = [&] { return std::any_of(entries.begin(), entries.end(), [](const Entry &e) { return e.alive(); }); };
    if (!any_alive()) return finish();

    set_num_threads(request.threads);
    const PinThreads pinned(request.threads);
    Tensors tensors = make_exact_tensors(request.problem, check_seed);
    for (Entry &e : entries)
        if (e.alive()) check(e, tensors);
    const AlignedArray input(request.problem.dtype, tensors.input), skip(request.problem.dtype, tensors.skip);
    AlignedArray output(request.problem.dtype, request.problem.output_elements());
    for (Entry &e : entries) {
        if (!e.alive()) continue;
        Status status;
        if (request.problem.residual) e.skip = skip.data();
        e.plan = Plan::create(request.problem, e.kernel->variant(), tensors.weights(), status);
        if (!status.ok()) e.fail(Verdict::refused, status.message);
        if (e.alive()) choose_batch(e, input, output);
    }
    if (!any_alive()) return finish();

    const FmaProbe probe(request.isa, request.threads);
    std::vector<double> peaks;
    const double start = now(), budget = request.seconds * double(entries.size());
    const bool slow = std::any_of(entries.begin(), entries.end(), [](const Entry &e) { return e.run_seconds > slow_seconds; });
    for (int round = 0; round < most_rounds && any_alive(); round++) {
        if (round >= (slow ? least_slow_rounds : least_rounds) && now() - start >= budget) break;
        peaks.push_back(probe.gflops());
        for (size_t i = 0; i < entries.size(); i++) {
            Entry &e = entries[(i + size_t(round)) % entries.size()];
            if (e.alive() && !slow) run(e, 1, input, output);
            if (!e.alive()) continue;
            if (const double seconds = run(e, e.batch, input, output); e.alive()) e.timing.samples_ms.push_back(1e3 * seconds);
        }
        answer.fma_gflops = summarise(peaks).median;
        const std::vector<double> &first = entries.front().timing.samples_ms;
        if (entries.size() == 1 && request.stop_score > 0 && int(first.size()) >= rounds_before_stop &&
            *std::min_element(first.begin(), first.end()) * answer.fma_gflops > request.stop_score)
            break;
    }
    return finish();
}

}  // namespace sepal
