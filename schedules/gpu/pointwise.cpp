#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// Input and filter go through shared memory, c_block channels of all pixels and output channels of a block at a time.
void schedule_pointwise_gpu(ConvStages &st, const GpuSchedule &knobs) {
    const ThreadLoops loops;
    const Var block = tile_blocks(st, loops, knobs);
    const RVar channels = accumulate_in_registers(st, loops, block, knobs);
    share_out(st.source, LoopLevel(st.acc, channels), {{st.source.args()[0], knobs.c_block}, {st.source.args()[1], block_columns(knobs)}}, knobs.c_vector, knobs);
}

}  // namespace sepal
