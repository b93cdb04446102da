// The reference: each operator as plain loops in double precision, data on which kernels are exact, and the comparison
// of a kernel's output with it. For tests, `sepal check` and the check before each timing.
//
// Of an f16 problem it is the reference of what kernels are to compute: on filters rounded to half once, with the results of depsep's
// depthwise half rounded to half before the pointwise half reads them, and the output rounded to half; biases and sums are not rounded.
#pragma once

#include "plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sepal {

// All tensors of one problem, in the layouts of ConvProblem; those that it does not have are empty. The output is sized and
// filled with NaN, so that an element that a kernel left out is found. Held as f32 whatever the problem's type: the input and the skip tensor have
// values of that type (AlignedArray makes the array that a kernel reads), filters are rounded where they are packed.
struct Tensors {
    ConvProblem problem;
    std::vector<float> input, filter, mid_bias, pointwise_filter, bias, skip, output;
    bool exact = false;  // made by make_exact_tensors: the kernels' sums have no rounding

    Weights weights() const;  // points into this object; null for a tensor that is empty
};

// Both require a valid problem and throw std::bad_alloc when the tensors do not fit in memory. Equal problems and seeds give
// equal tensors on every machine.
//
// Small integers other than 0, of either sign: up to 4 in magnitude, filters thinned out where that is needed, so that in any
// order of summation, with or without FMA, every partial sum of each half of the operator is an integer below 2^24 in
// magnitude and hence exact in f32. Where an activation is relu6, sums are kept near its range so that few are clamped. Of an f16 problem
// nothing overflows half, depsep's middle is exact in half, and so are the results up to 2^11, which most are; larger ones are rounded once.
Tensors make_exact_tensors(const ConvProblem &problem, uint32_t seed);
// Uniform in [-1, 1).
Tensors make_random_tensors(const ConvProblem &problem, uint32_t seed);

// The whole output in double precision, in the problem's layout; `output` holds problem.output_elements() doubles, owned
// by the caller.
void reference(const Tensors &tensors, double *output);

struct CheckResult {
    bool passed = false;
    int64_t compared = 0;  // output elements
    double rel_error = 0;  // where one is allowed: the largest difference that was found, as a share of the largest of the compared outputs
    std::string message;   // empty when passed, else the first mismatch and how many elements differ
};

// Compares `output` (in the problem's layout and of its type) with the reference: at every output pixel if that costs at most `max_macs`
// multiply-adds, else at as many pixels as that allows (16 at the least): the corners of the first and last image, and a
// reproducible draw in which rows, columns on the border or beside multiples of 7 and 8, where tiles meet, are frequent. A NaN
// anywhere in the output is a mismatch.
// On exact tensors without hardswish, values must be equal (0 equals -0). Otherwise they may differ by the bound on rounding
// that reference.cpp derives.
// With a `rel_error` they may differ by that share of the largest of the compared outputs besides (Variant::rel_error()).
CheckResult check_output(const Tensors &tensors, const void *output, double max_macs = 1e9, double rel_error = 0);

// What every byte of an output is filled with before a kernel runs, where it is filled by bytes: floats of both types are NaNs then.
constexpr uint8_t unwritten_byte = 0xff;

}  // namespace sepal
