// The schedules for NCHW. Vectors are of neighbouring pixels; an accumulator tile is some of them by k_tile output channels. What is read
// lies in scratch memory, zeros around it and the columns of a stride apart, so that no tap needs a bounds test and every load is of neighbours; or,
// by a depthwise convolution whose stride leaves no columns out, it is the input itself, under masks at its edges.
#include "schedules.h"

using namespace Halide;

namespace sepal {
namespace {

// The loops of the output that other stages hang on, outermost first.
struct PlaneLoops {
    Var task{"task"};    // in parallel
    Var strip{"strip"};  // over strips of q_strip pixels
    Var panel{"panel"};  // over packed panels of output channels
    Var tile{"tile"};    // over tiles of q_tile pixels
};

// Cuts the output's channels into panels and its pixels into strips and tiles: the two loops inside a tile are unrolled, one of them over vectors.
// What is beyond the last channel or pixel is computed, since the filter and the scratch memory are filled up, but not stored.
void tile_planes(ConvStages &st, const PlaneLoops &loops, const Var &in_panel, const Var &in_tile, const NchwSchedule &knobs) {
    Var in_strip("in_strip");
    st.output.split(st.k, loops.panel, in_panel, knobs.k_tile, TailStrategy::GuardWithIf)
        .split(st.x, loops.strip, in_strip, knobs.q_strip, TailStrategy::GuardWithIf)
        .split(in_strip, loops.tile, in_tile, knobs.q_tile, TailStrategy::GuardWithIf);
}

// The same of an operator with rows: p_strip of them are a task's.
void tile_rows_of_planes(ConvStages &st, const PlaneLoops &loops, const Var &in_panel, const Var &in_tile, const NchwSchedule &knobs) {
    Var strip_of_rows("strip_of_rows"), row("row");
    tile_planes(st, loops, in_panel, in_tile, knobs);
    std::vector<VarOrRVar> order = {in_tile, in_panel, loops.tile, row, loops.panel, loops.strip};
    if (st.acc.dimensions() == 5) order.push_back(st.g);
    order.insert(order.end(), {strip_of_rows, st.n});
    st.output.split(st.y, strip_of_rows, row, knobs.p_strip, TailStrategy::GuardWithIf).reorder(order).fuse(strip_of_rows, st.n, loops.task).parallel(loops.task);
}

void vectors_of_a_tile(ConvStages &st, const Var &in_panel, const Var &in_tile, const NchwSchedule &knobs) {
    st.output.vectorize(in_tile, knobs.lanes, TailStrategy::GuardWithIf).unroll(in_tile).unroll(in_panel);
}

// The dimensions of a Func with the pixels of a row first.
std::vector<Var> pixels_first(const Func &f, const Var &x) {
    std::vector<Var> order = {x};
    for (const Var &v : f.args())
        if (v.name() != x.name()) order.push_back(v);
    return order;
}

// Keeps a tile of k_tile x q_tile accumulators in registers while it sums over the channels (and taps): for each, the vectors of input are loaded
// once, each value of the filter is broadcast once, and every pair is multiplied.
void sum_in_registers(ConvStages &st, const PlaneLoops &loops, const NchwSchedule &knobs) {
    st.acc.compute_at(st.output, loops.tile)
        .reorder_storage(pixels_first(st.acc, st.x))
        .bound_extent(st.k, knobs.k_tile)
        .bound_extent(st.x, knobs.q_tile)
        .vectorize(st.x, knobs.lanes)
        .unroll(st.x)
        .unroll(st.k);
    std::vector<VarOrRVar> order = {st.x, st.k, st.sum.x};
    if (st.sum.dimensions() == 3) order.insert(order.end(), {st.sum.y, st.sum.z});
    Stage update = st.acc.update();
    update.reorder(order).vectorize(st.x, knobs.lanes).unroll(st.x).unroll(st.k);
    Func vectors = st.source.in(st.acc);
    vectors.compute_at(st.acc, st.sum.x).reorder_storage(pixels_first(vectors, st.x)).vectorize(st.x, knobs.lanes).unroll(st.x);
    // Where stride and dilation are not known, Halide does not find out that these are constants, and would allocate memory each time.
    for (const Var &v : vectors.args()) vectors.bound_extent(v, v.name() == st.x.name() ? knobs.q_tile : v.name() == vectors.args()[0].name() ? knobs.c_unroll : 1);
    if (knobs.c_unroll > 1) {
        update.unroll(st.sum.x, knobs.c_unroll);
        vectors.unroll(vectors.args()[0]);
    }
}

// Vectors of pixels, of a Func in scratch memory of which more than is asked for may be computed.
void whole_vectors(Func scratch, const Var &x, const NchwSchedule &knobs) {
    scratch.vectorize(x, knobs.lanes, TailStrategy::RoundUp);
    if (scratch.has_update_definition()) scratch.update().vectorize(x, knobs.lanes, TailStrategy::RoundUp);
}

// Of scratch memory with all channels of a strip: a row of one channel after another, then the next row. The distance of two long rows is a
// multiple of three lines, so that few of them fall into the same set of L1.
void rows_of_channels(Func scratch, const ConvStages &st, const NchwSchedule &knobs) {
    std::vector<Var> order = {st.x}, rest;
    for (const Var &v : scratch.args()) {
        if (v.name() == st.x.name()) continue;
        (v.name() == st.y.name() || v.name() == st.n.name() ? rest : order).push_back(v);
    }
    order.insert(order.end(), rest.begin(), rest.end());
    scratch.reorder_storage(order).align_storage(st.x, scratch_alignment(knobs));
}

// Loops of `phases`, innermost first: along the rows of a plane, then the next channel.
void copy_by_planes(ConvStages &st, const NchwSchedule &knobs) {
    std::vector<VarOrRVar> order = {st.x, st.phase, st.y, st.c};
    if (st.phases.dimensions() == 6) order.push_back(st.g);
    order.push_back(st.n);
    st.phases.reorder(order);
    if (st.phases.has_update_definition()) st.phases.update().reorder(order);
    whole_vectors(st.phases, st.x, knobs);
}

}  // namespace

// The input of a strip of output is in scratch memory that stays in L2, then every panel of filters runs over it.
void schedule_conv2d_nchw(ConvStages &st, const NchwSchedule &knobs) {
    const PlaneLoops loops;
    Var in_panel("in_panel"), in_tile("in_tile");
    tile_rows_of_planes(st, loops, in_panel, in_tile, knobs);
    vectors_of_a_tile(st, in_panel, in_tile, knobs);
    sum_in_registers(st, loops, knobs);
    st.phases.compute_at(st.output, loops.strip).hoist_storage(st.output, loops.task);
    rows_of_channels(st.phases, st, knobs);
    copy_by_planes(st, knobs);
}

// A matrix product. A strip of pixels, all channels, is in scratch memory that stays in L2, then every panel of filters runs over it.
void schedule_pointwise_nchw(ConvStages &st, const NchwSchedule &knobs) {
    const PlaneLoops loops;
    Var in_panel("in_panel"), in_tile("in_tile"), strips("strips");
    tile_planes(st, loops, in_panel, in_tile, knobs);
    st.output.split(loops.strip, strips, loops.strip, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder({in_tile, in_panel, loops.tile, loops.panel, loops.strip, strips, st.n})
        .fuse(strips, st.n, loops.task)
        .parallel(loops.task);
    vectors_of_a_tile(st, in_panel, in_tile, knobs);
    sum_in_registers(st, loops, knobs);
    st.source.compute_at(st.output, loops.strip).hoist_storage(st.output, loops.task);
    rows_of_channels(st.source, st, knobs);
    st.source.reorder(st.x, st.c, st.n).update().reorder(st.x, st.c, st.n);
    whole_vectors(st.source, st.x, knobs);
}

namespace {

// Keeps a tile of q_tile x p_tile accumulators of one channel in registers at `at`, all taps unrolled where their number is known.
void sum_taps_in_registers(ConvStages &st, const LoopLevel &at, int q_tile, const NchwSchedule &knobs) {
    st.depthwise.compute_at(at)
        .reorder_storage(pixels_first(st.depthwise, st.x))
        .bound_extent(st.x, q_tile)
        .bound_extent(st.y, knobs.p_tile)
        .vectorize(st.x, knobs.lanes)
        .unroll(st.x)
        .unroll(st.y);
    Stage update = st.depthwise.update();
    update.reorder({st.x, st.y, st.taps.x, st.taps.y, st.k}).vectorize(st.x, knobs.lanes).unroll(st.x).unroll(st.y);
    const auto known = [](const RVar &v) { return Internal::as_const_int(v.extent()).has_value(); };
    if (known(st.taps.x) && known(st.taps.y)) update.unroll(st.taps.x).unroll(st.taps.y);
}

}  // namespace

// A channel after the other. Of each, the rows that a strip of output needs are in scratch memory that stays in L1; or, with staging 1, each vector
// of the input is loaded when a tile needs it, once for all taps and rows of the tile that meet it.
void schedule_depthwise_nchw(ConvStages &st, const NchwSchedule &knobs) {
    Var xo("xo"), xi("xi"), yo("yo"), yi("yi"), strip("strip"), channels("channels"), channel("channel"), task("task");
    st.output.split(st.x, xo, xi, knobs.q_tile, TailStrategy::GuardWithIf)
        .split(st.y, strip, yi, knobs.p_tile * knobs.p_strip, TailStrategy::GuardWithIf)
        .split(yi, yo, yi, knobs.p_tile, TailStrategy::GuardWithIf)
        .split(st.k, channels, channel, knobs.k_strip, TailStrategy::GuardWithIf)
        .reorder({xi, yi, xo, yo, strip, channel, channels, st.n})
        .vectorize(xi, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(xi)
        .unroll(yi)
        .fuse(channels, st.n, task)
        .parallel(task);
    sum_taps_in_registers(st, LoopLevel(st.output, xo), knobs.q_tile, knobs);
    if (knobs.staging == 1) return;
    st.phases.compute_at(st.output, strip).hoist_storage(st.output, task);
    rows_of_channels(st.phases, st, knobs);
    copy_by_planes(st, knobs);
}

// The depthwise half of a strip of output, all channels, goes into scratch memory that stays in L2, a channel after the other as by depthwise
// alone, from a copy or in place; then every panel of the pointwise filter runs over it. Nothing is computed twice.
void schedule_depsep_nchw(ConvStages &st, const NchwSchedule &knobs) {
    const PlaneLoops loops;
    Var in_panel("in_panel"), in_tile("in_tile");
    tile_rows_of_planes(st, loops, in_panel, in_tile, knobs);
    vectors_of_a_tile(st, in_panel, in_tile, knobs);
    sum_in_registers(st, loops, knobs);

    Var xo("xo"), xi("xi"), yo("yo"), yi("yi");
    st.mid.compute_at(st.output, loops.strip)
        .hoist_storage(st.output, loops.task)
        .split(st.x, xo, xi, knobs.mid_q_tile, TailStrategy::RoundUp)
        .split(st.y, yo, yi, knobs.p_tile, TailStrategy::RoundUp)
        .reorder({xi, yi, xo, yo, st.k, st.n})
        .vectorize(xi, knobs.lanes)
        .unroll(xi)
        .unroll(yi);
    rows_of_channels(st.mid, st, knobs);
    sum_taps_in_registers(st, LoopLevel(st.mid, xo), knobs.mid_q_tile, knobs);
    if (knobs.staging == 1) return;
    st.phases.compute_at(st.mid, st.k).hoist_storage(st.output, loops.task);
    rows_of_channels(st.phases, st, knobs);
    copy_by_planes(st, knobs);
}

}  // namespace sepal
