// ptxas takes the registers it likes, often a few more than a multiprocessor has for one block more: 176 of a thread where 168 would let 3
// blocks of 128 threads run instead of 2. A cap brings them in, as long as nothing is spilled.
#pragma once

#include "cuda_toolkit.h"
#include "schedules/gpu/occupancy.h"

#include <vector>

namespace sepal {

// One way to make machine code of a kernel.
struct CapTrial {
    int cap = 0;  // PtxasOptions::maxrregcount
    Cubin cubin;
    KernelResources resources;  // of the kernel
    Occupancy occupancy;
};

// 168, 128, 96, 80: a quarter of a multiprocessor holds 3, 4, 5, 6 warps of kernels with so many registers.
extern const std::vector<int> register_caps;

// The kernel without a cap, and with each cap below what it then takes that could have more warps on a multiprocessor; none below one with
// which it spills. The PTX holds that kernel alone, which is launched with blocks of `threads` and `dynamic_shared_bytes`. Runs ptxas once
// for each trial. Throws CudaToolFailed.
std::vector<CapTrial> try_register_caps(const std::string &ptx, const std::string &arch, int threads, int64_t dynamic_shared_bytes,
                                        const std::vector<int> &caps = register_caps);

// The one to ship: without spills (where all spill, the fewest), with the most warps on a multiprocessor, with the highest cap or none.
const CapTrial &best_register_cap(const std::vector<CapTrial> &trials);

}  // namespace sepal
