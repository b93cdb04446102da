// Winograd's transforms as Halide expressions. No scheduling in this file.
#pragma once

#include "runtime/winograd.h"

#include <Halide.h>

namespace sepal {

// The product of a constant matrix [rows, values.size()], row-major, with a vector of expressions. Rows that differ in some signs only
// (those of points x and -x are such) are the sum and the difference of two sums, and so are columns.
std::vector<Halide::Expr> matrix_times(const std::vector<double> &matrix, const std::vector<Halide::Expr> &values);

}  // namespace sepal
