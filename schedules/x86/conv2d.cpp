#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A strip of p_strip rows x q_strip pixels of output at a time: its padded input is copied once into scratch memory that
// stays in L2, then every panel of filters runs over it. Inside, no tap needs a bounds test, whatever stride and padding.
void schedule_conv2d_x86(ConvStages &st, const Schedule &knobs, const Target &) {
    Var ko("ko"), ki("ki"), xs("xs"), xr("xr"), xo("xo"), xi("xi"), ys("ys"), yi("yi"), task("task");
    Func &out = st.output;
    // The last panel is predicated, so that any number of channels works.
    out.split(st.k, ko, ki, knobs.lanes * knobs.k_vectors, TailStrategy::GuardWithIf)
        .split(st.x, xs, xr, knobs.q_strip, TailStrategy::GuardWithIf)
        .split(xr, xo, xi, knobs.q_tile, TailStrategy::GuardWithIf)
        .split(st.y, ys, yi, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder(ki, xi, xo, yi, ko, xs, st.g, ys, st.n)
        .vectorize(ki, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(ki)
        .unroll(xi)
        .fuse(ys, st.n, task)
        .parallel(task);

    accumulate_in_registers(st, {ko, xo}, knobs);

    st.padded.compute_at(out, xs)
        .hoist_storage(out, task)
        .align_storage(st.padded.args()[0], scratch_alignment(knobs))
        .vectorize(st.padded.args()[0], knobs.lanes, TailStrategy::GuardWithIf);
}

}  // namespace sepal
