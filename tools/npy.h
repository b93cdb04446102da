// NumPy's .npy files: little-endian float32 or float16 in C order.
#pragma once

#include "runtime/problem.h"
#include "tools/bad_input.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sepal {

// "(1, 224, 224, 128)", "(128,)", "()": as NumPy prints a shape.
std::string shape_text(const std::vector<int64_t> &shape);

// The elements of a file (format version 1, 2 or 3) whose shape must be `shape`. `tensor` names what it is for in messages,
// e.g. "filter of problem \"edge\"". Throws BadInput naming the file, what was found and what is allowed: no .npy file, another
// dtype than `dtype` (nothing is converted in silence), order or shape, too few or too many bytes.
std::vector<float> read_npy(const std::string &path, const std::vector<int64_t> &shape, const std::string &tensor, DType dtype = DType::f32);

// Writes version 1. `data` holds as many elements of the type as the shape has. See write_file() for what a failure leaves.
void write_npy(const std::string &path, const std::vector<int64_t> &shape, const void *data, DType dtype = DType::f32);

}  // namespace sepal
