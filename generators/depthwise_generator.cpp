#include "conv_generator.h"

namespace sepal {

// output = activation(bias + depthwise_conv(input, filter)), r x s, any stride, dilation, padding and channel multiplier.
class DepthwiseGenerator : public ConvGenerator<DepthwiseGenerator> {
public:
    Input<Buffer<void, 4>> input{"input"};         // (c, w, h, n)
    Input<Buffer<void, 3>> filter{"filter"};       // (c * multiplier, s, r)
    Input<Buffer<float, 1>> bias{"bias"};          // (c * multiplier)
    GeometryInputs geo;
    Input<int32_t> multiplier_in{"multiplier_in"};
    Input<int32_t> activation_in{"activation_in"};
    Output<Buffer<void, 4>> output{"output"};      // (c * multiplier, q, p, n)

    void configure() { store_as_dtype(input, filter, output); }

    void generate() {
        ConvStages &st = stages;
        const int mid = times(c, multiplier);
        image(input, {c, w, h, at_run_time}, c_vector);
        dense(filter, {mid, s, r}, k_tile);
        dense(bias, {mid}, k_tile);
        image(output, {mid, q, p, at_run_time}, k_tile);
        const int block = block_channels(gpu_knobs());
        const auto within_mid = [&](const Halide::Func &f) { return channels_promised(f, 0, mid, fixed_or(mid, filter.dim(0).extent()), block); };
        const Halide::Func in = channels_promised(input, 0, mid, fixed_or(c, input.dim(0).extent()), block);
        const Halide::Expr columns = fixed_or(w, input.dim(1).extent()), rows = fixed_or(h, input.dim(2).extent());
        st.padded = pad(in, 1, columns, rows);
        if (in_planes()) put_phases_apart(st, input, columns, rows, geometry(geo), reads_under_masks());
        accumulate_depthwise(st, within_mid(filter), within_mid(bias), fixed_or(r, filter.dim(2).extent()), fixed_or(s, filter.dim(1).extent()),
                             geometry(geo), fixed_or(multiplier, multiplier_in));
        output(st.k, st.x, st.y, st.n) = stored(activate(st.depthwise(st.k, st.x, st.y, st.n), fixed_or(activation, activation_in)));
        st.output = output;
    }

    void hand_over(const GpuSchedule &knobs) { schedule_depthwise_gpu(stages, knobs); }

    void hand_over_planes(const NchwSchedule &knobs) {
        schedule_depthwise_nchw(stages, knobs);
        if (w == at_run_time) return;
        fetch_planes_ahead(knobs, ".y.strip", ".xo", 1, knobs.p_tile * knobs.p_strip * stride_h * w, 0, knobs.p_strip * (knobs.q_strip / knobs.q_tile));
    }

    void hand_over(const Schedule &knobs) { schedule_depthwise_x86(stages, knobs, get_target()); }

    void estimate() {
        const int m = estimate_or(multiplier, 1), mid = estimate_or(c, 128) * m;
        estimate_extents(input, {estimate_or(c, 128), estimate_or(w, 224), estimate_or(h, 224), 1});
        estimate_extents(filter, {mid, estimate_or(s, 3), estimate_or(r, 3)});
        estimate_extents(bias, {mid});
        estimate_extents(output, {mid, estimate_or(q, 224), estimate_or(p, 224), 1});
        estimate_geometry(geo);
        multiplier_in.set_estimate(m);
        activation_in.set_estimate(estimate_or(activation, 0));
    }
};

}  // namespace sepal

HALIDE_REGISTER_GENERATOR(sepal::DepthwiseGenerator, depthwise)
