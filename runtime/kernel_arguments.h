// The arguments of kernels, whatever they run on.
#pragma once

#include "kernel_call.h"
#include "packed_weights.h"
#include "strides.h"

#include <array>
#include <deque>
#include <string>
#include <vector>

namespace sepal {

// What a kernel gets for a problem, but for where the tensors are. In this order (extents innermost first; generators/conv_generator.h
// declares the same):
//   conv2d     input (c, g, w, h, n), filter (panel, c, s, r, panels, g), bias (k, g),               geometry, activation, output (k, g, q, p, n)
//              by Winograd's algorithm: filter (panel, c, n, n, panels), see FilterLayout
//   depthwise  input (c, w, h, n),    filter (k, s, r),  bias (k),                  geometry, multiplier, activation, output (k, q, p, n)
//   pointwise  input (c, pixels),     filter (panel, c, panels), bias (k),                                activation, output (k, pixels)
//   depsep     input (c, w, h, n),    filter (k, s, r),  mid_bias (k), pointwise_filter (panel, k, panels), bias (k),
//                                                              geometry, multiplier, mid_activation, activation, output (k, q, p, n)
// With layout nchw the strides are others (x next to each other, then y, then channels), and pointwise's input is (c, pixels of an image, n),
// its output (k, pixels of an image, n).
// where geometry is stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left (int32). With a residual, `skip`, with the output's dimensions,
// comes right before the output. Input, filters, skip and output are of the problem's type, biases f32. Biases are zero where the problem has none;
// those of panelled filters are filled up to whole panels. Kernels on tensor cores see all of them otherwise: gpu/tensor_core_views.h.
struct KernelArguments {
    // Strides other than dense ones are for variants that takes_strides(), of one call of calls_for().
    KernelArguments(const ConvProblem &problem, const Variant &variant, const TensorStrides &strides = {});

    static constexpr size_t max_arguments = 24;

    ArgumentView input, output;
    ArgumentView skip;  // of a problem with a residual
    std::vector<PackedTensor> constants;       // filters and biases
    std::vector<ArgumentView> constant_views;  // of them
    std::vector<int32_t> scalars;

    // The argument vector for tensors that are described so, `skip` null where the problem has no residual. Kernels do not write to the
    // descriptors of constants (no bounds query is made: every tensor is somewhere), so threads may share them.
    std::array<void *, max_arguments> vector(Descriptor &in, const std::deque<Descriptor> &constants, Descriptor *skip, Descriptor &out) const;
};

// Empty where a skip tensor is given if and only if the problem has a residual.
std::string why_not_skip(bool is_given, const ConvProblem &problem);
// What is wrong where memory of the two overlaps.
constexpr const char *skip_overlaps = "the skip tensor overlaps the output; it has to be memory of its own, since kernels compute some pixels twice";

}  // namespace sepal
