#include "cuda_device.h"

#include "cuda_api.h"
#include "runtime/execution.h"
#include "runtime/kernel_call.h"

#include <HalideRuntimeCuda.h>
#include <fmt/format.h>

#include <array>
#include <map>
#include <mutex>

namespace sepal {
namespace {

// Halide's runtime loads a module into each context that a kernel runs in. It is told to unload those of a context when the last device of
// the context is closed.
struct Contexts {
    std::mutex mutex;
    std::map<void *, int> devices;  // of each context
};
Contexts &contexts() {
    static Contexts &all = *new Contexts;
    return all;
}

class CudaDevice final : public GpuDevice {
public:
    CudaDevice(int device, void *context, void *stream, bool own);
    ~CudaDevice() override;
    Backend backend() const override { return Backend::cuda; }
    Status synchronize() const override;
    void *native_context() const override { return context_; }
    void *native_queue() const override { return stream_; }
    Status allocate(int64_t bytes, Memory &memory) const override;
    Status wrap(uint64_t native, int64_t bytes, Memory &memory) const override;
    Status part(const Memory &whole, int64_t offset, int64_t, Memory &memory) const override {
        memory = {whole.native + uint64_t(offset), whole.halide + uint64_t(offset)};
        return {};
    }
    void release(const Memory &memory, bool wrapped) const override;
    Status write(const Memory &to, const void *from, int64_t bytes) const override;
    Status read(void *to, const Memory &from, int64_t bytes) const override;
    Status fill(const Memory &memory, uint8_t byte, int64_t bytes) const override;
    Status call(KernelFunction function, void **argv, const char *name) const override;
    const halide_device_interface_t *halide_interface() const override { return halide_cuda_device_interface(); }

private:
    int device_;
    void *context_, *stream_;
    bool own_;  // the stream, and a hold on the primary context
};

// The device whose kernel this thread is calling: what Halide's runtime is to use.
thread_local const CudaDevice *current = nullptr;
class Current {
public:
    explicit Current(const CudaDevice *device) : before_(current) { current = device; }
    Current(const Current &) = delete;
    ~Current() { current = before_; }

private:
    const CudaDevice *before_;
};

// Halide's own, for kernels that are not called through a device.
halide_cuda_acquire_context_t halides_acquire_context = nullptr;
halide_cuda_release_context_t halides_release_context = nullptr;
halide_cuda_get_stream_t halides_get_stream = nullptr;

int acquire_context(void *user, void **context, bool create) {
    if (!current) return halides_acquire_context(user, context, create);
    *context = current->native_context();
    return 0;
}
int release_context(void *user) { return current ? 0 : halides_release_context(user); }
int get_stream(void *user, void *context, void **stream) {
    if (!current) return halides_get_stream(user, context, stream);
    *stream = current->native_queue();
    return 0;
}

void set_handlers() {
    static std::once_flag once;
    std::call_once(once, [] {
        halides_acquire_context = halide_set_cuda_acquire_context(acquire_context);
        halides_release_context = halide_set_cuda_release_context(release_context);
        halides_get_stream = halide_set_cuda_get_stream(get_stream);
        // Kernels that allocate intermediates do so at each call, and without this would wait for the GPU each time. Memory is reused on the
        // stream that it was used on.
        halide_reuse_device_allocations(nullptr, true);
    });
}

CudaDevice::CudaDevice(int device, void *context, void *stream, bool own) : device_(device), context_(context), stream_(stream), own_(own) {
    using namespace cuda;
    text_ = device_text(device);
    std::array<char, 256> name = {};
    if (cuDeviceGetName.quietly(name.data(), int(name.size() - 1), device) == success) info_.name = name.data();
    // What a driver does not say stays 0.
    const auto attribute = [&](int which) {
        int value = 0;
        return cuDeviceGetAttribute.quietly(&value, which, device) == success ? value : 0;
    };
    info_.compute_capability = 10 * attribute(compute_capability_major) + attribute(compute_capability_minor);
    info_.multiprocessors = attribute(multiprocessor_count);
    info_.clock_khz = attribute(clock_rate);
    info_.memory_clock_khz = attribute(memory_clock_rate);
    info_.l2_bytes = attribute(l2_cache_size);
    info_.driver_version = driver_version();
    if (size_t total = 0; cuDeviceTotalMem.quietly(&total, device) == success) info_.memory_bytes = int64_t(total);
    install_handlers();
    set_handlers();
    std::lock_guard<std::mutex> lock(contexts().mutex);
    contexts().devices[context_]++;
}

CudaDevice::~CudaDevice() {
    // Whatever fails here has been reported or cannot be helped: the context may be gone.
    {
        const Current now(this);
        std::lock_guard<std::mutex> lock(contexts().mutex);
        auto of_context = contexts().devices.find(context_);
        if (--of_context->second == 0) {
            contexts().devices.erase(of_context);
            (void)synchronize();
            const cuda::PushContext pushed(context_);
            const cuda::KeepContext keep;
            halide_device_release(nullptr, halide_cuda_device_interface());
        }
    }
    if (own_) {
        {
            const cuda::PushContext pushed(context_);
            if (pushed.result() == cuda::success) (void)cuda::cuStreamDestroy(stream_);
        }
        (void)cuda::cuDevicePrimaryCtxRelease(device_);
    }
    cuda::take_failure();
}

Status CudaDevice::synchronize() const {
    cuda::take_failure();
    const cuda::PushContext pushed(context_);
    return cuda::status_of(pushed.result() != cuda::success ? pushed.result() : cuda::cuStreamSynchronize(stream_), "work queued on " + text_ + " failed");
}

Status CudaDevice::allocate(int64_t bytes, Memory &memory) const {
    cuda::take_failure();
    const cuda::PushContext pushed(context_);
    cuda::Result result = pushed.result();
    if (result == cuda::success) result = cuda::cuMemAlloc(&memory.native, size_t(bytes));
    if (result == cuda::out_of_memory) {  // perhaps not without what kernels have left for reuse
        (void)halide_cuda_release_unused_device_allocations(nullptr);
        cuda::take_failure();
        result = cuda::cuMemAlloc(&memory.native, size_t(bytes));
    }
    memory.halide = memory.native;
    Status status = cuda::status_of(result, fmt::format("{} bytes cannot be allocated on {}", bytes, text_));
    size_t free = 0, total = 0;
    if (status.code == Status::Code::out_of_memory && cuda::cuMemGetInfo.quietly(&free, &total) == cuda::success)
        status.message += fmt::format("; {} of {} bytes are free", free, total);
    return status;
}

Status CudaDevice::wrap(uint64_t native, int64_t bytes, Memory &memory) const {
    cuda::take_failure();
    const cuda::PushContext pushed(context_);
    if (pushed.result() != cuda::success) return cuda::status_of(pushed.result(), "memory of " + text_ + " cannot be used");
    int device = device_;
    const cuda::Result result = cuda::cuPointerGetAttribute(&device, cuda::pointer_device_ordinal, native);
    if (result == cuda::invalid_value)
        return {Status::Code::invalid_argument, fmt::format("{:#x} is no pointer to memory of a GPU: {}", native, cuda::take_failure().text)};
    if (result != cuda::success) return cuda::status_of(result, "memory of " + text_ + " cannot be used");
    if (device != device_)
        return {Status::Code::invalid_argument, fmt::format("{:#x} is a pointer to memory of {}, and is to be used on {}", native, cuda::device_text(device), text_)};
    // What does not say where it ends is taken as it is.
    uint64_t start = 0;
    size_t size = 0;
    if (cuda::cuPointerGetAttribute.quietly(&start, cuda::pointer_range_start, native) == cuda::success &&
        cuda::cuPointerGetAttribute.quietly(&size, cuda::pointer_range_size, native) == cuda::success && start + size - native < uint64_t(bytes))
        return {Status::Code::invalid_argument, fmt::format("the memory at {:#x} has {} bytes, the array is to have {}", native, start + size - native, bytes)};
    memory = {native, native};
    return {};
}

void CudaDevice::release(const Memory &memory, bool wrapped) const {
    if (wrapped) return;
    const cuda::PushContext pushed(context_);
    if (pushed.result() == cuda::success) (void)cuda::cuMemFree(memory.native);  // waits for what uses it
    cuda::take_failure();
}

Status CudaDevice::write(const Memory &to, const void *from, int64_t bytes) const {
    cuda::take_failure();
    const cuda::PushContext pushed(context_);
    cuda::Result result = pushed.result();
    if (result == cuda::success) result = cuda::cuMemcpyHtoDAsync(to.native, from, size_t(bytes), stream_);
    if (result == cuda::success) result = cuda::cuStreamSynchronize(stream_);
    return cuda::status_of(result, fmt::format("{} bytes cannot be copied to {}", bytes, text_));
}

Status CudaDevice::read(void *to, const Memory &from, int64_t bytes) const {
    cuda::take_failure();
    const cuda::PushContext pushed(context_);
    cuda::Result result = pushed.result();
    if (result == cuda::success) result = cuda::cuMemcpyDtoHAsync(to, from.native, size_t(bytes), stream_);
    if (result == cuda::success) result = cuda::cuStreamSynchronize(stream_);
    return cuda::status_of(result, fmt::format("{} bytes cannot be copied from {}", bytes, text_));
}

Status CudaDevice::fill(const Memory &memory, uint8_t byte, int64_t bytes) const {
    cuda::take_failure();
    const cuda::PushContext pushed(context_);
    cuda::Result result = pushed.result();
    if (result == cuda::success) result = cuda::cuMemsetD8Async(memory.native, byte, size_t(bytes), stream_);
    return cuda::status_of(result, fmt::format("{} bytes of {} cannot be filled", bytes, text_));
}

Status CudaDevice::call(KernelFunction function, void **argv, const char *name) const {
    const Current now(this);
    cuda::take_failure();
    Status status = call_generated(function, argv, "kernel", name);
    const cuda::Failure failure = cuda::take_failure();
    // The driver's words say more than those of Halide's runtime.
    if (!status.ok() && failure.result != cuda::success) return cuda::failed(failure, fmt::format("kernel {} failed on {}", name, text_));
    return status;
}

}  // namespace

std::shared_ptr<GpuDevice> open_cuda_device(int index, Status &status) {
    status = cuda::start();
    int count = 0;
    if (status.ok()) status = cuda::count_devices(count);
    if (!status.ok()) return nullptr;
    if (index < 0 || index >= count) {
        status = {Status::Code::invalid_argument, fmt::format("CUDA device {} does not exist; there {} {}: {}", index, count == 1 ? "is" : "are", count,
                                                              count == 1 ? "0" : fmt::format("0 to {}", count - 1))};
        return nullptr;
    }
    status = cuda::check_device(index);
    if (!status.ok()) return nullptr;
    cuda::take_failure();
    int device = 0;
    void *context = nullptr, *stream = nullptr;
    status = cuda::status_of(cuda::cuDeviceGet(&device, index), fmt::format("CUDA device {} cannot be opened", index));
    if (status.ok()) status = cuda::status_of(cuda::cuDevicePrimaryCtxRetain(&context, device), cuda::device_text(device) + " cannot be opened");
    if (!status.ok()) return nullptr;
    {
        const cuda::PushContext pushed(context);
        cuda::Result result = pushed.result();
        if (result == cuda::success) result = cuda::cuStreamCreate(&stream, cuda::stream_non_blocking);
        status = cuda::status_of(result, cuda::device_text(device) + " cannot be opened");
    }
    if (status.ok()) return std::make_shared<CudaDevice>(device, context, stream, true);
    (void)cuda::cuDevicePrimaryCtxRelease.quietly(device);
    return nullptr;
}

std::shared_ptr<GpuDevice> adopt_cuda_device(void *context, void *stream, Status &status) {
    const auto fail = [&](Status::Code code, std::string message) {
        status = {code, std::move(message)};
        return nullptr;
    };
    status = cuda::start();
    if (!status.ok()) return nullptr;
    if (!context) return fail(Status::Code::invalid_argument, "the CUDA context is null");
    cuda::take_failure();
    int device = 0;
    {
        const cuda::PushContext pushed(context);
        cuda::Result result = pushed.result();
        if (result == cuda::success) result = cuda::cuCtxGetDevice(&device);
        if (result != cuda::success) return fail(Status::Code::invalid_argument, "the CUDA context cannot be used: " + cuda::take_failure().text);
        void *of_stream = context;
        if (stream && cuda::cuStreamGetCtx(stream, &of_stream) != cuda::success)
            return fail(Status::Code::invalid_argument, "the CUDA stream cannot be used: " + cuda::take_failure().text);
        if (of_stream != context) return fail(Status::Code::invalid_argument, "the CUDA stream belongs to another context than the one given with it");
    }
    status = cuda::check_device(device);
    if (!status.ok()) return nullptr;
    return std::make_shared<CudaDevice>(device, context, stream, false);
}

}  // namespace sepal
