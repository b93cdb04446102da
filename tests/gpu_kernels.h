// Small kernels for tests of GPU code, compiled and loaded in process.
#pragma once

#include "runtime/registry.h"

#include <string>
#include <vector>

namespace Halide {
class Func;
struct Argument;
}

namespace sepal {

// A kernel for the backend as a shared library, which finds Halide's runtime in the program.
class TestKernel {
public:
    // out(x) = a(x) + b(x), f32, in blocks of 64 threads, any extent.
    static TestKernel add(Backend backend);
    // out(x) = 2 a(x) + 1, f32, extents that are multiples of 15360, by 60 KB of shared memory for each block.
    static TestKernel shared(Backend backend);
    // The same for any extent, by an intermediate in the device's memory, which each call allocates.
    static TestKernel two_steps(Backend backend);
    // out(x, y) = a(x, y) + 1, f32, one block for each element.
    static TestKernel rows(Backend backend);
    // out(x) = f16(a(x) + 1), which devices without half precision cannot compile.
    static TestKernel half(Backend backend);
    // A depthwise kernel for 1 x 1 filters, stride 1 and no padding, with the arguments that a plan gives it.
    static TestKernel depthwise(Backend backend);

    TestKernel(TestKernel &&other) noexcept;
    ~TestKernel();
    KernelFunction function() const { return function_; }
    const char *name() const { return name_.c_str(); }
    // As a row of the table.
    Variant variant() const;

private:
    TestKernel() = default;
    std::string name_;
    Backend backend_ = Backend::cpu;
    void *library_ = nullptr;
    KernelFunction function_ = nullptr;
    static TestKernel compile(const std::string &name, Backend backend, Halide::Func &func, const std::vector<Halide::Argument> &arguments,
                              bool half = false);
};

}  // namespace sepal
