// The arithmetic that most of a kernel's time goes to, with the vector instructions that this CPU has. Results are the same with any.
#pragma once

#include <cstdint>

namespace sepal::ptx {

// d = a * b + c of 32 floats each, rounded once. d may be one of the others.
extern void (*const fma_f32)(uint32_t *d, const uint32_t *a, const uint32_t *b, const uint32_t *c);
// Of 32 pairs of halves.
extern void (*const fma_f16x2)(uint32_t *d, const uint32_t *a, const uint32_t *b, const uint32_t *c);
// d += a * b, a: rows x depth, b: depth x 8, d: rows x 8, all row by row; up to 16 rows, a multiple of 4, and a depth up to 16. Halves have
// been widened to float, in which products are exact; sums are made in double and rounded to float once.
extern void (*const multiply_f16)(float *d, const float *a, const float *b, int rows, int depth);
// Floats of 32 pairs of halves.
extern void (*const widen)(float *low, float *high, const uint32_t *from);

}  // namespace sepal::ptx
