// The hand-written schedules for GPUs, one for each operator; CUDA and OpenCL alike. Each takes the stages of a generator and a GpuSchedule without
// zeros (see derive_gpu()). Budgets of registers and shared memory are in gpu_tiling.cpp. They need the lowering pass RegisterAccumulators.
#pragma once

#include "generators/conv_stages.h"
#include "gpu_schedule.h"

namespace sepal {

void schedule_conv2d_gpu(ConvStages &stages, const GpuSchedule &knobs);
void schedule_depthwise_gpu(ConvStages &stages, const GpuSchedule &knobs);
void schedule_pointwise_gpu(ConvStages &stages, const GpuSchedule &knobs);
void schedule_depsep_gpu(ConvStages &stages, const GpuSchedule &knobs);

}  // namespace sepal
