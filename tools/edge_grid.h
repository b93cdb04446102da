// The problems on which every variant is checked: small, and around every edge of its tiles.
#pragma once

#include "runtime/registry.h"

#include <cstdint>
#include <vector>

namespace sepal {

// For the variant's operator and type: channels around its vectors and panels (1, one less, exact, one more, primes); 1x1, one-row,
// one-column, odd and even images; every width from 1 to 17 and up to 31; filters larger than the image, even and flat ones;
// strides 1 to 3, dilation, asymmetric padding and padding wider than the filter; multipliers 1 to 3; groups; batch 2; all
// activations; with and without biases; with a residual where the variant adds one; of a variant that takes whole vectors of channels only,
// each image with such. Whether the variant takes a problem is not looked at. Named "edge.<operator>.<index>"; images of at most 31 pixels a
// side and 150 channels.
std::vector<ConvProblem> edge_grid(const Variant &variant);

// A valid f32 problem of any operator, equal for equal seeds, named "random.<seed>"; at most 20 million multiply-adds.
ConvProblem random_problem(uint32_t seed);

// What `sepal check` checks the variant on: the problems of the edge grid that it takes and, when it is specialised, the
// cheapest problem of its suite that it takes (all of them with `full`).
std::vector<ConvProblem> problems_to_check(const Variant &variant, bool full = false);

}  // namespace sepal
