#include "fake_cuda.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace sepal {
namespace {

std::unique_ptr<FakeCuda> &instance() {
    static auto &fake = *new std::unique_ptr<FakeCuda>;
    return fake;
}

thread_local std::vector<void *> pushed;

using Result = int;
constexpr Result invalid_value = 1, invalid_context = 201, invalid_handle = 400, destroyed = 709, capture_unsupported = 900;

// Begins each function: counts the call, and returns the error from it that is asked for.
#define ENTER(name)                                               \
    FakeCuda &fake = FakeCuda::one();                             \
    std::lock_guard<std::mutex> lock(fake.mutex);                 \
    const int call = ++fake.calls[name];                          \
    if (const auto fail = fake.fails.find(name); fail != fake.fails.end() && call >= fail->second.first) return fail->second.second

// The context of this thread, where there is one that exists.
#define NEED_CONTEXT                              \
    if (pushed.empty()) return invalid_context;   \
    void *const context = pushed.back();          \
    if (!fake.contexts.count(context)) return destroyed

void *handle(uintptr_t kind, uintptr_t index) { return reinterpret_cast<void *>(kind << 16 | index); }

int device_of(void *context) { return int(reinterpret_cast<uintptr_t>(context) & 0xffff); }

const std::map<std::string, void *> &functions() {
    static const auto &all = *new std::map<std::string, void *>([] {
        std::map<std::string, void *> f;
        const auto add = [&](const char *name, auto function) { f[name] = reinterpret_cast<void *>(+function); };
        add("cuGetErrorName", [](Result result, const char **text) -> Result {
            static const std::map<int, const char *> names = {{1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {100, "CUDA_ERROR_NO_DEVICE"},
                {201, "CUDA_ERROR_INVALID_CONTEXT"}, {218, "CUDA_ERROR_INVALID_PTX"}, {400, "CUDA_ERROR_INVALID_HANDLE"}, {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"}, {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED"}, {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}};
            const auto found = names.find(result);
            *text = found == names.end() ? nullptr : found->second;
            return found == names.end() ? invalid_value : 0;
        });
        add("cuInit", [](unsigned) -> Result {
            ENTER("cuInit");
            return 0;
        });
        add("cuDriverGetVersion", [](int *version) -> Result {
            ENTER("cuDriverGetVersion");
            *version = fake.version;
            return 0;
        });
        add("cuDeviceGetCount", [](int *count) -> Result {
            ENTER("cuDeviceGetCount");
            *count = fake.devices;
            return 0;
        });
        add("cuDeviceGet", [](int *device, int index) -> Result {
            ENTER("cuDeviceGet");
            *device = index;
            return index < fake.devices ? 0 : 101;
        });
        add("cuDeviceGetName", [](char *text, int size, int) -> Result {
            ENTER("cuDeviceGetName");
            std::strncpy(text, "Fake GPU", size_t(size));
            return 0;
        });
        add("cuDeviceTotalMem_v2", [](size_t *bytes, int) -> Result {
            ENTER("cuDeviceTotalMem_v2");
            *bytes = size_t(80) << 30;
            return 0;
        });
        add("cuMemGetInfo_v2", [](size_t *free, size_t *total) -> Result {
            ENTER("cuMemGetInfo_v2");
            *free = 1000;
            *total = size_t(80) << 30;
            return 0;
        });
        add("cuDeviceGetAttribute", [](int *value, int attribute, int) -> Result {
            ENTER("cuDeviceGetAttribute");
            *value = attribute == 75 ? fake.compute_capability / 10 : attribute == 76 ? fake.compute_capability % 10 : 7;
            return 0;
        });
        add("cuDevicePrimaryCtxRetain", [](void **context, int device) -> Result {
            ENTER("cuDevicePrimaryCtxRetain");
            *context = handle(1, uintptr_t(device));
            fake.contexts.insert(*context);
            return 0;
        });
        add("cuDevicePrimaryCtxRelease_v2", [](int) -> Result {
            ENTER("cuDevicePrimaryCtxRelease_v2");
            return 0;
        });
        add("cuCtxPushCurrent_v2", [](void *context) -> Result {
            ENTER("cuCtxPushCurrent_v2");
            if (!fake.contexts.count(context)) return invalid_context;
            pushed.push_back(context);
            return 0;
        });
        add("cuCtxPopCurrent_v2", [](void **context) -> Result {
            ENTER("cuCtxPopCurrent_v2");
            if (pushed.empty()) return invalid_context;
            *context = pushed.back();
            pushed.pop_back();
            return 0;
        });
        add("cuCtxGetDevice", [](int *device) -> Result {
            ENTER("cuCtxGetDevice");
            NEED_CONTEXT;
            *device = device_of(context);
            return 0;
        });
        add("cuStreamCreate", [](void **stream, unsigned) -> Result {
            ENTER("cuStreamCreate");
            NEED_CONTEXT;
            *stream = handle(2, uintptr_t(call));
            fake.streams.insert(*stream);
            fake.context_of[*stream] = context;
            return 0;
        });
        add("cuStreamDestroy_v2", [](void *stream) -> Result {
            ENTER("cuStreamDestroy_v2");
            return fake.streams.erase(stream) ? 0 : invalid_handle;
        });
        add("cuStreamSynchronize", [](void *stream) -> Result {
            ENTER("cuStreamSynchronize");
            NEED_CONTEXT;
            if (stream && stream == fake.capturing) return capture_unsupported;
            return !stream || fake.context_of[stream] == context ? 0 : invalid_handle;
        });
        add("cuStreamGetCtx", [](void *stream, void **context) -> Result {
            ENTER("cuStreamGetCtx");
            if (!fake.streams.count(stream)) return invalid_handle;
            *context = fake.context_of[stream];
            return 0;
        });
        add("cuMemAlloc_v2", [](uint64_t *address, size_t bytes) -> Result {
            ENTER("cuMemAlloc_v2");
            NEED_CONTEXT;
            *address = reinterpret_cast<uint64_t>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
            fake.memory[*address] = device_of(context);
            return 0;
        });
        add("cuMemFree_v2", [](uint64_t address) -> Result {
            ENTER("cuMemFree_v2");
            if (!fake.memory.erase(address)) return invalid_value;
            std::free(reinterpret_cast<void *>(address));
            return 0;
        });
        add("cuMemcpyHtoDAsync_v2", [](uint64_t to, const void *from, size_t bytes, void *) -> Result {
            ENTER("cuMemcpyHtoDAsync_v2");
            NEED_CONTEXT;
            (void)context;
            std::memcpy(reinterpret_cast<void *>(to), from, bytes);
            return 0;
        });
        add("cuMemcpyDtoHAsync_v2", [](void *to, uint64_t from, size_t bytes, void *) -> Result {
            ENTER("cuMemcpyDtoHAsync_v2");
            NEED_CONTEXT;
            (void)context;
            std::memcpy(to, reinterpret_cast<void *>(from), bytes);
            return 0;
        });
        add("cuMemsetD8Async", [](uint64_t to, unsigned char byte, size_t bytes, void *) -> Result {
            ENTER("cuMemsetD8Async");
            NEED_CONTEXT;
            (void)context;
            std::memset(reinterpret_cast<void *>(to), byte, bytes);
            return 0;
        });
        add("cuPointerGetAttribute", [](void *value, int attribute, uint64_t address) -> Result {
            ENTER("cuPointerGetAttribute");
            if (attribute != 9 || !fake.memory.count(address)) return invalid_value;
            *static_cast<int *>(value) = fake.memory[address];
            return 0;
        });
        add("cuModuleLoadDataEx", [](void **module, const void *, unsigned count, int *options, void **values) -> Result {
            for (unsigned i = 0; i < count; i++)
                if (options[i] == 5) std::strcpy(static_cast<char *>(values[i]), FakeCuda::one().jit_log.c_str());
            ENTER("cuModuleLoadDataEx");
            fake.module_options.assign(options, options + count);
            NEED_CONTEXT;
            (void)context;
            *module = handle(3, uintptr_t(call));
            fake.modules.insert(*module);
            return 0;
        });
        add("cuModuleUnload", [](void *module) -> Result {
            ENTER("cuModuleUnload");
            return fake.modules.erase(module) ? 0 : invalid_handle;
        });
        add("cuModuleGetFunction", [](void **function, void *module, const char *name) -> Result {
            ENTER("cuModuleGetFunction");
            if (!fake.modules.count(module)) return invalid_handle;
            *function = handle(4, reinterpret_cast<uintptr_t>(module) & 0xffff);  // a module has one
            fake.functions[*function] = {module, name};
            return 0;
        });
        add("cuFuncSetAttribute", [](void *function, int attribute, int value) -> Result {
            ENTER("cuFuncSetAttribute");
            if (attribute != 8) return invalid_value;
            fake.opted_in.emplace_back(function, value);
            return 0;
        });
        add("cuLaunchKernel", [](void *function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned shared, void *stream, void **, void **) -> Result {
            ENTER("cuLaunchKernel");
            NEED_CONTEXT;
            (stream && stream == fake.capturing ? fake.captured : fake.launches).push_back({fake.functions[function].second, context, stream, shared});
            return 0;
        });
        // A kernel takes a millisecond.
        add("cuEventCreate", [](void **event, unsigned) -> Result {
            ENTER("cuEventCreate");
            *event = handle(5, uintptr_t(call));
            fake.events[*event] = -1;
            return 0;
        });
        add("cuEventDestroy_v2", [](void *event) -> Result {
            ENTER("cuEventDestroy_v2");
            return fake.events.erase(event) ? 0 : invalid_handle;
        });
        add("cuEventRecord", [](void *event, void *stream) -> Result {
            ENTER("cuEventRecord");
            NEED_CONTEXT;
            if (stream && fake.context_of[stream] != context) return invalid_handle;
            fake.events[event] = int(fake.launches.size());
            return 0;
        });
        add("cuEventElapsedTime", [](float *ms, void *from, void *to) -> Result {
            ENTER("cuEventElapsedTime");
            if (!fake.events.count(from) || !fake.events.count(to)) return invalid_handle;
            *ms = float(fake.events[to] - fake.events[from]);
            return 0;
        });
        add("cuStreamBeginCapture_v2", [](void *stream, int) -> Result {
            ENTER("cuStreamBeginCapture_v2");
            if (!stream) return capture_unsupported;
            fake.capturing = stream;
            fake.captured.clear();
            return 0;
        });
        add("cuStreamEndCapture", [](void *stream, void **graph) -> Result {
            ENTER("cuStreamEndCapture");
            if (fake.capturing != stream) return invalid_value;
            fake.capturing = nullptr;
            *graph = handle(6, 1);
            return 0;
        });
        add("cuGraphInstantiateWithFlags", [](void **executable, void *, unsigned long long) -> Result {
            ENTER("cuGraphInstantiateWithFlags");
            *executable = handle(7, 1);
            return 0;
        });
        add("cuGraphLaunch", [](void *, void *stream) -> Result {
            ENTER("cuGraphLaunch");
            for (FakeCuda::Launch l : fake.captured) {
                l.stream = stream;
                fake.launches.push_back(l);
            }
            return 0;
        });
        add("cuGraphExecDestroy", [](void *) -> Result {
            ENTER("cuGraphExecDestroy");
            return 0;
        });
        add("cuGraphDestroy", [](void *) -> Result {
            ENTER("cuGraphDestroy");
            return 0;
        });
        return f;
    }());
    return all;
}

}  // namespace

FakeCuda &FakeCuda::one() { return *instance(); }

void *fake_cuda_symbol(const char *name) {
    if (FakeCuda::one().without.count(name)) return nullptr;
    const auto found = functions().find(name);
    return found == functions().end() ? nullptr : found->second;
}

UseFakeCuda::UseFakeCuda() : fake((instance() = std::make_unique<FakeCuda>(), FakeCuda::one())) { use_cuda_driver(fake_cuda_symbol); }
UseFakeCuda::~UseFakeCuda() { use_cuda_driver(nullptr); }

}  // namespace sepal
