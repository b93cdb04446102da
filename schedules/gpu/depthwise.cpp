#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// Each thread keeps a tile of k_tile channels x q_tile x p_tile pixels in registers; what its taps read is loaded once.
void schedule_depthwise_gpu(ConvStages &st, const GpuSchedule &knobs) {
    const ThreadLoops loops;
    tile_blocks(st, loops, knobs);
    accumulate_taps_in_registers(st, LoopLevel(st.output, loops.k_thread), knobs.k_tile, knobs.q_tile, knobs.p_tile);
}

}  // namespace sepal
