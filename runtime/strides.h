// Strides: where the elements of an image tensor are, if not one after the other.
#pragma once

#include "problem.h"

#include <cstdint>
#include <string>

namespace sepal {

// Of the input and the output of a problem; all 0: dense. In layout nhwc pixels, rows and images may lie apart, as in a slice of channels or a part of
// a larger image; the channels of a pixel follow each other.
struct TensorStrides {
    Strides input, output;
};

// The strides of a problem's tensors with those that are not given filled in. Requires a valid problem.
TensorStrides resolved(const TensorStrides &given, const ConvProblem &problem);
bool is_dense(const TensorStrides &given, const ConvProblem &problem);

// Why kernels cannot take strides that are not dense, as a sentence: elements would overlap, or are 2^31 or more apart. Empty when they can.
std::string why_not_strides(const TensorStrides &given, const ConvProblem &problem);

// Elements from the first to the last of a tensor, both included.
int64_t span(const Strides &resolved, int64_t n, int64_t h, int64_t w, int64_t c);

// How a problem is computed on tensors of such strides: `images` x `rows` times the problem of one call. Other than pointwise kernels, which see
// all pixels as one row, kernels take any strides in one call.
struct Calls {
    ConvProblem problem;
    int64_t images = 1, rows = 1;
};
Calls calls_for(const ConvProblem &problem, const TensorStrides &given);

}  // namespace sepal
