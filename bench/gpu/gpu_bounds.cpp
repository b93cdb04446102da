#include "gpu_bounds.h"

#include "schedules/gpu/occupancy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace sepal {
namespace {

constexpr double sector_bytes = 32;
constexpr int issued_a_clock = 4;  // by one multiprocessor

// Multiply-adds of one mma.sync by its shape, and the type of its first operand, in "m16n8k16.f32.f16.f16.f32".
struct MmaShape {
    double multiply_adds = 0;
    std::string operand;
};
MmaShape mma_shape(const std::string &name) {
    int m = 0, n = 0, k = 0;
    char result[8] = "", operand[8] = "";
    std::sscanf(name.c_str(), "m%dn%dk%d.%7[^.].%7[^.]", &m, &n, &k, result, operand);
    return {double(m) * n * k, operand};
}

double sum(const KernelCounts &counts, std::initializer_list<InstructionClass> classes) {
    double n = 0;
    for (InstructionClass c : classes) n += double(counts.of(c));
    return n;
}

}  // namespace

double GpuBounds::microseconds(const std::string &part) const {
    for (const GpuBound &b : parts)
        if (b.part == part) return b.microseconds;
    return 0;
}

double compulsory_bytes(const KernelCounts &counts) {
    return sector_bytes * double(counts.global_loads.unique_sectors + counts.global_stores.unique_sectors);
}

GpuBounds gpu_bounds(const KernelCounts &counts, const GpuModel &gpu) {
    GpuBounds b;
    b.gpu = gpu.name;
    const auto add = [&](const char *part, double work, double work_per_us) {
        if (work_per_us > 0) b.parts.push_back({part, work / work_per_us});
    };
    const double bytes = compulsory_bytes(counts);
    add("dram", bytes, gpu.dram_gbps * 1e3);
    add("l2", bytes, gpu.l2_gbps * 1e3);

    double passes = double(counts.shared_loads.wavefronts + counts.shared_stores.wavefronts);
    for (const GlobalCounts *g : {&counts.global_loads, &counts.global_stores})
        passes += std::max(double(g->requests), double(g->sectors) * sector_bytes / gpu.l1_bytes);
    add("lsu", passes, gpu.clocks_per_us());

    using Class = InstructionClass;
    const double gone = sum(counts, {Class::move, Class::load_param, Class::load_const});
    add("issue", double(counts.all_warp_instructions()) - gone, issued_a_clock * gpu.clocks_per_us());
    // A pipe is busy for all 32 threads of a warp, whether they take part or not.
    add("fma", 2 * warp_threads * sum(counts, {Class::fma_f32, Class::arith_f16}), gpu.f32_tflops * 1e6);
    add("dp4a", 8 * warp_threads * double(counts.of(Class::dp4a)), gpu.dp4a_tops * 1e6);

    double tensor_us = 0;
    for (const auto &[name, instructions] : counts.mma) {
        const MmaShape shape = mma_shape(name);
        const auto rate = gpu.mma_tflops.find(shape.operand);
        if (rate != gpu.mma_tflops.end()) tensor_us += 2 * shape.multiply_adds * double(instructions) / (rate->second * 1e6);
        if (rate == gpu.mma_tflops.end()) b.note = fmt::format("it has no known rate for mma.{}", name);
    }
    add("tensor", tensor_us, 1);
    if (std::string(gpu.arch) < "sm_80")
        b.note = counts.mma.empty() ? fmt::format("PTX for sm_80 does not run on {}; as if it did", gpu.arch)
                                    : fmt::format("mma.{} needs sm_80, it is {}; as if it did the same products in smaller steps",
                                                  counts.mma.begin()->first.substr(0, counts.mma.begin()->first.find('.')), gpu.arch);

    b.fits_l2 = bytes <= gpu.l2_mb * 1e6;
    for (const GpuBound &part : b.parts) {
        if (part.microseconds > b.cold.microseconds) b.cold = part;
        if (!(b.fits_l2 && part.part == "dram") && part.microseconds > b.warm.microseconds) b.warm = part;
    }
    return b;
}

}  // namespace sepal
