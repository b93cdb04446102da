// Moves that several x86 schedules share.
#pragma once

#include "generators/conv_stages.h"
#include "schedules/schedule.h"

#include <optional>

namespace sepal {

// The channels of a pixel in scratch memory are rounded up to a multiple of this. A tile reads one line of each of its pixels at a
// time: with 256, 512 or 1024 channels and no rounding, all those lines would fall into two or four sets of L1.
inline int scratch_alignment(const Schedule &knobs) { return 3 * knobs.lanes; }

// The loops of the output that other stages hang on, outermost first.
struct OutputLoops {
    Halide::Var task{"task"};    // over strips of rows of all images (and of panels, where k_strip says so), in parallel
    Halide::Var strip{"strip"};  // over strips of q_strip pixels of a row
    Halide::Var panel{"panel"};  // over packed panels of output channels
    Halide::Var tile{"tile"};    // over tiles of q_tile pixels
};

// Cuts the output channels into packed panels: the loop `in_panel` is inside loops.panel. With a k_strip, panels are cut into strips
// of so many, over which the returned Var runs, to be made one with loops.task; without one it is not defined.
std::optional<Halide::Var> split_panels(ConvStages &stages, const OutputLoops &loops, const Halide::Var &in_panel, const Schedule &knobs);

// Cuts an output of rows into strips of p_strip x q_strip pixels, over each of which every panel of filters runs, a tile of
// one panel x q_tile pixels at a time. The last panel and the last tile of a row are predicated, so that any number of
// channels and pixels works.
OutputLoops tile_rows(ConvStages &stages, const Schedule &knobs);

// Keeps a tile of k_vectors x q_tile accumulators of `sum`, a Func like stages.acc, in registers at `at` while it sums over `channel`, the
// innermost of its reduction. On ARM, whose multiply-adds take one element of a register, so many channels of a pixel as a vector has are loaded
// at once where c_unroll is a multiple of them.
void register_tile(ConvStages &stages, Halide::Func sum, const Halide::RVar &channel, const Halide::LoopLevel &at, const Schedule &knobs,
                   const Halide::Target &target);

// Keeps a tile of k_vectors x q_tile accumulators of stages.acc in registers while it sums over the channels (and taps): for
// each, the filter's vectors are loaded once, each input value is broadcast once, and every pair is multiplied. With an s_unroll
// the taps of a filter row are taken together, so that an input value is broadcast once for all of them. With a
// c_block that divides the channels, the sum is taken block by block over a whole strip, so that a block of the panel is
// reused from cache; the partial sums of the strip wait in memory.
void accumulate_in_registers(ConvStages &stages, const OutputLoops &loops, const Schedule &knobs, const Halide::Target &target);

// Keeps a tile of one vector x q_tile x p_tile accumulators of stages.depthwise in registers at `at`, all taps unrolled
// where their number is known.
void accumulate_taps_in_registers(ConvStages &stages, const Halide::LoopLevel &at, const Schedule &knobs);

}  // namespace sepal
