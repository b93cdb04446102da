#include "peak_loops.h"

namespace sepal {
namespace {

#define EIGHT(M, ...) \
    M(0, __VA_ARGS__) M(1, __VA_ARGS__) M(2, __VA_ARGS__) M(3, __VA_ARGS__) M(4, __VA_ARGS__) M(5, __VA_ARGS__) M(6, __VA_ARGS__) M(7, __VA_ARGS__)
#define XMM_0_TO_7 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"
#define XMM_8_TO_15 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

// ---- arithmetic ----
// Every accumulator is a register of its own: two units of latency 4 to 5 need 8 to 10 operations under way. Values that
// change, since registers full of zeros draw less power and may clock higher.
constexpr float addend = 1e-9f, factor = 1.f;

#define ACCUMULATE_512(i, ...) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #i "\n\t"
#define START_512(i, ...) "vmovaps %%zmm30, %%zmm" #i "\n\t"
#define NEXT_EIGHT(M) M(8, ) M(9, ) M(10, ) M(11, ) M(12, ) M(13, ) M(14, ) M(15, )

// Registers: 16 accumulators, 2 operands.
__attribute__((target("avx512f"))) double fma_avx512(int64_t iterations) {
    int64_t n = iterations;
    asm volatile("vbroadcastss %[x], %%zmm30\n\tvbroadcastss %[y], %%zmm31\n\t"
                 EIGHT(START_512, ) NEXT_EIGHT(START_512)
                 "1:\n\t"
                 EIGHT(ACCUMULATE_512, ) NEXT_EIGHT(ACCUMULATE_512)
                 "dec %[n]\n\tjnz 1b\n\tvzeroupper"
                 : [n] "+r"(n) : [x] "m"(addend), [y] "m"(factor)
                 : "cc", XMM_0_TO_7, XMM_8_TO_15, "xmm30", "xmm31");
    return double(iterations) * 16 * 16 * 2;
}

#define ACCUMULATE_256(i, ...) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define START_256(i, ...) "vmovaps %%ymm14, %%ymm" #i "\n\t"
#define NEXT_FOUR(M) M(8, ) M(9, ) M(10, ) M(11, )

// Registers: 12 accumulators, 2 operands.
__attribute__((target("avx2,fma"))) double fma_avx2(int64_t iterations) {
    int64_t n = iterations;
    asm volatile("vbroadcastss %[x], %%ymm14\n\tvbroadcastss %[y], %%ymm15\n\t"
                 EIGHT(START_256, ) NEXT_FOUR(START_256)
                 "1:\n\t"
                 EIGHT(ACCUMULATE_256, ) NEXT_FOUR(ACCUMULATE_256)
                 "dec %[n]\n\tjnz 1b\n\tvzeroupper"
                 : [n] "+r"(n) : [x] "m"(addend), [y] "m"(factor) : "cc", XMM_0_TO_7, XMM_8_TO_15);
    return double(iterations) * 12 * 8 * 2;
}

#define MULTIPLY(i) "mulps %%xmm15, %%xmm" #i "\n\t"
#define ADD(i) "addps %%xmm14, %%xmm" #i "\n\t"
#define START_128(i, ...) "movaps %%xmm14, %%xmm" #i "\n\t"

// Registers: 6 that are multiplied, 6 that are added to, 2 operands.
double multiply_add_x64(int64_t iterations) {
    int64_t n = iterations;
    asm volatile("movss %[x], %%xmm14\n\tshufps $0, %%xmm14, %%xmm14\n\tmovss %[y], %%xmm15\n\tshufps $0, %%xmm15, %%xmm15\n\t"
                 EIGHT(START_128, ) NEXT_FOUR(START_128)
                 "1:\n\t"
                 MULTIPLY(0) ADD(6) MULTIPLY(1) ADD(7) MULTIPLY(2) ADD(8) MULTIPLY(3) ADD(9) MULTIPLY(4) ADD(10) MULTIPLY(5) ADD(11)
                 "dec %[n]\n\tjnz 1b"
                 : [n] "+r"(n) : [x] "m"(addend), [y] "m"(factor) : "cc", XMM_0_TO_7, XMM_8_TO_15);
    return double(iterations) * 12 * 4;
}

// ---- memory ----
// Eight vectors a turn; the loads of a copy come before its stores.
#define LOAD(i, move, reg, width) move " " #i "*" width "(%[from]), %%" reg #i "\n\t"
#define STORE(i, move, reg, width) move " %%" reg #i ", " #i "*" width "(%[to])\n\t"
#define FILL(i, move, reg, width) move " " #i "*" width "(%[to]), %%" reg #i "\n\t"
#define STEP(pointer, width) "add $8*" width ", %[" pointer "]\n\t"

#define MEMORY_LOOPS(isa, features, load, stream, reg, width, leave) \
    __attribute__((target(features))) void read_##isa(const float *from, const float *end) { \
        asm volatile("1:\n\t" EIGHT(LOAD, load, reg, width) STEP("from", width) "cmp %[end], %[from]\n\tjb 1b\n\t" leave \
                     : [from] "+r"(from) : [end] "r"(end) : "memory", "cc", XMM_0_TO_7); \
    } \
    __attribute__((target(features))) void write_##isa(float *to, const float *end) { \
        asm volatile(EIGHT(FILL, load, reg, width) "1:\n\t" EIGHT(STORE, load, reg, width) STEP("to", width) \
                     "cmp %[end], %[to]\n\tjb 1b\n\t" leave \
                     : [to] "+r"(to) : [end] "r"(end) : "memory", "cc", XMM_0_TO_7); \
    } \
    __attribute__((target(features))) void write_streaming_##isa(float *to, const float *end) { \
        asm volatile(EIGHT(FILL, load, reg, width) "1:\n\t" EIGHT(STORE, stream, reg, width) STEP("to", width) \
                     "cmp %[end], %[to]\n\tjb 1b\n\tsfence\n\t" leave \
                     : [to] "+r"(to) : [end] "r"(end) : "memory", "cc", XMM_0_TO_7); \
    } \
    __attribute__((target(features))) void copy_##isa(float *to, const float *from, const float *end) { \
        asm volatile("1:\n\t" EIGHT(LOAD, load, reg, width) EIGHT(STORE, load, reg, width) STEP("from", width) STEP("to", width) \
                     "cmp %[end], %[from]\n\tjb 1b\n\t" leave \
                     : [to] "+r"(to), [from] "+r"(from) : [end] "r"(end) : "memory", "cc", XMM_0_TO_7); \
    } \
    __attribute__((target(features))) void copy_streaming_##isa(float *to, const float *from, const float *end) { \
        asm volatile("1:\n\t" EIGHT(LOAD, load, reg, width) EIGHT(STORE, stream, reg, width) STEP("from", width) STEP("to", width) \
                     "cmp %[end], %[from]\n\tjb 1b\n\tsfence\n\t" leave \
                     : [to] "+r"(to), [from] "+r"(from) : [end] "r"(end) : "memory", "cc", XMM_0_TO_7); \
    }

