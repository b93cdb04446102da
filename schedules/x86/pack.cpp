#include "schedules.h"

using namespace Halide;

namespace sepal {

// Two channels at a time are next to each other on both sides.
void schedule_pack_lanes_x86(PackStages &st, const Target &) {
    Var task("task");
    st.packed.fuse(st.b, st.g, task).parallel(task);
}

// Channels are next to each other in the filter and output channels in a panel, so that one of the two goes with a stride: vectors of a panel
// are written whole, and gathered from as many filters; of each of these 64 channels in turn, 4 cache lines, which L1 keeps meanwhile.
void schedule_pack_panels_x86(PackStages &st, const Target &target) {
    const int lanes = target.natural_vector_size<float>(), kept_channels = 64;
    Var task("task"), block("block"), in_block("in_block"), lane("lane");
    st.packed.split(st.c, block, in_block, kept_channels, TailStrategy::GuardWithIf)
        .reorder(st.i, in_block, block, st.t, st.b, st.g)
        .fuse(st.b, st.g, task)
        .parallel(task);
    // Panels that are no whole vectors: those of kernels whose one panel holds all output channels.
    st.packed.specialize(st.packed.output_buffer().dim(0).extent() % lanes == 0)
        .split(st.i, st.i, lane, lanes, TailStrategy::RoundUp)
        .reorder(lane, in_block, st.i, block, st.t)
        .vectorize(lane);
}

// All points of a vector of output channels from its 9 taps at a time. Panels are whole vectors of kernels, of which the narrowest have 4 lanes.
void schedule_pack_winograd_x86(PackStages &st, const Target &) {
    constexpr int lanes = 4;
    Var task("task"), lane("lane");
    st.packed.bound(st.t, 0, st.points * st.points)
        .split(st.i, st.i, lane, lanes, TailStrategy::RoundUp)
        .reorder(lane, st.t, st.i, st.c, st.b, st.g)
        .vectorize(lane)
        .unroll(st.t)
        .fuse(st.b, st.g, task)
        .parallel(task);
    st.half.compute_at(st.packed, st.i).vectorize(st.i).unroll(st.row).unroll(st.t);
    st.taps.compute_at(st.packed, st.i).vectorize(st.i).unroll(st.t);
}

}  // namespace sepal
