#include "bench/gpu/gpu_runner.h"

#include "bench/entry.h"
#include "bench/gpu/gpu_timer.h"
#include "bench/gpu/nvml.h"
#include "bench/memory.h"
#include "bench/results.h"
#include "bench/timer.h"
#include "runtime/reference.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace sepal {
namespace {

constexpr double sample_seconds = 2e-3;  // the least length of a warm sample
constexpr double most_launches = 1000;   // in one
constexpr double slow_seconds = 0.5;     // of one run: beyond it no run is made that is not needed
constexpr int empty_samples = 9;
constexpr uint32_t data_seed = 1;

// The tensors of a problem on the device, as far as every candidate takes the same.
struct Arrays {
    GpuArray input, skip, output, middle;

    Status allocate(const ConvProblem &p, const std::shared_ptr<GpuDevice> &device, bool with_middle) {
        const int64_t element = size_in_bytes(p.dtype);
        Status status;
        input = GpuArray::allocate(device, p.input_elements() * element, status);
        if (status.ok()) output = GpuArray::allocate(device, p.output_elements() * element, status);
        if (status.ok() && p.residual) skip = GpuArray::allocate(device, p.output_elements() * element, status);
        if (status.ok() && with_middle) middle = GpuArray::allocate(device, p.mid_elements() * element, status);
        return status;
    }
};

Status queue_and_wait(const Entry &e, const GpuDevice &device, Arrays &arrays) {
    const Status status = e.on_gpu.queue(arrays.input, arrays.output);
    return status.ok() ? device.synchronize() : status;
}

// Runs twice, for the first run also loads the kernel, and checks what the second computed.
void check(Entry &e, const Tensors &tensors, const GpuDevice &device, Arrays &arrays, AlignedArray &output) {
    Status status = queue_and_wait(e, device, arrays);
    if (status.ok()) status = arrays.output.fill(unwritten_byte);
    if (status.ok()) status = device.synchronize();
    const double start = now();
    if (status.ok()) status = queue_and_wait(e, device, arrays);
    e.run_seconds = now() - start;
    if (status.ok()) status = arrays.output.download(output.data(), output.bytes());
    judge(e, status, tensors, output);
}

void measure_peer(Entry &e) {
    const bool slow = e.run_seconds > slow_seconds;
    for (const bool cold : {false, true}) {
        if (cold && slow && int(e.cold.size()) >= least_cold_samples) continue;
        std::string why;
        const std::optional<double> seconds = e.candidate->peer->seconds(e.batch, true, why, cold);
        if (!seconds) {  // its check had passed; that it cannot go on is no wrong result
            e.check = "skipped: " + why;
            return;
        }
        (cold ? e.cold : e.warm).push_back(*seconds);
    }
}

void measure(Entry &e, GpuTimer &timer, Arrays &arrays) {
    if (e.candidate->peer) return measure_peer(e);
    const QueueWork work = [&] { return e.on_gpu.queue(arrays.input, arrays.output); };
    const bool slow = e.run_seconds > slow_seconds, once_more = !slow || int(e.cold.size()) < least_cold_samples;
    GpuTimes times;
    Status status = timer.back_to_back(work, int(e.batch), 1, true, times);
    if (status.ok()) e.warm.push_back(times.seconds.front());
    e.why_no_graph = times.why_no_graph;
    if (status.ok() && once_more) {
        status = timer.cold(work, 1, times);
        if (status.ok()) e.cold.push_back(times.seconds.front());
    }
    if (status.ok() && once_more) {
        status = timer.latency(work, 1, times);
        if (status.ok()) e.latency.push_back(times.seconds.front());
    }
    if (status.ok()) return;
    e.check = "failed";
    e.message = status.message;
}

void fill(Result &r, const Entry &e, const GpuMachine &machine, double cold_overhead_ms) {
    const bool warm = r.cache == CacheState::warm;
    const ConvProblem &p = e.candidate->problem;
    r.milliseconds = in_milliseconds(warm ? e.warm : e.cold);
    r.batch = warm || e.candidate->peer ? e.batch : 1;
    r.flops = p.flops();
    r.bytes = e.candidate->bytes();
    r.fma_gflops = r.isa_gflops = machine.peak_gflops(p.dtype);
    if (!e.latency.empty()) r.latency_ms = in_milliseconds(e.latency).median;
    r.why_no_graph = e.why_no_graph;
    if (!warm && !e.candidate->peer) r.cold_overhead_ms = cold_overhead_ms;
    if (const auto roof = machine.roofline(p.dtype, r.flops, r.bytes, r.cache)) {
        r.roofline_ms = 1e3 * roof->seconds;
        r.bound = roof->bound;
    }
}

void skip_all(std::vector<Entry> &entries, const std::string &why) {
    for (Entry &e : entries)
        if (e.check.empty()) e.check = "skipped: " + why;
}

double host_memory_needed(const ConvProblem &p) {
    const double ends = double(p.input_elements() + p.output_elements()), filters = double(p.filter_elements() + p.pointwise_filter_elements());
    return ends * double(sizeof(float) + size_t(size_in_bytes(p.dtype))) + 3 * filters * sizeof(float);
}

}  // namespace

