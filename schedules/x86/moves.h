// Moves that several x86 schedules share.
#pragma once

#include "generators/conv_stages.h"
#include "schedules/schedule.h"

namespace sepal {

// Splits the channel dimension of `output` into ko and a tile of one packed panel, and vectorizes the tile. The last panel
// is predicated, so any number of channels works.
void split_panels(Halide::Func &output, const Halide::Var &k, const Halide::Var &ko, const Halide::Var &ki, const Schedule &knobs);

// Keeps a tile of k_vectors x q_tile accumulators of stages.acc in registers at `at` of the output: for each channel the
// filter's vectors are loaded once, each input value is broadcast once, and every pair is multiplied.
void accumulate_in_registers(ConvStages &stages, const Halide::LoopLevel &at, const Schedule &knobs);

// Keeps a tile of one vector x q_tile x p_tile accumulators of stages.depthwise in registers at `at`, all taps unrolled
// where their number is known.
void accumulate_taps_in_registers(ConvStages &stages, const Halide::LoopLevel &at, const Schedule &knobs);

}  // namespace sepal
