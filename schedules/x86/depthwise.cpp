#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// Tiles of one vector of channels x q_tile pixels x p_tile rows, all taps unrolled, walked in the order of memory:
// channels, then pixels. Loop partitioning keeps bounds tests out of all tiles but those on the border.
void schedule_depthwise_x86(ConvStages &st, const Schedule &knobs, const Target &) {
    Var ko("ko"), ki("ki"), xo("xo"), xi("xi"), yo("yo"), yi("yi"), ys("ys"), task("task");
    st.output.split(st.k, ko, ki, knobs.lanes, TailStrategy::ShiftInwards)
        .split(st.x, xo, xi, knobs.q_tile, TailStrategy::GuardWithIf)
        .split(st.y, ys, yi, knobs.p_tile * knobs.p_strip, TailStrategy::GuardWithIf)
        .split(yi, yo, yi, knobs.p_tile, TailStrategy::GuardWithIf)
        .reorder(ki, xi, yi, ko, xo, yo, ys, st.n)
        .vectorize(ki)
        .unroll(xi)
        .unroll(yi)
        .fuse(ys, st.n, task)
        .parallel(task);
    accumulate_taps_in_registers(st, LoopLevel(st.output, ko), knobs);
}

}  // namespace sepal
