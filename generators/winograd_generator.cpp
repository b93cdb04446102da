#include "conv_generator.h"
#include "winograd.h"

namespace sepal {

// conv2d 3x3, stride 1, dilation 1, one group, by Winograd's algorithm F(m x m, 3 x 3): see runtime/winograd.h. The output is cut into
// tiles of m x m, and these into blocks of q_strip x p_strip tiles, whose products with the filter are n^2 matrix products (n = m + 2).
// Tiles that stick out of the output are computed whole.
class WinogradGenerator : public ConvGenerator<WinogradGenerator> {
public:
    Input<Buffer<float, 5>> input{"input"};    // (c, 1, w, h, n)
    Input<Buffer<float, 5>> filter{"filter"};  // (panel, c, n, n, panels), see FilterLayout
    Input<Buffer<float, 2>> bias{"bias"};      // (k up to whole panels, 1)
    GeometryInputs geo;
    Input<int32_t> activation_in{"activation_in"};
    Output<Buffer<float, 5>> output{"output"};  // (k, 1, q, p, n)

    void configure() { add_residual(5); }

    void generate() {
        WinogradStages &st = winograd_stages;
        const WinogradMatrices &matrices = winograd_matrices(winograd);
        const int m = winograd, points = matrices.n;
        image(input, {c, 1, w, h, at_run_time});
        dense(filter, {panel_extent(k), c, points, points, panels(k)});
        dense(bias, {padded_to_panels(k), 1});
        image(output, {k, 1, q, p, at_run_time});
        residual_image({k, 1, q, p, at_run_time});
        st.tile = m;
        st.points = points;
        st.input = Func(input).value().as<Halide::Internal::Call>()->param;
        st.channels = fixed_or(c, input.dim(0).extent());
        st.padded = pad(input, 2, fixed_or(w, input.dim(2).extent()), fixed_or(h, input.dim(3).extent()));
        const Geometry taps = geometry(geo);

        // A tile of the block (bx, by): x counts along its rows.
        const int columns = q_strip, rows = p_strip;
        const Expr left = ((st.bx * columns) + st.x % columns) * m - taps.pad_left, top = ((st.by * rows) + st.x / columns) * m - taps.pad_top;
        std::vector<Expr> values;
        for (int a = 0; a < points; a++) values.push_back(st.padded(st.c, 0, left + a, top + st.j, st.n));
        st.half_transformed = Func("half_transformed");
        st.half_transformed(st.c, st.i, st.j, st.x, st.bx, st.by, st.n) = mux(st.i, matrix_times(matrices.b_t, values));
        values.clear();
        for (int a = 0; a < points; a++) values.push_back(st.half_transformed(st.c, st.i, a, st.x, st.bx, st.by, st.n));
        st.transformed = Func("transformed");
        st.transformed(st.c, st.x, st.i, st.j, st.bx, st.by, st.n) = mux(st.j, matrix_times(matrices.b_t, values));

        st.filter = filter;
        st.source = st.transformed;
        st.sum = RDom(0, st.channels, "sum");
        st.acc = Func("acc");
        st.acc(st.k, st.x, st.i, st.j, st.bx, st.by, st.n) = 0.0f;
        st.acc(st.k, st.x, st.i, st.j, st.bx, st.by, st.n) +=
            filter(st.k % panel, st.sum.x, st.j, st.i, st.k / panel) * st.transformed(st.sum.x, st.x, st.i, st.j, st.bx, st.by, st.n);
        st.products = Func("products");
        st.products(st.k, st.x, st.i, st.j, st.bx, st.by, st.n) = st.acc(st.k, st.x, st.i, st.j, st.bx, st.by, st.n);

        // Of the tile (tx, ty) of the whole output.
        const Expr in_block = st.tx % columns + st.ty % rows * columns;
        values.clear();
        for (int a = 0; a < points; a++) values.push_back(st.products(st.k, in_block, a, st.j, st.tx / columns, st.ty / rows, st.n));
        st.half_restored = Func("half_restored");
        st.half_restored(st.k, st.i, st.j, st.tx, st.ty, st.n) = mux(st.i, matrix_times(matrices.a_t, values));
        values.clear();
        for (int a = 0; a < points; a++) values.push_back(st.half_restored(st.k, st.i, a, st.tx, st.ty, st.n));
        st.restored = Func("restored");
        st.restored(st.k, st.i, st.j, st.tx, st.ty, st.n) = mux(st.j, matrix_times(matrices.a_t, values));

        const Expr value = st.restored(st.k, st.column % m, st.row % m, st.column / m, st.row / m, st.n);
        output(st.k, st.g, st.column, st.row, st.n) =
            epilogue(value + bias(st.k, st.g), residual_at({st.k, st.g, st.column, st.row, st.n}), fixed_or(activation, activation_in));
        st.output = output;
    }

    void hand_over(const GpuSchedule &) { _halide_user_error << "Winograd's algorithm has no schedule for GPUs"; }

    void hand_over_planes(const NchwSchedule &) { _halide_user_error << "Winograd's algorithm has no schedule for NCHW"; }

    void hand_over(const Schedule &knobs) {
        schedule_winograd_x86(winograd_stages, knobs, get_target());
        if (knobs.panel_ahead < 2 || c == at_run_time) return;
        // A panel goes through its part of the filter from start to end: run by run of the channels of a product.
        const int run = times(panel, c), points = winograd_stages.points, tiles = (knobs.q_strip * knobs.p_strip + knobs.q_tile - 1) / knobs.q_tile;
        PanelAhead::Where where{"sum$x", ".j", "filter", run, run, PanelAhead::lines_for(run, tiles, c / knobs.c_unroll)};
        where.after_last = points * run;
        get_pipeline().add_custom_lowering_pass(new PanelAhead(where));
    }

    void estimate() {}

private:
    WinogradStages winograd_stages;
};

}  // namespace sepal

HALIDE_REGISTER_GENERATOR(sepal::WinogradGenerator, winograd)
