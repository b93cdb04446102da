#include "conv_generator.h"

namespace sepal {

// output = activation(bias + conv(input, filter) [+ skip]), r x s, any stride, dilation, padding and groups.
class Conv2dGenerator : public ConvGenerator<Conv2dGenerator> {
public:
    Input<Buffer<void, 5>> input{"input"};         // (c / groups, g, w, h, n)
    Input<Buffer<void, 6>> filter{"filter"};       // (panel, c / groups, s, r, panels, g)
    Input<Buffer<float, 2>> bias{"bias"};          // (k / groups up to whole panels, g)
    GeometryInputs geo;
    Input<int32_t> activation_in{"activation_in"};
    Output<Buffer<void, 5>> output{"output"};      // (k / groups, g, q, p, n)

    void configure() {
        store_as_dtype(input, filter, output);
        add_residual(5);
    }

    void generate() {
        ConvStages &st = stages;
        const int kg = over(k, groups), cg = over(c, groups);
        image(input, {cg, groups, w, h, at_run_time}, c_vector);
        dense(filter, {panel_extent(kg), cg, s, r, panels(kg), groups}, k_tile);
        dense(bias, {padded_to_panels(kg), groups}, k_tile);
        image(output, {kg, groups, q, p, at_run_time}, k_tile);
        residual_image({kg, groups, q, p, at_run_time});
        st.tap_by_tap = for_gpu();
        st.channels = fixed_or(cg, input.dim(0).extent());
        const Halide::Expr columns = fixed_or(w, input.dim(2).extent()), rows = fixed_or(h, input.dim(3).extent());
        st.padded = pad(channels_within(input, 0, cg, st.channels, c_vector, c_block), 2, columns, rows);
        Geometry taps = geometry(geo);
        if (in_planes()) {
            put_phases_apart(st, input, columns, rows, taps, false);
        } else if (r == 1 && s == 1) {  // of a 1x1 filter's input only the pixels that the stride meets, so that a copy has no others
            Func met("met");
            met(st.c, st.g, st.x, st.y, st.n) =
                st.padded(st.c, st.g, st.x * taps.stride_w - taps.pad_left, st.y * taps.stride_h - taps.pad_top, st.n);
            st.padded = met;
            taps = {1, 1, 1, 1, 0, 0};
        }
        accumulate_conv(st, channels_within(filter, 1, cg, st.channels, 1, c_block), bias, fixed_or(r, filter.dim(3).extent()),
                        fixed_or(s, filter.dim(2).extent()), taps, panel);
        output(st.k, st.g, st.x, st.y, st.n) =
            stored(epilogue(st.acc(st.k, st.g, st.x, st.y, st.n), residual_at({st.k, st.g, st.x, st.y, st.n}), fixed_or(activation, activation_in)));
        st.output = output;
    }

    void hand_over(const GpuSchedule &knobs) { schedule_conv2d_gpu(stages, knobs); }

    void hand_over_planes(const NchwSchedule &knobs) { schedule_conv2d_nchw(stages, knobs); }

    void hand_over(const Schedule &knobs) {
        schedule_conv2d_x86(stages, knobs, get_target());
        fetch_panels_ahead(knobs, "filter", over(c, groups), r, s, knobs.p_strip * (knobs.q_strip / knobs.q_tile));
    }

    void estimate() {
        const int cg = estimate_or(over(c, groups), 128), kg = estimate_or(over(k, groups), 128), gs = estimate_or(groups, 1);
        const int rows = estimate_or(r, 3), columns = estimate_or(s, 3);
        estimate_extents(input, {cg, gs, estimate_or(w, 224), estimate_or(h, 224), 1});
        estimate_extents(filter, {kg, cg, columns, rows, 1, gs});
        estimate_extents(bias, {kg, gs});
        estimate_extents(output, {kg, gs, estimate_or(q, 224), estimate_or(p, 224), 1});
        estimate_residual({kg, gs, estimate_or(q, 224), estimate_or(p, 224), 1});
        estimate_geometry(geo);
        activation_in.set_estimate(estimate_or(activation, 0));
    }
};

}  // namespace sepal

HALIDE_REGISTER_GENERATOR(sepal::Conv2dGenerator, conv2d)
