// Devices through OpenCL.
#pragma once

#include "device.h"

namespace sepal {

// As GpuDevice::open() says.
std::shared_ptr<GpuDevice> open_opencl_device(int index, Status &status);

}  // namespace sepal
