#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A matrix product. A strip of q_strip pixels stays in L1 or L2 while every panel of filters runs over it.
void schedule_pointwise_x86(ConvStages &st, const Schedule &knobs, const Target &) {
    Var ko("ko"), ki("ki"), tile("tile"), strip("strip"), xo("xo"), xs("xs"), xi("xi"), task("task");
    Func &out = st.output;
    // The last panel is predicated, so that any number of channels works. The last tile of pixels overlaps its neighbour, so
    // that no input beyond the last pixel is read.
    out.split(st.k, ko, ki, knobs.lanes * knobs.k_vectors, TailStrategy::GuardWithIf)
        .split(st.x, tile, xi, knobs.q_tile, TailStrategy::ShiftInwards)
        .split(tile, strip, xo, knobs.q_strip / knobs.q_tile, TailStrategy::GuardWithIf)
        .split(strip, task, xs, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder(ki, xi, xo, ko, xs, task)
        .vectorize(ki, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(ki)
        .unroll(xi)
        .parallel(task);
    accumulate_in_registers(st, {ko, xo}, knobs);
}

}  // namespace sepal
