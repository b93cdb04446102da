// The device code of a Halide Module for CUDA: PTX, which Halide puts into the object as text.
#pragma once

#include <Halide.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sepal {

// The PTX of a module, all its kernels; empty where it has none.
std::string device_code(const Halide::Module &module);

// The module with other device code in its place: PTX, a cubin or a fatbin. The CUDA driver tells them apart by their first bytes.
Halide::Module with_device_code(const Halide::Module &module, const std::string &code);

// A launch of a kernel in the host code of a module. A number that only run time knows is 0.
struct KernelLaunch {
    std::string kernel;
    std::array<int, 3> threads = {};
    int64_t shared_bytes = 0;  // dynamic, of a block
};
std::vector<KernelLaunch> kernel_launches(const Halide::Module &module);

}  // namespace sepal
