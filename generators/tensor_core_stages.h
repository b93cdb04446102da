// TensorCoreStages: the Funcs and Vars of the kernels on tensor cores that a schedule may touch, and the arithmetic that makes them. No
// scheduling in this file.
//
// A warp multiplies 16 pixels by 8 output channels over 16 input channels at a time (passes/fragments.h). Which channel is which row of an
// operand is ours to choose, as long as it is the same in both, and so is which output channel is which column. They are chosen so that every
// access is one of 128 bits: of each step of 32 input channels the four lanes of a group hold 8 neighbouring ones each, for two multiplications,
// and of each chunk of 32 output channels, four tiles, a lane ends up with 8 neighbouring ones. The filter is packed accordingly
// (FilterLayout::Kind::lanes). A word is two f16.
#pragma once

#include "conv_stages.h"

#include <vector>

namespace sepal {

// What of the arithmetic an argument may leave out, as the problem is known to be at compile time.
struct TensorCoreCases {
    bool whole_steps = false;   // the input's channels are whole steps of 32
    bool whole_panels = false;  // the output's channels are whole panels
    bool whole_blocks = false;  // the output's pixels are whole blocks
    bool whole_rows = false;    // conv2d: a row of them is whole tiles of 16
    bool no_padding = false;    // every tap of every output is inside the image
};

struct TensorCoreStages {
    // Of an operand or a result: word of 4; lane in its group of 4; group of 8; which of the two pixels of a lane in a tile of 16.
    Halide::Var word{"word"}, in_group{"in_group"}, group{"group"}, half{"half"};
    // Tile of 8 output channels in a panel; chunk of 4 such tiles; panel of the filter.
    Halide::Var k_tile{"k_tile"}, chunk{"chunk"}, panel{"panel"};
    // Tile of pixels in a block; block, of two rows in them, and the pair of rows and the image besides.
    Halide::Var tile{"tile"}, block{"block"}, row_pair{"row_pair"}, n{"n"};
    std::vector<Halide::Var> pixels() const;  // tile and what follows, as far as the operator has it

    Halide::RDom sum;  // x: step of 32 input channels; conv2d also y: filter column, z: filter row
    Halide::Var step{"step"}, column{"column"}, row{"row"};  // the same as dimensions of a and b

    Halide::Func a;          // (word, in_group, group, half, pixels, step[, column, row]): words of input
    Halide::Func b;          // (word, in_group, group, k_tile, panel, step[, column, row]): words of filter
    Halide::Var channel{"channel"};
    Halide::Func lane_bias;  // (channel of 8, in_group, chunk, panel): of the channels that a lane ends up with
    Halide::Func acc;        // (in_group, group, k_tile, panel, pixels): fragments
    Halide::Func packed;     // (word, in_group, chunk, panel, group, half, pixels): words of output
    Halide::Func output;     // the same, of which there is not everything

    // depsep's depthwise half: (i, c8, x, y, n), i: channel of a group of 8.
    Halide::Var i{"i"}, c8{"c8"}, x{"x"}, y{"y"};
    Halide::Func padded;     // f16, zeros around it
    Halide::Func depthwise;  // accumulates filter taps
    Halide::RDom taps;       // x: filter column, y: filter row
    Halide::Func mid;        // f16

    Halide::Func staged;     // (word, c8, x, y, n): input with zeros around it, of a conv2d whose blocks copy theirs

    bool two_rows = false;   // blocks are of two rows, half a tile of 16 pixels each; else of pixels one after another
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

// stages.a of a conv2d or pointwise: input (word, c8, x, y, n), or (word, c8, x) without geometry, whose pixels are those of the output, one after
// another.
void read_pixels(TensorCoreStages &stages, const Halide::Func &input, const TensorCoreProblem &problem);

// The same of a conv2d by way of stages.staged, in blocks of two rows.
void read_staged_pixels(TensorCoreStages &stages, const Halide::Func &input, const TensorCoreProblem &problem);

// stages.a of a depsep, by way of stages.mid: input (i, c8, x, y, n), filter (i, c8, s, r), bias (i, c8).
void read_depthwise(TensorCoreStages &stages, const Halide::Func &input, const Halide::Func &filter, const Halide::Func &bias,
                    const TensorCoreProblem &problem, bool half_sums);

// From stages.a to stages.packed and the value of the output: filter (128, k_tile, step, [s, r,] panel), bias (k).
void multiply(TensorCoreStages &stages, const Halide::Func &filter, const Halide::Func &bias, const TensorCoreProblem &problem);

}  // namespace sepal
