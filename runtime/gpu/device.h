// GpuDevice: a GPU and a queue of work on it. GpuArray: memory of one.
#pragma once

#include "runtime/isa.h"
#include "runtime/registry.h"
#include "runtime/status.h"

#include <cstdint>
#include <memory>
#include <string>

struct halide_device_interface_t;

namespace sepal {

// What the driver says of a device; 0 where it says nothing.
struct GpuInfo {
    std::string name;
    int compute_capability = 0;  // 80, 90; CUDA only
    int multiprocessors = 0;     // of OpenCL the compute units
    int clock_khz = 0, memory_clock_khz = 0, l2_bytes = 0;
    int driver_version = 0;  // CUDA only: 12040 is CUDA 12.4
    int64_t memory_bytes = 0;
    bool half_precision = true;  // whether kernels may have f16 tensors
};

// Work is queued in the order of the calls and done in that order. Any number of devices may be open, several on one GPU among them; a device
// may be used by several threads at once. Nothing orders the work of two devices but synchronize().
class GpuDevice {
public:
    // The device of that index, from 0, with a queue of its own. CUDA: its primary context, shared with the CUDA runtime and other libraries,
    // and a stream that does not wait for the default stream. OpenCL: of the platform and the type that Halide's environment variables
    // HL_OCL_PLATFORM_NAME and HL_OCL_DEVICE_TYPE name, else of the first platform. Null, with `status` set, when there is none.
    static std::shared_ptr<GpuDevice> open(Backend backend, int index, Status &status);
    // The caller's CUcontext and CUstream (null: the default stream), which must outlive the device and everything that uses it.
    static std::shared_ptr<GpuDevice> adopt(void *context, void *stream, Status &status);
    GpuDevice(const GpuDevice &) = delete;
    virtual ~GpuDevice() = default;

    virtual Backend backend() const = 0;
    const GpuInfo &info() const { return info_; }
    const std::string &text() const { return text_; }  // for messages: "CUDA device 0 (NVIDIA H100 80GB HBM3)"
    bool runs(Isa isa) const { return sepal::backend(isa) == backend(); }
    // Waits for all that was queued. What failed after it was queued is reported here.
    virtual Status synchronize() const = 0;

    // CUDA: CUcontext and CUstream; OpenCL: cl_context and cl_command_queue. Theirs, or those that were adopted.
    virtual void *native_context() const = 0;
    virtual void *native_queue() const = 0;

    // What GpuArray and GpuPlan are made of.

    struct Memory {
        uint64_t native = 0;  // CUdeviceptr or cl_mem
        uint64_t halide = 0;  // as halide_buffer_t::device has it
    };
    virtual Status allocate(int64_t bytes, Memory &memory) const = 0;
    virtual Status wrap(uint64_t native, int64_t bytes, Memory &memory) const = 0;
    virtual Status part(const Memory &whole, int64_t offset, int64_t bytes, Memory &memory) const = 0;
    virtual void release(const Memory &memory, bool wrapped) const = 0;
    virtual Status write(const Memory &to, const void *from, int64_t bytes) const = 0;  // waits
    virtual Status read(void *to, const Memory &from, int64_t bytes) const = 0;         // waits
    virtual Status fill(const Memory &memory, uint8_t byte, int64_t bytes) const = 0;
    // Calls a generated function of the backend, which queues its kernels here.
    virtual Status call(KernelFunction function, void **argv, const char *name) const = 0;
    virtual const halide_device_interface_t *halide_interface() const = 0;

protected:
    GpuDevice() = default;
    GpuInfo info_;
    std::string text_;
};

// Bytes of a device's memory. Can be moved, not copied.
class GpuArray {
public:
    GpuArray() = default;
    // Empty, with `status` set, when memory is short. Contents undefined until written.
    static GpuArray allocate(std::shared_ptr<const GpuDevice> device, int64_t bytes, Status &status);
    // The caller's memory: a CUdeviceptr of the device's GPU or a cl_mem of its context. It must outlive the array.
    static GpuArray wrap(std::shared_ptr<const GpuDevice> device, uint64_t native, int64_t bytes, Status &status);
    // Bytes of another array, which must outlive it, from `offset` on: a multiple of part_alignment.
    static GpuArray part(const GpuArray &whole, int64_t offset, int64_t bytes, Status &status);
    static constexpr int64_t part_alignment = 4096;  // more than any OpenCL device asks for
    GpuArray(GpuArray &&other) noexcept;
    GpuArray &operator=(GpuArray &&other) noexcept;
    ~GpuArray();

    const std::shared_ptr<const GpuDevice> &device() const { return device_; }  // null: empty
    int64_t bytes() const { return bytes_; }
    const GpuDevice::Memory &memory() const { return memory_; }

    // Copies from and to the host's memory, from the array's start. Waits for all that was queued on the device, so that `from` can be changed
    // and `to` be read.
    Status upload(const void *from, int64_t bytes);
    Status download(void *to, int64_t bytes) const;
    // Queues writing `byte` to all of it.
    Status fill(uint8_t byte);

private:
    Status check(const char *what, const void *host, int64_t bytes) const;

    std::shared_ptr<const GpuDevice> device_;
    GpuDevice::Memory memory_;
    int64_t bytes_ = 0;
    bool wrapped_ = false;
};

}  // namespace sepal
