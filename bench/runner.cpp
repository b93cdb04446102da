#include "runner.h"

#include "entry.h"
#include "probes.h"
#include "results.h"
#include "runtime/reference.h"
#include "threads.h"
#include "timer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace sepal {
namespace {

constexpr double sample_seconds = 1e-3;  // the least length of a warm sample
constexpr double slow_seconds = 1.0;     // of one run: beyond it no run is made that is not needed
constexpr uint32_t data_seed = 1;
constexpr double float_bytes = sizeof(float);

// How many runs last as long as a sample should, by a trial that is doubled.
template <typename Run>
int64_t choose_batch(const Run &run) {
    for (int64_t batch = 1;; batch *= 2) {
        const std::optional<double> seconds = run(batch);
        if (!seconds || *seconds * double(batch) >= sample_seconds) return batch;
    }
}

void measure_candidate(Entry &e, bool stays_in_cache, Evictor &evictor, const AlignedArray &input, AlignedArray &output) {
    const bool slow = e.run_seconds > slow_seconds;
    if (e.candidate->peer) {
        if (const auto t = time_runs(e, e.batch, !slow || stays_in_cache, input, output)) e.warm.push_back(*t);
        return;
    }
    const bool cold = !slow || int(e.cold.size()) < least_cold_samples;
    if (cold) {
        evictor.evict();
        if (const auto t = time_runs(e, 1, false, input, output)) e.cold.push_back(*t);
    }
    // The cold run warms a slow kernel up; tensors that no cache holds need no warming up.
    if (e.alive() && (!slow || (!cold && stays_in_cache))) time_runs(e, 1, false, input, output);
    if (!e.alive()) return;
    if (const auto t = time_runs(e, e.batch, false, input, output)) e.warm.push_back(*t);
}

int64_t last_level_capacity(const Machine &machine) {
    if (machine.caches.empty()) return 0;
    const CacheLevel &last = machine.caches.back();
    return last.bytes * ((int64_t(allowed_cpus().size()) + last.shared_by - 1) / last.shared_by);
}

int64_t sweep_bytes(const Machine &machine, int threads) {
    const int64_t inner = machine.caches.size() > 1 ? machine.caches[machine.caches.size() - 2].bytes : 0;
    return std::max<int64_t>({2 * last_level_capacity(machine), 4 * inner * threads, 1 << 20});
}

// The probes' samples of one problem.
struct ProbeSamples {
    std::vector<FmaProbe> fma;
    std::vector<std::vector<double>> fma_gflops;
    std::vector<double> copy_warm, copy_cold, copy_streaming;

    double peak(Isa isa) const {
        for (size_t i = 0; i < fma.size(); i++)
            if (fma[i].isa() == isa) return summarise(fma_gflops[i]).median;
        return 0;
    }
};

void fill(Result &r, const Entry &e, const ProbeSamples &probes, const Machine &machine, const RunnerOptions &options) {
    const bool warm = r.cache == CacheState::warm;
    const Candidate &c = *e.candidate;
    r.milliseconds = in_milliseconds(warm ? e.warm : e.cold);
    r.batch = warm ? e.batch : 1;
    r.flops = c.problem.flops();
    r.bytes = c.bytes();
    r.fma_gflops = probes.peak(options.cpu.best);
    r.isa_gflops = probes.peak(c.variant ? c.variant->isa : options.cpu.best);
    r.copy_ms = 1e3 * summarise(warm ? probes.copy_warm : probes.copy_cold).median;
    if (!probes.copy_streaming.empty()) r.streaming_copy_ms = 1e3 * summarise(probes.copy_streaming).median;
    if (const auto roof = roofline(machine, options.threads, r.fma_gflops, r.flops, r.bytes, r.cache)) {
        r.roofline_ms = 1e3 * roof->seconds;
        r.bound = roof->bound;
    }
}

}  // namespace

double memory_needed(const ConvProblem &p, const Machine &machine) {
    const double filters = double(p.filter_elements() + p.pointwise_filter_elements());
    const double ends = double(p.input_elements()) + double(p.skip_elements()) + double(p.output_elements());  // held as f32 and as kernels take them
    return float_bytes * (ends + 4 * filters) + double(size_in_bytes(p.dtype)) * (ends + double(p.mid_elements())) + double(sweep_bytes(machine, int(allowed_cpus().size())));
}

double estimate_seconds(const ConvProblem &p, int candidates, const Machine &machine, const RunnerOptions &options) {
    const FmaPeak *peak = machine.peak(options.cpu.best, options.threads);
    const auto roof = roofline(machine, options.threads, peak ? peak->gflops : 0, p.flops(), p.bytes(), CacheState::cold);
    const double run = roof ? 2 * roof->seconds : 0;
    const double timed = std::max(options.seconds, run * (least_warm_samples + least_cold_samples));
    const double reference_macs_per_s = 5e8;  // about, of the check's double-precision loops
    const double check = run + std::min(p.flops() / 2, 1e9) / reference_macs_per_s;
    return candidates * (timed + check);
}

