#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// The padded input of a strip of output is copied once into scratch memory that stays in L2, then every panel of filters runs
// over it. Inside, no tap needs a bounds test, whatever stride and padding. Without staging, the tiles at the edge of the image test
// every tap; worth it where a tap has so few channels that copying them costs more.
void schedule_conv2d_x86(ConvStages &st, const Schedule &knobs, const Target &target) {
    const OutputLoops loops = tile_rows(st, knobs);
    accumulate_in_registers(st, loops, knobs, target);

    if (knobs.staging == 1) return;
    const Var channel = st.padded.args()[0];
    st.padded.compute_at(st.output, loops.strip)
        .hoist_storage(st.output, loops.task)
        .align_storage(channel, scratch_alignment(knobs))
        .vectorize(channel, knobs.lanes, TailStrategy::GuardWithIf);
}

}  // namespace sepal
