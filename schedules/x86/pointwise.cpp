#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A matrix product. A strip of q_strip pixels stays in L1 or L2 while every panel of filters runs over it.
void schedule_pointwise_x86(ConvStages &st, const Schedule &knobs, const Target &) {
    const OutputLoops loops;
    Var in_panel("in_panel"), in_tile("in_tile"), any_tile("any_tile"), any_strip("any_strip");
    // The last panel is predicated, so that any number of channels works. The last tile of pixels overlaps its neighbour, so
    // that no input beyond the last pixel is read.
    st.output.split(st.k, loops.panel, in_panel, knobs.lanes * knobs.k_vectors, TailStrategy::GuardWithIf)
        .split(st.x, any_tile, in_tile, knobs.q_tile, TailStrategy::ShiftInwards)
        .split(any_tile, any_strip, loops.tile, knobs.q_strip / knobs.q_tile, TailStrategy::GuardWithIf)
        .split(any_strip, loops.task, loops.strip, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder(in_panel, in_tile, loops.tile, loops.panel, loops.strip, loops.task)
        .vectorize(in_panel, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(in_panel)
        .unroll(in_tile)
        .parallel(loops.task);
    accumulate_in_registers(st, loops, knobs);
}

}  // namespace sepal
