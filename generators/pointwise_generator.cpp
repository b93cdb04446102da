#include "conv_generator.h"

#include "passes/read_ahead.h"

#include <algorithm>

namespace sepal {

// output = activation(bias + filter * input [+ skip]) for each pixel: a matrix product. The pixels of all images are one dimension.
class PointwiseGenerator : public ConvGenerator<PointwiseGenerator> {
public:
    Input<Buffer<void, 2>> input{"input"};         // (c, pixels)
    Input<Buffer<void, 3>> filter{"filter"};       // (panel, c, panels)
    Input<Buffer<float, 1>> bias{"bias"};          // (k up to whole panels)
    Input<int32_t> activation_in{"activation_in"};
    Output<Buffer<void, 2>> output{"output"};      // (k, pixels)

    void configure() {
        store_as_dtype(input, filter, output);
        add_residual(2);
    }

    void generate() {
        ConvStages &st = stages;
        image(input, {c, at_run_time}, c_vector);
        dense(filter, {panel_extent(k), c, panels(k)}, k_tile);
        dense(bias, {padded_to_panels(k)}, k_tile);
        image(output, {k, at_run_time}, k_tile);
        residual_image({k, at_run_time});
        st.channels = fixed_or(c, input.dim(0).extent());
        st.source = channels_within(input, 0, c, st.channels, c_vector, c_block);
        // A GPU's tile at the end has pixels beyond the last one, which nobody keeps.
        if (for_gpu()) st.source = within(st.source, 1, input.dim(1).extent(), 1);
        accumulate_pointwise(st, channels_within(filter, 1, c, st.channels, 1, c_block), bias, panel);
        output(st.k, st.x) = stored(epilogue(st.acc(st.k, st.x), residual_at({st.k, st.x}), fixed_or(activation, activation_in)));
        st.output = output;
    }

    void hand_over(const GpuSchedule &knobs) { schedule_pointwise_gpu(stages, knobs); }

    void hand_over(const Schedule &knobs) {
        schedule_pointwise_x86(stages, knobs, get_target());
        fetch_panels_ahead(knobs, "filter", c, 1, 1, knobs.q_strip / knobs.q_tile);
        if (knobs.read_ahead < 2 || c == at_run_time || k == at_run_time) return;
        // All steps of all panels together go through the next tile once.
        constexpr int line = 16;
        const int floats_per_step = std::clamp(knobs.q_tile * knobs.c_unroll / panels(k), 1, line);
        const Halide::Expr pixels = Halide::Internal::Variable::make(Halide::Int(32), "input.extent.1");
        get_pipeline().add_custom_lowering_pass(new ReadAhead({"sum$x", ".panel", "input", knobs.q_tile * c, floats_per_step, pixels * int(c)}));
    }

    void estimate() {
        const int cs = estimate_or(c, 128), ks = estimate_or(k, 128);
        const int pixels = estimate_or(p, 224) * estimate_or(q, 224);
        estimate_extents(input, {cs, pixels});
        estimate_extents(filter, {ks, cs, 1});
        estimate_extents(bias, {ks});
        estimate_extents(output, {ks, pixels});
        estimate_residual({ks, pixels});
        activation_in.set_estimate(estimate_or(activation, 0));
    }
};

}  // namespace sepal

HALIDE_REGISTER_GENERATOR(sepal::PointwiseGenerator, pointwise)
