// ConvStages: the named Funcs, Vars and RDoms of an operator that a schedule may touch, and the arithmetic that makes
// them. Each step (pad, the three accumulations, the epilogue) is written here once and shared by the generators. No
// scheduling in this file. Inputs, filters, `padded`, `mid` and `output` are of the problem's type; every sum is f32.
#pragma once

#include "runtime/problem.h"

#include <Halide.h>

namespace sepal {

// Where the taps of an r x s filter fall. Constants in specialised kernels, parameters in any-shape kernels.
struct Geometry {
    Halide::Expr stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
};

// Dimensions, innermost first. A depthwise half and a pointwise half have their own members, so that depsep has both.
struct ConvStages {
    Halide::Var c{"c"}, k{"k"}, g{"g"}, x{"x"}, y{"y"}, n{"n"};

    // Of NCHW, (c, x, phase, y, n) or (c, g, x, phase, y, n), instead of `padded`: the input with zeros around it, the columns of a row by
    // their remainder to the stride, so that neighbouring outputs meet neighbours. Column x * stride + phase counts from the first of the padding.
    Halide::Func phases;
    Halide::Var phase{"phase"};

    Halide::Func padded;  // (c, x, y, n) or (c, g, x, y, n): the input with zeros around it; undefined for pointwise

    Halide::Func depthwise;     // (k, x, y, n): accumulates filter taps
    Halide::RDom taps;          // x: filter column, y: filter row
    Halide::Func mid;           // (k, x, y, n): the depthwise half after its epilogue
    Halide::Func depthwise_filter;

    Halide::Func acc;     // (k, x, y, n), (k, g, x, y, n), (k, x) or (k, x, n): accumulates over channels (and taps)
    Halide::RDom sum;     // x: input channel; conv2d also y: filter column, z: filter row
    Halide::Func filter;  // the panelled filter that acc reads
    Halide::Func source;  // what acc reads besides: padded, mid, or the pointwise input; of a conv2d with `tap_by_tap` or `phases` (c, g, x, y, n, s, r):
                          // what the tap (s, r) of the pixel (x, y) of the output meets
    bool tap_by_tap = false;

    std::vector<std::string> ahead;  // Funcs that the schedule for a GPU lets be loaded ahead

    Halide::Func output;  // same dimensions as acc

    Geometry geometry;      // of the filter's taps
    // Columns, or rows, of the input that so many neighbouring outputs of a conv2d meet.
    Halide::Expr met_columns(int outputs) const;
    Halide::Expr met_rows(int outputs) const;

    Halide::Expr channels;  // that acc sums over: of the input's group, or of the depthwise half's output for depsep
};

// Of a conv2d by Winograd's algorithm besides. `acc` is (k, x, i, j, bx, by, n), where x is a tile of the block (bx, by) and (i, j) one of the
// points x points matrix products. (tx, ty) is a tile of the whole output, of which column and row are what x and y are elsewhere.
struct WinogradStages : ConvStages {
    Halide::Var i{"i"}, j{"j"}, bx{"bx"}, by{"by"}, tx{"tx"}, ty{"ty"}, column{"column"}, row{"row"};
    int tile = 0, points = 0;

    Halide::Parameter input;         // what `padded` puts zeros around
    Halide::Func half_transformed;  // (c, i, j, x, bx, by, n): B^T d
    Halide::Func transformed;       // (c, x, i, j, bx, by, n): B^T d B
    Halide::Func products;          // like acc
    Halide::Func half_restored;     // (k, i, j, tx, ty, n): A^T products
    Halide::Func restored;          // (k, i, j, tx, ty, n): A^T products A, the outputs of a tile
};

// The input with zeros outside [0, w) x [0, h). `x_dim` is the position of the column index in `input`; the row index
// follows it.
Halide::Func pad(const Halide::Func &input, int x_dim, const Halide::Expr &w, const Halide::Expr &h);

// stages.phases of an input (c, x, y, n) or (c, g, x, y, n) of w x h pixels. `masked`: as one expression, with a stride_w of 1, to be read in place with
// passes/masked_reads.h; else in two steps, zeros everywhere and what is inside over them, which has to be in scratch memory.
void put_phases_apart(ConvStages &stages, const Halide::Func &input, const Halide::Expr &w, const Halide::Expr &h, const Geometry &geometry,
                      bool masked);

// An input (c, x, n) as it is in scratch memory, with anything behind the last of its pixels.
Halide::Func staged_pixels(const ConvStages &stages, const Halide::Func &input, const Halide::Expr &pixels);

// The input with indices of its dimension `dim` that are beyond the last of `extent` elements moved to the last whole `vector`, as a GPU's blocks of
// channels need it whose last one has fewer: what is read there is not used.
Halide::Func within(const Halide::Func &input, int dim, const Halide::Expr &extent, int vector);

// The same where all reads are inside of tests that the schedule makes for the output's channels: nothing is moved, and Halide is told.
Halide::Func promised_within(const Halide::Func &input, int dim, const Halide::Expr &extent);

// activation(value). `activation` is a constant, or an int32 parameter with the numbers of enum Activation.
// hardswish(v) = v * min(max(v + 3, 0), 6) / 6 (Howard et al., "Searching for MobileNetV3", ICCV 2019); `in_order`: with the addition of 3 kept apart from
// what is around it.
Halide::Expr activate(const Halide::Expr &value, const Halide::Expr &activation, bool in_order = false);

// What comes after an operator's sums, of which the bias is a part: activation(sum + residual). `residual`, of the output's type, is undefined where
// there is none.
Halide::Expr epilogue(const Halide::Expr &sum, const Halide::Expr &residual, const Halide::Expr &activation, bool in_order = false);

// stages.depthwise(k, x, y, n) = bias(k) + sum over taps filter(k, s, r) * padded(k / multiplier, column, row, n).
void accumulate_depthwise(ConvStages &stages, const Halide::Func &filter, const Halide::Func &bias, const Halide::Expr &r,
                          const Halide::Expr &s, const Geometry &geometry, const Halide::Expr &multiplier);

// stages.acc(k, ...) = bias(k) + sum over channels filter(k % panel, c, k / panel) * source(c, ...), where `...` are the
// pixel dimensions of source: (x, y, n), (x, n) or (x). With panel 0 the filter is one panel of all output channels.
void accumulate_pointwise(ConvStages &stages, const Halide::Func &filter, const Halide::Func &bias, int panel);

// stages.acc(k, g, x, y, n) = bias(k, g) + sum over channels of the group and taps
//   filter(k % panel, c, s, r, k / panel, g) * padded(c, g, column, row, n).
void accumulate_conv(ConvStages &stages, const Halide::Func &filter, const Halide::Func &bias, const Halide::Expr &r,
                     const Halide::Expr &s, const Geometry &geometry, int panel);

}  // namespace sepal
