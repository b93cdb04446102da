// GpuSchedule: the knobs of the hand-written schedules for GPUs, plain ints. Needs no Halide, as schedule.h.
#pragma once

#include "runtime/isa.h"
#include "runtime/problem.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace sepal {

// A thread computes k_tile output channels x q_tile pixels of a row x p_tile rows; a block has k_threads x q_threads x p_threads of them, each
// beside the last, but for those of q_lanes.
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
    int c_unroll = 0;   // of them so many are summed up by a step of the innermost loop; whole c_vectors, or all
    int q_lanes = 0;    // threads that are next to each other, before those over channels, and have every q_lanes-th pixel each: all q_threads
                        // (pointwise: some), so that pairs of threads read the same filter; 1: threads over channels come first
    int mid_q_tile = 0; // depsep: pixels of a row that a thread of the depthwise half computes, for c_vector channels ...
    int mid_p_tile = 0; // ... and rows of them
    int load_ahead = 0; // 2: while c_block channels are summed up, the filter of the next ones (pointwise: and the input) is loaded into registers
                        // (passes/load_ahead.h); 1: it is not
    int staging = 0;    // conv2d, 1: for each tap the input that it meets is copied to shared memory; 2: once for all taps
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
    {"cb", "c_block", &GpuSchedule::c_block},     {"uc", "c_unroll", &GpuSchedule::c_unroll},   {"ql", "q_lanes", &GpuSchedule::q_lanes},
    {"tm", "mid_q_tile", &GpuSchedule::mid_q_tile}, {"mp", "mid_p_tile", &GpuSchedule::mid_p_tile}, {"in", "staging", &GpuSchedule::staging},
    {"la", "load_ahead", &GpuSchedule::load_ahead},
};

// Replaces every knob that is 0 in `set` by the heuristic for the problem; without one by what does for any shape. Defined in gpu_tiling.cpp,
// where the budgets are.
GpuSchedule derive_gpu(GpuSchedule set, Operator op, const std::optional<ConvProblem> &problem);

// Why the schedules cannot keep to completely derived knobs, one sentence that names the knob; empty when they can.
std::string why_not_valid(const GpuSchedule &schedule, Operator op, const std::optional<ConvProblem> &problem);

// Output channels of a block: of one packed panel of the filter, in which channels beyond the last one are zeros.
inline int block_channels(const GpuSchedule &s) { return s.k_tile * s.k_vectors * s.k_threads; }
// Pixels of a block in a row, and its rows.
inline int block_columns(const GpuSchedule &s) { return s.q_tile * s.q_threads; }
inline int block_rows(const GpuSchedule &s) { return s.p_tile * s.p_threads; }
// Channels that a pixel has room for in shared memory: neighbouring pixels, which are read at once, are in different banks.
inline int pixel_in_shared_memory(const GpuSchedule &s) { return s.q_lanes > 1 ? s.c_block + s.c_vector : s.c_block; }
inline int block_threads(const GpuSchedule &s) { return s.k_threads * s.q_threads * s.p_threads; }

}  // namespace sepal
