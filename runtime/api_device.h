// sepal_device, as the C API's other files see it.
#pragma once

#include "gpu/device.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

struct sepal_device {
    std::shared_ptr<const sepal::GpuDevice> device;
    std::mutex mutex;
    std::map<uint64_t, sepal::GpuArray> arrays;  // that it has allocated, by their native memory
};
