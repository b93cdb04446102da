// What one launch of a kernel did, counted exactly while its PTX was executed.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace sepal {

// What a PTX instruction asks for. ptxas may merge, split or remove instructions: these are counts of the PTX, not of machine code.
enum class InstructionClass {
    fma_f32,       // fma, mul.f32, add.f32, sub.f32: what the f32 pipes do
    other_f32,     // min, max, abs, neg, division of f32
    f64,           // any arithmetic of f64
    arith_f16,     // any arithmetic of f16 and f16x2
    special,       // ex2, lg2, rcp, sqrt, rsqrt, sin, cos, tanh
    integer,       // 32 bits and less: arithmetic, logic, shifts, prmt, bit fields
    integer64,     // 64 bits, and products of 32 bits into 64
    dp4a,          //
    mma,           // mma.sync of any shape
    convert,       // cvt, but not of an integer to one as wide
    compare,       // setp, selp, logic of predicates
    move,          // mov, cvta, and cvt of an integer to one as wide
    load_global, store_global, load_shared, store_shared, load_local, store_local, load_param, load_const,
    ldmatrix,      //
    cp_async,      // with its commits and waits
    atomic,        // atom, red
    shuffle,       // shfl, vote, activemask
    barrier,       // bar.sync, bar.warp.sync
    branch,        // bra
    exit,          // ret, exit
    count
};
const char *name(InstructionClass);

// Accesses of one kind and space. A request is one instruction of one warp with at least one thread in it.
struct AccessCounts {
    uint64_t requests = 0;
    uint64_t threads = 0;                // accesses of single threads
    uint64_t bytes = 0;                  // asked for by threads, those that several ask for counted for each
    std::map<int, uint64_t> by_width;    // requests by the bytes that each of their threads accesses: 2, 4, 8, 16
};

struct GlobalCounts : AccessCounts {
    uint64_t sectors = 0;                // of 32 bytes, those of each request counted once: what goes between L1 and the multiprocessor
    uint64_t unique_sectors = 0;         // those of the whole launch counted once: 32 times this is what has to come from or go to memory
    double sectors_per_request() const { return requests ? static_cast<double>(sectors) / static_cast<double>(requests) : 0; }
    // Share of the sectors' bytes that threads asked for; above 1 where several threads of a warp ask for the same bytes.
    double useful() const { return sectors ? static_cast<double>(bytes) / (32. * static_cast<double>(sectors)) : 0; }
};

struct SharedCounts : AccessCounts {
    // Passes over the 32 banks of 4 bytes: threads are served in groups, the warp at up to 4 bytes a thread, a half at 8, a quarter at 16;
    // a group takes as many passes as there are different words in its busiest bank. What a pass of a load gives goes to twice as many threads where
    // all of them ask for what their neighbour does, or all for what the one after that does (lanes l and l ^ 1, or l ^ 2): then groups are twice as
    // large. (NVIDIA says so of compute capability 7.x; Nsight Compute's counts of two kernels on an H100 whose pixels' loads are such agree.)
    uint64_t wavefronts = 0;
    uint64_t least_wavefronts = 0;       // had there been no bank conflict: one for each group that has a thread in it
    double conflicts() const { return least_wavefronts ? static_cast<double>(wavefronts) / static_cast<double>(least_wavefronts) : 1; }
};

struct KernelCounts {
    std::string kernel;
    std::shared_ptr<const std::string> image;            // what its module was loaded from: PTX or a fat binary
    std::array<unsigned, 3> grid{}, block{};
    uint64_t blocks = 0, warps = 0, threads = 0;         // of the launch
    uint64_t dynamic_shared_bytes = 0, static_shared_bytes = 0;

    // Instructions that a warp issued, those whose predicate was false in all threads included.
    std::array<uint64_t, static_cast<size_t>(InstructionClass::count)> warp_instructions{};
    uint64_t of(InstructionClass c) const { return warp_instructions[static_cast<size_t>(c)]; }
    uint64_t all_warp_instructions() const {
        uint64_t all = 0;
        for (uint64_t n : warp_instructions) all += n;
        return all;
    }
    std::map<std::string, uint64_t> by_opcode;           // the same by opcode, types included: "fma.rn.f32", "ld.global.nc.v4.b32"

    uint64_t f32_fma = 0;                                // of threads
    uint64_t f16_fma = 0;                                // of threads; two for each fma of f16x2
    uint64_t dp4a = 0;                                   // of threads; each has 4 multiply-adds
    std::map<std::string, uint64_t> mma;                 // warp instructions by shape and types of D, A, B, C: "m16n8k16.f32.f16.f16.f32"
    uint64_t mma_multiply_adds = 0;                      // of all shapes

    GlobalCounts global_loads, global_stores;            // cp.async loads from global and stores to shared; atomics count as both
    SharedCounts shared_loads, shared_stores;            // ldmatrix loads: each of its 8x8 matrices is one group
    AccessCounts local_loads, local_stores;              // the stack: spills and arrays that are indexed at run time

    uint64_t barriers = 0;                               // bar.sync of warps
    uint64_t branches = 0, divergent_branches = 0;       // bra of warps; those in which some of the threads went on and others jumped
};

}  // namespace sepal
