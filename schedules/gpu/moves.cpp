#include "moves.h"

#include <algorithm>

using namespace Halide;

namespace sepal {
namespace {

bool has_rows(const ConvStages &st) { return st.output.dimensions() > 2; }
bool has_groups(const ConvStages &st) { return st.output.dimensions() == 5; }

// Cuts pixels of a block's row to threads.
template<typename FuncOrStage>
void split_columns(FuncOrStage &f, const Var &columns, const ThreadLoops &l, const GpuSchedule &s, TailStrategy tail) {
    f.split(columns, l.q_thread, l.q_unrolled, s.q_tile * s.q_lanes, tail);
    if (s.q_lanes > 1) f.split(l.q_unrolled, l.q_unrolled, l.q_lane, s.q_lanes, tail);
}

// The loops over threads, from the innermost on, and how many there are of each: three, for more do not run in parallel.
struct ThreadLoop {
    Var loop;
    int threads;
};
std::vector<ThreadLoop> thread_loops(const ConvStages &st, const ThreadLoops &l, const GpuSchedule &s) {
    if (s.q_lanes == 1) {
        std::vector<ThreadLoop> loops = {{l.k_thread, s.k_threads}, {l.q_thread, s.q_threads}};
        if (has_rows(st)) loops.push_back({l.p_thread, s.p_threads});
        return loops;
    }
    std::vector<ThreadLoop> loops = {{l.q_lane, s.q_lanes}, {l.k_thread, s.k_threads}};
    loops.push_back(has_rows(st) ? ThreadLoop{l.p_thread, s.p_threads} : ThreadLoop{l.q_thread, s.q_threads / s.q_lanes});
    return loops;
}

template<typename FuncOrStage>
void to_gpu_threads(FuncOrStage &f, const std::vector<ThreadLoop> &loops) {
    if (loops.size() == 3)
        f.gpu_threads(loops[0].loop, loops[1].loop, loops[2].loop);
    else
        f.gpu_threads(loops[0].loop, loops[1].loop);
}

// From the innermost to the outermost loop over threads; `inside` loops are inside of them, right outside the unrolled ones.
std::vector<VarOrRVar> order_of(const ConvStages &st, const ThreadLoops &l, const GpuSchedule &s, const std::vector<VarOrRVar> &inside) {
    std::vector<VarOrRVar> order = {l.vector, l.k_unrolled, l.q_unrolled};
    if (has_rows(st)) order.push_back(l.p_unrolled);
    if (has_rows(st) && s.q_lanes > 1) order.push_back(l.q_thread);  // of which there is one
    order.insert(order.end(), inside.begin(), inside.end());
    for (const ThreadLoop &t : thread_loops(st, l, s)) order.push_back(t.loop);
    return order;
}

}  // namespace

Var tile_blocks(ConvStages &st, const ThreadLoops &l, const GpuSchedule &s) {
    Var ks("ks"), kb("kb"), xs("xs"), xb("xb"), yb("yb"), ys("ys"), block("block"), images("images");
    // The guards of a tail are on whole vectors and whole threads.
    st.output.split(st.k, ks, l.vector, s.k_tile, TailStrategy::RoundUp)
        .split(ks, ks, l.k_thread, s.k_threads, TailStrategy::GuardWithIf)
        .split(ks, kb, l.k_unrolled, s.k_vectors, TailStrategy::GuardWithIf)
        .split(st.x, xb, xs, block_columns(s), TailStrategy::GuardWithIf)
        .vectorize(l.vector);
    split_columns(st.output, xs, l, s, TailStrategy::GuardWithIf);
    std::vector<VarOrRVar> order = order_of(st, l, s, {});
    order.insert(order.end(), {kb, xb});
    if (has_rows(st)) {
        st.output.split(st.y, yb, ys, block_rows(s), TailStrategy::GuardWithIf).split(ys, l.p_thread, l.p_unrolled, s.p_tile, TailStrategy::GuardWithIf);
        order.push_back(yb);
        if (has_groups(st)) order.push_back(st.g);
        order.push_back(st.n);
    }
    st.output.reorder(order).unroll(l.k_unrolled).unroll(l.q_unrolled);
    if (has_rows(st)) st.output.unroll(l.p_unrolled);
    to_gpu_threads(st.output, thread_loops(st, l, s));
    st.output.fuse(kb, xb, block);
    if (has_groups(st))
        st.output.fuse(st.g, st.n, images).gpu_blocks(block, yb, images);
    else if (has_rows(st))
        st.output.gpu_blocks(block, yb, st.n);
    else
        st.output.gpu_blocks(block);
    return block;
}

namespace {

// The same cuts of a sum, of which a block has exactly block_channels() and its pixels.
template<typename FuncOrStage>
void give_to_threads(ConvStages &st, FuncOrStage &f, const ThreadLoops &l, const GpuSchedule &s) {
    Var ks("ks");
    f.split(st.k, ks, l.vector, s.k_tile).split(ks, l.k_unrolled, l.k_thread, s.k_threads).vectorize(l.vector);
    split_columns(f, st.x, l, s, TailStrategy::Auto);
    f.unroll(l.k_unrolled).unroll(l.q_unrolled);
    if (has_rows(st)) f.split(st.y, l.p_thread, l.p_unrolled, s.p_tile).unroll(l.p_unrolled);
}

}  // namespace

SumLoops accumulate_in_registers(ConvStages &st, const ThreadLoops &l, const Var &block, const GpuSchedule &s) {
    SumLoops loops;
    RVar channel("channel"), steps("channel_steps");
    Func acc = st.acc;
    acc.compute_at(st.output, block)
        .store_in(MemoryType::Register)
        .bound_extent(st.k, block_channels(s))
        .bound_extent(st.x, block_columns(s));
    if (has_rows(st)) acc.bound_extent(st.y, block_rows(s));
    if (has_groups(st)) acc.bound_extent(st.g, 1).bound_extent(st.n, 1);  // of which a block has one: they are one loop
    give_to_threads(st, acc, l, s);
    acc.reorder(order_of(st, l, s, {}));
    to_gpu_threads(acc, thread_loops(st, l, s));

    Stage update = acc.update();
    update.split(st.sum.x, loops.blocks, channel, s.c_block);
    give_to_threads(st, update, l, s);
    std::vector<VarOrRVar> inside = {channel};
    // A last block of fewer channels ends each step of the loop with a test.
    const auto known = Internal::as_const_int(st.channels);
    if (known && *known % s.c_block == 0) {
        update.split(channel, loops.vectors, channel, s.c_vector).unroll(channel);
        inside.emplace_back(loops.vectors);
        if (s.c_unroll < s.c_block) {
            update.split(loops.vectors, steps, loops.vectors, s.c_unroll / s.c_vector);
            inside.emplace_back(steps);
        }
        update.unroll(loops.vectors);
    }
    std::vector<VarOrRVar> order = order_of(st, l, s, inside);
    if (st.sum.dimensions() == 3) order.push_back(st.sum.y), order.push_back(st.sum.z);
    order.push_back(loops.blocks);
    if (st.sum.dimensions() == 3 && s.staging == 1) std::rotate(order.end() - 3, order.end() - 1, order.end());
    update.reorder(order);
    to_gpu_threads(update, thread_loops(st, l, s));

    Func filter = st.filter.in(acc);
    const LoopLevel tap = s.staging > 1 ? LoopLevel(acc, st.sum.y) : LoopLevel(acc, loops.blocks);
    st.ahead = {filter.name()};
    share_out(filter, tap, {{filter.args()[0], block_channels(s)}, {filter.args()[1], s.c_block}}, s.k_tile, s);
    return loops;
}

void registers_of(ConvStages &st, Func operand, const SumLoops &loops, const GpuSchedule &s) {
    operand.compute_at(st.acc, loops.vectors).store_in(MemoryType::Register);
    const std::vector<Var> at = operand.args();
    operand.bound_extent(at[0], s.c_vector).vectorize(at[0]);
    for (size_t i = 1; i < at.size(); i++) operand.unroll(at[i]);
}

void operand_in_registers(ConvStages &st, Func shared, const SumLoops &loops, const GpuSchedule &s) {
    if (s.q_lanes == 1) return;
    shared.align_storage(shared.args()[0], pixel_in_shared_memory(s));
    registers_of(st, shared.in(st.acc), loops, s);
}

Var share_out(Func staged, const LoopLevel &at, const std::vector<Extent> &extents, int vector, const GpuSchedule &s, bool has_loops) {
    Var lane("lane"), all("all"), turn("turn"), first("first"), second("second"), third("third");
    staged.compute_at(at).store_in(MemoryType::GPUShared);
    std::vector<VarOrRVar> order = {lane};
    int elements = 1;
    for (const Extent &e : extents) {
        elements *= e.extent / e.tile;
        staged.bound_extent(e.dimension, e.extent);
        if (e.tile == 1) continue;
        const Var inner("inner_" + e.dimension.name());
        staged.split(e.dimension, e.dimension, inner, e.tile).unroll(inner);
        order.emplace_back(inner);
    }
    staged.split(extents[0].dimension, all, lane, vector).vectorize(lane);
    for (size_t i = 1; i < extents.size(); i++)
        staged.reorder(lane, all, extents[i].dimension).fuse(all, extents[i].dimension, all);  // which have to be neighbours
    order.insert(order.end(), {turn, first, second, third});
    for (const Var &other : staged.args())
        if (std::none_of(extents.begin(), extents.end(), [&](const Extent &e) { return e.dimension.name() == other.name(); })) order.push_back(other);
    staged.split(all, turn, first, block_threads(s), TailStrategy::GuardWithIf)
        .split(first, second, first, s.q_lanes > 1 ? s.q_lanes : s.k_threads)
        .split(second, third, second, s.q_lanes > 1 ? s.k_threads : s.q_threads)
        .reorder(order)
        .gpu_threads(first, second, third);
    constexpr int unrolled_turns = 8;  // of a thread, which waits for all that it loads together
    if (!has_loops && elements <= vector * block_threads(s) * unrolled_turns) staged.unroll(turn);
    return turn;
}

bool has_known_taps(const ConvStages &st) {
    const auto known = [](const RVar &v) { return Internal::as_const_int(v.extent()).has_value(); };
    return known(st.taps.x) && known(st.taps.y);
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
    if (has_known_taps(st)) update.unroll(st.taps.x).unroll(st.taps.y);
}

}  // namespace sepal
