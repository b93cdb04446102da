// IEEE half precision in bits, and its roundings: inline and without branches, for loops over lanes, and apart from runtime/half.h, which
// kernels are checked with. A test compares the two.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace sepal::ptx {

template<class To, class From>
inline To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

inline float float_of_half(uint16_t half) {
    // The exponent is moved by a multiplication, which also makes subnormal numbers right.
    const uint32_t magnitude = (half & 0x7fffu) << 13;
    uint32_t bits = bits_as<uint32_t>(bits_as<float>(magnitude) * 0x1p112f);
    bits |= (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
    return bits_as<float>(bits | (half & 0x8000u) << 16);
}

// To nearest, ties to even.
inline uint16_t half_of_float(float value) {
    const uint32_t bits = bits_as<uint32_t>(value), magnitude = bits & 0x7fffffffu;
    const uint32_t large = magnitude > 0x7f800000u ? 0x7fffu : 0x7c00u;
    const uint32_t small = bits_as<uint32_t>(bits_as<float>(magnitude) + 0.5f) - 0x3f000000u;  // the addition rounds to multiples of 2^-24
    const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    const uint32_t half = magnitude >= 0x47800000u ? large : magnitude < 0x38800000u ? small : normal;
    return static_cast<uint16_t>(half | (magnitude > 0x7f800000u ? 0u : bits >> 16 & 0x8000u));
}

// To nearest, ties to even, in one rounding: first to a float whose last bit says whether anything was cut off.
inline uint16_t half_of_double(double value) {
    const float near = static_cast<float>(value);
    uint32_t bits = bits_as<uint32_t>(near);
    const double back = near;
    const bool inexact = back != value && (bits & 1u) == 0 && back - back == 0;
    const bool beyond = std::fabs(back) > std::fabs(value);
    bits += inexact ? (beyond ? ~0u : 1u) : 0u;
    return half_of_float(bits_as<float>(bits));
}

// a * b + c of halves that have been widened, in one rounding. The product is exact in float; of the sum the error is known exactly, and
// makes the last bit odd, as above.
inline uint16_t half_of_fma(float a, float b, float c) {
    const float product = a * b, sum = product + c;
    const float c_part = sum - product;
    const float error = (product - (sum - c_part)) + (c - c_part);
    uint32_t bits = bits_as<uint32_t>(sum);
    const uint32_t adjust = (error > 0) == (sum > 0) ? 1u : ~0u;
    const bool inexact = (error > 0 || error < 0) && (bits & 1u) == 0;
    bits += inexact ? adjust : 0u;
    return half_of_float(bits_as<float>(bits));
}

enum class Rounding { nearest, zero, down, up };

// Scaled to integers, the rounding of each mode is one of the C library's.
inline double round_to_integer(double value, Rounding mode) {
    switch (mode) {
    case Rounding::nearest: return std::nearbyint(value);
    case Rounding::zero: return std::trunc(value);
    case Rounding::down: return std::floor(value);
    case Rounding::up: return std::ceil(value);
    }
    return value;
}

inline uint16_t half_of_double(double value, Rounding mode) {
    if (mode == Rounding::nearest || value == 0 || value - value != 0) return half_of_double(value);
    int exponent = 0;
    std::frexp(value, &exponent);
    const int quantum = exponent - 11 < -24 ? -24 : exponent - 11;  // of the last bit
    const double rounded = std::ldexp(round_to_integer(std::ldexp(value, -quantum), mode), quantum);
    const bool away = mode == (value > 0 ? Rounding::up : Rounding::down);
    if (std::fabs(rounded) > 65504) return static_cast<uint16_t>((value < 0 ? 0x8000 : 0) | (away ? 0x7c00 : 0x7bff));
    if (rounded == 0) return value < 0 ? 0x8000 : 0;
    return half_of_double(rounded);
}

inline float float_of_double(double value, Rounding mode) {
    const float near = static_cast<float>(value);
    if (mode == Rounding::nearest || static_cast<double>(near) == value || value != value) return near;
    const bool down = mode == Rounding::down || (mode == Rounding::zero && value > 0);
    if (down) return near > value ? std::nextafter(near, -INFINITY) : near;
    return near < value ? std::nextafter(near, INFINITY) : near;
}

}  // namespace sepal::ptx
