// What Sepal and Halide's runtime call of the CUDA driver. Names, arguments and numbers are those of cuda.h of the CUDA Toolkit, which is
// needed neither to build nor to run. CUcontext, CUstream, CUmodule, CUfunction, CUevent, CUgraph and CUgraphExec are void * here, CUdevice
// is int, CUdeviceptr is uint64_t.
#pragma once

#include "cuda_driver.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace sepal::cuda {

using Result = int;  // CUresult
constexpr Result success = 0, invalid_value = 1, out_of_memory = 2, no_device = 100, invalid_context = 201, not_found = 500,
                 context_is_destroyed = 709;

// The first call of this thread that failed since the last take_failure().
struct Failure {
    Result result = success;
    std::string text;  // "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (out of memory)", or a better explanation
};
Failure take_failure();
void note_failure(Result result, const std::string &text);

// Ok for success; else "`what`: " and the text of the failure, which is taken.
Status status_of(Result result, const std::string &what);

// A failure as the Status of something that could not be done.
Status failed(const Failure &failure, const std::string &what);

// Loads and starts the driver unless that is done: why it cannot be used, or ok. All else in this file needs it.
Status start();
// The number of devices, where there is one at least.
Status count_devices(int &count);
// Why the device cannot run kernels ("CUDA device 0 (...) is too old: ..."), or ok. It is less than count_devices() says.
Status check_device(int index);
std::string device_text(int device);  // "CUDA device 0 (NVIDIA H100 80GB HBM3)"
int driver_version();  // 12040 is CUDA 12.4

class AnyEntryPoint {
public:
    const char *name() const { return name_; }
    // From the driver that is in use. Null where it has none of the name.
    void look_up(CudaSymbols symbols) { function_ = symbols ? symbols(name_) : nullptr; }
    AnyEntryPoint *next() const { return next_; }
    static AnyEntryPoint *first() { return first_; }

protected:
    explicit AnyEntryPoint(const char *name) : name_(name), next_(first_) { first_ = this; }
    Result missing() const;
    Result noted(Result result) const;
    std::atomic<void *> function_{nullptr};

private:
    const char *name_;
    AnyEntryPoint *next_;
    inline static AnyEntryPoint *first_ = nullptr;
};

// One function of the driver. Notes what fails.
template<typename... Args>
class EntryPoint : public AnyEntryPoint {
public:
    explicit EntryPoint(const char *name) : AnyEntryPoint(name) {}
    Result operator()(Args... args) const {
        if (!function_) return missing();
        const Result result = quietly(args...);
        return result == success ? result : noted(result);
    }
    // Without a note.
    Result quietly(Args... args) const {
        void *const function = function_;
        return function ? reinterpret_cast<Result (*)(Args...)>(function)(args...) : not_found;
    }
};

inline EntryPoint<Result, const char **> cuGetErrorName{"cuGetErrorName"};
inline EntryPoint<Result, const char **> cuGetErrorString{"cuGetErrorString"};
inline EntryPoint<unsigned> cuInit{"cuInit"};
inline EntryPoint<int *> cuDriverGetVersion{"cuDriverGetVersion"};
inline EntryPoint<int *> cuDeviceGetCount{"cuDeviceGetCount"};
inline EntryPoint<int *, int> cuDeviceGet{"cuDeviceGet"};
inline EntryPoint<char *, int, int> cuDeviceGetName{"cuDeviceGetName"};
inline EntryPoint<size_t *, int> cuDeviceTotalMem{"cuDeviceTotalMem_v2"};
inline EntryPoint<int *, int, int> cuDeviceGetAttribute{"cuDeviceGetAttribute"};  // value, attribute, device
inline EntryPoint<void **, int> cuDevicePrimaryCtxRetain{"cuDevicePrimaryCtxRetain"};
inline EntryPoint<int> cuDevicePrimaryCtxRelease{"cuDevicePrimaryCtxRelease_v2"};
inline EntryPoint<void **, unsigned, int> cuCtxCreate{"cuCtxCreate_v2"};
inline EntryPoint<void *> cuCtxDestroy{"cuCtxDestroy_v2"};
inline EntryPoint<void *> cuCtxPushCurrent{"cuCtxPushCurrent_v2"};
inline EntryPoint<void **> cuCtxPopCurrent{"cuCtxPopCurrent_v2"};
inline EntryPoint<int *> cuCtxGetDevice{"cuCtxGetDevice"};
inline EntryPoint<void *, unsigned *> cuCtxGetApiVersion{"cuCtxGetApiVersion"};
inline EntryPoint<> cuCtxSynchronize{"cuCtxSynchronize"};
inline EntryPoint<> cuProfilerStop{"cuProfilerStop"};
inline EntryPoint<void **, unsigned> cuStreamCreate{"cuStreamCreate"};
inline EntryPoint<void *> cuStreamDestroy{"cuStreamDestroy_v2"};
inline EntryPoint<void *> cuStreamSynchronize{"cuStreamSynchronize"};
inline EntryPoint<void *, void **> cuStreamGetCtx{"cuStreamGetCtx"};
inline EntryPoint<size_t *, size_t *> cuMemGetInfo{"cuMemGetInfo_v2"};  // free, total
inline EntryPoint<uint64_t *, size_t> cuMemAlloc{"cuMemAlloc_v2"};
inline EntryPoint<uint64_t> cuMemFree{"cuMemFree_v2"};
inline EntryPoint<uint64_t, const void *, size_t> cuMemcpyHtoD{"cuMemcpyHtoD_v2"};
inline EntryPoint<void *, uint64_t, size_t> cuMemcpyDtoH{"cuMemcpyDtoH_v2"};
inline EntryPoint<uint64_t, uint64_t, size_t> cuMemcpyDtoD{"cuMemcpyDtoD_v2"};
inline EntryPoint<uint64_t, const void *, size_t, void *> cuMemcpyHtoDAsync{"cuMemcpyHtoDAsync_v2"};
inline EntryPoint<void *, uint64_t, size_t, void *> cuMemcpyDtoHAsync{"cuMemcpyDtoHAsync_v2"};
inline EntryPoint<uint64_t, uint64_t, size_t, void *> cuMemcpyDtoDAsync{"cuMemcpyDtoDAsync_v2"};
inline EntryPoint<const void *> cuMemcpy3D{"cuMemcpy3D_v2"};
inline EntryPoint<uint64_t, unsigned char, size_t, void *> cuMemsetD8Async{"cuMemsetD8Async"};
inline EntryPoint<void *, int, uint64_t> cuPointerGetAttribute{"cuPointerGetAttribute"};
inline EntryPoint<void **, const void *> cuModuleLoadData{"cuModuleLoadData"};
inline EntryPoint<void **, const void *, unsigned, int *, void **> cuModuleLoadDataEx{"cuModuleLoadDataEx"};
inline EntryPoint<void *> cuModuleUnload{"cuModuleUnload"};
inline EntryPoint<void **, void *, const char *> cuModuleGetFunction{"cuModuleGetFunction"};
inline EntryPoint<void *, int, int> cuFuncSetAttribute{"cuFuncSetAttribute"};
inline EntryPoint<void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **> cuLaunchKernel{
    "cuLaunchKernel"};
