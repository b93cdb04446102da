#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A block of tiles is transformed for all channels; then, k_strip panels at a time, its n^2 matrix products are taken and the outputs of
// the tiles are restored from them.
void schedule_winograd_x86(WinogradStages &st, const Schedule &knobs, const Target &) {
    const int tiles = knobs.q_strip * knobs.p_strip, panel_channels = knobs.lanes * knobs.k_vectors;
    Var task("task"), block_x("block_x"), block_y("block_y"), in_block_x("in_block_x"), in_block_y("in_block_y"), tile_x("tile_x"), tile_y("tile_y"),
        in_tile_x("in_tile_x"), in_tile_y("in_tile_y"), strip("strip"), in_strip("in_strip"), vector("vector"), lane("lane");
    const int strip_channels = knobs.k_strip * panel_channels;
    st.output.split(st.column, block_x, in_block_x, knobs.q_strip * st.tile, TailStrategy::GuardWithIf)
        .split(in_block_x, tile_x, in_tile_x, st.tile, TailStrategy::GuardWithIf)
        .split(st.row, block_y, in_block_y, knobs.p_strip * st.tile, TailStrategy::GuardWithIf)
        .split(in_block_y, tile_y, in_tile_y, st.tile, TailStrategy::GuardWithIf)
        .split(st.k, strip, in_strip, strip_channels, TailStrategy::GuardWithIf)
        .split(in_strip, vector, lane, knobs.lanes, TailStrategy::GuardWithIf)
        .reorder({lane, in_tile_x, in_tile_y, vector, tile_x, tile_y, strip, st.g, block_x, block_y, st.n})
        .vectorize(lane, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(in_tile_x)
        .unroll(in_tile_y)
        .fuse(block_x, block_y, task)
        .fuse(task, st.n, task)
        .parallel(task);

    // Planes of the transformed block are padded so that the stores of a tile do not all fall into the same sets of L1.
    st.transformed.compute_at(st.output, task)
        .store_in(MemoryType::Heap)
        .align_storage(st.c, scratch_alignment(knobs))
        .bound_extent(st.x, tiles)
        .reorder(st.i, st.j, st.c, st.x)
        .vectorize(st.c, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(st.i)
        .unroll(st.j);
    st.half_transformed.compute_at(st.transformed, st.c).vectorize(st.c, knobs.lanes, TailStrategy::GuardWithIf).unroll(st.i).unroll(st.j);

    Var panel("panel"), in_panel("in_panel"), pixels("pixels"), in_pixels("in_pixels");
    st.products.compute_at(st.output, strip)
        .store_in(MemoryType::Heap)
        .align_bounds(st.k, panel_channels)
        .bound_extent(st.x, tiles)
        .split(st.k, panel, in_panel, panel_channels, TailStrategy::RoundUp)
        .split(st.x, pixels, in_pixels, knobs.q_tile, TailStrategy::ShiftInwards)
        .reorder(in_panel, in_pixels, pixels, panel, st.j, st.i)
        .vectorize(in_panel, knobs.lanes)
        .unroll(in_panel)
        .unroll(in_pixels);
    register_tile(st, st.acc, st.sum.x, LoopLevel(st.products, pixels), knobs);

    st.half_restored.compute_at(st.output, vector).vectorize(st.k, knobs.lanes).unroll(st.i).unroll(st.j);
    st.restored.compute_at(st.output, vector).vectorize(st.k, knobs.lanes).unroll(st.i).unroll(st.j);
}

}  // namespace sepal
