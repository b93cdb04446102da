// ConvProblem: what is to be computed. The only place that derives extents, padding, FLOPs and bytes; everything else
// (generators' estimates, buffers, benches, reports, tests) asks it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sepal {

enum class Operator {
    conv2d,     // r x s filter over all channels of a group
    depthwise,  // r x s filter over each channel alone, `multiplier` outputs for each
    pointwise,  // 1 x 1 filter over all channels: a matrix product over n*h*w pixels
    depsep,     // depthwise, then pointwise, as one kernel
};
// Of the input, the filters, the output and depsep's middle. Whatever it is, sums and biases are f32.
enum class DType {
    f32,
    f16,  // IEEE 754 half
};
// Of the input and the output.
enum class Layout {
    nhwc,  // channels last
    nchw,  // channels first: each channel of an image is a plane
};
// The values are part of the kernels' call interface (a run-time scalar): append only.
enum class Activation { none = 0, relu = 1, relu6 = 2, hardswish = 3 };

// The names used in problem files, variant names and reports. `name(x)` never fails; `*_from_name` is empty for an
// unknown name; `*_names()` lists the allowed ones for error messages ("a, b, c").
std::string_view name(Operator op);
std::string_view name(DType dtype);
std::string_view name(Layout layout);
std::string_view name(Activation activation);
std::optional<Operator> operator_from_name(std::string_view text);
std::optional<DType> dtype_from_name(std::string_view text);
std::optional<Layout> layout_from_name(std::string_view text);
std::optional<Activation> activation_from_name(std::string_view text);
std::string operator_names();
std::string dtype_names();
std::string layout_names();
std::string activation_names();

// Zeros that are added around the input, in pixels.
struct Padding {
    int64_t top = 0, left = 0, bottom = 0, right = 0;
    bool operator==(const Padding &o) const { return top == o.top && left == o.left && bottom == o.bottom && right == o.right; }
    bool operator!=(const Padding &o) const { return !(*this == o); }
};

enum class PadMode {
    same,      // p = ceil(h / stride); the odd zero goes to the bottom and right (ONNX auto_pad SAME_UPPER)
    valid,     // no zeros
    explicit_  // `padding` as given
};

// One half of a fused epilogue: out = activation(acc + bias); with a residual, activation((acc + bias) + skip).
struct Epilogue {
    bool bias = false;
    Activation activation = Activation::none;
};

// How far apart neighbours of a tensor of images are, in elements: images, rows, pixels of a row, channels.
struct Strides {
    int64_t n = 0, h = 0, w = 0, c = 0;
    int64_t at(int64_t image, int64_t row, int64_t column, int64_t channel) const { return image * n + row * h + column * w + channel * c; }
    bool operator==(const Strides &o) const { return n == o.n && h == o.h && w == o.w && c == o.c; }
};

// A convolution of one operator on tensors of one shape. Plain data; all extents in elements.
// Tensors (row-major, the last index is contiguous):
//   input            [n, h, w, c], with layout nchw [n, c, h, w]
//   filter           conv2d [k, r, s, c / groups]; depthwise and depsep [r, s, c, multiplier]; pointwise [k, c]
//   mid_bias         depsep [c * multiplier]
//   pointwise_filter depsep [k, c * multiplier]
//   bias             [out_channels()]
//   skip             with `residual` as the output
//   output           [n, p(), q(), out_channels()], with layout nchw [n, out_channels(), p(), q()]
// A batch-norm is no part of it: it is folded into filter and bias beforehand, as README says under *A problem file*.
struct ConvProblem {
    std::string name;  // for reports only; not part of the identity
    Operator op = Operator::conv2d;
    int64_t n = 1, h = 0, w = 0, c = 0;
    int64_t k = 0;         // output channels; for depthwise 0 or c * multiplier
    int64_t r = 1, s = 1;  // filter height, width
    int64_t stride_h = 1, stride_w = 1;
    int64_t dilation_h = 1, dilation_w = 1;  // 1 = dense
    PadMode pad_mode = PadMode::same;
    Padding padding;  // read only when pad_mode is explicit_
    int64_t groups = 1;
    int64_t multiplier = 1;
    DType dtype = DType::f32;
    Layout layout = Layout::nhwc;
    Epilogue mid;  // depsep: between depthwise and pointwise
    Epilogue out;
    // Adds a tensor of the output's shape and type, `skip`, after the bias and before the activation: a linear bottleneck's shortcut (activation
    // none), or that of a residual block (relu). Of conv2d, pointwise and depsep (to the output of its pointwise half).
    bool residual = false;
    // The largest error that an algorithm may add to that of the direct one in f32, as a share of the largest output before the activation:
    // what Registry::select() goes by. The default is a fifth of the rounding unit of half precision, in which
    // networks run without harm; 0 allows the direct algorithm only.
    double max_rel_error = 1e-4;