double gpu_memory_needed(const ConvProblem &p, const GpuMachine &machine) {
    return double(p.input_elements() + p.output_elements() + p.mid_elements()) * double(size_in_bytes(p.dtype)) + 4 * double(machine.info.l2_bytes);
}

double estimate_gpu_seconds(const ConvProblem &p, int candidates, const RunnerOptions &options) {
    const double reference_macs_per_s = 5e8;  // about, of the check's double-precision loops
    return candidates * (options.seconds + std::min(p.flops() / 2, 1e9) / reference_macs_per_s);
}

std::vector<Result> run_candidates_on_gpu(const std::vector<Candidate> &candidates, const GpuMachine &machine, const std::shared_ptr<GpuDevice> &device,
                                          const RunnerOptions &options) {
    if (candidates.empty()) return {};
    std::vector<Entry> entries = make_entries(candidates, Processor(device->backend()));
    const ConvProblem &problem = candidates.front().problem;
    double cold_overhead_ms = 0;
    std::string nvml_saw;
    const auto finish = [&] {
        std::vector<Result> all = make_results(entries, [&](Result &r, const Entry &e) { fill(r, e, machine, cold_overhead_ms); });
        for (Result &r : all) {
            r.device = machine.device;
            r.nvml = nvml_saw;
        }
        return all;
    };
    const auto tell = [&](const std::string &what, double fraction) {
        if (options.progress) options.progress(what, fraction);
    };
    const auto none_left = [&] { return std::none_of(entries.begin(), entries.end(), [](const Entry &e) { return e.check.empty(); }); };
    skip_beyond_memory(entries, gpu_memory_needed(problem, machine), double(machine.info.memory_bytes));
    skip_beyond_memory(entries, host_memory_needed(problem), double(available_memory()));
    if (none_left()) return finish();

    tell("filling tensors", 0);
    std::optional<Tensors> tensors = make_exact_tensors(problem, data_seed);
    std::vector<float>().swap(tensors->output);  // kernels' outputs come to `output`
    AlignedArray output(problem.dtype, problem.output_elements());
    Arrays arrays;
    const bool with_middle = std::any_of(entries.begin(), entries.end(), [](const Entry &e) { return e.check.empty() && e.candidate->second; });
    Status status = arrays.allocate(problem, device, with_middle);
    if (status.ok()) {
        const AlignedArray input(problem.dtype, tensors->input);
        status = arrays.input.upload(input.data(), input.bytes());
    }
    if (status.ok() && problem.residual) {
        const AlignedArray skip(problem.dtype, tensors->skip);
        status = arrays.skip.upload(skip.data(), skip.bytes());
    }
    if (!status.ok()) {
        skip_all(entries, status.message);
        return finish();
    }

    const auto check_own = [&](Entry &e) {
        const Status bound = bind_to_gpu(e, *tensors, device, arrays.skip, arrays.middle);
        if (bound.ok())
            check(e, *tensors, *device, arrays, output);
        else
            e.check = "skipped: " + bound.message;
    };
    check_all(entries, *tensors, output, check_own, [&](const std::string &what) { tell(what, 0); });
    tensors.reset();

    std::vector<Entry *> alive;
    for (Entry &e : entries)
        if (e.alive()) alive.push_back(&e);
    if (alive.empty()) return finish();
    for (Entry *e : alive) e->batch = int64_t(std::clamp(sample_seconds / e->run_seconds, 1.0, most_launches));
    GpuTimer timer(device);
    if (GpuTimes times; timer.empty(empty_samples, times).ok()) cold_overhead_ms = in_milliseconds(times.seconds).median;

    std::string ignored;
    const std::shared_ptr<const Nvml> nvml = nvml_of(*device, ignored);
    GpuWatch watch(nvml);
    const double budget = options.seconds * double(alive.size()), start = now();
    for (int round = 0; round < most_samples; round++) {
        if (round >= least_warm_samples && now() - start >= budget) break;
        for (size_t i = 0; i < alive.size(); i++) {
            Entry &e = *alive[(i + size_t(round)) % alive.size()];  // each comes first in turn
            const double done = double(size_t(round) * alive.size() + i) / double(least_warm_samples * alive.size());
            tell(e.candidate->name, std::min({1.0, done, (now() - start) / budget}));
            if (e.alive()) measure(e, timer, arrays);
        }
    }
    if (nvml) nvml_saw = to_json(watch.stop()).dump();
    for (Entry *e : alive)
        if (e->candidate->peer) e->candidate->peer->release();
    return finish();
}

}  // namespace sepal
