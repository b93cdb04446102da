// GpuSchedule: the knobs of the hand-written schedules for GPUs, plain ints. Needs no Halide, as schedule.h.
#pragma once

#include "runtime/isa.h"
#include "runtime/problem.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

namespace sepal {

// A thread computes k_tile output channels x q_tile pixels of a row x p_tile rows; a block has k_threads x q_threads x p_threads of them, each
// beside the last.
struct GpuSchedule {
    int k_tile = 0;     // output channels that are neighbours in memory: one vector; 1, 2, 4 or 8
    int k_vectors = 0;  // such vectors of a thread, k_threads vectors apart
    int q_tile = 0;
    int p_tile = 0;
    int k_threads = 0;
    int q_threads = 0;
    int p_threads = 0;
    int c_vector = 0;   // channels of the input that are loaded together, neighbours in memory; 1, 4 or 8
    int c_block = 0;    // channels of a sum that wait in shared memory at a time
};

struct GpuKnob {
    std::string_view token;  // in a variant's name: "tq"
    std::string_view name;   // in variants.json and as GeneratorParam: "q_tile"
    int GpuSchedule::*member;
};
constexpr GpuKnob gpu_knobs[] = {
    {"tk", "k_tile", &GpuSchedule::k_tile},       {"kv", "k_vectors", &GpuSchedule::k_vectors}, {"tq", "q_tile", &GpuSchedule::q_tile},
    {"tp", "p_tile", &GpuSchedule::p_tile},       {"gk", "k_threads", &GpuSchedule::k_threads}, {"gq", "q_threads", &GpuSchedule::q_threads},
    {"gp", "p_threads", &GpuSchedule::p_threads}, {"cv", "c_vector", &GpuSchedule::c_vector},
    {"cb", "c_block", &GpuSchedule::c_block},
};

// Replaces every knob that is 0 in `set` by the heuristic for the problem; without one by what does for any shape. Defined in gpu_tiling.cpp,
// where the budgets are.
GpuSchedule derive_gpu(GpuSchedule set, Operator op, const std::optional<ConvProblem> &problem);

// Output channels of a block: of one packed panel of the filter, in which channels beyond the last one are zeros.
inline int block_channels(const GpuSchedule &s) { return s.k_tile * s.k_vectors * s.k_threads; }
inline int block_threads(const GpuSchedule &s) { return s.k_threads * s.q_threads * s.p_threads; }

}  // namespace sepal
