#include "gpu_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>

namespace sepal {
namespace {

const std::vector<GpuModel> &models() {
    // Measured: medians of a copy of 1 GB by 16-byte accesses, of reads that fit L2, of chains of FMA, dp4a and mma.sync with 16 warps on
    // each multiprocessor; the clock stood at 1980 MHz throughout.
    // clang-format off
    static const std::vector<GpuModel> all = {
        {"h200", "NVIDIA H200", "sm_90", "measured", 132, 1.98, 4037, 8000, 62.9, 128, 65.1, 133,
         {{"f16", 629}, {"bf16", 618}, {"tf32", 309}, {"s8", 1250}}},
        {"h100", "NVIDIA H100 80GB HBM3", "sm_90", "measured", 132, 1.98, 2980, 6900, 52.4, 128, 65.2, 133,
         {{"f16", 636}, {"bf16", 618}, {"tf32", 309}, {"s8", 1250}}},
        // 1920 lanes at the boost clock. Turing's L1 moves half as many bytes a clock as those of later GPUs (Jia et al., "Dissecting the
        // NVidia Turing T4 GPU via Microbenchmarking", 2019); GeForce cards of Turing accumulate in f32 at half the tensor rate (Turing
        // architecture whitepaper).
        {"rtx2060", "NVIDIA GeForce RTX 2060", "sm_75", "data sheet", 30, 1.68, 336, 0, 3.1, 64, 6.5, 0, {{"f16", 25.8}}},
    };
    // clang-format on
    return all;
}

}  // namespace

std::vector<std::string> gpu_model_names() {
    std::vector<std::string> names;
    for (const GpuModel &m : models()) names.push_back(m.name);
    return names;
}

const GpuModel &gpu_model(const std::string &name) {
    for (const GpuModel &m : models())
        if (name == m.name) return m;
    throw std::invalid_argument(fmt::format("GPU \"{}\" is not known; known are {}", name, fmt::join(gpu_model_names(), ", ")));
}

}  // namespace sepal
