// A context on the emulated CUDA device, for tests that launch PTX.
#pragma once

#include "bench/gpu/emulator/emulator.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace sepal {

// An entry point by its name; called with values of just the types that the driver's API has.
template<typename... Arguments>
int cuda(const char *name, Arguments... arguments) {
    void *symbol = emulated_cuda_symbol(name);
    if (!symbol) throw std::runtime_error(std::string("no entry point ") + name);
    return reinterpret_cast<int (*)(Arguments...)>(symbol)(arguments...);
}

using DeviceAddress = unsigned long long;

class EmulatedGpu {
public:
    explicit EmulatedGpu(const EmulatedDevice &device = {}) {
        configure_emulator(device);
        must("cuInit", cuda("cuInit", 0u));
        must("cuCtxCreate_v2", cuda("cuCtxCreate_v2", &context_, 0u, 0));
    }
    ~EmulatedGpu() { cuda("cuCtxDestroy_v2", context_); }
    EmulatedGpu(const EmulatedGpu &) = delete;
    EmulatedGpu &operator=(const EmulatedGpu &) = delete;

    // Memory in which nothing has been written.
    DeviceAddress allocate(size_t bytes) {
        DeviceAddress address = 0;
        must("cuMemAlloc_v2", cuda("cuMemAlloc_v2", &address, bytes));
        return address;
    }
    template<typename T>
    DeviceAddress upload(const std::vector<T> &values) {
        const DeviceAddress address = allocate(values.size() * sizeof(T));
        must("cuMemcpyHtoD_v2", cuda("cuMemcpyHtoD_v2", address, static_cast<const void *>(values.data()), values.size() * sizeof(T)));
        return address;
    }
    template<typename T>
    std::vector<T> download(DeviceAddress address, size_t count) {
        std::vector<T> values(count);
        must("cuMemcpyDtoH_v2", cuda("cuMemcpyDtoH_v2", static_cast<void *>(values.data()), address, count * sizeof(T)));
        return values;
    }

    void *load(const std::string &ptx) {
        void *module = nullptr;
        must("cuModuleLoadData", cuda("cuModuleLoadData", &module, static_cast<const void *>(ptx.c_str())));
        return module;
    }
    void *function(void *module, const std::string &name) {
        void *function = nullptr;
        must("cuModuleGetFunction", cuda("cuModuleGetFunction", &function, module, name.c_str()));
        return function;
    }

    struct Shape {
        unsigned blocks = 1, threads = 32, shared_bytes = 0;
    };
    // The driver's result.
    template<typename... Arguments>
    int launch(void *function, Shape s, Arguments... arguments) {
        std::array<void *, sizeof...(Arguments) + 1> pointers{&arguments..., nullptr};
        return cuda("cuLaunchKernel", function, s.blocks, 1u, 1u, s.threads, 1u, 1u, s.shared_bytes, static_cast<void *>(nullptr),
                    pointers.data(), static_cast<void **>(nullptr));
    }

private:
    static void must(const char *call, int result) {
        if (!result) return;
        std::string text = std::string(call) + " failed with " + std::to_string(result);
        for (const std::string &fault : take_emulator_faults()) text += ": " + fault;
        throw std::runtime_error(text);
    }
    void *context_ = nullptr;
};

// PTX of a kernel "k" with so many pointers p0, p1, ... as parameters. Its body finds them as %pointer0, ..., the thread's number as %t,
// and registers %p (predicates), %h (16 bits), %r, %d (64 bits), 63 of each.
inline std::string ptx_kernel(int pointers, const std::string &body, const std::string &directives = "",
                              const std::string &variables = "") {
    std::string text = ".version 7.8\n.target sm_80\n.address_size 64\n" + variables + "\n.visible .entry k(";
    std::string loads;
    for (int p = 0; p < pointers; ++p) {
        const std::string n = std::to_string(p);
        text += (p ? ", " : "") + std::string(".param .u64 .ptr .align 1 p") + n;
        loads += "ld.param.b64 %pointer" + n + ", [p" + n + "];\n";
    }
    return text + ")\n" + directives +
           "\n{\n.reg .pred %p<64>;\n.reg .b16 %h<64>;\n.reg .b32 %r<64>;\n.reg .b64 %d<64>;\n.reg .b64 %pointer<8>;\n.reg .b32 %t;\n" +
           loads + "mov.u32 %t, %tid.x;\n" + body + "\nret;\n}\n";
}

}  // namespace sepal
