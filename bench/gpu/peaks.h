// GpuPeaks: what a GPU is measured to reach. The denominators of the percentages in a report of it.
#pragma once

#include "nvml.h"
#include "runtime/gpu/device.h"

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sepal {

// One figure: the median of samples.
struct GpuPeak {
    std::string name;  // the field of GpuPeaks
    double median = 0, spread_pct = 0;
    int samples = 0;
    GpuWatched watched;  // what NVML saw meanwhile
};

struct GpuPeaks {
    GpuInfo device;
    // By chains of multiply-adds in registers, 2 for each.
    double f32_gflops = 0, f16_gflops = 0;  // f16: two in an instruction (f16x2)
    double tensor_f16_gflops = 0;           // mma.sync m16n8k16, f32 sums
    // 1e9 bytes. A copy counts what it reads and what it writes.
    double dram_gbs = 0;       // of a copy that L2 does not hold
    double dram_read_gbs = 0;
    double l2_read_gbs = 0;    // of half as many bytes as L2 has, past L1
    double dram_bytes = 0, l2_bytes = 0;  // that were copied, and that were read again and again
    std::optional<double> sm_clock_mhz;   // while the arithmetic ran; nothing without NVML
    // Of a kernel that does nothing.
    double launch_us = 0;         // each of many that are queued
    double graph_launch_us = 0;   // each of many in a CUDA graph; 0 where there are no graphs
    double latency_us = 0;        // from the call until the host knows that it is done

    std::vector<GpuPeak> figures;
    std::string driver;        // as NVML names it; may be empty
    std::string why_no_nvml;   // empty where there is NVML
};

struct GpuPeakOptions {
    int samples = 9;
    int trips = 1024;                        // through the loop of the arithmetic; PeakKernels::most_trips at most
    int launches = 5;                        // of a sample
    int64_t dram_bytes = int64_t(1) << 30;   // to copy; at most a quarter of the memory
    double l2_sample_bytes = 8e9;            // to read in a launch, about
    double warm_up_seconds = 0.2;            // of arithmetic, until the clock is up
    std::function<void(const std::string &what)> progress;  // may be empty
};

// Every kernel's results are checked, and one that computes something else is a failure. About 2 s.
GpuPeaks measure_gpu_peaks(const std::shared_ptr<GpuDevice> &device, const GpuPeakOptions &options, Status &status);

// NVML of a device's GPU. Null, with `why_not` set, where there is none.
std::shared_ptr<const Nvml> nvml_of(const GpuDevice &device, std::string &why_not);

// {"format", "device": {...}, "driver", "no_nvml" (why there is none, or null), "peaks": {each number of GpuPeaks}, "figures": [{"name",
// "median", "spread_pct", "samples", "nvml": {...}}]}
nlohmann::ordered_json to_json(const GpuInfo &info);
nlohmann::ordered_json to_json(const GpuPeaks &peaks);
// The numbers of it, without figures and NVML. `source` names the file in messages. Throws BadInput (tools/bad_input.h), one sentence.
GpuPeaks gpu_peaks_from_json(const std::string &text, const std::string &source);

// Several lines that end with a newline.
std::string gpu_peaks_table(const GpuPeaks &peaks);

}  // namespace sepal