MEMORY_LOOPS(x64, "sse4.1", "movaps", "movntps", "xmm", "16", "")
MEMORY_LOOPS(avx2, "avx2", "vmovaps", "vmovntps", "ymm", "32", "vzeroupper")
MEMORY_LOOPS(avx512, "avx512f", "vmovaps", "vmovntps", "zmm", "64", "vzeroupper")

}  // namespace

double fma_loop(Isa isa, int64_t iterations) {
    switch (isa) {
    case Isa::x64: return multiply_add_x64(iterations);
    case Isa::avx2: return fma_avx2(iterations);
    case Isa::avx512: return fma_avx512(iterations);
    case Isa::neon:
    case Isa::sm80:
    case Isa::opencl: break;  // no x86 CPU runs them
    }
    return 0;
}

void read_loop(Isa isa, const float *from, int64_t bytes) {
    const float *end = from + bytes / int64_t(sizeof(float));
    switch (isa) {
    case Isa::x64: return read_x64(from, end);
    case Isa::avx2: return read_avx2(from, end);
    case Isa::avx512: return read_avx512(from, end);
    case Isa::neon:
    case Isa::sm80:
    case Isa::opencl: break;  // no x86 CPU runs them
    }
}

void write_loop(Isa isa, Stores stores, float *to, int64_t bytes) {
    const float *end = to + bytes / int64_t(sizeof(float));
    const bool streaming = stores == Stores::streaming;
    switch (isa) {
    case Isa::x64: return streaming ? write_streaming_x64(to, end) : write_x64(to, end);
    case Isa::avx2: return streaming ? write_streaming_avx2(to, end) : write_avx2(to, end);
    case Isa::avx512: return streaming ? write_streaming_avx512(to, end) : write_avx512(to, end);
    case Isa::neon:
    case Isa::sm80:
    case Isa::opencl: break;  // no x86 CPU runs them
    }
}

void copy_loop(Isa isa, Stores stores, float *to, const float *from, int64_t bytes) {
    const float *end = from + bytes / int64_t(sizeof(float));
    const bool streaming = stores == Stores::streaming;
    switch (isa) {
    case Isa::x64: return streaming ? copy_streaming_x64(to, from, end) : copy_x64(to, from, end);
    case Isa::avx2: return streaming ? copy_streaming_avx2(to, from, end) : copy_avx2(to, from, end);
    case Isa::avx512: return streaming ? copy_streaming_avx512(to, from, end) : copy_avx512(to, from, end);
    case Isa::neon:
    case Isa::sm80:
    case Isa::opencl: break;  // no x86 CPU runs them
    }
}

}  // namespace sepal
