#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A strip of p_strip rows x q_strip pixels at a time: the depthwise half of all channels goes into scratch memory that
// stays in L1 or L2, then every panel of the pointwise filter runs over it. Nothing is computed twice.
void schedule_depsep_x86(ConvStages &st, const Schedule &knobs, const Target &) {
    Var ko("ko"), ki("ki"), xs("xs"), xr("xr"), xo("xo"), xi("xi"), ys("ys"), yi("yi"), task("task");
    Func &out = st.output;
    split_panels(out, st.k, ko, ki, knobs);
    out.split(st.x, xs, xr, knobs.q_strip, TailStrategy::GuardWithIf)
        .split(xr, xo, xi, knobs.q_tile, TailStrategy::GuardWithIf)
        .split(st.y, ys, yi, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder(ki, xi, xo, yi, ko, xs, ys, st.n)
        .vectorize(ki, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(ki)
        .unroll(xi)
        .fuse(ys, st.n, task)
        .parallel(task);
    accumulate_in_registers(st, LoopLevel(out, xo), knobs);

    Var dko("dko"), dki("dki"), dxo("dxo"), dxi("dxi");
    st.mid.compute_at(out, xs)
        .hoist_storage(out, task)
        .split(st.k, dko, dki, knobs.lanes, TailStrategy::ShiftInwards)
        .split(st.x, dxo, dxi, 7, TailStrategy::ShiftInwards)
        .reorder(dki, dxi, dko, dxo, st.y, st.n)
        .vectorize(dki)
        .unroll(dxi);
    Schedule taps = knobs;
    taps.q_tile = 7;
    taps.p_tile = 1;
    accumulate_taps_in_registers(st, LoopLevel(st.mid, dko), taps);
}

}  // namespace sepal
