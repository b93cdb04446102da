#include "bench/gpu/gpu_machine.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace sepal {

using Json = nlohmann::ordered_json;

double GpuMachine::peak_gflops(DType dtype) const {
    if (!peaks) return 0;
    return dtype == DType::f16 ? peaks->tensor_gflops : peaks->f32_gflops;
}

std::optional<Roofline> GpuMachine::roofline(DType dtype, double flops, double bytes, CacheState state) const {
    if (!peaks) return std::nullopt;
    // The same rules, of a machine with these levels.
    Machine levels;
    if (peaks->l2_gbs > 0 && info.l2_bytes > 0) {
        Bandwidth l2;
        l2.level = "L2";
        l2.capacity_bytes = info.l2_bytes;
        l2.read.gbps = peaks->l2_gbs;
        levels.bandwidth.push_back(l2);
    }
    Bandwidth dram;
    dram.level = "dram";
    dram.read.gbps = peaks->dram_gbs;
    levels.bandwidth.push_back(dram);
    return sepal::roofline(levels, 1, peak_gflops(dtype), flops, bytes, state);
}

GpuMachine describe_gpu(const GpuDevice &device, const std::string &option) {
    GpuMachine machine;
    machine.device = option;
    machine.text = device.text();
    machine.backend = device.backend();
    machine.info = device.info();
    machine.why_no_peaks = device.backend() == Backend::opencl ? "peaks are measured of CUDA devices only" : "the peaks of this device were not measured";
    return machine;
}

std::string gpu_machine_text(const GpuMachine &m) {
    const GpuInfo &i = m.info;
    std::string text = m.text;
    if (i.compute_capability > 0) text += fmt::format(", compute capability {}.{}", i.compute_capability / 10, i.compute_capability % 10);
    if (i.multiprocessors > 0) text += fmt::format(", {} {}", i.multiprocessors, m.backend == Backend::cuda ? "multiprocessors" : "compute units");
    if (i.clock_khz > 0) text += fmt::format(", up to {:.2f} GHz", i.clock_khz / 1e6);
    text += "\n";
    if (i.l2_bytes > 0) text += fmt::format("  {} {:.4g} MiB,", m.backend == Backend::cuda ? "L2" : "cache", double(i.l2_bytes) / (1 << 20));
    text += fmt::format("  memory {:.4g} GiB", double(i.memory_bytes) / (1 << 30));
    if (i.driver_version > 0) text += fmt::format(", driver of CUDA {}.{}", i.driver_version / 1000, i.driver_version % 1000 / 10);
    text += "\n";
    if (!m.peaks) return text + fmt::format("No peaks, and so nothing of them in % peak, % roof and bound: {}\n", m.why_no_peaks);
    const GpuPeaks &p = *m.peaks;
    return text + fmt::format("Measured peaks: f32 {:.4g} TFLOP/s, f16 {:.4g}, tensor cores (f16, sums in f32) {:.4g}; memory {:.4g} GB/s, L2 {:.4g} GB/s\n", p.f32_gflops / 1e3,
                              p.f16_gflops / 1e3, p.tensor_gflops / 1e3, p.dram_gbs, p.l2_gbs);
}

Json to_json(const GpuMachine &m) {
    const auto known = [](double value) { return value > 0 ? Json(value) : Json(nullptr); };
    const auto count = [](int64_t value) { return value > 0 ? Json(value) : Json(nullptr); };
    Json peaks;
    if (m.peaks)
        peaks = {{"f32_gflops", known(m.peaks->f32_gflops)}, {"f16_gflops", known(m.peaks->f16_gflops)}, {"tensor_gflops", known(m.peaks->tensor_gflops)},
                 {"dram_gbs", known(m.peaks->dram_gbs)}, {"l2_gbs", known(m.peaks->l2_gbs)}};
    Json j = to_json(detect_machine());
    if (m.peaks) {  // as of a CPU, for plots
        j["fma"] = {{{"isa", "f32"}, {"threads", 1}, {"gflops", m.peaks->f32_gflops}}, {{"isa", "f16, tensor cores"}, {"threads", 1}, {"gflops", m.peaks->tensor_gflops}}};
        for (const auto &[level, gbs] : {std::pair("L2", m.peaks->l2_gbs), std::pair("dram", m.peaks->dram_gbs)})
            j["bandwidth"].push_back({{"level", level}, {"threads", 1}, {"read", {{"gbps", gbs}}}});
    }
    j["gpu"] = {{"device", m.device},
                {"name", m.info.name},
                {"backend", name(m.backend)},
                {"compute_capability", count(m.info.compute_capability)},
                {"multiprocessors", count(m.info.multiprocessors)},
                {"clock_ghz", known(m.info.clock_khz / 1e6)},
                {"memory_clock_ghz", known(m.info.memory_clock_khz / 1e6)},
                {"l2_bytes", count(m.info.l2_bytes)},
                {"memory_bytes", count(m.info.memory_bytes)},
                {"driver_version", count(m.info.driver_version)},
                {"peaks", peaks},
                {"why_no_peaks", m.peaks ? Json(nullptr) : Json(m.why_no_peaks)}};
    return j;
}

}  // namespace sepal
