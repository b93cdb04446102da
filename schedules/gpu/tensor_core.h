// The hand-written schedule of kernels on tensor cores: conv2d and pointwise, or depsep, as the stages are.
#pragma once

#include "generators/tensor_core_stages.h"
#include "tensor_core_tile.h"

namespace sepal {

// `tile` without zeros (see derive()).
void schedule_tensor_cores(TensorCoreStages &stages, const TensorCoreTile &tile);

}  // namespace sepal
