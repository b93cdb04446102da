// IEEE 754 half: against its definition, and against the CPU's own conversion where it has one.
#include "catch.h"
#include "runtime/half.h"

#include <fmt/format.h>

#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace sepal;

namespace {

// (-1)^sign 2^(exponent - 15) 1.fraction, and for exponent 0: 2^-14 0.fraction.
double by_definition(uint32_t half) {
    const int exponent = int(half >> 10 & 31), fraction = int(half & 1023);
    const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

__attribute__((target("f16c"))) uint16_t half_by_cpu(float value) {
    return uint16_t(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT)));
}
__attribute__((target("f16c"))) float float_by_cpu(uint16_t half) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half))); }

}  // namespace

TEST_CASE("all 65536 halves are the floats of their definition, and come back", "[half]") {
    for (uint32_t half = 0; half < 65536; half++) {
        const float value = float_from_half(uint16_t(half));
        if ((half >> 10 & 31) == 31) {
            if (half & 1023)
                REQUIRE(std::isnan(value));
            else
                REQUIRE(value == (half & 0x8000 ? -1 : 1) * std::numeric_limits<float>::infinity());
            REQUIRE(half_from_float(value) == (half & 1023 ? half | 0x200 : half));  // a signalling NaN becomes quiet
            continue;
        }
        REQUIRE(double(value) == by_definition(half));
        REQUIRE(std::signbit(value) == bool(half & 0x8000));
        REQUIRE(half_from_float(value) == half);
        REQUIRE(rounded_to_half(double(value)) == double(value));
    }
}

TEST_CASE("a value between two halves becomes the nearer one, in the middle the even one", "[half]") {
    for (uint32_t half = 0; half < 0x7c00; half++) {
        const double below = by_definition(half), above = half == 0x7bff ? 65536 : by_definition(half + 1), middle = (below + above) / 2;
        for (uint32_t sign : {0u, 0x8000u}) {
            const double s = sign ? -1 : 1;
            const auto to_half = [&](double magnitude) { return half_from_float(float(s * magnitude)); };
            REQUIRE(to_half(middle) == sign + (half & 1 ? half + 1 : half));  // exact in f32
            REQUIRE(half_from_float(std::nextafter(float(s * middle), float(s * below))) == sign + half);
            REQUIRE(half_from_float(std::nextafter(float(s * middle), float(s * 1e9))) == sign + half + 1);
            // Of a double nothing is rounded twice: what is nearer to the middle than any float is not taken for it.
            const double next = half == 0x7bff ? INFINITY : above;
            REQUIRE(rounded_to_half(s * middle) == s * (half & 1 ? next : below));
            REQUIRE(rounded_to_half(s * std::nextafter(middle, 0)) == s * below);
            REQUIRE(rounded_to_half(s * std::nextafter(middle, 1e9)) == s * next);
        }
    }
    CHECK(half_from_float(65504.0f) == 0x7bff);
    CHECK(half_from_float(std::nextafter(65520.0f, 0.0f)) == 0x7bff);
    CHECK(half_from_float(65520.0f) == 0x7c00);
    CHECK(half_from_float(-1e30f) == 0xfc00);
    CHECK(half_from_float(0x1p-24f) == 1);
    CHECK(half_from_float(0x1p-25f) == 0);
    CHECK(half_from_float(std::nextafter(0x1p-25f, 1.0f)) == 1);
    CHECK(half_from_float(-0x1p-140f) == 0x8000);
    CHECK(rounded_to_half(2049.0f) == 2048);
    CHECK(rounded_to_half(2051.0f) == 2052);
    CHECK(std::isnan(rounded_to_half(std::nan(""))));
}

TEST_CASE("the CPU converts alike", "[half]") {
    if (!__builtin_cpu_supports("f16c")) return fmt::print("[SKIP] conversions of the CPU: it has no F16C\n");
    for (uint32_t half = 0; half < 65536; half++) {
        const bool signalling = (half & 0x7fff) > 0x7c00 && !(half & 0x200);  // which the CPU makes quiet
        REQUIRE(bits_of(float_by_cpu(uint16_t(half))) == bits_of(float_from_half(uint16_t(half))) + (signalling ? 0x400000u : 0u));
    }
    for (uint64_t bits = 0; bits < uint64_t(1) << 32; bits += 997) {  // prime: all exponents, all low bits
        const float value = float_of(uint32_t(bits));
        if (half_from_float(value) != half_by_cpu(value)) FAIL("float bits " << bits);
    }
}

TEST_CASE("elements are stored rounded and loaded as they are", "[half]") {
    const std::vector<float> values = {0, -1, 2049, 0.1f, 1e6f};
    std::vector<uint16_t> halves(values.size());
    std::vector<float> floats(values.size());
    store_elements(values.data(), 5, DType::f16, halves.data());
    CHECK(halves == std::vector<uint16_t>{0, 0xbc00, 0x6800, 0x2e66, 0x7c00});
    load_elements(halves.data(), DType::f16, 5, floats.data());
    for (int64_t i = 0; i < 5; i++) CHECK(element(halves.data(), DType::f16, i) == floats[size_t(i)]);
    CHECK(floats[2] == 2048);
    store_elements(values.data(), 5, DType::f32, floats.data());
    CHECK(floats == values);
    CHECK(element(floats.data(), DType::f32, 3) == 0.1f);
}
