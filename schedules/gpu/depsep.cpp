#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// As pointwise, of the depthwise half: c_block channels of it at a time are computed for all pixels of a block, into shared memory. It never leaves
// the block. A thread computes mid_q_tile x mid_p_tile pixels of it, so that what several of their taps read is loaded once.
void schedule_depsep_gpu(ConvStages &st, const GpuSchedule &knobs) {
    const ThreadLoops loops;
    const Var block = tile_blocks(st, loops, knobs);
    const SumLoops sum = accumulate_in_registers(st, loops, block, knobs);
    const Var tile = share_out(st.mid, LoopLevel(st.acc, sum.blocks),
                               {{st.k, knobs.c_block}, {st.x, block_columns(knobs), knobs.mid_q_tile}, {st.y, block_rows(knobs), knobs.mid_p_tile}}, knobs.c_vector, knobs, !has_known_taps(st));
    accumulate_taps_in_registers(st, LoopLevel(st.mid, tile), knobs.c_vector, knobs.mid_q_tile, knobs.mid_p_tile);
    operand_in_registers(st, st.mid, sum, knobs);
}

}  // namespace sepal
