// Lower bounds of a kernel's time on a GPU, from what it does, counted exactly, and what the GPU can do at best.
#pragma once

#include "bench/gpu/emulator/kernel_counts.h"
#include "bench/gpu/gpu_model.h"

#include <string>
#include <vector>

namespace sepal {

// The time that one part of the GPU needs for its share of the work, were it busy throughout.
struct GpuBound {
    std::string part;
    double microseconds = 0;
};

struct GpuBounds {
    std::string gpu;  // GpuModel::name
    // Of the parts whose rate is known:
    //   dram    each sector of 32 bytes that the launch touches, once, read and written
    //   l2      the same from and to L2
    //   lsu     passes through L1 and shared memory: what one moves in a clock, or a request, whichever is more
    //   issue   instructions of warps, 4 a clock and multiprocessor. Of the PTX, moves and loads of parameters left out: machine code
    //           may have a few more or less
    //   fma     f32 and f16 arithmetic of the FMA pipes
    //   dp4a    4-way integer products
    //   tensor  mma.sync
    std::vector<GpuBound> parts;
    bool fits_l2 = false;                                // all that the launch touches
    GpuBound cold, warm;                                 // the longest; warm: without dram where all fits L2
    std::string note;                                    // what such a GPU lacks that the kernel uses; empty: nothing
    double microseconds(const std::string &part) const;  // 0 for one that is not there
};

// Of one launch.
GpuBounds gpu_bounds(const KernelCounts &counts, const GpuModel &gpu);

// Bytes that the launch moves from and to memory at least: each sector once, those that it reads and those that it writes.
double compulsory_bytes(const KernelCounts &counts);

}  // namespace sepal
