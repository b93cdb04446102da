#include "moves.h"

#include <algorithm>

using namespace Halide;

namespace sepal {
namespace {

bool has_rows(const ConvStages &st) { return st.output.dimensions() > 2; }
bool has_groups(const ConvStages &st) { return st.output.dimensions() == 5; }

}  // namespace

Var tile_blocks(ConvStages &st, const ThreadLoops &l, const GpuSchedule &s) {
    Var ks("ks"), kb("kb"), xs("xs"), xb("xb"), yb("yb"), ys("ys"), block("block"), images("images");
    // The guards of a tail are on whole vectors and whole threads.
    st.output.split(st.k, ks, l.vector, s.k_tile, TailStrategy::RoundUp)
        .split(ks, ks, l.k_thread, s.k_threads, TailStrategy::GuardWithIf)
        .split(ks, kb, l.k_unrolled, s.k_vectors, TailStrategy::GuardWithIf)
        .split(st.x, xb, xs, block_columns(s), TailStrategy::GuardWithIf)
        .split(xs, l.q_thread, l.q_unrolled, s.q_tile, TailStrategy::GuardWithIf)
        .vectorize(l.vector);
    if (!has_rows(st)) {
        st.output.reorder(l.vector, l.k_unrolled, l.q_unrolled, l.k_thread, l.q_thread, kb, xb)
            .unroll(l.k_unrolled)
            .unroll(l.q_unrolled)
            .gpu_threads(l.k_thread, l.q_thread)
            .fuse(kb, xb, block)
            .gpu_blocks(block);
        return block;
    }
    st.output.split(st.y, yb, ys, block_rows(s), TailStrategy::GuardWithIf)
        .split(ys, l.p_thread, l.p_unrolled, s.p_tile, TailStrategy::GuardWithIf);
    std::vector<VarOrRVar> order = {l.vector, l.k_unrolled, l.q_unrolled, l.p_unrolled, l.k_thread, l.q_thread, l.p_thread, kb, xb, yb};
    if (has_groups(st)) order.push_back(st.g);
    order.push_back(st.n);
    st.output.reorder(order)
        .unroll(l.k_unrolled)
        .unroll(l.q_unrolled)
        .unroll(l.p_unrolled)
        .gpu_threads(l.k_thread, l.q_thread, l.p_thread)
        .fuse(kb, xb, block);
    if (has_groups(st))
        st.output.fuse(st.g, st.n, images).gpu_blocks(block, yb, images);
    else
        st.output.gpu_blocks(block, yb, st.n);
    return block;
}

namespace {

// The same cuts of a sum, of which a block has exactly block_channels() and its pixels.
template<typename FuncOrStage>
void give_to_threads(ConvStages &st, FuncOrStage &f, const ThreadLoops &l, const GpuSchedule &s) {
    Var ks("ks");
    f.split(st.k, ks, l.vector, s.k_tile).split(ks, l.k_unrolled, l.k_thread, s.k_threads).split(st.x, l.q_thread, l.q_unrolled, s.q_tile).vectorize(l.vector);
    f.unroll(l.k_unrolled).unroll(l.q_unrolled);
    if (!has_rows(st)) return;
    f.split(st.y, l.p_thread, l.p_unrolled, s.p_tile).unroll(l.p_unrolled);
}

// From the innermost to the outermost loop over threads; `inside` loops are inside of them, right outside the unrolled ones.
std::vector<VarOrRVar> order_of(ConvStages &st, const ThreadLoops &l, const std::vector<VarOrRVar> &inside) {
    std::vector<VarOrRVar> order = {l.vector, l.k_unrolled, l.q_unrolled};
    if (has_rows(st)) order.push_back(l.p_unrolled);
    order.insert(order.end(), inside.begin(), inside.end());
    order.push_back(l.k_thread);
    order.push_back(l.q_thread);
    if (has_rows(st)) order.push_back(l.p_thread);
    return order;
}

template<typename FuncOrStage>
void to_gpu_threads(ConvStages &st, FuncOrStage &f, const ThreadLoops &l) {
    if (has_rows(st))
        f.gpu_threads(l.k_thread, l.q_thread, l.p_thread);
    else
        f.gpu_threads(l.k_thread, l.q_thread);
}

}  // namespace

RVar accumulate_in_registers(ConvStages &st, const ThreadLoops &l, const Var &block, const GpuSchedule &s) {
    RVar channels("channels"), channel("channel");
    Func acc = st.acc;
    acc.compute_at(st.output, block)
        .store_in(MemoryType::Register)
        .bound_extent(st.k, block_channels(s))
        .bound_extent(st.x, block_columns(s));
    if (has_rows(st)) acc.bound_extent(st.y, block_rows(s));
    if (has_groups(st)) acc.bound_extent(st.g, 1).bound_extent(st.n, 1);  // of which a block has one: they are one loop
    give_to_threads(st, acc, l, s);
    acc.reorder(order_of(st, l, {}));
    to_gpu_threads(st, acc, l);

    Stage update = acc.update();
    update.split(st.sum.x, channels, channel, s.c_block);
    give_to_threads(st, update, l, s);
    std::vector<VarOrRVar> order = order_of(st, l, {channel});
    order.push_back(channels);
    if (st.sum.dimensions() == 3) order.push_back(st.sum.y), order.push_back(st.sum.z);
    update.reorder(order);
    // A last block of fewer channels ends each step of the loop with a test.
    const auto known = Internal::as_const_int(st.channels);
    if (known && *known % s.c_block == 0) update.unroll(channel);
    to_gpu_threads(st, update, l);

    Func filter = st.filter.in(acc);
    share_out(filter, LoopLevel(acc, channels), {{filter.args()[0], block_channels(s)}, {filter.args()[1], s.c_block}}, s.k_tile, s);
    return channels;
}

Var share_out(Func staged, const LoopLevel &at, const std::vector<Extent> &extents, int vector, const GpuSchedule &s) {
    Var lane("lane"), all("all"), turn("turn"), k_thread("k_thread"), q_thread("q_thread"), p_thread("p_thread");
    staged.compute_at(at).store_in(MemoryType::GPUShared);
    std::vector<VarOrRVar> order = {lane, k_thread, q_thread, p_thread, turn};
    for (const Var &other : staged.args())
        if (std::none_of(extents.begin(), extents.end(), [&](const Extent &e) { return e.dimension.name() == other.name(); })) order.push_back(other);
    for (const Extent &e : extents) staged.bound_extent(e.dimension, e.extent);
    staged.split(extents[0].dimension, all, lane, vector).vectorize(lane);
    for (size_t i = 1; i < extents.size(); i++)
        staged.reorder(lane, all, extents[i].dimension).fuse(all, extents[i].dimension, all);  // which have to be neighbours
    staged.split(all, turn, k_thread, block_threads(s), TailStrategy::GuardWithIf)
        .split(k_thread, q_thread, k_thread, s.k_threads)
        .split(q_thread, p_thread, q_thread, s.q_threads)
        .reorder(order)
        .gpu_threads(k_thread, q_thread, p_thread);
    return k_thread;
}

void accumulate_taps_in_registers(ConvStages &st, const LoopLevel &at, int channels, int pixels, int rows) {
    st.depthwise.compute_at(at)
        .store_in(MemoryType::Register)
        .bound_extent(st.k, channels)
        .bound_extent(st.x, pixels)
        .bound_extent(st.y, rows)
        .vectorize(st.k)
        .unroll(st.x)
        .unroll(st.y);
    Stage update = st.depthwise.update();
    update.reorder(st.k, st.x, st.y, st.taps.x, st.taps.y).vectorize(st.k).unroll(st.x).unroll(st.y);
    const auto known = [](const RVar &v) { return Internal::as_const_int(v.extent()).has_value(); };
    if (known(st.taps.x) && known(st.taps.y)) update.unroll(st.taps.x).unroll(st.taps.y);
}

}  // namespace sepal
