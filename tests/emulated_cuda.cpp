// libcuda.so.1 over the emulator: a CUDA driver for programs that find theirs as any program does, where there is no GPU.
#include "bench/gpu/emulator/emulator.h"

#include <cstdio>
#include <cstdlib>

#define ENTRY_POINTS(X)                                                                                                                              \
    X(cuGetErrorName) X(cuGetErrorString) X(cuInit) X(cuDriverGetVersion) X(cuDeviceGetCount) X(cuDeviceGet) X(cuDeviceGetName)                      \
    X(cuDeviceTotalMem_v2) X(cuDeviceGetAttribute) X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease_v2) X(cuCtxCreate_v2)                     \
    X(cuCtxDestroy_v2) X(cuCtxPushCurrent_v2) X(cuCtxPopCurrent_v2) X(cuCtxGetDevice) X(cuCtxGetApiVersion) X(cuCtxSynchronize) X(cuProfilerStop)    \
    X(cuStreamCreate) X(cuStreamDestroy_v2) X(cuStreamSynchronize) X(cuStreamGetCtx) X(cuMemGetInfo_v2) X(cuMemAlloc_v2) X(cuMemFree_v2)             \
    X(cuMemcpyHtoD_v2) X(cuMemcpyDtoH_v2) X(cuMemcpyDtoD_v2) X(cuMemcpyHtoDAsync_v2) X(cuMemcpyDtoHAsync_v2) X(cuMemcpyDtoDAsync_v2)                 \
    X(cuMemcpy3D_v2) X(cuMemsetD8Async) X(cuPointerGetAttribute) X(cuModuleLoadData) X(cuModuleLoadDataEx) X(cuModuleUnload)                         \
    X(cuModuleGetFunction) X(cuFuncSetAttribute) X(cuLaunchKernel)

// A function of any type cannot be written down for all of them; each jumps to where the emulator has it.
#define ENTRY_POINT(name)                                                                                                                            \
    extern "C" __attribute__((visibility("hidden"))) void *at_##name;                                                                                \
    void *at_##name = nullptr;                                                                                                                       \
    asm(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n    jmp *at_" #name "(%rip)\n.size " #name ", .-" #name "\n");

ENTRY_POINTS(ENTRY_POINT)

namespace {

void look_up(void *&at, const char *name) {
    at = sepal::emulated_cuda_symbol(name);
    if (at) return;
    std::fprintf(stderr, "libcuda: the emulator has no function %s\n", name);
    std::abort();
}

__attribute__((constructor)) void look_all_up() {
#define LOOK_UP(name) look_up(at_##name, #name);
    ENTRY_POINTS(LOOK_UP)
}

}  // namespace
