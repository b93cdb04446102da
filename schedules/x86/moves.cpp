#include "moves.h"

#include <algorithm>

using namespace Halide;

namespace sepal {

void register_tile(ConvStages &st, Func sum, const RVar &channel, const LoopLevel &at, const Schedule &knobs, const Target &target) {
    sum.compute_at(at)
        .bound_extent(st.k, knobs.lanes * knobs.k_vectors)
        .bound_extent(st.x, knobs.q_tile)
        .vectorize(st.k, knobs.lanes)
        .unroll(st.k)
        .unroll(st.x);
    const bool has_taps = st.sum.dimensions() == 3, together = has_taps && knobs.s_unroll > 1;
    std::vector<VarOrRVar> order = {st.k, st.x, channel};
    if (together) order = {st.k, st.sum.y, st.x, channel, st.sum.z};
    else if (has_taps) order = {st.k, st.x, channel, st.sum.y, st.sum.z};
    Stage update = sum.update();
    update.reorder(order).vectorize(st.k, knobs.lanes).unroll(st.k).unroll(st.x);
    if (knobs.c_unroll > 1) update.unroll(channel, knobs.c_unroll);

    Func panel = st.filter.in(sum);
    panel.compute_at(sum, channel).vectorize(panel.args()[0], knobs.lanes).unroll(panel.args()[0]);
    if (knobs.c_unroll > 1) panel.unroll(panel.args()[1]);
    if (together) {
        // Neighbouring pixels read the same input by different taps: one load and broadcast for all, which LLVM finds.
        update.unroll(st.sum.y);
        panel.unroll(panel.args()[2]);
        return;
    }
    Func value = st.source.in(sum);
    const Var channels = value.args()[0];
    if (target.arch == Target::ARM && knobs.c_unroll % knobs.lanes == 0) {
        // Its pixels are where they are among the accumulators' dimensions.
        const std::vector<Var> dims = st.acc.args();
        const auto pixels = std::find_if(dims.begin(), dims.end(), [&](const Var &v) { return v.name() == st.x.name(); }) - dims.begin();
        value.compute_at(sum, channel).vectorize(channels, knobs.lanes).unroll(channels).unroll(value.args()[size_t(pixels)]);
    } else {
        value.compute_at(sum, st.x).unroll(channels);
    }
}

std::optional<Var> split_panels(ConvStages &st, const OutputLoops &loops, const Var &in_panel, const Schedule &knobs) {
    st.output.split(st.k, loops.panel, in_panel, knobs.lanes * knobs.k_vectors, TailStrategy::GuardWithIf);
    if (knobs.k_strip == 0) return std::nullopt;
    Var strip_of_panels("strip_of_panels");
    st.output.split(loops.panel, strip_of_panels, loops.panel, knobs.k_strip, TailStrategy::GuardWithIf);
    return strip_of_panels;
}

OutputLoops tile_rows(ConvStages &st, const Schedule &knobs) {
    const OutputLoops loops;
    Var in_panel("in_panel"), in_strip("in_strip"), in_tile("in_tile"), strip_of_rows("strip_of_rows"), row("row");
    std::vector<VarOrRVar> order = {in_panel, in_tile, loops.tile, row, loops.panel, loops.strip};
    if (st.acc.dimensions() == 5) order.push_back(st.g);
    const std::optional<Var> strip_of_panels = split_panels(st, loops, in_panel, knobs);
    if (strip_of_panels) order.push_back(*strip_of_panels);
    order.push_back(strip_of_rows);
    order.push_back(st.n);
    st.output.split(st.x, loops.strip, in_strip, knobs.q_strip, TailStrategy::GuardWithIf)
        .split(in_strip, loops.tile, in_tile, knobs.q_tile, TailStrategy::GuardWithIf)
        .split(st.y, strip_of_rows, row, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder(order)
        .vectorize(in_panel, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(in_panel)
        .unroll(in_tile)
        .fuse(strip_of_rows, st.n, loops.task);
    if (strip_of_panels) st.output.fuse(*strip_of_panels, loops.task, loops.task);
    st.output.parallel(loops.task);
    return loops;
}

bool has_blocks(const ConvStages &st, const Schedule &knobs) {
    const auto channels = Internal::as_const_int(st.channels);
    const bool rows = st.acc.dimensions() > 2;  // a pointwise strip of pixels has no fixed extent
    return knobs.c_block > 0 && rows && channels && *channels > knobs.c_block && *channels % knobs.c_block == 0;
}

void accumulate_in_registers(ConvStages &st, const OutputLoops &loops, const Schedule &knobs, const Target &target) {
    if (!has_blocks(st, knobs)) {
        register_tile(st, st.acc, st.sum.x, LoopLevel(st.output, loops.tile), knobs, target);
        return;
    }
    RVar block("block"), channel("channel");
    Var partial("partial"), xo("xo"), xi("xi");
    st.acc.update().split(st.sum.x, block, channel, knobs.c_block);
    Func sum = st.acc.update().rfactor(block, partial);
    st.acc.compute_at(st.output, loops.panel)
        .bound_extent(st.k, knobs.lanes * knobs.k_vectors)
        .bound_extent(st.x, knobs.q_strip)
        .vectorize(st.k, knobs.lanes)
        .unroll(st.k);
    st.acc.update().split(st.x, xo, xi, knobs.q_tile).reorder(st.k, xi, xo, st.y, block).vectorize(st.k, knobs.lanes).unroll(st.k).unroll(xi);
    register_tile(st, sum, channel, LoopLevel(st.acc, xo), knobs, target);
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
