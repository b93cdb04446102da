// The loops behind the measured peaks: as fast as an instruction set goes, written in assembly so that no compiler setting
// changes what they measure.
#pragma once

#include "runtime/isa.h"

#include <cstdint>

namespace sepal {

// `iterations` times a block of independent f32 operations on registers: fused multiply-adds of 256 (avx2) or 512 bits
// (avx512); for x64, which has none, as many 128-bit multiplications as additions. Returns the floating-point operations
// done (2 for each multiply-add). The CPU must run the ISA; so below.
double fma_loop(Isa isa, int64_t iterations);

enum class Stores {
    ordinary,   // through the caches
    streaming,  // past them (movntps)
};

// One pass over memory with vectors of the ISA. Pointers are aligned to 64 bytes, `bytes` is a multiple of 512, the arrays of
// copy_loop do not overlap. write_loop stores what the first 512 bytes hold.
constexpr int64_t loop_block_bytes = 512;
void read_loop(Isa isa, const float *from, int64_t bytes);
void write_loop(Isa isa, Stores stores, float *to, int64_t bytes);
void copy_loop(Isa isa, Stores stores, float *to, const float *from, int64_t bytes);

}  // namespace sepal
