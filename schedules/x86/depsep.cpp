#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// The depthwise half of a strip of output, all channels, goes into scratch memory that stays in L1 or L2, then every panel of
// the pointwise filter runs over it. Nothing is computed twice.
void schedule_depsep_x86(ConvStages &st, const Schedule &knobs, const Target &target) {
    const OutputLoops loops = tile_rows(st, knobs);
    accumulate_in_registers(st, loops, knobs, target);

    Schedule taps = knobs;
    taps.q_tile = knobs.mid_q_tile;
    Var dko("dko"), dki("dki"), dxo("dxo"), dxi("dxi"), dyo("dyo"), dyi("dyi");
    st.mid.compute_at(st.output, loops.strip)
        .hoist_storage(st.output, loops.task)
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
