#include "half.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sepal {
namespace {

constexpr uint32_t float_infinity = 0x7f800000, sign_bit = 0x80000000;
constexpr int dropped = 23 - 10;              // bits of a float's fraction that a half has no room for
constexpr uint32_t rebias = (127 - 15) << 23;  // between the exponents' biases, as bits of a float

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace

uint16_t half_from_float(float value) {
    const uint32_t bits = bits_of(value), magnitude = bits & ~sign_bit, sign = (bits & sign_bit) >> 16;
    if (magnitude > float_infinity) return uint16_t(sign | 0x7e00 | (magnitude >> dropped & 0x3ff));
    if (magnitude >= bits_of(65520.0f)) return uint16_t(sign | 0x7c00);
    // A subnormal half counts units of 2^-24: so does the last bit of a float from 0.5 to 1, into which the addition rounds.
    if (magnitude < bits_of(0x1p-14f)) return uint16_t(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
    const uint32_t odd = magnitude >> dropped & 1;
    return uint16_t(sign | ((magnitude - rebias + (1u << (dropped - 1)) - 1 + odd) >> dropped));
}

float float_from_half(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16, magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) return float_of(sign | float_infinity | magnitude << dropped);
    if (magnitude < 0x400) return std::copysign(float(magnitude) * 0x1p-24f, float_of(sign));
    return float_of(sign | ((magnitude << dropped) + rebias));
}

double rounded_to_half(double value) {
    if (std::isnan(value) || std::isinf(value)) return value;
    // The last bit of the half that holds it: 10 below its leading one, but no less than that of subnormals.
    const double unit = std::ldexp(1.0, std::max(std::ilogb(value == 0 ? 1 : value), -14) - 10);
    const double rounded = std::nearbyint(value / unit) * unit;
    return std::fabs(rounded) > double(largest_half) ? std::copysign(INFINITY, value) : rounded;
}

void store_elements(const float *values, int64_t count, DType dtype, void *array) {
    if (dtype == DType::f32)
        std::copy_n(values, count, static_cast<float *>(array));
    else
        std::transform(values, values + count, static_cast<uint16_t *>(array), half_from_float);
}

void load_elements(const void *array, DType dtype, int64_t count, float *values) {
    if (dtype == DType::f32)
        std::copy_n(static_cast<const float *>(array), count, values);
    else
        std::transform(static_cast<const uint16_t *>(array), static_cast<const uint16_t *>(array) + count, values, float_from_half);
}

}  // namespace sepal
