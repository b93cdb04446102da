// How many blocks of a CUDA kernel one multiprocessor (SM) holds at a time, and what limits it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sepal {

constexpr int warp_threads = 32;

// What a multiprocessor of an architecture has. CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; the units of
// allocation as in cuda_occupancy.h of the CUDA Toolkit.
struct SmLimits {
    const char *arch;            // as ptxas names it
    int warps;                   // resident
    int blocks;                  // resident
    int64_t shared_bytes;        // for all blocks
    int64_t block_shared_bytes;  // for one, static and dynamic
    int64_t reserved_bytes;      // that the system takes of shared_bytes for each block
    int64_t shared_unit;         // in which shared memory is given
    // The same for all: registers are given to a warp in units of 256, from the quarter of the SM that it runs on.
    static constexpr int registers = 65536, partitions = 4, register_unit = 256, thread_registers = 255, block_threads = 1024;
};

// sm_75, sm_80, sm_86, sm_89, sm_90. Throws std::invalid_argument, which names them, for another.
const SmLimits &sm_limits(const std::string &arch);
std::vector<std::string> known_architectures();

struct Occupancy {
    int blocks = 0, warps = 0;  // on one SM; 0: such a block cannot be launched
    int most_warps = 0;         // that the SM could hold
    std::string limiter;        // "registers", "shared memory", "warps", "blocks", or some of them joined by " and "
    double share() const { return most_warps ? double(warps) / most_warps : 0; }
};

// Of blocks of `threads` threads with so many registers each and `shared_bytes`, static and dynamic, a block.
Occupancy occupancy(const SmLimits &sm, int registers, int threads, int64_t shared_bytes);

}  // namespace sepal
