#include "roofline.h"

#include <algorithm>

namespace sepal {

std::optional<Roofline> roofline(const Machine &machine, int threads, double fma_gflops, double flops, double bytes, CacheState state) {
    const Bandwidth *source = machine.level("dram", threads);
    if (!source || fma_gflops <= 0) return std::nullopt;
    if (state == CacheState::warm)
        for (const Bandwidth &b : machine.bandwidth)
            if (b.threads == threads && double(b.capacity_bytes) >= bytes &&
                (source->capacity_bytes == 0 || b.capacity_bytes < source->capacity_bytes))
                source = &b;
    if (source->highest() <= 0) return std::nullopt;
    Roofline r;
    r.level = source->level;
    r.compute_seconds = flops / (fma_gflops * 1e9);
    r.memory_seconds = bytes / (source->highest() * 1e9);
    r.seconds = std::max(r.compute_seconds, r.memory_seconds);
    r.bound = r.compute_seconds >= r.memory_seconds ? "fma" : r.level;
    return r;
}

}  // namespace sepal
