#include "conv_generator.h"

#include "passes/read_ahead.h"

#include <algorithm>

namespace sepal {

// output = activation(bias + filter * input [+ skip]) for each pixel: a matrix product. The pixels of all images are one dimension; of NCHW those
// of one image are.
class PointwiseGenerator : public ConvGenerator<PointwiseGenerator> {
public:
    Input<Buffer<>> input{"input"};                // (c, pixels); NCHW: (c, pixels, n)
    Input<Buffer<void, 3>> filter{"filter"};       // (panel, c, panels)
    Input<Buffer<float, 1>> bias{"bias"};          // (k up to whole panels)
    Input<int32_t> activation_in{"activation_in"};
    Output<Buffer<>> output{"output"};             // (k, pixels); NCHW: (k, pixels, n)

    void configure() {
        store_as_dtype(input, filter, output);
        const int dimensions = layout == Layout::nchw ? 3 : 2;
        input.set_dimensions(dimensions);
        output.set_dimensions(dimensions);
        add_residual(dimensions);
    }

    void generate() {
        ConvStages &st = stages;
        const auto pixels = [&](int channels) { return layout == Layout::nchw ? std::vector<int>{channels, times(h, w), at_run_time} : std::vector<int>{channels, at_run_time}; };
        image(input, pixels(c), c_vector);
        dense(filter, {panel_extent(k), c, panels(k)}, k_tile);
        dense(bias, {padded_to_panels(k)}, k_tile);
        image(output, pixels(k), k_tile);
        residual_image(pixels(k));
        st.channels = fixed_or(c, input.dim(0).extent());
        st.source = channels_within(input, 0, c, st.channels, c_vector, c_block);
        // A GPU's tile at the end has pixels beyond the last one, which nobody keeps.
        if (for_gpu()) st.source = within(st.source, 1, input.dim(1).extent(), 1);
        if (in_planes()) st.source = staged_pixels(st, input, fixed_or(times(h, w), input.dim(1).extent()));
        accumulate_pointwise(st, channels_within(filter, 1, c, st.channels, 1, c_block), bias, panel);
        const std::vector<Halide::Var> at = st.acc.args();
        output(at) = stored(epilogue(st.acc(at), residual_at({at.begin(), at.end()}), fixed_or(activation, activation_in)));
        st.output = output;
    }

    void hand_over(const GpuSchedule &knobs) { schedule_pointwise_gpu(stages, knobs); }

    void hand_over_planes(const NchwSchedule &knobs) {
        schedule_pointwise_nchw(stages, knobs);
        if (c == at_run_time || k == at_run_time || h == at_run_time || w == at_run_time) return;
        const int steps = panels(k) * (knobs.q_strip / knobs.q_tile) * (c / knobs.c_unroll);
        fetch_planes_ahead(knobs, ".x.strip.strip", "sum$x", c, knobs.q_strip, int(h) * int(w), steps);
    }

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