std::vector<Result> run_candidates(const std::vector<Candidate> &candidates, const Machine &machine, const RunnerOptions &options) {
    std::vector<Entry> entries = make_entries(candidates, options.cpu);
    ProbeSamples probes;
    const auto finish = [&] {
        std::vector<Result> all = make_results(entries, [&](Result &r, const Entry &e) { fill(r, e, probes, machine, options); });
        for (Result &r : all) r.threads = options.threads;
        return all;
    };
    if (candidates.empty()) return {};
    const ConvProblem &problem = candidates.front().problem;
    skip_beyond_memory(entries, memory_needed(problem, machine), double(available_memory()));
    if (std::none_of(entries.begin(), entries.end(), [](const Entry &e) { return e.check.empty(); })) return finish();

    const auto tell = [&](const std::string &what, double fraction) {
        if (options.progress) options.progress(what, fraction);
    };
    set_num_threads(options.threads);
    const PinThreads pinned(options.threads);

    tell("filling tensors", 0);
    std::optional<Tensors> tensors = make_exact_tensors(problem, data_seed);
    std::vector<float>().swap(tensors->output);  // kernels write to `output`
    const AlignedArray input(problem.dtype, tensors->input), skip(problem.dtype, tensors->skip);
    AlignedArray output(problem.dtype, problem.output_elements()), middle;
    const auto unfused = std::find_if(entries.begin(), entries.end(), [](const Entry &e) { return e.check.empty() && e.candidate->second; });
    if (unfused != entries.end()) middle = AlignedArray(problem.dtype, problem.mid_elements());

    check_all(entries, *tensors, output, [&](Entry &e) { bind_and_check(e, *tensors, input, skip, middle, output); },
              [&](const std::string &what) { tell(what, 0); });
    tensors.reset();

    std::vector<Entry *> alive;
    for (Entry &e : entries)
        if (e.alive()) alive.push_back(&e);
    if (alive.empty()) return finish();
    for (Entry *e : alive)
        if (e->run_seconds < 10 * sample_seconds)  // the first run is slower than the rest, but not ten times
            e->batch = choose_batch([&](int64_t batch) { return time_runs(*e, batch, false, input, output); });

    for (Isa isa : cpu_isas) {
        const bool used = std::any_of(alive.begin(), alive.end(), [&](const Entry *e) { return e->candidate->variant && e->candidate->variant->isa == isa; });
        if (used || isa == options.cpu.best) probes.fma.emplace_back(isa, options.threads);
    }
    probes.fma_gflops.resize(probes.fma.size());
    CopyProbe copy(problem.bytes(), options.cpu.best, options.threads);
    const int64_t copy_batch = choose_batch([&](int64_t batch) { return std::optional<double>(copy.seconds(batch)); });
    const int sweepers = options.threads == 1 ? 1 : int(allowed_cpus().size());
    Evictor evictor(sweep_bytes(machine, sweepers), sweepers);
    for (const AlignedBytes *tensor : std::initializer_list<const AlignedBytes *>{&input, &skip, &output, &middle, &copy.source(), &copy.destination()})
        evictor.add(*tensor);
    const bool stays_in_cache = problem.bytes() < double(last_level_capacity(machine));

    const double budget = options.seconds * double(alive.size()), start = now();
    for (int round = 0; round < most_samples; round++) {
        if (round >= least_warm_samples && now() - start >= budget) break;
        for (size_t i = 0; i < probes.fma.size(); i++) probes.fma_gflops[i].push_back(probes.fma[i].gflops());
        evictor.evict();
        probes.copy_cold.push_back(copy.seconds(1));
        copy.seconds(1);
        probes.copy_warm.push_back(copy.seconds(copy_batch));
        if (!stays_in_cache) probes.copy_streaming.push_back(copy.seconds(1, true));
        for (size_t i = 0; i < alive.size(); i++) {
            Entry &e = *alive[(i + size_t(round)) % alive.size()];  // each comes first in turn
            const double done = double(size_t(round) * alive.size() + i) / double(least_warm_samples * alive.size());
            tell(e.candidate->name, std::min({1.0, done, (now() - start) / budget}));
            if (e.alive()) measure_candidate(e, stays_in_cache, evictor, input, output);
        }
    }
    for (Entry *e : alive)
        if (e->candidate->peer) e->candidate->peer->release();
    return finish();
}

}  // namespace sepal
