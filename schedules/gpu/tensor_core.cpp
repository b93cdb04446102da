#include "tensor_core.h"

#include "passes/fragments.h"

using namespace Halide;

namespace sepal {
namespace {

constexpr int chunk_tiles = 4;  // tiles of 16 output channels of which a lane stores 128 bits

// The loop over steps of input channels, so many at a time where they are known to come out even; its innermost variable is returned.
RVar unroll_steps(Stage update, const TensorCoreStages &st, std::vector<VarOrRVar> inside, int steps) {
    const auto all = Internal::as_const_int(st.steps);
    RVar step = st.sum.x;
    std::vector<VarOrRVar> order = std::move(inside);
    order.emplace_back(step);
    if (all && steps > 1 && *all > steps && *all % steps == 0) {
        RVar round("round");
        step = RVar("step");
        update.split(st.sum.x, round, step, steps);
        order.back() = step;
        order.emplace_back(round);
    }
    if (st.sum.dimensions() == 3) order.insert(order.end(), {st.sum.y, st.sum.z});
    update.reorder(order);
    if (all && steps > 1 && (*all <= steps || *all % steps == 0)) update.unroll(step);
    return step;
}

// Groups of 8 channels that a pixel has in shared memory, and pixels that a row has. 8 lanes, which are 4 groups of a pixel and of the one below it,
// read 128 bits each at once: without conflicts if those of the second pixel are in the other half of the banks.
Expr groups_of_pixel(const TensorCoreStages &st) { return simplify((st.steps * 4 + 3) / 8 * 8 + 4); }
Expr pixels_of_row(const TensorCoreStages &st) { return simplify(st.columns / 2 * 2 + 1); }

// The input of a block, all channels and taps, goes into shared memory, 128 bits a lane at a time, 4 of them at once.
void input_into_shared_memory(TensorCoreStages &st, const Var &block, const TensorCoreTile &tile) {
    constexpr int loads_at_once = 4;
    Var item("item"), round("round"), thread("thread"), warp("warp"), lane("lane");
    st.staged.compute_at(st.output, block)
        .store_in(MemoryType::GPUShared)
        .bound_extent(st.word, 4)
        .align_storage(st.c8, groups_of_pixel(st))
        .align_storage(st.x, pixels_of_row(st))
        .fuse(st.c8, st.x, item)
        .fuse(item, st.y, item)
        .split(item, round, thread, threads_of(tile), TailStrategy::GuardWithIf)
        .split(thread, warp, lane, warp_lanes)
        .reorder(st.word, round, lane, warp, st.n)
        .vectorize(st.word)
        .unroll(round, loads_at_once, TailStrategy::GuardWithIf)
        .gpu_threads(lane, warp);
}

// The depthwise half of a block, all channels, goes into shared memory. A lane computes mid_channels channels of mid_q_tile pixels in each of two rows, whose
// taps overlap. Warps are never divided: a barrier follows.
void depthwise_into_shared_memory(TensorCoreStages &st, const Var &block, const TensorCoreTile &tile) {
    const int columns = int(block_of(tile).pixels) / 2;
    const int groups = depthwise_lane_groups(tile, int(Internal::as_const_int(st.steps).value_or(0))), lane_columns = warp_lanes / groups;
    Var xo("xo"), xi("xi"), xl("xl"), co("co"), cl("cl"), ci("ci"), unit("unit"), round("round"), warp("warp"), lane("lane");
    st.mid.compute_at(st.output, block)
        .store_in(MemoryType::GPUShared)
        .bound_extent(st.i, 8)
        .bound_extent(st.x, columns)
        .bound_extent(st.y, 2)
        .align_storage(st.c8, groups_of_pixel(st))
        .align_storage(st.x, pixels_of_row(st))
        .split(st.x, xo, xi, tile.mid_q_tile)
        .split(xo, xo, xl, lane_columns)
        .split(st.i, ci, st.i, tile.mid_channels)
        .split(st.c8, co, cl, groups / (8 / tile.mid_channels))
        .fuse(ci, cl, cl)
        .fuse(cl, xl, lane)
        .fuse(xo, co, unit)
        .split(unit, round, warp, threads_of(tile) / warp_lanes, TailStrategy::GuardWithIf)
        .reorder(st.i, xi, st.y, lane, warp, round, st.n)
        .vectorize(st.i)
        .unroll(xi)
        .unroll(st.y)
        .gpu_threads(lane, warp);
    st.depthwise.compute_at(st.mid, lane)
        .store_in(MemoryType::Register)
        .bound_extent(st.i, tile.mid_channels)
        .bound_extent(st.c8, 1)
        .bound_extent(st.x, tile.mid_q_tile)
        .bound_extent(st.y, 2)
        .vectorize(st.i, 4)  // of biases, 128 bits
        .unroll(st.i)
        .unroll(st.x)
        .unroll(st.y);
    Stage update = st.depthwise.update();
    // Column by column: of a column of the input each value is converted once for all its taps, and not needed any more for the next one's.
    update.reorder(st.i, st.y, st.x, st.taps.y, st.taps.x).vectorize(st.i).unroll(st.x).unroll(st.y);
    const auto columns_of_taps = Internal::as_const_int(st.taps.x.extent()), rows_of_taps = Internal::as_const_int(st.taps.y.extent());
    constexpr int unrolled_taps = 9;  // loads of more would all be moved ahead
    if (rows_of_taps && *rows_of_taps <= unrolled_taps) update.unroll(st.taps.y);
    if (rows_of_taps && columns_of_taps && *rows_of_taps * *columns_of_taps <= unrolled_taps) update.unroll(st.taps.x);

    st.loaded.compute_at(st.b, st.tile).store_in(MemoryType::Register).bound_extent(st.i, 8).vectorize(st.i);
    for (const Var &single : {st.in_group, st.group, st.tile}) st.loaded.bound_extent(single, 1);
    st.b.reorder(st.word, st.tile).unroll(st.word);
}

}  // namespace

// A warp keeps k_tiles x m_tiles fragments of accumulators in registers while it goes through the input channels (and taps). For each step it
// loads the words of its filters and pixels, 128 bits a lane at a time, and multiplies all pairs.
void schedule_tensor_cores(TensorCoreStages &st, const TensorCoreTile &tile) {
    Var lane("lane"), k_warp("k_warp"), m_warp("m_warp"), warp("warp"), blocks("blocks");
    const TensorCoreBlock block = block_of(tile);
    st.output.bound(st.word, 0, 4)
        .bound(st.in_group, 0, 4)
        .bound(st.group, 0, 8)
        .bound(st.half, 0, 2)
        .bound(st.chunk, 0, int(block.channels) / 64)
        .bound(st.tile, 0, tile.m_tiles * tile.m_warps)
        .split(st.chunk, k_warp, st.chunk, tile.k_tiles / chunk_tiles)
        .split(st.tile, m_warp, st.tile, tile.m_tiles)
        .fuse(st.in_group, st.group, lane);
    std::vector<VarOrRVar> order = {st.word, st.chunk, st.half, st.tile, lane, k_warp, m_warp, st.panel, st.block};
    if (st.two_rows) order.insert(order.end(), {st.row_pair, st.n});
    st.output.reorder(order).vectorize(st.word).unroll(st.chunk).unroll(st.half).unroll(st.tile).fuse(k_warp, m_warp, warp).gpu_threads(lane, warp);
    // Panels of the same pixels come one after another, so that the pixels are read from L2 but once.
    if (st.mid.defined() && tile.panels_apart < 2)
        blocks = st.block;
    else
        st.output.fuse(st.panel, st.block, blocks);
    if (st.two_rows)
        st.output.gpu_blocks(blocks, st.row_pair, st.n);
    else
        st.output.gpu_blocks(blocks);

    st.packed.compute_at(st.output, st.chunk).store_in(MemoryType::Register).unroll(st.word);
    for (const Var &single : {st.in_group, st.chunk, st.panel, st.group, st.half, st.tile, st.block}) st.packed.bound_extent(single, 1);
    if (st.added.defined()) {
        st.added.compute_at(st.output, st.chunk).store_in(MemoryType::Register).vectorize(st.word);
        for (const Var &single : {st.in_group, st.chunk, st.panel, st.group, st.half, st.tile, st.block}) st.added.bound_extent(single, 1);
        st.added.bound_extent(st.word, 4);
    }
    st.lane_bias.compute_at(st.output, lane)
        .store_in(MemoryType::Register)
        .bound_extent(st.channel, 8)
        .bound_extent(st.group, 1)
        .bound_extent(st.chunk, tile.k_tiles / chunk_tiles)
        .bound_extent(st.panel, 1)
        .vectorize(st.channel, 4)
        .unroll(st.channel)
        .unroll(st.chunk);
    st.acc.compute_at(st.output, lane)
        .store_in(MemoryType::Register)
        .bound_extent(st.in_group, 1)
        .bound_extent(st.group, 1)
        .bound_extent(st.k_tile, tile.k_tiles)
        .bound_extent(st.panel, 1)
        .bound_extent(st.tile, tile.m_tiles)
        .bound_extent(st.block, 1)
        .unroll(st.k_tile)
        .unroll(st.tile);
    Stage update = st.acc.update();
    const RVar step = unroll_steps(update, st, {st.k_tile, st.tile}, tile.c_unroll);
    update.unroll(st.k_tile).unroll(st.tile);

    st.b.compute_at(st.acc, step).store_in(MemoryType::Register).bound_extent(st.word, 4).unroll(st.tile);
    if (st.mid.defined())
        depthwise_into_shared_memory(st, blocks, tile);
    else
        st.b.vectorize(st.word);
    if (st.staged.defined()) input_into_shared_memory(st, blocks, tile);
    st.a.compute_at(st.acc, step).store_in(MemoryType::Register).bound_extent(st.word, 4).vectorize(st.word).unroll(st.part).unroll(st.k_tile);
}

}  // namespace sepal
