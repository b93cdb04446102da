// Schedule: the knobs of the hand-written schedules, plain ints. Needs no Halide: the planner fills them in (knobs of the
// row, the rest derived from ISA and problem), the generators receive them as GeneratorParams.
#pragma once

#include "runtime/isa.h"
#include "runtime/problem.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace sepal {

struct Schedule {
    int lanes = 0;      // f32 lanes of a vector
    int k_vectors = 0;  // accumulator tile: vectors of output channels ...
    int q_tile = 0;     // ... by output pixels of a row
    int p_tile = 0;     // rows of the accumulator tile of a depthwise convolution or half
    int mid_q_tile = 0; // pixels of a row in the accumulator tile of depsep's depthwise half
    int q_strip = 0;    // pixels of a row that are worked on while their input (or depthwise half) stays in cache
    int p_strip = 0;    // rows of the same (depthwise: in units of p_tile; pointwise: strips); the unit of parallel work
    int c_block = 0;    // input channels that are summed up before the partial sums go back to memory; 0: all
    int c_unroll = 0;   // unrolling of the loop over input channels
    int s_unroll = 0;   // conv2d: taps of a filter row that are multiplied together, all (s) or 1, each in a loop of its own
    int staging = 0;    // conv2d, pointwise: 1: tiles read the input itself; 2: a strip's input is copied to scratch memory first
    int k_strip = 0;    // packed panels of output channels that are one unit of parallel work; 0: all
    int read_ahead = 0; // pointwise, 2: while a tile is computed, the input of the next one is read; depsep, 2: while a strip's pointwise half
                        // is computed, what the next strip reads is fetched into L2; 1: it is not
    int winograd = 0;   // conv2d: outputs of a tile in each direction, by Winograd's algorithm (runtime/winograd.h); 1: the direct one. Above 1
                        // q_tile, q_strip (of a row) and p_strip (rows) count such tiles; with a k_strip, which is 1, tasks share a block of them
    int panel_ahead = 0; // 2: while a panel of the filter is used, the next one is fetched into L2; 1: it is not
    int streaming = 0;  // 2: the output bypasses the caches (passes/streaming_stores.h); 1: it does not
};

struct Knob {
    std::string_view token;  // in a variant's name: "tq"
    std::string_view name;   // in variants.json and as GeneratorParam: "q_tile"
    int Schedule::*member;
};
constexpr Knob knobs[] = {
    {"vl", "lanes", &Schedule::lanes},       {"kv", "k_vectors", &Schedule::k_vectors}, {"tq", "q_tile", &Schedule::q_tile},
    {"tp", "p_tile", &Schedule::p_tile},     {"tm", "mid_q_tile", &Schedule::mid_q_tile}, {"sq", "q_strip", &Schedule::q_strip},
    {"sp", "p_strip", &Schedule::p_strip},   {"cb", "c_block", &Schedule::c_block},     {"uc", "c_unroll", &Schedule::c_unroll},
    {"us", "s_unroll", &Schedule::s_unroll}, {"in", "staging", &Schedule::staging},     {"sk", "k_strip", &Schedule::k_strip},
    {"ra", "read_ahead", &Schedule::read_ahead}, {"pa", "panel_ahead", &Schedule::panel_ahead},
    {"wm", "winograd", &Schedule::winograd}, {"nt", "streaming", &Schedule::streaming},
};
inline const Knob &knob_of(int Schedule::*member) {
    return *std::find_if(std::begin(knobs), std::end(knobs), [&](const Knob &k) { return k.member == member; });
}

// Replaces every knob that is 0 in `set` by the heuristic for the ISA and the problem; without a problem by one that does
// for any shape. Defined in tiling.cpp, where the resource budgets are.
Schedule derive(Schedule set, Operator op, Isa isa, const std::optional<ConvProblem> &problem);

// "kv2 tq14 sq56 sp4": the knobs that are not 0, by their tokens. Equal for equal schedules, different for others.
std::string knobs_text(const Schedule &schedule, char separator = ' ');

// Whether a schedule is one of Winograd's algorithm, which has stages of its own.
inline bool is_winograd(const Schedule &s) { return s.winograd > 1; }

// Whether the output bypasses the caches, and what it has to be aligned to then: whole lines.
inline bool is_streaming(const Schedule &s) { return s.streaming > 1; }
constexpr int streaming_alignment = 64;

// Pixels (of all images) from which on an output of the problem's channels is too large to stay in the share of the last-level cache that a
// core may count on, so that no layer after it finds it there; and whether the problem has as many, in whole vectors of the ISA. Then
// streaming stores pay, which spare reading every line before it is written. Defined in tiling.cpp.
int64_t streaming_pixels(const ConvProblem &problem);
bool streaming_pays(const ConvProblem &problem, Isa isa);

// Output channels in one packed panel of the filter: the accumulator tile's width; 0 for depthwise.
inline int panel(const Schedule &s, Operator op) { return op == Operator::depthwise ? 0 : s.lanes * s.k_vectors; }

}  // namespace sepal
