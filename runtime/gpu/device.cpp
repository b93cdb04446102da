#include "device.h"

#include "cuda_device.h"
#include "opencl_device.h"

#include <fmt/format.h>

#include <utility>

namespace sepal {

std::shared_ptr<GpuDevice> GpuDevice::open(Backend backend, int index, Status &status) {
    switch (backend) {
    case Backend::cuda: return open_cuda_device(index, status);
    case Backend::opencl: return open_opencl_device(index, status);
    case Backend::cpu: break;
    }
    status = {Status::Code::invalid_argument, "a CPU is no GpuDevice; allowed: cuda, opencl"};
    return nullptr;
}

std::shared_ptr<GpuDevice> GpuDevice::adopt(void *context, void *stream, Status &status) { return adopt_cuda_device(context, stream, status); }

namespace {

Status check_size(const GpuDevice *device, int64_t bytes) {
    if (!device) return {Status::Code::invalid_argument, "the pointer to the GpuDevice is null"};
    if (bytes <= 0) return {Status::Code::invalid_argument, fmt::format("an array on a GPU is to have {} bytes; allowed: 1 or more", bytes)};
    return {};
}

}  // namespace

GpuArray GpuArray::allocate(std::shared_ptr<const GpuDevice> device, int64_t bytes, Status &status) {
    GpuArray array;
    status = check_size(device.get(), bytes);
    if (status.ok()) status = device->allocate(bytes, array.memory_);
    if (!status.ok()) return {};
    array.bytes_ = bytes;
    array.device_ = std::move(device);
    return array;
}

GpuArray GpuArray::wrap(std::shared_ptr<const GpuDevice> device, uint64_t native, int64_t bytes, Status &status) {
    GpuArray array;
    status = check_size(device.get(), bytes);
    if (status.ok() && !native) status = {Status::Code::invalid_argument, "the pointer to the memory of the GPU is null"};
    if (status.ok()) status = device->wrap(native, bytes, array.memory_);
    if (!status.ok()) return {};
    array.bytes_ = bytes;
    array.wrapped_ = true;
    array.device_ = std::move(device);
    return array;
}

GpuArray GpuArray::part(const GpuArray &whole, int64_t offset, int64_t bytes, Status &status) {
    GpuArray array;
    status = check_size(whole.device_.get(), bytes);
    if (status.ok() && (offset < 0 || offset % part_alignment != 0 || bytes > whole.bytes_ - offset))
        status = {Status::Code::invalid_argument, fmt::format("{} bytes from byte {} on are to be a part of an array of {} on a GPU; allowed: bytes of it, from a multiple of {} on",
                                                              bytes, offset, whole.bytes_, part_alignment)};
    if (status.ok()) status = whole.device_->part(whole.memory_, offset, bytes, array.memory_);
    if (!status.ok()) return {};
    array.bytes_ = bytes;
    array.wrapped_ = whole.device_->backend() == Backend::cuda;  // a pointer; of OpenCL it is an object of its own, to be released
    array.device_ = whole.device_;
    return array;
}

GpuArray::GpuArray(GpuArray &&other) noexcept
    : device_(std::move(other.device_)), memory_(std::exchange(other.memory_, {})), bytes_(std::exchange(other.bytes_, 0)),
      wrapped_(std::exchange(other.wrapped_, false)) {}

GpuArray &GpuArray::operator=(GpuArray &&other) noexcept {
    GpuArray moved(std::move(other));
    std::swap(device_, moved.device_);
    std::swap(memory_, moved.memory_);
    std::swap(bytes_, moved.bytes_);
    std::swap(wrapped_, moved.wrapped_);
    return *this;
}

GpuArray::~GpuArray() {
    if (device_) device_->release(memory_, wrapped_);
}

Status GpuArray::check(const char *what, const void *host, int64_t bytes) const {
    if (!device_) return {Status::Code::invalid_argument, "the array on the GPU is empty"};
    if (!host) return {Status::Code::invalid_argument, "the pointer to the host's memory is null"};
    if (bytes < 0 || bytes > bytes_)
        return {Status::Code::invalid_argument, fmt::format("{} bytes are to be {}, the array on the GPU has {}", bytes, what, bytes_)};
    return {};
}

Status GpuArray::upload(const void *from, int64_t bytes) {
    Status status = check("uploaded", from, bytes);
    return status.ok() && bytes > 0 ? device_->write(memory_, from, bytes) : status;
}

Status GpuArray::download(void *to, int64_t bytes) const {
    Status status = check("downloaded", to, bytes);
    return status.ok() && bytes > 0 ? device_->read(to, memory_, bytes) : status;
}

Status GpuArray::fill(uint8_t byte) {
    if (!device_) return {Status::Code::invalid_argument, "the array on the GPU is empty"};
    return device_->fill(memory_, byte, bytes_);
}

}  // namespace sepal
