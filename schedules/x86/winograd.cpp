#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A block of tiles is transformed for all channels; then, one panel of output channels after another, its n^2 matrix products are taken and
// the outputs of the tiles are restored from them. Blocks are the tasks; with a k_strip, for images of few blocks, the panels of one block are,
// which is transformed before by tasks of rows of tiles.
void schedule_winograd_x86(WinogradStages &st, const Schedule &knobs, const Target &target) {
    const int tiles = knobs.q_strip * knobs.p_strip, panel_channels = knobs.lanes * knobs.k_vectors;
    Var block("block"), block_x("block_x"), block_y("block_y"), in_block_x("in_block_x"), in_block_y("in_block_y"), tile_x("tile_x"), tile_y("tile_y"),
        in_tile_x("in_tile_x"), in_tile_y("in_tile_y"), panel("panel"), in_panel("in_panel"), vector("vector"), lane("lane"),
        tile_row("tile_row"), tile_column("tile_column");
    st.output.split(st.column, block_x, in_block_x, knobs.q_strip * st.tile, TailStrategy::GuardWithIf)
        .split(in_block_x, tile_x, in_tile_x, st.tile, TailStrategy::GuardWithIf)
        .split(st.row, block_y, in_block_y, knobs.p_strip * st.tile, TailStrategy::GuardWithIf)
        .split(in_block_y, tile_y, in_tile_y, st.tile, TailStrategy::GuardWithIf)
        .split(st.k, panel, in_panel, panel_channels, TailStrategy::GuardWithIf)
        .split(in_panel, vector, lane, knobs.lanes, TailStrategy::GuardWithIf)
        .reorder({lane, in_tile_x, in_tile_y, vector, tile_x, tile_y, panel, st.g, block_x, block_y, st.n})
        .vectorize(lane, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(in_tile_x)
        .unroll(in_tile_y)
        .fuse(block_x, block_y, block)
        .fuse(block, st.n, block);
    st.output.parallel(knobs.k_strip > 0 ? panel : block);

    // The stores of a tile's transform, and the loads of its restoration, go to one plane each of n^2: planes of an odd number of lines, so
    // that these do not fall into a few sets of L1.
    const auto channels = Internal::as_const_int(st.channels);
    const int odd_vectors = channels ? int((*channels + knobs.lanes - 1) / knobs.lanes) | 1 : 3;
    const int odd_tiles = tiles | 1;
    st.transformed.compute_at(st.output, block)
        .store_in(MemoryType::Heap)
        .align_storage(st.c, odd_vectors * knobs.lanes)
        .align_storage(st.x, odd_tiles)
        .bound_extent(st.x, tiles)
        .split(st.x, tile_row, tile_column, knobs.q_strip)
        .reorder(st.i, st.j, st.c, tile_column, tile_row)
        .prefetch(st.input, st.c, tile_column, 1, PrefetchBoundStrategy::NonFaulting)
        .vectorize(st.c, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(st.i)
        .unroll(st.j);
    if (knobs.k_strip > 0) st.transformed.parallel(tile_row);
    st.half_transformed.compute_at(st.transformed, st.c).vectorize(st.c, knobs.lanes, TailStrategy::GuardWithIf).unroll(st.i).unroll(st.j);

    Var in_products("in_products"), rest("rest"), pixels("pixels"), in_pixels("in_pixels");
    st.products.compute_at(st.output, panel)
        .store_in(MemoryType::Heap)
        .align_bounds(st.k, panel_channels)
        .align_storage(st.x, odd_tiles)
        .bound_extent(st.x, tiles)
        .split(st.k, rest, in_products, panel_channels, TailStrategy::RoundUp)
        .split(st.x, pixels, in_pixels, knobs.q_tile, TailStrategy::ShiftInwards)
        .reorder(in_products, in_pixels, pixels, rest, st.j, st.i)
        .vectorize(in_products, knobs.lanes)
        .unroll(in_products)
        .unroll(in_pixels);
    register_tile(st, st.acc, st.sum.x, LoopLevel(st.products, pixels), knobs, target);

    st.half_restored.compute_at(st.output, vector).vectorize(st.k, knobs.lanes).unroll(st.i).unroll(st.j);
    st.restored.compute_at(st.output, vector).vectorize(st.k, knobs.lanes).unroll(st.i).unroll(st.j);
}

}  // namespace sepal
