#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// As pointwise, of the depthwise half: c_block channels of it at a time are computed for all pixels of a block, into shared memory. It never leaves
// the block.
void schedule_depsep_gpu(ConvStages &st, const GpuSchedule &knobs) {
    const ThreadLoops loops;
    const Var block = tile_blocks(st, loops, knobs);
    const RVar channels = accumulate_in_registers(st, loops, block, knobs);
    const Var thread = share_out(st.mid, LoopLevel(st.acc, channels), {{st.k, knobs.c_block}, {st.x, block_columns(knobs)}, {st.y, block_rows(knobs)}}, knobs.c_vector, knobs);
    accumulate_taps_in_registers(st, LoopLevel(st.mid, thread), knobs.c_vector, 1, 1);
}

}  // namespace sepal
