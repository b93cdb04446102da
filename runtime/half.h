// IEEE 754 half: 1 bit of sign, 5 of exponent, 10 of fraction; and elements of either type of a tensor.
#pragma once

#include "problem.h"

#include <cstdint>

namespace sepal {

// The half that is nearest to a value, of two equally near ones the even one: what CPUs (F16C) and GPUs give. Values of 65520 and more
// become infinity, those of at most 2^-25 zero; subnormal halves are kept; of a NaN the sign and the upper bits of its fraction stay, and it
// is a quiet one.
uint16_t half_from_float(float value);
// Every half is a float.
float float_from_half(uint16_t bits);
// To half and back.
inline float rounded_to_half(float value) { return float_from_half(half_from_float(value)); }
// Of a double, rounded once.
double rounded_to_half(double value);

constexpr float largest_half = 65504;

// Element `i` of an array of that type.
inline float element(const void *array, DType dtype, int64_t i) {
    return dtype == DType::f32 ? static_cast<const float *>(array)[i] : float_from_half(static_cast<const uint16_t *>(array)[i]);
}
// Copies `count` values into an array of that type, rounding each to it, and back.
void store_elements(const float *values, int64_t count, DType dtype, void *array);
void load_elements(const void *array, DType dtype, int64_t count, float *values);

}  // namespace sepal
