// The roofline model: the shortest time that a machine's measured peaks allow for given work.
// Williams, Waterman, Patterson: "Roofline: an insightful visual performance model for multicore architectures", CACM 52(4), 2009.
#pragma once

#include "machine.h"

#include <optional>
#include <string>

namespace sepal {

// Whether a kernel's tensors and filters are in the caches when it starts, as far as they fit.
enum class CacheState { warm, cold };
inline const char *name(CacheState state) { return state == CacheState::warm ? "warm" : "cold"; }

struct Roofline {
    double seconds = 0;         // the longer of the two below
    double compute_seconds = 0;  // flops / FMA peak
    double memory_seconds = 0;   // bytes / bandwidth of `level`
    std::string level;          // the memory that the data come from: "L1", "L2", "L3" or "dram"
    std::string bound;          // which roof it is: "fma", or `level`
};

// `flops` and `bytes` (compulsory traffic) of one run, `fma_gflops` the FMA peak of `threads` threads. Warm data come from the
// smallest level that holds all `bytes` in the caches which the threads reach, cold ones from dram; the bandwidth is the highest
// that was measured there, be it read, write or copy. Empty when the machine holds no bandwidth for that thread count.
std::optional<Roofline> roofline(const Machine &machine, int threads, double fma_gflops, double flops, double bytes, CacheState state);

}  // namespace sepal
