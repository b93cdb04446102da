// The runner for GPUs: checks candidates against the reference, then times them side by side on the device.
#pragma once

#include "bench/gpu/gpu_machine.h"
#include "bench/runner.h"

#include <memory>
#include <vector>

namespace sepal {

// As run_candidates(): two results for each candidate of ONE problem, warm and cold, in order, and what they say of checks. A round times each
// candidate in turn by GpuTimer: warm (runs in a row, replayed from a CUDA graph where that can be, as many as make a sample of some
// milliseconds), cold (one run after L2 was overwritten), and the latency of one run. A cold time is that of the device's events, whose own time
// is in Result::cold_overhead_ms. options.cpu and options.threads (of packing) are not looked at; no peers. The kernels are in the program, and
// `device` runs their ISA.
std::vector<Result> run_candidates_on_gpu(const std::vector<Candidate> &candidates, const GpuMachine &machine, const std::shared_ptr<GpuDevice> &device,
                                          const RunnerOptions &options);

// Bytes of the device's memory that it allocates, but for filters.
double gpu_memory_needed(const ConvProblem &problem, const GpuMachine &machine);

// About how many seconds it takes.
double estimate_gpu_seconds(const ConvProblem &problem, int candidates, const RunnerOptions &options);

}  // namespace sepal
