#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// As pointwise, tap by tap: st.source is the input that a tap meets, pixel by pixel of the output, so that stride, dilation and padding are dealt
// with while it is copied.
void schedule_conv2d_gpu(ConvStages &st, const GpuSchedule &knobs) {
    const ThreadLoops loops;
    const Var block = tile_blocks(st, loops, knobs);
    const RVar channels = accumulate_in_registers(st, loops, block, knobs);
    share_out(st.source, LoopLevel(st.acc, channels), {{st.c, knobs.c_block}, {st.x, block_columns(knobs)}, {st.y, block_rows(knobs)}}, knobs.c_vector, knobs);
}

}  // namespace sepal
