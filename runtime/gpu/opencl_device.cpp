#include "opencl_device.h"

#include "runtime/execution.h"
#include "runtime/kernel_call.h"
#include "runtime/kernel_error.h"
#include "runtime/platform.h"

#include <HalideRuntimeOpenCL.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

namespace sepal {
namespace {

// OpenCL's interface as far as it is used here, with the numbers of CL/cl.h; handles are void *. Nothing links to it.
using Error = int32_t;
constexpr Error device_not_found = -1, allocation_failure = -4, out_of_resources = -5, out_of_host_memory = -6, platform_not_found = -1001;
constexpr uint32_t platform_name = 0x0902, device_max_compute_units = 0x1002, device_max_clock_mhz = 0x100c, device_max_allocation = 0x1010,
                   device_global_cache = 0x101e, device_global_memory = 0x101f, device_name = 0x102b, device_extensions = 0x1030,
                   mem_size = 0x1102, mem_context = 0x1106;
constexpr uint64_t type_cpu = 2, type_gpu = 4, type_accelerator = 8, type_all = 0xffffffff;
constexpr intptr_t context_platform = 0x1084;
constexpr uint64_t mem_read_write = 1;
constexpr uint32_t buffer_create_type_region = 0x1220;

struct OpenCl {
    Error (*clGetPlatformIDs)(uint32_t, void **, uint32_t *) = nullptr;
    Error (*clGetPlatformInfo)(void *, uint32_t, size_t, void *, size_t *) = nullptr;
    Error (*clGetDeviceIDs)(void *, uint64_t, uint32_t, void **, uint32_t *) = nullptr;
    Error (*clGetDeviceInfo)(void *, uint32_t, size_t, void *, size_t *) = nullptr;
    void *(*clCreateContext)(const intptr_t *, uint32_t, void *const *, void (*)(const char *, const void *, size_t, void *), void *, Error *) = nullptr;
    Error (*clReleaseContext)(void *) = nullptr;
    void *(*clCreateCommandQueue)(void *, void *, uint64_t, Error *) = nullptr;
    Error (*clReleaseCommandQueue)(void *) = nullptr;
    Error (*clFinish)(void *) = nullptr;
    void *(*clCreateBuffer)(void *, uint64_t, size_t, void *, Error *) = nullptr;
    void *(*clCreateSubBuffer)(void *, uint64_t, uint32_t, const void *, Error *) = nullptr;
    Error (*clReleaseMemObject)(void *) = nullptr;
    Error (*clGetMemObjectInfo)(void *, uint32_t, size_t, void *, size_t *) = nullptr;
    Error (*clEnqueueWriteBuffer)(void *, void *, uint32_t, size_t, size_t, const void *, uint32_t, void *const *, void **) = nullptr;
    Error (*clEnqueueReadBuffer)(void *, void *, uint32_t, size_t, size_t, void *, uint32_t, void *const *, void **) = nullptr;
    Error (*clEnqueueFillBuffer)(void *, void *, const void *, size_t, size_t, size_t, uint32_t, void *const *, void **) = nullptr;
    std::string missing;  // why it cannot be used; empty when it can
};

const OpenCl &opencl() {
    static const OpenCl &one = *[] {
        OpenCl *cl = new OpenCl;
        std::string why;
        void *const library = load_library("libOpenCL.so.1", why);
        if (!library) {
            cl->missing = fmt::format("there is no OpenCL: libOpenCL.so.1 cannot be loaded ({})", why);
            return cl;
        }
        const auto look_up = [&](auto &function, const char *name) {
            function = reinterpret_cast<std::decay_t<decltype(function)>>(library_symbol(library, name));
            if (!function && cl->missing.empty()) cl->missing = fmt::format("libOpenCL.so.1 has no function {}", name);
        };
        look_up(cl->clGetPlatformIDs, "clGetPlatformIDs");
        look_up(cl->clGetPlatformInfo, "clGetPlatformInfo");
        look_up(cl->clGetDeviceIDs, "clGetDeviceIDs");
        look_up(cl->clGetDeviceInfo, "clGetDeviceInfo");
        look_up(cl->clCreateContext, "clCreateContext");
        look_up(cl->clReleaseContext, "clReleaseContext");
        look_up(cl->clCreateCommandQueue, "clCreateCommandQueue");
        look_up(cl->clReleaseCommandQueue, "clReleaseCommandQueue");
        look_up(cl->clFinish, "clFinish");
        look_up(cl->clCreateBuffer, "clCreateBuffer");
        look_up(cl->clCreateSubBuffer, "clCreateSubBuffer");
        look_up(cl->clReleaseMemObject, "clReleaseMemObject");
        look_up(cl->clGetMemObjectInfo, "clGetMemObjectInfo");
        look_up(cl->clEnqueueWriteBuffer, "clEnqueueWriteBuffer");
        look_up(cl->clEnqueueReadBuffer, "clEnqueueReadBuffer");
        look_up(cl->clEnqueueFillBuffer, "clEnqueueFillBuffer");
        return cl;
    }();
    return one;
}

Status status_of(Error error, const char *function, const std::string &what) {
    if (error == 0) return {};
    const bool memory = error == allocation_failure || error == out_of_resources || error == out_of_host_memory;
    return {memory ? Status::Code::out_of_memory : Status::Code::kernel_failed,
            fmt::format("{}: {}: {}", what, function, memory ? fmt::format("out of memory (OpenCL error {})", error) : fmt::format("OpenCL error {}", error))};
}

// Of what clGetPlatformInfo() and clGetDeviceInfo() answer with a text or a number; empty or 0 where there is no answer.
template<typename Get>
std::string text_of(Get get, void *object, uint32_t which) {
    size_t bytes = 0;
    if (get(object, which, 0, nullptr, &bytes) != 0 || bytes == 0) return {};
    std::string text(bytes, '\0');
    if (get(object, which, bytes, text.data(), nullptr) != 0) return {};
    return text.c_str();  // up to its 0
}
template<typename T>
T number_of(void *device, uint32_t which) {
    T number = 0;
    return opencl().clGetDeviceInfo(device, which, sizeof number, &number, nullptr) == 0 ? number : T(0);
}

class OpenClDevice final : public GpuDevice {
public:
    OpenClDevice(void *device, int index, void *context, void *queue);
    ~OpenClDevice() override;
    Backend backend() const override { return Backend::opencl; }
    Status synchronize() const override { return status_of(opencl().clFinish(queue_), "clFinish", "work queued on " + text_ + " failed"); }
    void *native_context() const override { return context_; }
    void *native_queue() const override { return queue_; }
    Status allocate(int64_t bytes, Memory &memory) const override;
    Status wrap(uint64_t native, int64_t bytes, Memory &memory) const override;
    Status part(const Memory &whole, int64_t offset, int64_t bytes, Memory &memory) const override;
    void release(const Memory &memory, bool wrapped) const override;
    Status write(const Memory &to, const void *from, int64_t bytes) const override;
    Status read(void *to, const Memory &from, int64_t bytes) const override;
    Status fill(const Memory &memory, uint8_t byte, int64_t bytes) const override;
    Status call(KernelFunction function, void **argv, const char *name) const override;
    const halide_device_interface_t *halide_interface() const override { return halide_opencl_device_interface(); }

private:
    Status describe_to_halide(Memory &memory) const;
    void *context_, *queue_;
    uint64_t max_allocation_;
    mutable std::atomic<bool> has_called_{false};  // a kernel
};

void *buffer_of(const GpuDevice::Memory &memory) { return reinterpret_cast<void *>(memory.native); }

// The device whose kernel this thread is calling: what Halide's runtime is to use.
thread_local const OpenClDevice *current = nullptr;
class Current {
public:
    explicit Current(const OpenClDevice *device) : before_(current) { current = device; }
    Current(const Current &) = delete;
    ~Current() { current = before_; }

private:
    const OpenClDevice *before_;
};

OpenClDevice::OpenClDevice(void *device, int index, void *context, void *queue) : context_(context), queue_(queue) {
    info_.name = text_of(opencl().clGetDeviceInfo, device, device_name);
    text_ = fmt::format("OpenCL device {} ({})", index, info_.name);
    info_.multiprocessors = int(number_of<uint32_t>(device, device_max_compute_units));
    info_.clock_khz = 1000 * int(number_of<uint32_t>(device, device_max_clock_mhz));
    info_.l2_bytes = int(number_of<uint64_t>(device, device_global_cache));
    info_.memory_bytes = int64_t(number_of<uint64_t>(device, device_global_memory));
    info_.half_precision = text_of(opencl().clGetDeviceInfo, device, device_extensions).find("cl_khr_fp16") != std::string::npos;
    max_allocation_ = number_of<uint64_t>(device, device_max_allocation);
    install_handlers();
}

OpenClDevice::~OpenClDevice() {
    (void)opencl().clFinish(queue_);
    if (has_called_) {  // before the first kernel Halide's runtime has not found the functions that it calls here
        const Current now(this);
        halide_device_release(nullptr, halide_opencl_device_interface());  // releases the programs of the context
    }
    (void)opencl().clReleaseCommandQueue(queue_);
    (void)opencl().clReleaseContext(context_);
}

Status OpenClDevice::describe_to_halide(Memory &memory) const {
    halide_buffer_t buffer = {};
    if (halide_opencl_wrap_cl_mem(nullptr, &buffer, memory.native) != 0)
        return {Status::Code::out_of_memory, "not enough memory for a description of an array of " + text_};
    memory.halide = buffer.device;
    return {};
}

Status OpenClDevice::allocate(int64_t bytes, Memory &memory) const {
    if (max_allocation_ > 0 && uint64_t(bytes) > max_allocation_)
        return {Status::Code::out_of_memory, fmt::format("{} bytes cannot be allocated on {}: it gives at most {} in one piece", bytes, text_, max_allocation_)};
    Error error = 0;
    void *const buffer = opencl().clCreateBuffer(context_, mem_read_write, size_t(bytes), nullptr, &error);
    if (!buffer && error == 0) error = out_of_resources;
    Status status = status_of(error, "clCreateBuffer", fmt::format("{} bytes cannot be allocated on {}", bytes, text_));
    if (!status.ok()) return status;
    memory.native = reinterpret_cast<uint64_t>(buffer);
    status = describe_to_halide(memory);
    if (!status.ok()) (void)opencl().clReleaseMemObject(buffer);
    return status;
}

Status OpenClDevice::wrap(uint64_t native, int64_t bytes, Memory &memory) const {
    memory.native = native;
    size_t size = 0;
    void *context = nullptr;
    if (Error error = opencl().clGetMemObjectInfo(buffer_of(memory), mem_context, sizeof context, &context, nullptr); error != 0)
        return {Status::Code::invalid_argument, fmt::format("{:#x} is no memory object of OpenCL: clGetMemObjectInfo: OpenCL error {}", native, error)};
    if (context != context_)
        return {Status::Code::invalid_argument, fmt::format("the memory object belongs to another OpenCL context than {}", text_)};
    if (opencl().clGetMemObjectInfo(buffer_of(memory), mem_size, sizeof size, &size, nullptr) == 0 && size < uint64_t(bytes))
        return {Status::Code::invalid_argument, fmt::format("the memory object has {} bytes, the array is to have {}", size, bytes)};
    return describe_to_halide(memory);
}

Status OpenClDevice::part(const Memory &whole, int64_t offset, int64_t bytes, Memory &memory) const {
    const size_t region[] = {size_t(offset), size_t(bytes)};  // cl_buffer_region
    Error error = 0;
    void *const buffer = opencl().clCreateSubBuffer(buffer_of(whole), mem_read_write, buffer_create_type_region, region, &error);
    Status status = status_of(error, "clCreateSubBuffer", fmt::format("a part of an array of {} cannot be used as one", text_));
    if (!status.ok()) return status;
    memory.native = reinterpret_cast<uint64_t>(buffer);
    status = describe_to_halide(memory);
    if (!status.ok()) (void)opencl().clReleaseMemObject(buffer);
    return status;
}

void OpenClDevice::release(const Memory &memory, bool wrapped) const {
    halide_buffer_t buffer = {};
    buffer.device = memory.halide;
    buffer.device_interface = halide_interface();
    (void)halide_opencl_detach_cl_mem(nullptr, &buffer);
    if (!wrapped) (void)opencl().clReleaseMemObject(buffer_of(memory));  // which is freed when all that uses it is done
}

Status OpenClDevice::write(const Memory &to, const void *from, int64_t bytes) const {
    return status_of(opencl().clEnqueueWriteBuffer(queue_, buffer_of(to), 1, 0, size_t(bytes), from, 0, nullptr, nullptr), "clEnqueueWriteBuffer",
                     fmt::format("{} bytes cannot be copied to {}", bytes, text_));
}

Status OpenClDevice::read(void *to, const Memory &from, int64_t bytes) const {
    return status_of(opencl().clEnqueueReadBuffer(queue_, buffer_of(from), 1, 0, size_t(bytes), to, 0, nullptr, nullptr), "clEnqueueReadBuffer",
                     fmt::format("{} bytes cannot be copied from {}", bytes, text_));
}

Status OpenClDevice::fill(const Memory &memory, uint8_t byte, int64_t bytes) const {
    return status_of(opencl().clEnqueueFillBuffer(queue_, buffer_of(memory), &byte, 1, 0, size_t(bytes), 0, nullptr, nullptr), "clEnqueueFillBuffer",
                     fmt::format("{} bytes of {} cannot be filled", bytes, text_));
}

Status OpenClDevice::call(KernelFunction function, void **argv, const char *name) const {
    has_called_ = true;
    const Current now(this);
    Status status = call_generated(function, argv, "kernel", name);
    // OpenCL's compiler may say pages.
    constexpr size_t most = 1000;
    status.message = on_one_line(status.message);
    if (status.message.size() > most) status.message = status.message.substr(0, most) + " ...";
    return status;
}

}  // namespace

std::shared_ptr<GpuDevice> open_opencl_device(int index, Status &status) {
    const auto fail = [&](Status::Code code, std::string message) {
        status = {code, std::move(message)};
        return nullptr;
    };
    const OpenCl &cl = opencl();
    if (!cl.missing.empty()) return fail(Status::Code::unsupported, cl.missing);

    uint32_t count = 0;
    if (const Error error = cl.clGetPlatformIDs(0, nullptr, &count); (error != 0 && error != platform_not_found) || count == 0)
        return fail(Status::Code::unsupported, "OpenCL has no platform: libOpenCL.so.1 finds no driver");
    std::vector<void *> platforms(count);
    if (const Error error = cl.clGetPlatformIDs(count, platforms.data(), nullptr); error != 0)
        return fail(Status::Code::unsupported, fmt::format("the platforms of OpenCL cannot be listed: OpenCL error {}", error));
    // As Halide's runtime chooses.
    const std::string wanted = halide_opencl_get_platform_name(nullptr);
    std::string names;
    void *platform = nullptr;
    for (void *p : platforms) {
        const std::string name = text_of(cl.clGetPlatformInfo, p, platform_name);
        if (!platform && name.find(wanted) != std::string::npos) platform = p;
        names += (names.empty() ? "" : ", ") + name;
    }
    if (!platform)
        return fail(Status::Code::invalid_argument, fmt::format("no platform of OpenCL has \"{}\" (HL_OCL_PLATFORM_NAME) in its name; there are: {}", wanted, names));
    const std::string type = halide_opencl_get_device_type(nullptr);
    uint64_t types = 0;
    if (type.find("cpu") != std::string::npos) types |= type_cpu;
    if (type.find("gpu") != std::string::npos) types |= type_gpu;
    if (type.find("acc") != std::string::npos) types |= type_accelerator;

    const std::string platform_text = text_of(cl.clGetPlatformInfo, platform, platform_name) + (types ? fmt::format(" and type \"{}\"", type) : "");
    const Error error = cl.clGetDeviceIDs(platform, types ? types : type_all, 0, nullptr, &count);
    if (error == device_not_found || (error == 0 && count == 0))
        return fail(Status::Code::unsupported, fmt::format("there is no OpenCL device of platform {}", platform_text));
    std::vector<void *> devices(error == 0 ? count : 0);
    if (error != 0 || cl.clGetDeviceIDs(platform, types ? types : type_all, count, devices.data(), nullptr) != 0)
        return fail(Status::Code::unsupported, fmt::format("the devices of OpenCL platform {} cannot be listed: OpenCL error {}", platform_text, error));
    if (index < 0 || size_t(index) >= devices.size())
        return fail(Status::Code::invalid_argument,
                    fmt::format("OpenCL device {} does not exist; of platform {} there {}", index, platform_text,
                                devices.size() == 1 ? "is 1: 0" : fmt::format("are {}: 0 to {}", devices.size(), devices.size() - 1)));

    void *const device = devices[size_t(index)];
    const intptr_t properties[] = {context_platform, reinterpret_cast<intptr_t>(platform), 0};
    const std::string what = fmt::format("OpenCL device {} ({}) cannot be opened", index, text_of(cl.clGetDeviceInfo, device, device_name));
    Error failed = 0;
    void *const context = cl.clCreateContext(properties, 1, &device, nullptr, nullptr, &failed);
    status = status_of(failed, "clCreateContext", what);
    if (!status.ok()) return nullptr;
    void *const queue = cl.clCreateCommandQueue(context, device, 0, &failed);
    status = status_of(failed, "clCreateCommandQueue", what);
    if (status.ok()) return std::make_shared<OpenClDevice>(device, index, context, queue);
    (void)cl.clReleaseContext(context);
    return nullptr;
}

}  // namespace sepal

#if !defined(_WIN32)  // where no device is ever opened, and nothing is weak
// Both are weak in Halide's runtime, which asks them for the context and the queue of each call.
extern "C" int halide_acquire_cl_context(void *user, void **context, void **queue, bool create) {
    using namespace sepal;
    const GpuDevice *device = current;
    if (!device && create) {
        // Kernels that are not called through a device share one, as they would without Sepal: that of HL_GPU_DEVICE, or the first.
        static Status status;
        static const std::shared_ptr<GpuDevice> &shared =
            *new std::shared_ptr<GpuDevice>(open_opencl_device(std::max(0, halide_get_gpu_device(user)), status));
        device = shared.get();
        if (!device) {
            halide_error(user, status.message.c_str());
            return halide_error_code_gpu_device_error;
        }
    }
    *context = device ? device->native_context() : nullptr;
    *queue = device ? device->native_queue() : nullptr;
    return 0;
}
extern "C" int halide_release_cl_context(void *) { return 0; }
#endif
