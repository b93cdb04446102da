#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// As pointwise, tap by tap: st.source is the input that a tap meets, pixel by pixel of the output, so that stride, dilation and padding are dealt
// with while it is copied. Or, once for all taps, what all of a block's pixels meet of c_block channels is copied.
void schedule_conv2d_gpu(ConvStages &st, const GpuSchedule &knobs) {
    const ThreadLoops loops;
    const Var block = tile_blocks(st, loops, knobs);
    const SumLoops sum = accumulate_in_registers(st, loops, block, knobs);
    if (knobs.staging == 1) {
        share_out(st.source, LoopLevel(st.acc, sum.blocks), {{st.c, knobs.c_block}, {st.x, block_columns(knobs)}, {st.y, block_rows(knobs)}}, knobs.c_vector, knobs);
        operand_in_registers(st, st.source, sum, knobs);
        return;
    }
    const int columns = int(*Internal::as_const_int(st.met_columns(block_columns(knobs)))), rows = int(*Internal::as_const_int(st.met_rows(block_rows(knobs))));
    const std::vector<Var> at = st.padded.args();  // as (c, g, x, y, n)
    share_out(st.padded, LoopLevel(st.acc, sum.blocks), {{at[0], knobs.c_block}, {at[2], columns}, {at[3], rows}}, knobs.c_vector, knobs);
    st.padded.align_storage(at[0], pixel_in_shared_memory(knobs));
    registers_of(st, st.source, sum, knobs);
}

}  // namespace sepal
