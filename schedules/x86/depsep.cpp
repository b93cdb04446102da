#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A strip of p_strip rows x q_strip pixels at a time: the depthwise half of all channels goes into scratch memory that
// stays in L1 or L2, then every panel of the pointwise filter runs over it. Nothing is computed twice.
void schedule_depsep_x86(ConvStages &st, const Schedule &knobs, const Target &) {
    Var ko("ko"), ki("ki"), xs("xs"), xr("xr"), xo("xo"), xi("xi"), ys("ys"), yi("yi"), task("task");
    Func &out = st.output;
    out.split(st.k, ko, ki, knobs.lanes * knobs.k_vectors, TailStrategy::GuardWithIf)
        .split(st.x, xs, xr, knobs.q_strip, TailStrategy::GuardWithIf)
        .split(xr, xo, xi, knobs.q_tile, TailStrategy::GuardWithIf)
        .split(st.y, ys, yi, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder(ki, xi, xo, yi, ko, xs, ys, st.n)
        .vectorize(ki, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(ki)
        .unroll(xi)
        .fuse(ys, st.n, task)
        .parallel(task);
    accumulate_in_registers(st, {ko, xo}, knobs);

    Schedule taps = knobs;
    taps.q_tile = depthwise_q_tile;
    Var dko("dko"), dki("dki"), dxo("dxo"), dxi("dxi"), dyo("dyo"), dyi("dyi");
    st.mid.compute_at(out, xs)
        .hoist_storage(out, task)
        .align_storage(st.k, scratch_alignment(knobs))
        .split(st.k, dko, dki, taps.lanes, TailStrategy::ShiftInwards)
        .split(st.x, dxo, dxi, taps.q_tile, TailStrategy::ShiftInwards)
        .split(st.y, dyo, dyi, taps.p_tile, TailStrategy::ShiftInwards)
        .reorder(dki, dxi, dyi, dko, dxo, dyo, st.n)
        .vectorize(dki)
        .unroll(dxi)
        .unroll(dyi);
    accumulate_taps_in_registers(st, LoopLevel(st.mid, dko), taps);
}

}  // namespace sepal
