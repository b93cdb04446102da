#include "moves.h"

using namespace Halide;

namespace sepal {

void split_panels(Func &output, const Var &k, const Var &ko, const Var &ki, const Schedule &knobs) {
    output.split(k, ko, ki, knobs.lanes * knobs.k_vectors, TailStrategy::GuardWithIf);
}

void accumulate_in_registers(ConvStages &st, const LoopLevel &at, const Schedule &knobs) {
    const int width = knobs.lanes * knobs.k_vectors;
    st.acc.compute_at(at)
        .bound_extent(st.k, width)
        .bound_extent(st.x, knobs.q_tile)
        .vectorize(st.k, knobs.lanes)
        .unroll(st.k)
        .unroll(st.x);
    std::vector<VarOrRVar> order = {st.k, st.x, st.sum.x};
    if (st.sum.dimensions() == 3) {
        order.push_back(st.sum.y);
        order.push_back(st.sum.z);
    }
    Stage update = st.acc.update();
    update.reorder(order).vectorize(st.k, knobs.lanes).unroll(st.k).unroll(st.x);
    if (knobs.c_unroll > 1) update.unroll(st.sum.x, knobs.c_unroll);
    Func panel = st.filter.in(st.acc);
    panel.compute_at(st.acc, st.sum.x).vectorize(panel.args()[0], knobs.lanes).unroll(panel.args()[0]);
    Func value = st.source.in(st.acc);
    value.compute_at(st.acc, st.x).unroll(value.args()[0]);
    if (knobs.c_unroll > 1) panel.unroll(panel.args()[1]);
}

void accumulate_taps_in_registers(ConvStages &st, const LoopLevel &at, const Schedule &knobs) {
    st.depthwise.compute_at(at)
        .bound_extent(st.k, knobs.lanes)
        .bound_extent(st.x, knobs.q_tile)
        .bound_extent(st.y, knobs.p_tile)
        .vectorize(st.k, knobs.lanes)
        .unroll(st.x)
        .unroll(st.y);
    Stage update = st.depthwise.update();
    update.reorder(st.k, st.x, st.y, st.taps.x, st.taps.y).vectorize(st.k, knobs.lanes).unroll(st.x).unroll(st.y);
    const auto known = [](const RVar &v) { return Internal::as_const_int(v.extent()).has_value(); };
    if (known(st.taps.x) && known(st.taps.y)) update.unroll(st.taps.x).unroll(st.taps.y);
}

}  // namespace sepal
