#include "conv_stages.h"

using namespace Halide;

namespace sepal {
namespace {

Expr column(const ConvStages &st, const Expr &s, const Geometry &geo) { return st.x * geo.stride_w + s * geo.dilation_w - geo.pad_left; }
Expr row(const ConvStages &st, const Expr &r, const Geometry &geo) { return st.y * geo.stride_h + r * geo.dilation_h - geo.pad_top; }

}  // namespace

Func pad(const Func &input, int x_dim, const Expr &w, const Expr &h) {
    Region bounds(input.dimensions());
    bounds[x_dim] = {0, w};
    bounds[x_dim + 1] = {0, h};
    return BoundaryConditions::constant_exterior(input, cast(input.type(), 0.0f), bounds);
}

Func within(const Func &input, int dim, const Expr &extent, int vector) {
    std::vector<Var> args(size_t(input.dimensions()));
    std::vector<Expr> at(args.begin(), args.end());
    const Var &v = args[size_t(dim)];
    at[size_t(dim)] = clamp(v / vector, 0, extent / vector - 1) * vector + v % vector;
    Func out("within");
    out(args) = input(at);
    return out;
}

Expr activate(const Expr &value, const Expr &activation) {
    const auto is = [&](Activation a) { return activation == int(a); };
    const Expr clipped = min(max(value, 0.0f), 6.0f);
    const Expr hardswish = value * min(max(value + 3.0f, 0.0f), 6.0f) * (1.0f / 6.0f);
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

Expr epilogue(const Expr &sum, const Expr &residual, const Expr &activation) {
    return activate(residual.defined() ? sum + cast<float>(residual) : sum, activation);
}

void accumulate_depthwise(ConvStages &st, const Func &filter, const Func &bias, const Expr &r, const Expr &s, const Geometry &geo,
                          const Expr &multiplier) {
    st.depthwise_filter = filter;
    st.taps = RDom(0, s, 0, r, "taps");
    st.depthwise = Func("depthwise");
    st.depthwise(st.k, st.x, st.y, st.n) = bias(st.k);
    st.depthwise(st.k, st.x, st.y, st.n) +=
        cast<float>(filter(st.k, st.taps.x, st.taps.y)) *
        cast<float>(st.padded(st.k / multiplier, column(st, st.taps.x, geo), row(st, st.taps.y, geo), st.n));
}

void accumulate_pointwise(ConvStages &st, const Func &filter, const Func &bias, int panel) {
    st.filter = filter;
    st.sum = RDom(0, st.channels, "sum");
    st.acc = Func("acc");
    std::vector<Var> at = {st.x};
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
    st.source = st.padded;
    st.sum = RDom(0, st.channels, 0, s, 0, r, "sum");
    st.acc = Func("acc");
    const RDom &t = st.sum;
    Expr input = st.padded(t.x, st.g, column(st, t.y, geo), row(st, t.z, geo), st.n);
    if (st.tap_by_tap) {
        Var s("s"), r("r");
        st.source = Func("tap");
        st.source(st.c, st.g, st.x, st.y, st.n, s, r) = st.padded(st.c, st.g, column(st, s, geo), row(st, r, geo), st.n);
        input = st.source(t.x, st.g, st.x, st.y, st.n, t.y, t.z);
    }
    st.acc(st.k, st.g, st.x, st.y, st.n) = bias(st.k, st.g);
    st.acc(st.k, st.g, st.x, st.y, st.n) +=
        cast<float>(panel ? filter(st.k % panel, t.x, t.y, t.z, st.k / panel, st.g) : filter(st.k, t.x, t.y, t.z, 0, st.g)) *
        cast<float>(input);
}

}  // namespace sepal
