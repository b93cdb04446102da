// The device code of a CUDA kernel as it is shipped: Halide's PTX, edited, as machine code of every architecture that ptxas is at hand for.
#pragma once

#include "cuda_toolkit.h"

#include <Halide.h>

#include <string>
#include <vector>

namespace sepal {

struct GpuCode {
    std::string ptx;            // as edited
    std::vector<Cubin> cubins;  // in the order of ptxas_architectures(); empty where there is no ptxas
    std::string why_no_cubins;  // one sentence; empty otherwise
};

// The edits, in this order (passes/ptx_edits.h): multiplications on tensor cores become instructions; shared memory is where it really begins; the
// threads of a block are stated, where compile time knows them, and that a multiprocessor is to hold so many `blocks` (0: whatever comes of it, or
// 1 where registers would be spilled otherwise).
// Then each architecture's machine code; of a module with one kernel, as hand-written schedules make it, with the register cap that lets most warps
// run without spills (register_cap.h). `arch`: this one only, if ptxas knows it; empty: all that are shipped. Throws std::runtime_error.
GpuCode gpu_code(const Halide::Module &module, int blocks, const std::string &arch = "");

// The module with it in place of Halide's PTX: a fat binary with the PTX as fallback for other GPUs, or the PTX alone, which the driver compiles when
// the kernel is first called.
Halide::Module with_gpu_code(const Halide::Module &module, const GpuCode &code);

}  // namespace sepal
