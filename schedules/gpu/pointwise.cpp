#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// Input and filter go through shared memory, c_block channels of all pixels and output channels of a block at a time.
void schedule_pointwise_gpu(ConvStages &st, const GpuSchedule &knobs) {
    const ThreadLoops loops;
    const Var block = tile_blocks(st, loops, knobs);
    const SumLoops sum = accumulate_in_registers(st, loops, block, knobs);
    const std::vector<Var> at = st.source.args();
    share_out(st.source, LoopLevel(st.acc, sum.blocks), {{at[0], knobs.c_block}, {at[1], block_columns(knobs)}}, knobs.c_vector, knobs);
    st.ahead.push_back(st.source.name());
    operand_in_registers(st, st.source, sum, knobs);
}

}  // namespace sepal
