// The C API: devices and their memory.
#include "api_device.h"

#include "api_call.h"

using namespace sepal;

namespace {

sepal_status hand_out(std::shared_ptr<GpuDevice> opened, const Status &status, sepal_device **device) {
    if (!opened) return status_of(status);
    auto made = std::make_unique<sepal_device>();
    made->device = std::move(opened);
    *device = made.release();
    return SEPAL_OK;
}

uint64_t native(const void *memory) { return reinterpret_cast<uint64_t>(memory); }

// The first `bytes` of memory of a device, whoever allocated it.
GpuArray array_at(const sepal_device *device, const void *memory, size_t bytes) {
    require(device, "device");
    require(memory, "memory");
    if (bytes == 0 || bytes > size_t(INT64_MAX)) invalid(fmt::format("{} bytes are to be copied; allowed: 1 or more", bytes));
    Status status;
    GpuArray array = GpuArray::wrap(device->device, native(memory), int64_t(bytes), status);
    if (!status.ok()) throw Failure{status_of(status), status.message};
    return array;
}

}  // namespace

extern "C" {

sepal_status sepal_device_open(sepal_backend backend, int index, sepal_device **device) {
    return guarded([&] {
        require(device, "device");
        *device = nullptr;
        const int number = number_in(backend);
        if (number != SEPAL_CUDA && number != SEPAL_OPENCL) invalid(fmt::format("the backend is {}; allowed: SEPAL_CUDA, SEPAL_OPENCL", number));
        Status status;
        return hand_out(GpuDevice::open(number == SEPAL_CUDA ? Backend::cuda : Backend::opencl, index, status), status, device);
    });
}

sepal_status sepal_device_adopt(void *cuda_context, void *cuda_stream, sepal_device **device) {
    return guarded([&] {
        require(device, "device");
        *device = nullptr;
        Status status;
        return hand_out(GpuDevice::adopt(cuda_context, cuda_stream, status), status, device);
    });
}

const char *sepal_device_name(const sepal_device *device) { return device ? device->device->text().c_str() : nullptr; }
void *sepal_device_context(const sepal_device *device) { return device ? device->device->native_context() : nullptr; }
void *sepal_device_queue(const sepal_device *device) { return device ? device->device->native_queue() : nullptr; }

sepal_status sepal_device_synchronize(const sepal_device *device) {
    return guarded([&] {
        require(device, "device");
        return status_of(device->device->synchronize());
    });
}

void sepal_device_destroy(sepal_device *device) { delete device; }

sepal_status sepal_device_allocate(sepal_device *device, size_t bytes, void **memory) {
    return guarded([&] {
        require(device, "device");
        require(memory, "memory");
        *memory = nullptr;
        if (bytes == 0 || bytes > size_t(INT64_MAX)) invalid(fmt::format("{} bytes of a device are asked for; allowed: 1 or more", bytes));
        Status status;
        GpuArray array = GpuArray::allocate(device->device, int64_t(bytes), status);
        if (!status.ok()) return status_of(status);
        const uint64_t at = array.memory().native;
        std::lock_guard<std::mutex> lock(device->mutex);
        device->arrays[at] = std::move(array);
        *memory = reinterpret_cast<void *>(at);
        return SEPAL_OK;
    });
}

sepal_status sepal_device_release(sepal_device *device, void *memory) {
    return guarded([&] {
        require(device, "device");
        if (!memory) return SEPAL_OK;
        GpuArray released;  // after the lock, for it may wait for work
        std::lock_guard<std::mutex> lock(device->mutex);
        const auto found = device->arrays.find(native(memory));
        if (found == device->arrays.end()) invalid(fmt::format("the memory at {} was not allocated by this device, {}", memory, device->device->text()));
        released = std::move(found->second);
        device->arrays.erase(found);
        return SEPAL_OK;
    });
}

sepal_status sepal_device_upload(sepal_device *device, void *memory, const void *from, size_t bytes) {
    return guarded([&] { return status_of(array_at(device, memory, bytes).upload(from, int64_t(bytes))); });
}

sepal_status sepal_device_download(sepal_device *device, void *to, const void *memory, size_t bytes) {
    return guarded([&] { return status_of(array_at(device, memory, bytes).download(to, int64_t(bytes))); });
}

}  // extern "C"
