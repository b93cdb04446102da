#include "conv_generator.h"

namespace sepal {

// mid = mid_activation(mid_bias + depthwise_conv(input, filter)); output = activation(bias + pointwise_filter * mid [+ skip]).
class DepsepGenerator : public ConvGenerator<DepsepGenerator> {
public:
    Input<Buffer<void, 4>> input{"input"};                         // (c, w, h, n)
    Input<Buffer<void, 3>> filter{"filter"};                       // (c * multiplier, s, r)
    Input<Buffer<float, 1>> mid_bias{"mid_bias"};                  // (c * multiplier)
    Input<Buffer<void, 3>> pointwise_filter{"pointwise_filter"};   // (panel, c * multiplier, panels)
    Input<Buffer<float, 1>> bias{"bias"};                          // (k up to whole panels)
    GeometryInputs geo;
    Input<int32_t> multiplier_in{"multiplier_in"};
    Input<int32_t> mid_activation_in{"mid_activation_in"};
    Input<int32_t> activation_in{"activation_in"};
    Output<Buffer<void, 4>> output{"output"};                      // (k, q, p, n)

    void configure() {
        store_as_dtype(input, filter, pointwise_filter, output);
        add_residual(4);
    }

    void generate() {
        ConvStages &st = stages;
        const int mids = times(c, multiplier);
        image(input, {c, w, h, at_run_time}, c_vector);
        dense(filter, {mids, s, r}, c_vector);
        dense(mid_bias, {mids}, c_vector);
        dense(pointwise_filter, {panel_extent(k), mids, panels(k)}, k_tile);
        dense(bias, {padded_to_panels(k)}, k_tile);
        image(output, {k, q, p, at_run_time}, k_tile);
        residual_image({k, q, p, at_run_time});
        st.channels = fixed_or(mids, filter.dim(0).extent());
        const auto mid_within = [&](const Halide::Func &f) { return channels_within(f, 0, mids, st.channels, c_vector, c_block); };
        const Halide::Func in = channels_within(input, 0, mids, fixed_or(c, input.dim(0).extent()), c_vector, c_block);
        const Halide::Expr columns = fixed_or(w, input.dim(1).extent()), rows = fixed_or(h, input.dim(2).extent());
        st.padded = pad(in, 1, columns, rows);
        if (in_planes()) put_phases_apart(st, input, columns, rows, geometry(geo), reads_under_masks());
        accumulate_depthwise(st, mid_within(filter), mid_within(mid_bias), fixed_or(r, filter.dim(2).extent()), fixed_or(s, filter.dim(1).extent()),
                             geometry(geo), fixed_or(multiplier, multiplier_in));
        st.mid = Func("mid");
        st.mid(st.k, st.x, st.y, st.n) = stored(activate(st.depthwise(st.k, st.x, st.y, st.n), fixed_or(mid_activation, mid_activation_in)));
        st.source = st.mid;
        accumulate_pointwise(st, channels_within(pointwise_filter, 1, mids, st.channels, 1, c_block), bias, panel);
        output(st.k, st.x, st.y, st.n) =
            stored(epilogue(st.acc(st.k, st.x, st.y, st.n), residual_at({st.k, st.x, st.y, st.n}), fixed_or(activation, activation_in)));
        st.output = output;
    }

    void hand_over(const GpuSchedule &knobs) { schedule_depsep_gpu(stages, knobs); }

    void hand_over_planes(const NchwSchedule &knobs) {
        schedule_depsep_nchw(stages, knobs);
        if (w == at_run_time) return;
        const int columns = (knobs.q_strip - 1) * stride_w + (s - 1) * dilation_w + 1, tiles = (knobs.q_strip + knobs.mid_q_tile - 1) / knobs.mid_q_tile;
        fetch_planes_ahead(knobs, "mid.s0.k", ".xo", rows_met(knobs.p_strip), std::min(columns, int(w)), int(w), knobs.p_strip / knobs.p_tile * tiles);
    }

    void hand_over(const Schedule &knobs) {
        schedule_depsep_x86(stages, knobs, get_target());
        fetch_panels_ahead(knobs, "pointwise_filter", times(c, multiplier), 1, 1, knobs.p_strip * (knobs.q_strip / knobs.q_tile));
        fetch_strips_ahead(knobs);
    }

    // Knob read_ahead.
    void fetch_strips_ahead(const Schedule &knobs) {
        if (knobs.read_ahead < 2 || h == at_run_time || w == at_run_time || c == at_run_time || k == at_run_time) return;
        const int rows = (knobs.p_strip - 1) * stride_h + (r - 1) * dilation_h + 1, columns = (knobs.q_strip - 1) * stride_w + (s - 1) * dilation_w + 1;
        const int tiles = panels(k) * knobs.p_strip * (knobs.q_strip / knobs.q_tile), steps = std::max(1, times(c, multiplier) / knobs.c_unroll);
        get_pipeline().add_custom_lowering_pass(new StripAhead({".x.strip", ".panel", "sum$x", "input", rows, columns * c, times(w, c), tiles * steps}));
    }

    void estimate() {
        const int m = estimate_or(multiplier, 1), mids = estimate_or(c, 128) * m, ks = estimate_or(k, 128);
        estimate_extents(input, {estimate_or(c, 128), estimate_or(w, 224), estimate_or(h, 224), 1});
        estimate_extents(filter, {mids, estimate_or(s, 3), estimate_or(r, 3)});
        estimate_extents(mid_bias, {mids});
        estimate_extents(pointwise_filter, {ks, mids, 1});
        estimate_extents(bias, {ks});
        estimate_extents(output, {ks, estimate_or(q, 224), estimate_or(p, 224), 1});
        estimate_residual({ks, estimate_or(q, 224), estimate_or(p, 224), 1});
        estimate_geometry(geo);
        multiplier_in.set_estimate(m);
        mid_activation_in.set_estimate(estimate_or(mid_activation, 0));
        activation_in.set_estimate(estimate_or(activation, 0));
    }
};

}  // namespace sepal

HALIDE_REGISTER_GENERATOR(sepal::DepsepGenerator, depsep)
