#include "lane_math.h"

#include "half.h"

namespace sepal::ptx {
namespace {

// Written once, compiled for each set of instructions that the functions at the end name.
#define SEPAL_INLINE inline __attribute__((always_inline))

SEPAL_INLINE void fma_f32_loop(uint32_t *d, const uint32_t *a, const uint32_t *b, const uint32_t *c) {
#pragma GCC ivdep
    for (int l = 0; l < 32; ++l) d[l] = bits_as<uint32_t>(__builtin_fmaf(bits_as<float>(a[l]), bits_as<float>(b[l]), bits_as<float>(c[l])));
}

SEPAL_INLINE uint32_t fma_half(uint32_t a, uint32_t b, uint32_t c) {
    const auto wide = [](uint32_t half) { return float_of_half(static_cast<uint16_t>(half)); };
    return half_of_fma(wide(a), wide(b), wide(c));
}
SEPAL_INLINE void fma_f16x2_loop(uint32_t *d, const uint32_t *a, const uint32_t *b, const uint32_t *c) {
#pragma GCC ivdep
    for (int l = 0; l < 32; ++l) d[l] = fma_half(a[l], b[l], c[l]) | fma_half(a[l] >> 16, b[l] >> 16, c[l] >> 16) << 16;
}

using Doubles = double __attribute__((vector_size(32)));

SEPAL_INLINE void multiply_f16_loop(float *d, const float *a, const float *b, int rows, int depth) {
    double wide_a[16 * 16];
    Doubles wide_b[16][2];
    for (int i = 0; i < rows * depth; ++i) wide_a[i] = a[i];
    for (int i = 0; i < depth * 8; ++i) wide_b[i / 8][i / 4 % 2][i % 4] = b[i];
    constexpr int at_once = 4;  // rows: their sums do not wait for each other
    for (int r = 0; r < rows; r += at_once) {
        Doubles sum[at_once][2];
        for (int m = 0; m < at_once; ++m)
            for (int n = 0; n < 8; ++n) sum[m][n / 4][n % 4] = d[(r + m) * 8 + n];
        for (int k = 0; k < depth; ++k)
            for (int m = 0; m < at_once; ++m)
                for (int half = 0; half < 2; ++half) sum[m][half] += wide_a[(r + m) * depth + k] * wide_b[k][half];
        for (int m = 0; m < at_once; ++m)
            for (int n = 0; n < 8; ++n) d[(r + m) * 8 + n] = static_cast<float>(sum[m][n / 4][n % 4]);
    }
}

SEPAL_INLINE void widen_loop(float *low, float *high, const uint32_t *from) {
    for (int l = 0; l < 32; ++l)
        low[l] = float_of_half(static_cast<uint16_t>(from[l])), high[l] = float_of_half(static_cast<uint16_t>(from[l] >> 16));
}

#define SEPAL_COMPILED(suffix, features)                                                                                                   \
    features void fma_f32_##suffix(uint32_t *d, const uint32_t *a, const uint32_t *b, const uint32_t *c) { fma_f32_loop(d, a, b, c); }     \
    features void fma_f16x2_##suffix(uint32_t *d, const uint32_t *a, const uint32_t *b, const uint32_t *c) { fma_f16x2_loop(d, a, b, c); } \
    features void multiply_f16_##suffix(float *d, const float *a, const float *b, int rows, int depth) {                                   \
        multiply_f16_loop(d, a, b, rows, depth);                                                                                           \
    }                                                                                                                                      \
    features void widen_##suffix(float *low, float *high, const uint32_t *from) { widen_loop(low, high, from); }

SEPAL_COMPILED(any, )
SEPAL_COMPILED(avx2, __attribute__((target("avx2,fma"))))

bool has_avx2() {
    static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return has;
}

}  // namespace

void (*const fma_f32)(uint32_t *, const uint32_t *, const uint32_t *, const uint32_t *) = has_avx2() ? fma_f32_avx2 : fma_f32_any;
void (*const fma_f16x2)(uint32_t *, const uint32_t *, const uint32_t *, const uint32_t *) = has_avx2() ? fma_f16x2_avx2 : fma_f16x2_any;
void (*const multiply_f16)(float *, const float *, const float *, int, int) = has_avx2() ? multiply_f16_avx2 : multiply_f16_any;
void (*const widen)(float *, float *, const uint32_t *) = has_avx2() ? widen_avx2 : widen_any;

}  // namespace sepal::ptx
