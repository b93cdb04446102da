// The C API on the problems of the C++ classes, for tests.
#pragma once

#include "runtime/reference.h"
#include "sepal/sepal.h"

namespace sepal {

inline sepal_problem to_c(const ConvProblem &p) {
    sepal_problem c;
    sepal_problem_init(&c);
    c.op = sepal_operator(p.op), c.dtype = sepal_dtype(p.dtype), c.layout = sepal_layout(p.layout);
    c.n = p.n, c.h = p.h, c.w = p.w, c.c = p.c, c.k = p.k, c.r = p.r, c.s = p.s;
    c.stride_h = p.stride_h, c.stride_w = p.stride_w, c.dilation_h = p.dilation_h, c.dilation_w = p.dilation_w;
    c.padding = sepal_padding(p.pad_mode);
    c.pad_top = p.padding.top, c.pad_left = p.padding.left, c.pad_bottom = p.padding.bottom, c.pad_right = p.padding.right;
    c.groups = p.groups, c.multiplier = p.multiplier;
    c.mid_bias = p.mid.bias, c.bias = p.out.bias;
    c.mid_activation = sepal_activation(p.mid.activation), c.activation = sepal_activation(p.out.activation);
    c.max_rel_error = p.max_rel_error;
    c.residual = p.residual;
    return c;
}

inline sepal_weights to_c(const Weights &w) { return {sizeof(sepal_weights), w.filter, w.mid_bias, w.pointwise_filter, w.bias}; }

}  // namespace sepal
