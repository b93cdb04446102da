// How the kernels on tensor cores see their arguments: the buffers' extents and strides, which are those of the lanes of a warp.
#pragma once

#include "runtime/argument_view.h"
#include "runtime/filter_layout.h"
#include "runtime/problem.h"

#include <cstdint>
#include <vector>

namespace sepal {

// What is to be expected of a depsep whose depthwise half is summed up in f16 (the knob half_sums): of each tap's sum the rounding to 11 bits.
inline double half_sums_rel_error(const ConvProblem &problem) { return double(problem.r * problem.s) * 0x1p-11; }
constexpr const char *half_sums_token = "hs";  // of that knob, in a variant's name

// What a block of a kernel computes.
struct TensorCoreBlock {
    int64_t channels = 0;  // of the output: a panel of the filter, a multiple of 64
    int64_t pixels = 0;    // of all images, one after another, or of two rows, half of them each; a multiple of 8
    bool two_rows = false; // depsep always; conv2d that keeps its input in shared memory
};

// The arguments of a kernel in order. Buffers and scalars (int32) as follows; `c8` is the number of groups of 8 channels.
//   conv2d     input u32 (4, c8, w, h, n), filter u32 (128, panel / 8, steps, s, r, panels), bias f32 (padded k),
//                stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left, activation, k, q, p, [skip,] output
//   pointwise  input u32 (4, c8, pixels), filter u32 (128, panel / 8, steps, panels), bias f32 (padded k), activation, k, [skip,] output
//   depsep     input f16 (8, c8, w, h, n), filter f16 (8, c8, s, r), mid_bias f32 (8, c8), pointwise_filter u32 (128, panel / 8, steps,
//                panels), bias f32 (padded k), stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left, mid_activation, activation, k, q, p,
//                [skip,] output
// skip u32, of a problem with a residual: (4, k8, pixels), or, where the output is of two rows, (4, k8, q, p, n). The output is the same NHWC tensor in u32: (4 words, 8 groups of lanes, chunks of 64 channels in a panel, panels, ...)
//   4 lanes of a group, 2 pixels of a lane, tiles of 8 pixels in a block, blocks), or of two rows
//   4 lanes of a group, 2 rows, tiles of 4 columns in a block, blocks of a row, pairs of rows, n)
// whose extents are rounded up to whole blocks; kernels write what there is of it.
struct TensorCoreArguments {
    ArgumentView input, output;
    ArgumentView skip;  // of a problem with a residual
    std::vector<ArgumentView> constants;  // between them: filters and biases
    std::vector<int32_t> scalars;
};
// Requires a problem that the block's kernel takes (schedules/gpu/tensor_core_tile.h).
TensorCoreArguments tensor_core_arguments(const ConvProblem &problem, const TensorCoreBlock &block);

}  // namespace sepal
