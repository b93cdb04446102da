// The hand-written x86 schedules, one for each operator. Each takes the stages of a generator, a Schedule without zeros
// (see derive()) and the target. Register and cache budgets are in tiling.cpp.
#pragma once

#include "generators/conv_stages.h"
#include "generators/pack_stages.h"
#include "schedules/nchw_schedule.h"
#include "schedules/schedule.h"

namespace sepal {

void schedule_conv2d_x86(ConvStages &stages, const Schedule &knobs, const Halide::Target &target);
void schedule_winograd_x86(WinogradStages &stages, const Schedule &knobs, const Halide::Target &target);
void schedule_depthwise_x86(ConvStages &stages, const Schedule &knobs, const Halide::Target &target);
void schedule_pointwise_x86(ConvStages &stages, const Schedule &knobs, const Halide::Target &target);
void schedule_depsep_x86(ConvStages &stages, const Schedule &knobs, const Halide::Target &target);

// Of NCHW: with stages.phases (pointwise: a stages.source) in scratch memory. Budgets are in nchw_tiling.cpp.
void schedule_conv2d_nchw(ConvStages &stages, const NchwSchedule &knobs);
void schedule_depthwise_nchw(ConvStages &stages, const NchwSchedule &knobs);
void schedule_pointwise_nchw(ConvStages &stages, const NchwSchedule &knobs);
void schedule_depsep_nchw(ConvStages &stages, const NchwSchedule &knobs);

// Filters are packed once: these have no knobs.
void schedule_pack_lanes_x86(PackStages &stages, const Halide::Target &target);
void schedule_pack_panels_x86(PackStages &stages, const Halide::Target &target);
void schedule_pack_winograd_x86(PackStages &stages, const Halide::Target &target);

// Whether accumulators sum block by block, each of knobs.c_block channels.
bool has_blocks(const ConvStages &stages, const Schedule &knobs);

}  // namespace sepal
