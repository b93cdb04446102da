// The CUDA driver, which is found when the program runs: nothing links to it.
#pragma once

#include "runtime/status.h"

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace sepal {

// Where entry points of the driver come from: the function of the name, null for one that it does not have.
using CudaSymbols = void *(*)(const char *name);

// The driver to use from now on, such as one that imitates a GPU; null: that of the system (libcuda.so.1, else libcuda.so), which is the
// default. Not while a device is open.
void use_cuda_driver(CudaSymbols symbols);

// Ok where there is a device that runs CUDA kernels, else why not: no driver library, one that cannot work with this system or is too old,
// no device, none that is new enough.
Status cuda_available();

// A launch of a CUDA kernel.
struct CudaLaunch {
    std::string kernel;  // of Halide's device code
    std::array<unsigned, 3> grid = {}, block = {};
    size_t shared_bytes = 0;  // dynamic, for each block
};
// The last one that this thread asked for, whether or not it succeeded.
std::optional<CudaLaunch> last_cuda_launch();

}  // namespace sepal
