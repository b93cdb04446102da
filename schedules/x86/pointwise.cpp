#include "moves.h"
#include "schedules.h"

using namespace Halide;

namespace sepal {

// A matrix product. A strip of q_strip pixels stays in L1 or L2 while every panel of filters runs over it; with staging as a copy,
// whose pixels lie so that they do not fall into the same sets of L1.
void schedule_pointwise_x86(ConvStages &st, const Schedule &knobs, const Target &target) {
    const OutputLoops loops;
    Var in_panel("in_panel"), in_tile("in_tile"), any_tile("any_tile"), any_strip("any_strip");
    // The last panel is predicated, so that any number of channels works. The last tile of pixels overlaps its neighbour, so
    // that no input beyond the last pixel is read.
    const std::optional<Var> strip_of_panels = split_panels(st, loops, in_panel, knobs);
    std::vector<VarOrRVar> order = {in_panel, in_tile, loops.tile, loops.panel, loops.strip};
    if (strip_of_panels) order.push_back(*strip_of_panels);
    order.push_back(loops.task);
    st.output.split(st.x, any_tile, in_tile, knobs.q_tile, TailStrategy::ShiftInwards)
        .split(any_tile, any_strip, loops.tile, knobs.q_strip / knobs.q_tile, TailStrategy::GuardWithIf)
        .split(any_strip, loops.task, loops.strip, knobs.p_strip, TailStrategy::GuardWithIf)
        .reorder(order)
        .vectorize(in_panel, knobs.lanes, TailStrategy::GuardWithIf)
        .unroll(in_panel)
        .unroll(in_tile);
    if (strip_of_panels) st.output.fuse(*strip_of_panels, loops.task, loops.task);
    st.output.parallel(loops.task);

    if (knobs.staging == 2) {
        Func staged = st.source.in(st.acc);
        const Var channel = staged.args()[0];
        staged.compute_at(st.output, loops.strip)
            .hoist_storage(st.output, loops.task)
            .align_storage(channel, scratch_alignment(knobs))
            .vectorize(channel, knobs.lanes, TailStrategy::GuardWithIf);
        st.source = staged;
    }
    accumulate_in_registers(st, loops, knobs, target);
}

}  // namespace sepal
