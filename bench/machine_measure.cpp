#include "machine.h"

#include "memory.h"
#include "peak_loops.h"
#include "statistics.h"
#include "threads.h"
#include "timer.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>

namespace sepal {
namespace {

struct Effort {
    double sample_seconds;
    int repetitions;
};

// work(thread, repeats) does `repeats` times something that counts `amount` for each thread. The rate in 1e9 a second, of all
// threads together: median of the repetitions, each long enough to make the start of the threads and the timer negligible.
Statistics measure_rate(int threads, const Effort &effort, double amount, const std::function<void(int, int64_t)> &work) {
    int64_t repeats = 1;
    double seconds = 0;
    for (;; repeats *= 4) {  // the trials also bring clock and caches to their steady state
        seconds = run_pinned(threads, [&](int t) { work(t, repeats); });
        if (seconds >= effort.sample_seconds / 4) break;
    }
    repeats = std::max<int64_t>(1, int64_t(double(repeats) * effort.sample_seconds / seconds));
    std::vector<double> rates;
    for (int i = 0; i < effort.repetitions; i++) {
        seconds = run_pinned(threads, [&](int t) { work(t, repeats); });
        rates.push_back(amount * double(repeats) * threads / seconds / 1e9);
    }
    return summarise(rates);
}

// Integer additions that depend on each other take one cycle each.
double measure_clock_ghz(const Effort &effort) {
    constexpr int64_t block = 8 * 1000;
    const auto add = [](int, int64_t repeats) {
        uint64_t x = 1;
        for (int64_t i = 0; i < repeats * 1000; i++)
            asm volatile("add %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0"
                         : "+r"(x) : : "cc");
    };
    return measure_rate(1, effort, double(block), add).median;
}

// Instances of a cache level that the first `threads` of the allowed CPUs reach.
int instances(const CacheLevel &cache, int threads) {
    std::set<std::string> lists;
    for (int t = 0; t < threads; t++) {
        const std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/cache/index", allowed_cpus()[t]);
        std::string list;
        for (int i = 0; list.empty(); i++) {
            std::string level, type;
            if (!(std::ifstream(folder + std::to_string(i) + "/level") >> level)) break;
            std::ifstream(folder + std::to_string(i) + "/type") >> type;
            if ("L" + level == cache.level && type != "Instruction")
                std::ifstream(folder + std::to_string(i) + "/shared_cpu_list") >> list;
        }
        // Without sysfs: as many CPUs to an instance as the level is said to be shared by.
        lists.insert(list.empty() ? std::to_string(t / std::max(1, cache.shared_by)) : list);
    }
    return int(lists.size());
}

struct WorkingSet {
    std::string level;
    int64_t capacity_bytes;
    int64_t bytes_per_thread;
};

// L1 and inner levels: half of the thread's share, so that stack and code do not push the data out. Outer levels: four times the
// share of the next inner one where that is at most half of this level's, which is certainly outside the one and inside the
// other; a level whose share is not even twice that of the inner one is left out, since no size would measure it alone.
std::vector<WorkingSet> working_sets(const Machine &m, int threads) {
    std::vector<WorkingSet> sets;
    int64_t inner = 0, largest = 0;
    for (const CacheLevel &cache : m.caches) {
        const int64_t capacity = cache.bytes * instances(cache, threads);
        const int64_t share = capacity / threads;
        const int64_t half = share / 2;
        largest = std::max(largest, capacity);
        if (inner == 0 || share >= 2 * inner)
            // L2 as half of its share: eight times L1 or more on every x86; L3 as close to L2 as is certain, since in a virtual
            // machine neighbours use a part of it.
            sets.push_back({cache.level, capacity, cache.level == "L3" ? std::max(std::min(4 * inner, half), 3 * inner / 2) : half});
        inner = share;
    }
    // DRAM: four times the outermost cache, at least 64 MiB, at most 2 GiB and a quarter of the memory that is free.
    int64_t dram = std::clamp<int64_t>(4 * largest, int64_t(64) << 20, int64_t(2) << 30);
    if (const int64_t available = available_memory(); available > 0) dram = std::min(dram, available / 4);
    sets.push_back({"dram", 0, dram / threads});
    // Both halves of a copy are whole pages: an offset of a multiple of 4 KiB keeps its loads clear of its earlier stores.
    for (WorkingSet &s : sets) s.bytes_per_thread = std::max<int64_t>(s.bytes_per_thread / 8192 * 8192, 8192);
    return sets;
}

Rate rate_of(const Statistics &s) { return {s.median, s.spread_pct}; }

Bandwidth measure_level(const Machine &m, const WorkingSet &set, std::vector<AlignedFloats> &buffers, int threads, const Effort &effort) {
    Bandwidth b;
    b.level = set.level;
    b.threads = threads;
    b.capacity_bytes = set.capacity_bytes;
    b.working_set_bytes = set.bytes_per_thread * threads;
    const int64_t bytes = set.bytes_per_thread, half = bytes / 2;
    const Isa isa = m.isa;
    const auto measure = [&](const std::function<void(float *)> &pass) {
        return rate_of(measure_rate(threads, effort, double(bytes), [&](int t, int64_t repeats) {
            for (int64_t i = 0; i < repeats; i++) pass(buffers[t].data());
        }));
    };
    const auto copy = [&](Stores stores) {
        return measure([=](float *p) { copy_loop(isa, stores, p, p + half / int64_t(sizeof(float)), half); });
    };
    b.read = measure([=](float *p) { read_loop(isa, p, bytes); });
    b.write = measure([=](float *p) { write_loop(isa, Stores::ordinary, p, bytes); });
    b.copy = copy(Stores::ordinary);
    if (set.level == "dram") {
        b.write_streaming = measure([=](float *p) { write_loop(isa, Stores::streaming, p, bytes); });
        b.copy_streaming = copy(Stores::streaming);
    }
    return b;
}

}  // namespace

void measure_peaks(Machine &m, int threads, const MeasureOptions &options) {
    const Effort effort = options.quick ? Effort{0.004, 5} : Effort{0.02, 9};
    const auto tell = [&](const std::string &what) {
        if (options.progress) options.progress(fmt::format("{}, {} thread{}", what, threads, threads == 1 ? "" : "s"));
    };
    const auto of_these_threads = [&](const auto &entry) { return entry.threads == threads; };
    m.fma.erase(std::remove_if(m.fma.begin(), m.fma.end(), of_these_threads), m.fma.end());
    m.bandwidth.erase(std::remove_if(m.bandwidth.begin(), m.bandwidth.end(), of_these_threads), m.bandwidth.end());

    tell("clock");
    if (threads == 1 || m.clock_ghz <= 0) m.clock_ghz = measure_clock_ghz(effort);
    for (Isa isa : cpu_isas) {
        if (int(isa) > int(m.isa)) continue;
        tell(fmt::format("FMA peak of {}", name(isa)));
        constexpr int64_t block = 1000;
        const double flops = fma_loop(isa, block);
        const Statistics s = measure_rate(threads, effort, flops, [&](int, int64_t repeats) { fma_loop(isa, repeats * block); });
        m.fma.push_back({isa, threads, s.median, s.spread_pct});
    }

    const std::vector<WorkingSet> sets = working_sets(m, threads);
    int64_t largest = 0;
    for (const WorkingSet &s : sets) largest = std::max(largest, s.bytes_per_thread);
    std::vector<AlignedFloats> buffers;
    for (int t = 0; t < threads; t++) buffers.emplace_back(largest / int64_t(sizeof(float)));
    // Written first by the thread that uses it, so that it lies in that thread's memory; not zero, since some CPUs elide the
    // write-back of lines of zeros.
    run_pinned(threads, [&](int t) { std::fill_n(buffers[t].data(), buffers[t].size(), 1.5f); });
    for (const WorkingSet &s : sets) {
        tell("bandwidth of " + s.level);
        m.bandwidth.push_back(measure_level(m, s, buffers, threads, effort));
    }
}

}  // namespace sepal
