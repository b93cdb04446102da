// GPUs through the CUDA driver.
#pragma once

#include "device.h"

namespace sepal {

// As GpuDevice::open() and adopt() say.
std::shared_ptr<GpuDevice> open_cuda_device(int index, Status &status);
std::shared_ptr<GpuDevice> adopt_cuda_device(void *context, void *stream, Status &status);

}  // namespace sepal