// For measuring.
inline EntryPoint<char *, int, int> cuDeviceGetPCIBusId{"cuDeviceGetPCIBusId"};  // text, its size, device
inline EntryPoint<void **, unsigned> cuEventCreate{"cuEventCreate"};
inline EntryPoint<void *, void *> cuEventRecord{"cuEventRecord"};
inline EntryPoint<void *> cuEventSynchronize{"cuEventSynchronize"};
inline EntryPoint<float *, void *, void *> cuEventElapsedTime{"cuEventElapsedTime"};  // ms
inline EntryPoint<void *> cuEventDestroy{"cuEventDestroy_v2"};
inline EntryPoint<void *, int> cuStreamBeginCapture{"cuStreamBeginCapture_v2"};
inline EntryPoint<void *, void **> cuStreamEndCapture{"cuStreamEndCapture"};
inline EntryPoint<void **, void *, unsigned long long> cuGraphInstantiate{"cuGraphInstantiateWithFlags"};
inline EntryPoint<void *, void *> cuGraphLaunch{"cuGraphLaunch"};
inline EntryPoint<void *> cuGraphExecDestroy{"cuGraphExecDestroy"};
inline EntryPoint<void *> cuGraphDestroy{"cuGraphDestroy"};

constexpr int multiprocessor_count = 16, clock_rate = 13, memory_clock_rate = 36, l2_cache_size = 38, max_threads_per_multiprocessor = 39,
              compute_capability_major = 75, compute_capability_minor = 76, max_shared_memory_per_block_optin = 97;  // CUdevice_attribute
constexpr int max_dynamic_shared_size_bytes = 8;                                       // CUfunction_attribute
constexpr int jit_error_log_buffer = 5, jit_error_log_buffer_size_bytes = 6;           // CUjit_option
constexpr int pointer_device_ordinal = 9, pointer_range_start = 11, pointer_range_size = 12;  // CUpointer_attribute
constexpr unsigned stream_non_blocking = 1;
constexpr int capture_thread_local = 1;

// Makes a context that of this thread while it lives.
class PushContext {
public:
    explicit PushContext(void *context) : result_(cuCtxPushCurrent(context)) {}
    PushContext(const PushContext &) = delete;
    ~PushContext() {
        void *old = nullptr;
        if (result_ == success) (void)cuCtxPopCurrent(&old);
    }
    Result result() const { return result_; }

private:
    Result result_;
};

// While it lives, Halide's runtime takes the context of this thread as it is and does not push one: with that, it forgets the modules of
// a context that does not exist any more.
class KeepContext {
public:
    KeepContext() { kept_ = true; }
    KeepContext(const KeepContext &) = delete;
    ~KeepContext() { kept_ = false; }
    static bool kept() { return kept_; }

private:
    inline static thread_local bool kept_ = false;
};

}  // namespace sepal::cuda
