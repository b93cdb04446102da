// GpuMachine: what a GPU is and what it was measured to reach, as Machine for the CPU.
#pragma once

#include "bench/machine.h"
#include "bench/roofline.h"
#include "runtime/gpu/device.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <string>

namespace sepal {

// 0 where it was not measured.
struct GpuPeaks {
    double f32_gflops = 0, f16_gflops = 0, tensor_gflops = 0;
    double dram_gbs = 0, l2_gbs = 0;
};

struct GpuMachine {
    std::string device;  // as --device has it: "cuda:1"
    std::string text;    // GpuDevice::text()
    Backend backend = Backend::cuda;
    GpuInfo info;
    std::optional<GpuPeaks> peaks;
    std::string why_no_peaks;  // where there are none

    // GFLOP/s of the arithmetic that kernels of the type use at best: f32's, of f16 that of the tensor cores; 0 when it was not measured.
    double peak_gflops(DType dtype) const;
    // As roofline.h has it for the CPU: warm data that fit come from L2, all others from dram. Empty without peaks.
    std::optional<Roofline> roofline(DType dtype, double flops, double bytes, CacheState state) const;
};

GpuMachine describe_gpu(const GpuDevice &device, const std::string &option);

// Several lines that end with a newline.
std::string gpu_machine_text(const GpuMachine &machine);

// That of the host (bench/machine.h), whose "fma" and "bandwidth" are the GPU's, where they are known, with "gpu": {"device", "name", "backend", "compute_capability", "multiprocessors", "clock_ghz",
// "memory_clock_ghz", "l2_bytes", "memory_bytes", "driver_version", "peaks": null or {"f32_gflops", "f16_gflops", "tensor_gflops", "dram_gbs",
// "l2_gbs"}}; null is what is not known.
nlohmann::ordered_json to_json(const GpuMachine &machine);

}  // namespace sepal
