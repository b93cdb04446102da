// Packing filters into the layouts that kernels read (runtime/filter_layout.h). One function serves every shape and panel: it takes both
// from its buffers. runtime/packed_weights.cpp calls it.
#include "pack_stages.h"
#include "runtime/filter_layout.h"
#include "runtime/winograd.h"
#include "schedules/x86/schedules.h"

using namespace Halide;

namespace sepal {
namespace {

template<typename Derived>
class PackGenerator : public Generator<Derived> {
public:
    GeneratorInput<Buffer<float, 4>> filter{"filter"};    // (c, taps, k / groups, g)
    GeneratorOutput<Buffer<void, 5>> packed{"packed"};    // (panel, c, taps or points, panels, g)
    GeneratorParam<Type> dtype{"dtype", Float(32)};       // of the packed filter: float32 or float16, rounded to nearest even

    void configure() { packed.set_type(dtype); }

protected:
    PackStages stages;

    // Of output channel i of panel b; zeros beyond the last one.
    Expr value(const Expr &tap) {
        const Range all;
        Func inside = BoundaryConditions::constant_exterior(filter, 0.0f, {all, all, {0, filter.dim(2).extent()}, all});
        return inside(stages.c, tap, stages.b * packed.dim(0).extent() + stages.i, stages.g);
    }

    void from_zero() {
        for (int i = 0; i < 4; i++) filter.dim(i).set_min(0);
        for (int i = 0; i < 5; i++) packed.dim(i).set_min(0);
    }
};

}  // namespace

class PackPanelsGenerator : public PackGenerator<PackPanelsGenerator> {
public:
    void generate() {
        PackStages &st = stages;
        from_zero();
        packed(st.i, st.c, st.t, st.b, st.g) = cast(dtype, value(st.t));
        st.packed = packed;
    }
    void schedule() { schedule_pack_panels_x86(stages, get_target()); }
};

// G g G^T of 3 x 3 filters g, in double precision in the order of the sums below, rounded once.
class PackWinogradGenerator : public PackGenerator<PackWinogradGenerator> {
public:
    GeneratorParam<int> winograd{"winograd", 4};  // outputs of a tile in each direction

    void generate() {
        PackStages &st = stages;
        from_zero();
        const WinogradMatrices &matrices = winograd_matrices(winograd);
        const int n = st.points = matrices.n;
        packed.dim(2).set_extent(n * n);
        st.taps = Func("taps");
        st.taps(st.i, st.c, st.t, st.b, st.g) = cast<double>(value(st.t));

        const auto point_of = [&](int i, const auto &tap) {  // row i of G times a vector
            Expr sum;
            for (int j = 0; j < winograd_taps; j++) {
                const double a = matrices.g[size_t(i * winograd_taps + j)];
                if (a == 0) continue;
                const Expr term = Expr(a) * tap(j);
                sum = sum.defined() ? sum + term : term;
            }
            return strict_float(sum);
        };
        std::vector<Expr> of_columns, of_rows;
        for (int i = 0; i < n; i++)
            of_columns.push_back(point_of(i, [&](int column) { return st.taps(st.i, st.c, st.row * winograd_taps + column, st.b, st.g); }));
        st.half = Func("half");
        st.half(st.i, st.c, st.row, st.t, st.b, st.g) = mux(st.t, of_columns);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                of_rows.push_back(point_of(j, [&](int row) { return st.half(st.i, st.c, row, i, st.b, st.g); }));
        packed(st.i, st.c, st.t, st.b, st.g) = cast(dtype, mux(st.t, of_rows));
        st.packed = packed;
    }
    void schedule() { schedule_pack_winograd_x86(stages, get_target()); }
};

// The words that the lanes of a warp multiply by (FilterLayout::Kind::lanes), which are in the order of a packed filter's first two dimensions
// taken together.
class PackLanesGenerator : public PackGenerator<PackLanesGenerator> {
public:
    void generate() {
        PackStages &st = stages;
        from_zero();
        const Expr panel = packed.dim(0).extent(), i = st.c * panel + st.i;
        const Expr word = i / 2 % 4, lane = i / 8 % 32, half = i / 256 % 2, tile = i / 512 % (panel / int(FilterLayout::lanes_tile));
        const Expr channel = st.c / int(FilterLayout::lanes_step) * int(FilterLayout::lanes_step) + lane % 4 * 8 + half * 4 + word / 2 * 2 + i % 2;
        const Expr output = st.b * panel + tile / 4 * 64 + lane / 4 * 8 + tile % 4 * 2 + word % 2;
        const Range all;
        const Func inside = BoundaryConditions::constant_exterior(filter, 0.0f, {{0, filter.dim(0).extent()}, all, {0, filter.dim(2).extent()}, all});
        packed(st.i, st.c, st.t, st.b, st.g) = cast(dtype, inside(channel, st.t, output, st.g));
        st.packed = packed;
    }
    void schedule() { schedule_pack_lanes_x86(stages, get_target()); }
};

}  // namespace sepal

HALIDE_REGISTER_GENERATOR(sepal::PackLanesGenerator, pack_lanes)
HALIDE_REGISTER_GENERATOR(sepal::PackPanelsGenerator, pack_panels)
HALIDE_REGISTER_GENERATOR(sepal::PackWinogradGenerator, pack_winograd)
