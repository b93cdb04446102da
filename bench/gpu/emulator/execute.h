// Runs a launch, block after block, warp after warp.
#pragma once

#include "machine.h"

namespace sepal::ptx {

struct LaunchRequest {
    std::array<unsigned, 3> grid{}, block{};
    uint64_t dynamic_shared_bytes = 0;
    uint64_t most_warp_instructions = 0;
    std::vector<uint8_t> params;      // as the program lays them out
};

// The counts of the launch. Throws Fault.
KernelCounts execute(const Program &, GlobalMemory &, LaunchRequest);

}  // namespace sepal::ptx
