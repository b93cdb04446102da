// What a schedule may be: the limits that the hand-written schedules need, checked before anything is compiled.
#pragma once

#include "runtime/registry.h"
#include "schedule.h"

#include <string>

namespace sepal {

// Vector registers that the innermost loop keeps at once, by what the x86 schedules stage:
//   conv2d, pointwise, depsep: k_vectors * q_tile accumulators, k_vectors vectors of the filter for each of s_unroll taps, one
//                              broadcast input value (x64, which has no fused multiply-add: and one product; neon, with s_unroll 1: a vector of
//                              channels of each of the q_tile pixels instead)
//   depthwise:                 q_tile * p_tile accumulators, one vector of input, one tap
// A vector of more lanes than a register has takes several. `schedule` is complete, as derive() makes it.
int registers_needed(const Schedule &schedule, Operator op, Isa isa);

// The same for the depthwise half of depsep: mid_q_tile * p_tile accumulators.
int depthwise_half_registers(const Schedule &schedule, Isa isa);

// Lines of an L1 of 64 sets and 8 ways that can hold one line each of neighbouring pixels of `c` channels. With 1024 channels all those
// lines fall into one set; a tile of more pixels finds none of them in L1 again.
int64_t l1_lines_for_pixels(int64_t c);

// Why there is no hand-written schedule for a type on an ISA; empty when there is.
std::string why_no_schedule(DType dtype, Isa isa);

// The same of a problem on GPUs.
std::string why_no_gpu_schedule(const ConvProblem &problem, Isa isa);

// One sentence that names the knob, what was found and what is allowed; empty for a complete schedule that compiles to what
// its knobs say: ranges, multiples, and all accumulators in registers. Without this check such a row would still compile, to
// code that spills or recomputes.
std::string why_not_valid(const Schedule &schedule, Operator op, Isa isa);

// The same for a kernel of one problem, which is also to have a schedule and a whole tile (below), and where blocks of all its channels are none.
std::string why_not_valid(const Schedule &schedule, const ConvProblem &problem, Isa isa);

// Tiles at the end of a row of channels or pixels are shifted inwards, so that they need a whole tile: the field that a problem must have at
// least as much of as the knob says. Nothing for conv2d.
struct LeastExtent {
    Field field;
    int Schedule::*knob;
};
std::optional<LeastExtent> least_extent(Operator op);

}  // namespace sepal