    // One sentence that names the field, what was found and what is allowed; empty for a problem that makes sense.
    // Every other member function requires a problem that is valid.
    std::string validate() const;

    // The zeros on each side, with `same` and `valid` resolved.
    Padding pad() const;
    // Output height: floor((h + top + bottom - dilation_h (r - 1) - 1) / stride_h) + 1; q: the same for the width.
    int64_t p() const;
    int64_t q() const;
    // stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left as kernels take them: with 1 for a stride of which there is a single output and
    // a dilation of which there is a single tap, which make no difference. Kernels compute tiles of outputs, and products with a stride of 2^31 - 1
    // would not fit in 32 bits.
    std::array<int64_t, 6> geometry() const;
    int64_t mid_channels() const { return c * multiplier; }  // of the depthwise half
    int64_t out_channels() const { return op == Operator::depthwise ? mid_channels() : k; }
    // Channels that are summed for one element of output: of a group; for depsep those of the pointwise half.
    int64_t summed_channels() const;

    int64_t input_elements() const { return n * h * w * c; }
    int64_t filter_elements() const;            // of `filter`
    int64_t pointwise_filter_elements() const;  // 0 unless depsep
    int64_t pixels() const { return n * p() * q(); }  // of output, of all images
    int64_t output_elements() const { return pixels() * out_channels(); }
    Strides input_strides() const;  // dense
    Strides output_strides() const;
    std::vector<int64_t> input_shape() const;  // as in the table above
    std::vector<int64_t> output_shape() const;
    int64_t skip_elements() const { return residual ? output_elements() : 0; }
    int64_t mid_elements() const;  // between the halves of depsep; 0 for the other operators

    // 2 per multiply-add of the direct algorithm, taps on padding included, epilogue excluded.
    double flops() const;
    // The same without taps on padding, which a kernel may leave out.
    double flops_inside() const;
    // Compulsory traffic: each tensor of the operator once, in bytes (input, filters, skip and output of the dtype, biases of f32).
    double bytes() const;
    // The same when depsep runs as two kernels: the intermediate is also written once and read once. Equal to bytes()
    // for the other operators.
    double unfused_bytes() const;
    double intensity() const { return flops() / bytes(); }  // FLOP per byte

    // The two problems that do a depsep in two steps; together they compute the same. Requires op == depsep.
    ConvProblem depthwise_half() const;
    ConvProblem pointwise_half() const;

    // Every field but the name as one line of text, e.g.
    // "depsep n1 h224 w224 c128 k128 r3 s3 st1x1 di1x1 pad1,1,1,1 g1 m1 f32 nhwc mid:bias+none out:relu", and
    // " residual" where there is one, and " error:1e-06" where max_rel_error is not the default. Equal problems have equal keys.
    std::string key() const;
    // What of it the filters and biases depend on, whatever the images: "depsep c128 k128 r3 s3 g1 m1 f32 nhwc mid:bias out:bias".
    std::string weights_key() const;
};

std::string_view name(PadMode mode);

int64_t size_in_bytes(DType dtype);

}  // namespace sepal
