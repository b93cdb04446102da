// TensorCoreStages: the Funcs and Vars of the kernels on tensor cores that a schedule may touch, and the arithmetic that makes them. No
// scheduling in this file.
//
// A warp multiplies 16 output channels, the rows of operand A, by 8 pixels, the columns of operand B, over 16 input channels at a time
// (passes/fragments.h). Which input channel is where in an operand is ours to choose, as long as it is the same in both, and so is which output
// channel is which row. They are chosen so that every access is one of 128 bits and brings operands as they are, in registers next to each other:
// of each step of 32 input channels the four lanes of a group hold 8 neighbouring ones of a pixel each, B of two multiplications; of the
// filter, which is packed accordingly (FilterLayout::Kind::lanes), an access is A of one; and of each chunk of 64 output channels, four tiles, a
// lane ends up with 8 neighbouring ones of two pixels. A word is two f16.
#pragma once

#include "conv_stages.h"

#include <vector>

namespace sepal {

// What of the arithmetic an argument may leave out, as the problem is known to be at compile time.
struct TensorCoreCases {
    bool whole_steps = false;   // the input's channels are whole steps of 32
    bool whole_panels = false;  // the output's channels are whole panels
    bool whole_blocks = false;  // the output's pixels are whole blocks
    bool whole_rows = false;    // conv2d: a row of them is whole tiles of 8
    bool no_padding = false;    // every tap of every output is inside the image
};

struct TensorCoreStages {
    // Of an operand or a result: word of 4; lane in its group of 4; group of 8; which of the two pixels of a result in a lane.
    Halide::Var word{"word"}, in_group{"in_group"}, group{"group"}, half{"half"};
    // Which of the two multiplications of a step; tile of 16 output channels in a panel; chunk of 4 such tiles; panel of the filter.
    Halide::Var part{"part"}, k_tile{"k_tile"}, chunk{"chunk"}, panel{"panel"};
    // Tile of 8 pixels in a block; block, of two rows in them, and the pair of rows and the image besides.
    Halide::Var tile{"tile"}, block{"block"}, row_pair{"row_pair"}, n{"n"};
    std::vector<Halide::Var> pixels() const;  // tile and what follows, as far as the operator has it

    Halide::RDom sum;  // x: step of 32 input channels; conv2d also y: filter column, z: filter row
    Halide::Var step{"step"}, column{"column"}, row{"row"};  // the same as dimensions of a and b

    Halide::Func a;          // (word, in_group, group, part, k_tile, panel, step[, column, row]): words of filter
    Halide::Func b;          // (word, in_group, group, pixels, step[, column, row]): words of input
    Halide::Var channel{"channel"};
    Halide::Func lane_bias;  // (channel of 8, group, chunk, panel): of the channels that a lane ends up with
    Halide::Func acc;        // (in_group, group, k_tile, panel, pixels): fragments
    Halide::Func added;      // (word, group, chunk, panel, in_group, half, pixels): words of the skip tensor, of a problem with a residual
    Halide::Func packed;     // the same of the output
    Halide::Func output;     // the same, of which there is not everything

    // depsep's depthwise half: (i, c8, x, y, n), i: channel of a group of 8.
    Halide::Var i{"i"}, c8{"c8"}, x{"x"}, y{"y"};
    Halide::Func padded;     // f16, zeros around it
    Halide::Func depthwise;  // accumulates filter taps
    Halide::RDom taps;       // x: filter column, y: filter row
    Halide::Func mid;        // f16
    Halide::Func loaded;     // (i, in_group, group, pixels, step): of mid

    Halide::Func staged;     // (word, c8, x, y, n): input with zeros around it, of a conv2d whose blocks copy theirs

    bool two_rows = false;   // blocks are of two rows, half a tile of 8 pixels each; else of pixels one after another
    Halide::Expr columns;    // of a row that a block keeps in shared memory
    Halide::Expr steps;      // of 32 input channels
};

// One value of each buffer or parameter that the stages are made of; extents are constants or run-time values.
struct TensorCoreProblem {
    Halide::Expr c8, w, h, n;  // of the input: groups of 8 channels, columns, rows, images; pointwise: pixels of all images are w
    Halide::Expr r, s, k, q, p;
    Geometry geometry;
    Halide::Expr activation, mid_activation;
    TensorCoreCases cases;
    int panel_channels = 0, block_pixels = 0;
};

// stages.b of a conv2d or pointwise: input (word, c8, x, y, n), or (word, c8, x) without geometry, whose pixels are those of the output, one after
// another.
void read_pixels(TensorCoreStages &stages, const Halide::Func &input, const TensorCoreProblem &problem);

// The same of a conv2d by way of stages.staged, in blocks of two rows.
void read_staged_pixels(TensorCoreStages &stages, const Halide::Func &input, const TensorCoreProblem &problem);

// stages.b of a depsep, by way of stages.mid: input (i, c8, x, y, n), filter (i, c8, s, r), bias (i, c8).
void read_depthwise(TensorCoreStages &stages, const Halide::Func &input, const Halide::Func &filter, const Halide::Func &bias,
                    const TensorCoreProblem &problem, bool half_sums);

// From stages.b to stages.packed and the value of the output: filter (128, k_tile, step, [s, r,] panel), bias (k). `skip`, not defined where there is
// no residual: (word, k8, pixel), or of blocks of two rows (word, k8, x, y, n).
void multiply(TensorCoreStages &stages, const Halide::Func &filter, const Halide::Func &bias, const Halide::Func &skip, const TensorCoreProblem &problem);

}  // namespace sepal
