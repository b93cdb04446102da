#include "conv_stages.h"

#include <functional>

using namespace Halide;

namespace sepal {
namespace {

Expr column(const ConvStages &st, const Expr &s, const Geometry &geo) { return st.x * geo.stride_w + s * geo.dilation_w - geo.pad_left; }
Expr row(const ConvStages &st, const Expr &r, const Geometry &geo) { return st.y * geo.stride_h + r * geo.dilation_h - geo.pad_top; }


// What the tap (s, r) of the output's pixel (x, y) meets, of the channel (and group) that the indices begin with.
Expr met(const ConvStages &st, std::vector<Expr> at, const Expr &s, const Expr &r, const Geometry &geo) {
    if (!st.phases.defined()) {
        at.insert(at.end(), {column(st, s, geo), row(st, r, geo), Expr(st.n)});
        return st.padded(at);
    }
    const Expr tap = s * geo.dilation_w;
    at.insert(at.end(), {st.x + tap / geo.stride_w, tap % geo.stride_w, row(st, r, geo), Expr(st.n)});
    return st.phases(at);
}

// Of the name, (args): input(at), where `inside` says so, else `otherwise`. Not select(), which would read the input everywhere, element by element: by a mask
// the vectors at an edge are read as those within are. `at` promises what `inside` asks for: the promise of Halide's own tails, which is forgotten
// before vectors are made (under a mask unsafe_promise_clamped() would keep them from being made).
Func copy_inside(const std::string &name, const std::vector<Var> &args, const Func &input, const std::vector<Expr> &at, const Expr &inside,
                 const Expr &otherwise) {
    Func copy(name);
    copy(args) = otherwise;
    RDom once(0, 1, "once");
    once.where(inside);
    std::vector<Expr> read = at;
    read.back() += once;
    copy(args) = input(read);
    return copy;
}

}  // namespace

Expr ConvStages::met_columns(int outputs) const { return Internal::simplify((outputs - 1) * geometry.stride_w + (sum.y.extent() - 1) * geometry.dilation_w + 1); }
Expr ConvStages::met_rows(int outputs) const { return Internal::simplify((outputs - 1) * geometry.stride_h + (sum.z.extent() - 1) * geometry.dilation_h + 1); }

void put_phases_apart(ConvStages &st, const Func &input, const Expr &w, const Expr &h, const Geometry &geo, bool masked) {
    std::vector<Var> args = {st.c};
    if (input.dimensions() == 5) args.push_back(st.g);
    std::vector<Expr> at(args.begin(), args.end());
    args.insert(args.end(), {st.x, st.phase, st.y, st.n});
    const Expr column = st.x * geo.stride_w + st.phase - geo.pad_left, zero = cast(input.type(), 0.0f);
    const Expr column_inside = column >= 0 && column < w, row_inside = st.y >= 0 && st.y < h;
    if (masked) {
        // Halide makes of a vector of columns that lie apart a few whole loads before any pass sees it.
        _halide_user_assert(Internal::is_const_one(geo.stride_w)) << "the input is read in place with stride_w 1 only, not " << geo.stride_w;
        at.insert(at.end(), {Internal::promise_clamped(column, 0, w - 1), clamp(st.y, 0, h - 1), Expr(st.n)});
        st.phases = Func("phases");
        st.phases(args) = select(column_inside && row_inside, input(at), zero);
        return;
    }
    at.insert(at.end(), {Internal::promise_clamped(column, 0, w - 1), Internal::promise_clamped(st.y, 0, h - 1), Expr(st.n)});
    st.phases = copy_inside("phases", args, input, at, likely(column_inside) && row_inside, zero);
}

Func staged_pixels(const ConvStages &st, const Func &input, const Expr &pixels) {
    return copy_inside("staged", {st.c, st.x, st.n}, input, {st.c, Internal::promise_clamped(st.x, 0, pixels - 1), st.n}, likely(st.x < pixels),
                       undef(input.type()));
}

Func pad(const Func &input, int x_dim, const Expr &w, const Expr &h) {
    Region bounds(input.dimensions());
    bounds[x_dim] = {0, w};
    bounds[x_dim + 1] = {0, h};
    return BoundaryConditions::constant_exterior(input, cast(input.type(), 0.0f), bounds);
}

namespace {

// (args): input(args), but for its dimension `dim`.
Func moved(const Func &input, int dim, const std::function<Expr(const Var &)> &index) {
    std::vector<Var> args(size_t(input.dimensions()));
    std::vector<Expr> at(args.begin(), args.end());
    at[size_t(dim)] = index(args[size_t(dim)]);
    Func out("within");
    out(args) = input(at);
    return out;
}

}  // namespace

Func within(const Func &input, int dim, const Expr &extent, int vector) {
    return moved(input, dim, [&](const Var &v) { return clamp(v / vector, 0, extent / vector - 1) * vector + v % vector; });
}

Func promised_within(const Func &input, int dim, const Expr &extent) {
    return moved(input, dim, [&](const Var &v) { return Internal::promise_clamped(v, 0, extent - 1); });
}

Expr activate(const Expr &value, const Expr &activation, bool in_order) {
    const auto is = [&](Activation a) { return activation == int(a); };
    const Expr clipped = min(max(value, 0.0f), 6.0f);
    const Expr shifted = in_order ? strict_float(value + 3.0f) : value + 3.0f;
    const Expr hardswish = value * min(max(shifted, 0.0f), 6.0f) * (1.0f / 6.0f);
    if (const auto constant = Internal::as_const_int(activation)) {
        switch (Activation(*constant)) {
        case Activation::none: return value;
        case Activation::relu: return max(value, 0.0f);
        case Activation::relu6: return clipped;
        case Activation::hardswish: return hardswish;
        }
    }
    return select(is(Activation::none), value, is(Activation::relu), max(value, 0.0f), is(Activation::relu6), clipped, hardswish);
}

Expr epilogue(const Expr &sum, const Expr &residual, const Expr &activation, bool in_order) {
    return activate(residual.defined() ? sum + cast<float>(residual) : sum, activation, in_order);
}

void accumulate_depthwise(ConvStages &st, const Func &filter, const Func &bias, const Expr &r, const Expr &s, const Geometry &geo,
                          const Expr &multiplier) {
    st.depthwise_filter = filter;
    st.taps = RDom(0, s, 0, r, "taps");
    st.depthwise = Func("depthwise");
    st.depthwise(st.k, st.x, st.y, st.n) = bias(st.k);
    st.depthwise(st.k, st.x, st.y, st.n) +=
        cast<float>(filter(st.k, st.taps.x, st.taps.y)) *
        cast<float>(met(st, {st.k / multiplier}, st.taps.x, st.taps.y, geo));
}

void accumulate_pointwise(ConvStages &st, const Func &filter, const Func &bias, int panel) {
    st.filter = filter;
    st.sum = RDom(0, st.channels, "sum");
    st.acc = Func("acc");
    std::vector<Var> at = {st.x};
    if (st.source.dimensions() == 3) at = {st.x, st.n};
    if (st.source.dimensions() == 4) at = {st.x, st.y, st.n};
    std::vector<Expr> source_at = {st.sum.x};
    std::vector<Var> acc_at = {st.k};
    source_at.insert(source_at.end(), at.begin(), at.end());
    acc_at.insert(acc_at.end(), at.begin(), at.end());
    st.acc(acc_at) = bias(st.k);
    st.acc(acc_at) += cast<float>(panel ? filter(st.k % panel, st.sum.x, st.k / panel) : filter(st.k, st.sum.x, 0)) * cast<float>(st.source(source_at));
}

void accumulate_conv(ConvStages &st, const Func &filter, const Func &bias, const Expr &r, const Expr &s, const Geometry &geo,
                     int panel) {
    st.filter = filter;
    st.geometry = geo;
    st.source = st.padded;
    st.sum = RDom(0, st.channels, 0, s, 0, r, "sum");
    st.acc = Func("acc");
    const RDom &t = st.sum;
    Expr input = met(st, {t.x, st.g}, t.y, t.z, geo);
    if (st.tap_by_tap || st.phases.defined()) {
        Var s("s"), r("r");
        st.source = Func("tap");
        st.source(st.c, st.g, st.x, st.y, st.n, s, r) = met(st, {st.c, st.g}, s, r, geo);
        input = st.source(t.x, st.g, st.x, st.y, st.n, t.y, t.z);
    }
    st.acc(st.k, st.g, st.x, st.y, st.n) = bias(st.k, st.g);
    st.acc(st.k, st.g, st.x, st.y, st.n) +=
        cast<float>(panel ? filter(st.k % panel, t.x, t.y, t.z, st.k / panel, st.g) : filter(st.k, t.x, t.y, t.z, 0, st.g)) *
        cast<float>(input);
}

}  // namespace sepal
