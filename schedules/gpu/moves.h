// Moves that the schedules for GPUs share.
#pragma once

#include "generators/conv_stages.h"
#include "gpu_schedule.h"

#include <vector>

namespace sepal {

// The loops of a block: those over what a thread computes, all unrolled, inside of those over the threads, k_threads x q_threads x p_threads.
struct ThreadLoops {
    Halide::Var vector{"vector"}, k_unrolled{"k_unrolled"}, q_unrolled{"q_unrolled"}, p_unrolled{"p_unrolled"};
    Halide::Var k_thread{"k_thread"}, q_thread{"q_thread"}, p_thread{"p_thread"}, q_lane{"q_lane"};
};

// Cuts the output into blocks; returns the innermost loop over them, inside of which the stages of a block are computed.
Halide::Var tile_blocks(ConvStages &stages, const ThreadLoops &loops, const GpuSchedule &knobs);

// Loops of stages.acc over the channels of a sum: over those that wait in shared memory at a time, outside of the threads and of the loops over taps; and
// inside of both, over c_vector of them.
struct SumLoops {
    Halide::RVar blocks{"channels"}, vectors{"channel_vectors"};
};

// Sums in the registers of the block's threads, at `block` of the output. The filter goes through shared memory, c_block channels of a tap at a
// time. Returns the loops in which what it is multiplied with can be computed.
SumLoops accumulate_in_registers(ConvStages &stages, const ThreadLoops &loops, const Halide::Var &block, const GpuSchedule &knobs);

// Computes what a thread multiplies with filters into registers: c_vector channels of its pixels.
void registers_of(ConvStages &stages, Halide::Func operand, const SumLoops &loops, const GpuSchedule &knobs);
// Has stages.acc read `shared`, which is in shared memory, by way of registers where threads come in pairs (q_lanes); without them the loads of
// neighbouring channels become one by themselves.
void operand_in_registers(ConvStages &stages, Halide::Func shared, const SumLoops &loops, const GpuSchedule &knobs);

// A dimension of what is computed in shared memory, how much of it a block has, and how many neighbours of that a thread computes.
struct Extent {
    Halide::Var dimension;
    int extent;
    int tile = 1;
};

// Computes a Func at `at` into shared memory, `vector` neighbours of its innermost dimension at a time, shared out to the threads of the block.
// `extents`: of its arguments, from the innermost on, all that are not 1 there. Returns the loop over what a thread computes, inside of those over threads;
// a short one is unrolled unless what it computes `has_loops` of its own (PoCL takes hours for several of those between two barriers).
Halide::Var share_out(Halide::Func staged, const Halide::LoopLevel &at, const std::vector<Extent> &extents, int vector, const GpuSchedule &knobs,
                      bool has_loops = false);

// Whether the filter's extents are known at compile time.
bool has_known_taps(const ConvStages &stages);

// Keeps a tile of `channels` x `pixels` x `rows` sums of stages.depthwise in a thread's registers at `at`; where the filter's taps are known they are
// unrolled, and every input value that several of them read is loaded once.
void accumulate_taps_in_registers(ConvStages &stages, const Halide::LoopLevel &at, int channels, int pixels, int rows);

}  // namespace sepal
