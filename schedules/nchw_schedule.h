// NchwSchedule: the knobs of the hand-written schedules for NCHW on CPUs, plain ints. Needs no Halide, as schedule.h. Vectors are of neighbouring
// pixels of a row (of pointwise, of an image), and the filter's values are broadcast.
#pragma once

#include "runtime/isa.h"
#include "runtime/problem.h"

#include <optional>
#include <string>
#include <string_view>

namespace sepal {

struct NchwSchedule {
    int lanes = 0;       // f32 lanes of a vector
    int k_tile = 0;      // accumulator tile: output channels, which are a packed panel of the filter ...
    int q_tile = 0;      // ... by output pixels of a row, whole vectors
    int p_tile = 0;      // rows of the accumulator tile of a depthwise convolution or half
    int mid_q_tile = 0;  // pixels of a row, whole vectors, in the accumulator tile of depsep's depthwise half
    int q_strip = 0;     // pixels of a row (pointwise: of an image) whose input, or depthwise half, is in scratch memory at a time; of depthwise
                         // a whole row, unless that is not known
    int p_strip = 0;     // rows of the same (depthwise: in units of p_tile; pointwise: strips); the unit of parallel work
    int k_strip = 0;     // depthwise: channels that are one unit of parallel work
    int staging = 0;     // of a depthwise convolution or half: 1: tiles read the input itself, under masks at its edges (stride_w 1 only); 2: what a strip of
                         // output reads is copied to scratch memory first
    int c_unroll = 0;    // unrolling of the loop over input channels
    int read_ahead = 0;  // 2: while a strip (depsep: a channel of one) is computed, what the next one reads is fetched into L2; 1: it is not
    int streaming = 0;   // 2: the output bypasses the caches (passes/streaming_stores.h); 1: it does not
};

struct NchwKnob {
    std::string_view token;  // in a variant's name: "tq"
    std::string_view name;   // in variants.json and, but for k_tile, as GeneratorParam: "q_tile"
    int NchwSchedule::*member;
};
constexpr NchwKnob nchw_knobs[] = {
    {"vl", "lanes", &NchwSchedule::lanes},     {"tk", "k_tile", &NchwSchedule::k_tile},           {"tq", "q_tile", &NchwSchedule::q_tile},
    {"tp", "p_tile", &NchwSchedule::p_tile},   {"tm", "mid_q_tile", &NchwSchedule::mid_q_tile},   {"sq", "q_strip", &NchwSchedule::q_strip},
    {"sp", "p_strip", &NchwSchedule::p_strip}, {"sk", "k_strip", &NchwSchedule::k_strip},         {"in", "staging", &NchwSchedule::staging},
    {"uc", "c_unroll", &NchwSchedule::c_unroll},     {"ra", "read_ahead", &NchwSchedule::read_ahead}, {"nt", "streaming", &NchwSchedule::streaming},
};

// Elements that a row in scratch memory, of a strip, is a multiple of.
inline int scratch_alignment(const NchwSchedule &s) { return s.lanes * (s.q_strip > 2 * s.lanes ? 3 : 1); }

inline bool is_streaming(const NchwSchedule &s) { return s.streaming > 1; }

// Replaces every knob that is 0 in `set` by the heuristic for the ISA and the problem; without a problem by one that does for any shape. Defined
// in nchw_tiling.cpp, where the resource budgets are.
NchwSchedule derive_nchw(NchwSchedule set, Operator op, Isa isa, const std::optional<ConvProblem> &problem);

// One sentence that names the knob, what was found and what is allowed; empty for a complete schedule that compiles to what its knobs say.
std::string why_not_valid(const NchwSchedule &schedule, Operator op, Isa isa);

// Whether the output's rows (of pointwise: images) are whole tiles, as streaming stores need them.
bool has_whole_tiles(const NchwSchedule &schedule, const ConvProblem &problem);

}  // namespace sepal
