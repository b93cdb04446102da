#include "problem.h"

#include <fmt/format.h>

#include <limits>

namespace sepal {
namespace {

template<typename T, size_t N>
using Names = std::array<std::pair<T, std::string_view>, N>;

constexpr Names<Operator, 4> operators = {{{Operator::conv2d, "conv2d"},
                                           {Operator::depthwise, "depthwise"},
                                           {Operator::pointwise, "pointwise"},
                                           {Operator::depsep, "depsep"}}};
constexpr Names<DType, 2> dtypes = {{{DType::f32, "f32"}, {DType::f16, "f16"}}};
constexpr Names<Layout, 2> layouts = {{{Layout::nhwc, "nhwc"}, {Layout::nchw, "nchw"}}};
constexpr Names<Activation, 4> activations = {{{Activation::none, "none"},
                                               {Activation::relu, "relu"},
                                               {Activation::relu6, "relu6"},
                                               {Activation::hardswish, "hardswish"}}};

template<typename T, size_t N>
std::string_view to_name(const Names<T, N> &names, T value) {
    for (const auto &[v, text] : names)
        if (v == value) return text;
    return "?";
}

template<typename T, size_t N>
std::optional<T> from_name(const Names<T, N> &names, std::string_view text) {
    for (const auto &[v, t] : names)
        if (t == text) return v;
    return std::nullopt;
}

template<typename T, size_t N>
std::string list(const Names<T, N> &names) {
    std::string out;
    for (const auto &[v, text] : names) out += (out.empty() ? "" : ", ") + std::string(text);
    return out;
}

// SAME_UPPER for one axis: total zeros, of which floor(total / 2) come first.
std::pair<int64_t, int64_t> same_padding(int64_t in, int64_t filter, int64_t stride, int64_t dilation) {
    const int64_t out = (in + stride - 1) / stride;
    const int64_t total = std::max<int64_t>(0, (out - 1) * stride + dilation * (filter - 1) + 1 - in);
    return {total / 2, total - total / 2};
}

int64_t output_extent(int64_t in, int64_t before, int64_t after, int64_t filter, int64_t stride, int64_t dilation) {
    return (in + before + after - dilation * (filter - 1) - 1) / stride + 1;
}

Strides strides_of(Layout layout, int64_t rows, int64_t columns, int64_t channels) {
    const int64_t image = rows * columns * channels;
    return layout == Layout::nchw ? Strides{image, columns, 1, rows * columns} : Strides{image, columns * channels, channels, 1};
}

std::vector<int64_t> shape_of(Layout layout, int64_t images, int64_t rows, int64_t columns, int64_t channels) {
    if (layout == Layout::nchw) return {images, channels, rows, columns};
    return {images, rows, columns, channels};
}

// The product, or nothing if it exceeds `limit`. All factors are positive.
std::optional<int64_t> product_within(int64_t limit, std::initializer_list<int64_t> factors) {
    int64_t result = 1;
    for (int64_t f : factors) {
        if (f != 0 && result > limit / f) return std::nullopt;
        result *= f;
    }
    return result;
}

}  // namespace

std::string_view name(Operator v) { return to_name(operators, v); }
std::string_view name(DType v) { return to_name(dtypes, v); }
std::string_view name(Layout v) { return to_name(layouts, v); }
std::string_view name(Activation v) { return to_name(activations, v); }
std::optional<Operator> operator_from_name(std::string_view t) { return from_name(operators, t); }
std::optional<DType> dtype_from_name(std::string_view t) { return from_name(dtypes, t); }
std::optional<Layout> layout_from_name(std::string_view t) { return from_name(layouts, t); }
std::optional<Activation> activation_from_name(std::string_view t) { return from_name(activations, t); }
std::string operator_names() { return list(operators); }
std::string dtype_names() { return list(dtypes); }
std::string layout_names() { return list(layouts); }
std::string activation_names() { return list(activations); }

std::string_view name(PadMode mode) {
    return mode == PadMode::same ? "same" : mode == PadMode::valid ? "valid" : "explicit";
}

int64_t size_in_bytes(DType dtype) {
    switch (dtype) {
    case DType::f32: return 4;
    case DType::f16: return 2;
    }
    return 0;
}

std::string ConvProblem::validate() const {
    // Kernels index with 32-bit integers: no extent and no tensor may reach 2^31 elements.
    constexpr int64_t limit = std::numeric_limits<int32_t>::max();
    const std::pair<const char *, int64_t> extents[] = {
        {"n", n}, {"h", h}, {"w", w}, {"c", c}, {"r", r}, {"s", s}, {"stride[0]", stride_h}, {"stride[1]", stride_w},
        {"dilation[0]", dilation_h}, {"dilation[1]", dilation_w}, {"groups", groups}, {"multiplier", multiplier}};
    for (const auto &[field, value] : extents)
        if (value < 1 || value > limit)
            return fmt::format("field \"{}\" is {}; allowed: 1 to {}", field, value, limit);

    const bool has_depthwise = op == Operator::depthwise || op == Operator::depsep;
    if (op == Operator::depthwise) {
        if (k != 0 && k != c * multiplier)
            return fmt::format("field \"k\" is {}, but a depthwise convolution of c = {} with multiplier {} has {} "
                               "output channels; leave k out or give {}", k, c, multiplier, c * multiplier, c * multiplier);
    } else if (k < 1 || k > limit) {
        return fmt::format("field \"k\" is {}; allowed: 1 to {}", k, limit);
    }
    if (!has_depthwise && multiplier != 1)
        return fmt::format("field \"multiplier\" is {}, but {} has no depthwise half; leave it out", multiplier, sepal::name(op));
    if (op != Operator::conv2d && groups != 1)
        return fmt::format("field \"groups\" is {}; only conv2d takes groups (depthwise is grouped by definition)", groups);
    if (c % groups != 0) return fmt::format("field \"groups\" is {}, which does not divide c = {}", groups, c);
    if (op == Operator::conv2d && k % groups != 0)
        return fmt::format("field \"groups\" is {}, which does not divide k = {}", groups, k);
    if (op != Operator::depsep && (mid.bias || mid.activation != Activation::none))
        return fmt::format("field \"{}\" is set, but only depsep has a middle", mid.bias ? "mid_bias" : "mid_activation");
    if (op == Operator::depthwise && residual)
        return "field \"residual\" is true, but a depthwise convolution adds none; allowed with residual: conv2d, pointwise, depsep";
    if (op == Operator::pointwise &&
        (r != 1 || s != 1 || stride_h != 1 || stride_w != 1 || dilation_h != 1 || dilation_w != 1))
        return "a pointwise convolution has r = s = 1, stride [1, 1] and dilation [1, 1]; use conv2d for others";

    if (!(max_rel_error >= 0 && max_rel_error <= 1))
        return fmt::format("field \"max_rel_error\" is {}; allowed: 0 to 1", max_rel_error);

    if (pad_mode == PadMode::explicit_) {
        const std::pair<const char *, int64_t> sides[] = {
            {"pad[0] (top)", padding.top}, {"pad[1] (left)", padding.left},
            {"pad[2] (bottom)", padding.bottom}, {"pad[3] (right)", padding.right}};
        for (const auto &[field, value] : sides)
            if (value < 0 || value > limit) return fmt::format("field \"{}\" is {}; allowed: 0 to {}", field, value, limit);
        if (op == Operator::pointwise && padding != Padding{})
            return "a pointwise convolution takes no padding; use conv2d with r = s = 1";
    }
    const Padding z = pad();
    if (dilation_h > limit / r || dilation_w > limit / s || h + z.top + z.bottom > limit || w + z.left + z.right > limit)
        return "the dilated filter or the padded input is more than 2147483647 pixels high or wide";
    // Kernels compute whole tiles and strips: of at most 128 outputs where their number is not known, and where there are two or more outputs a
    // stride is less than the padded input.
    constexpr int64_t most_pixels = limit / 128;
    if (op != Operator::pointwise && (h + z.top + z.bottom > most_pixels || w + z.left + z.right > most_pixels))
        return fmt::format("the padded input is {} rows high and {} pixels wide; allowed: {}", h + z.top + z.bottom, w + z.left + z.right, most_pixels);
    const int64_t filter_h = dilation_h * (r - 1) + 1, filter_w = dilation_w * (s - 1) + 1;
    if (h + z.top + z.bottom < filter_h)
        return fmt::format("the padded input is {} rows high, less than the dilated filter's {}; the output would be empty",
                           h + z.top + z.bottom, filter_h);
    if (w + z.left + z.right < filter_w)
        return fmt::format("the padded input is {} pixels wide, less than the dilated filter's {}; the output would be empty",
                           w + z.left + z.right, filter_w);

    if (!product_within(limit, {n, h, w, c})) return "the input has more than 2147483647 elements";
    if (!product_within(limit, {c, multiplier})) return "c * multiplier is more than 2147483647";
    if (!product_within(limit, {n, p(), q(), out_channels()})) return "the output has more than 2147483647 elements";
    const bool filter_fits = has_depthwise                ? product_within(limit, {r, s, c, multiplier}).has_value()
                             : op == Operator::pointwise ? product_within(limit, {k, c}).has_value()
                                                         : product_within(limit, {k, r, s, c / groups}).has_value();
    if (!filter_fits || (op == Operator::depsep && !product_within(limit, {k, c, multiplier})))
        return "a filter has more than 2147483647 elements";
    return {};
}

Padding ConvProblem::pad() const {
    switch (pad_mode) {
    case PadMode::valid: return {};
    case PadMode::explicit_: return padding;
    case PadMode::same: break;
    }
    const auto [top, bottom] = same_padding(h, r, stride_h, dilation_h);
    const auto [left, right] = same_padding(w, s, stride_w, dilation_w);
    return {top, left, bottom, right};
}

int64_t ConvProblem::p() const {
    const Padding z = pad();
    return output_extent(h, z.top, z.bottom, r, stride_h, dilation_h);
}

std::array<int64_t, 6> ConvProblem::geometry() const {
    const Padding z = pad();
    return {p() == 1 ? 1 : stride_h, q() == 1 ? 1 : stride_w, r == 1 ? 1 : dilation_h, s == 1 ? 1 : dilation_w, z.top, z.left};
}

int64_t ConvProblem::q() const {
    const Padding z = pad();
    return output_extent(w, z.left, z.right, s, stride_w, dilation_w);
}

int64_t ConvProblem::summed_channels() const {
    switch (op) {
    case Operator::conv2d: return c / groups;
    case Operator::pointwise: return c;
    case Operator::depthwise: return 1;
    case Operator::depsep: return mid_channels();
    }
    return 0;
}

int64_t ConvProblem::filter_elements() const {
    switch (op) {
    case Operator::conv2d: return k * r * s * (c / groups);
    case Operator::pointwise: return k * c;
    case Operator::depthwise:
    case Operator::depsep: return r * s * c * multiplier;
    }
    return 0;
}

int64_t ConvProblem::pointwise_filter_elements() const { return op == Operator::depsep ? k * mid_channels() : 0; }

Strides ConvProblem::input_strides() const { return strides_of(layout, h, w, c); }
Strides ConvProblem::output_strides() const { return strides_of(layout, p(), q(), out_channels()); }
std::vector<int64_t> ConvProblem::input_shape() const { return shape_of(layout, n, h, w, c); }
std::vector<int64_t> ConvProblem::output_shape() const { return shape_of(layout, n, p(), q(), out_channels()); }

int64_t ConvProblem::mid_elements() const { return op == Operator::depsep ? pixels() * mid_channels() : 0; }

double ConvProblem::flops() const {
    const double pixels = double(n) * double(p()) * double(q());
    // Each element of a filter meets each output pixel once.
    return 2 * pixels * double(filter_elements() + pointwise_filter_elements());
}

double ConvProblem::flops_inside() const {
    // In one direction: taps of all output pixels that meet the input, as a share.
    const auto inside = [](int64_t outputs, int64_t taps, int64_t stride, int64_t dilation, int64_t before, int64_t extent) {
        int64_t met = 0;
        for (int64_t i = 0; i < outputs; i++)
            for (int64_t t = 0; t < taps; t++) {
                const int64_t at = i * stride + t * dilation - before;
                met += at >= 0 && at < extent;
            }
        return double(met) / double(outputs * taps);
    };
    const Padding z = pad();
    const double share = inside(p(), r, stride_h, dilation_h, z.top, h) * inside(q(), s, stride_w, dilation_w, z.left, w);
    return 2 * double(pixels()) * (share * double(filter_elements()) + double(pointwise_filter_elements()));
}

double ConvProblem::bytes() const {
    const int64_t biases = (out.bias ? out_channels() : 0) + (mid.bias ? mid_channels() : 0);
    return double(size_in_bytes(dtype)) * (double(input_elements()) + double(filter_elements()) +
                                           double(pointwise_filter_elements()) + double(skip_elements()) + double(output_elements())) +
           double(size_in_bytes(DType::f32)) * double(biases);
}

double ConvProblem::unfused_bytes() const {
    return bytes() + 2.0 * double(size_in_bytes(dtype)) * double(mid_elements());
}

ConvProblem ConvProblem::depthwise_half() const {
    ConvProblem d = *this;
    d.op = Operator::depthwise;
    d.k = 0;
    d.out = mid;
    d.mid = {};
    d.residual = false;
    return d;
}

ConvProblem ConvProblem::pointwise_half() const {
    ConvProblem d;
    d.name = name;
    d.op = Operator::pointwise;
    d.n = n;
    d.h = p();
    d.w = q();
    d.c = mid_channels();
    d.k = k;
    d.pad_mode = PadMode::valid;
    d.dtype = dtype;
    d.layout = layout;
    d.out = out;
    d.residual = residual;
    return d;
}

std::string ConvProblem::key() const {
    const Padding z = pad();
    const auto epilogue = [](const Epilogue &e) {
        return (e.bias ? "bias+" : "") + std::string(sepal::name(e.activation));
    };
    std::string text = fmt::format("{} n{} h{} w{} c{} k{} r{} s{} st{}x{} di{}x{} pad{},{},{},{} g{} m{} {} {}", sepal::name(op), n, h,
                                   w, c, out_channels(), r, s, stride_h, stride_w, dilation_h, dilation_w, z.top, z.left,
                                   z.bottom, z.right, groups, multiplier, sepal::name(dtype), sepal::name(layout));
    if (op == Operator::depsep) text += " mid:" + epilogue(mid);
    text += " out:" + epilogue(out);
    if (residual) text += " residual";
    return max_rel_error == ConvProblem().max_rel_error ? text : text + fmt::format(" error:{}", max_rel_error);
}

std::string ConvProblem::weights_key() const {
    return fmt::format("{} c{} k{} r{} s{} g{} m{} {} {}{}{}", sepal::name(op), c, out_channels(), r, s, groups, multiplier, sepal::name(dtype),
                       sepal::name(layout), op == Operator::depsep && mid.bias ? " mid:bias" : "", out.bias ? " out:bias" : "");
}

}  // namespace sepal
