#include "peaks.h"

#include "bench/statistics.h"
#include "bench/timer.h"
#include "gpu_timer.h"
#include "peak_kernels.h"
#include "runtime/gpu/cuda_api.h"
#include "tools/bad_input.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>
#include <vector>

namespace sepal {
namespace {

// The numbers of GpuPeaks that are measured, with what they are measured in.
struct Number {
    const char *name;
    double GpuPeaks::*value;
    const char *title, *unit;
    double scale;  // of the unit
};
constexpr Number all_numbers[] = {
    {"f32_gflops", &GpuPeaks::f32_gflops, "f32 multiply-adds", "TFLOP/s", 1e-3},
    {"f16_gflops", &GpuPeaks::f16_gflops, "f16 multiply-adds, two at a time", "TFLOP/s", 1e-3},
    {"tensor_f16_gflops", &GpuPeaks::tensor_f16_gflops, "f16 mma.sync, sums in f32", "TFLOP/s", 1e-3},
    {"dram_gbs", &GpuPeaks::dram_gbs, "copy in memory, read and written", "GB/s", 1},
    {"dram_read_gbs", &GpuPeaks::dram_read_gbs, "read from memory", "GB/s", 1},
    {"l2_read_gbs", &GpuPeaks::l2_read_gbs, "read from L2", "GB/s", 1},
    {"launch_us", &GpuPeaks::launch_us, "an empty kernel among many queued", "us", 1},
    {"graph_launch_us", &GpuPeaks::graph_launch_us, "an empty kernel in a CUDA graph", "us", 1},
    {"latency_us", &GpuPeaks::latency_us, "an empty kernel until the host knows", "us", 1},
};
constexpr int empty_launches = 100;
constexpr int json_format = 1;

class Measurement {
public:
    Measurement(const std::shared_ptr<GpuDevice> &device, const GpuPeakOptions &options, GpuPeaks &peaks)
        : device_(device), options_(options), peaks_(peaks), timer_(device) {
        nvml_ = nvml_of(*device, peaks.why_no_nvml);
        if (nvml_) peaks.driver = nvml_->driver();
    }

    // The rate of `work` (FLOPs or bytes of a launch), in 1e9 a second.
    Status rate(double GpuPeaks::*field, const PeakLaunch &launch, double work) {
        return figure(field, [&](GpuTimes &times) { return timer_.back_to_back(launch.queue, options_.launches, options_.samples, false, times); },
                      [&](double seconds) { return work / seconds * 1e-9; }, launch);
    }
    Status microseconds(double GpuPeaks::*field, const PeakLaunch &launch, const std::function<Status(GpuTimer &, GpuTimes &)> &time) {
        return figure(field, [&](GpuTimes &times) { return time(timer_, times); }, [](double seconds) { return seconds * 1e6; }, launch);
    }
    void tell(const char *what) const {
        if (options_.progress) options_.progress(what);
    }

private:
    Status figure(double GpuPeaks::*field, const std::function<Status(GpuTimes &)> &time, const std::function<double(double)> &value, const PeakLaunch &launch) {
        GpuTimes times;
        GpuPeak peak;
        for (const Number &f : all_numbers)
            if (f.value == field) peak.name = f.name;
        Status status;
        {
            GpuWatch watch(nvml_);
            status = time(times);
            peak.watched = watch.stop();
        }
        if (status.ok()) status = launch.check();
        const bool no_graph = field == &GpuPeaks::graph_launch_us && !times.in_graph;
        if (!status.ok() || no_graph) return status;
        std::vector<double> values;
        for (double seconds : times.seconds) values.push_back(value(seconds));
        const Statistics s = summarise(values);
        peak.median = peaks_.*field = s.median;
        peak.spread_pct = s.spread_pct;
        peak.samples = s.count;
        peaks_.figures.push_back(peak);
        return status;
    }

    std::shared_ptr<GpuDevice> device_;
    const GpuPeakOptions &options_;
    GpuPeaks &peaks_;
    GpuTimer timer_;
    std::shared_ptr<const Nvml> nvml_;
};

Status warm_up(const PeakLaunch &launch, const GpuDevice &device, double seconds) {
    Status status;
    for (const double start = now(); status.ok() && now() - start < seconds;) {
        status = launch.queue();
        if (status.ok()) status = device.synchronize();
    }
    return status;
}

int64_t whole_pieces(int64_t bytes) { return std::max<int64_t>(1, bytes / PeakKernels::piece_bytes) * PeakKernels::piece_bytes; }

Status arithmetic(Measurement &m, const PeakKernels &kernels, const GpuDevice &device, const GpuPeakOptions &o) {
    using Make = PeakLaunch (PeakKernels::*)(int, Status &) const;
    const std::tuple<double GpuPeaks::*, Make, const char *> all[] = {{&GpuPeaks::f32_gflops, &PeakKernels::f32_fma, "f32 multiply-adds"},
                                                                      {&GpuPeaks::f16_gflops, &PeakKernels::f16_fma, "f16 multiply-adds"},
                                                                      {&GpuPeaks::tensor_f16_gflops, &PeakKernels::f16_mma, "f16 mma"}};
    Status status;
    for (const auto &[field, make, what] : all) {
        m.tell(what);
        const PeakLaunch launch = (kernels.*make)(o.trips, status);
        if (status.ok() && field == &GpuPeaks::f32_gflops) status = warm_up(launch, device, o.warm_up_seconds);
        if (status.ok()) status = m.rate(field, launch, launch.flops);
        if (!status.ok()) return status;
    }
    return status;
}

Status memory(Measurement &m, const PeakKernels &kernels, const GpuDevice &device, const GpuPeakOptions &o, GpuPeaks &peaks) {
    const int64_t total = device.info().memory_bytes, l2 = device.info().l2_bytes;
    const int64_t bytes = whole_pieces(total > 0 ? std::min(o.dram_bytes, total / 4) : o.dram_bytes);
    peaks.dram_bytes = double(bytes);
    Status status;
    {
        m.tell("copy");
        const PeakLaunch copy = kernels.copy(bytes, status);
        if (status.ok()) status = m.rate(&GpuPeaks::dram_gbs, copy, copy.bytes_read + copy.bytes_written);
    }
    if (status.ok()) {
        m.tell("read");
        const PeakLaunch read = kernels.read(bytes, 1, status);
        if (status.ok()) status = m.rate(&GpuPeaks::dram_read_gbs, read, read.bytes_read);
    }
    if (!status.ok() || l2 <= 0) return status;
    m.tell("L2");
    const int64_t footprint = whole_pieces(l2 / 2);
    peaks.l2_bytes = double(footprint);
    const PeakLaunch read = kernels.read(footprint, std::max(2, int(o.l2_sample_bytes / double(footprint))), status);
    return status.ok() ? m.rate(&GpuPeaks::l2_read_gbs, read, read.bytes_read) : status;
}

Status launches(Measurement &m, const PeakKernels &kernels, const GpuPeakOptions &o) {
    m.tell("launches");
    const PeakLaunch empty = kernels.empty();
    const auto queued = [&](bool graph) {
        return [&, graph](GpuTimer &timer, GpuTimes &times) { return timer.back_to_back(empty.queue, empty_launches, o.samples, graph, times); };
    };
    Status status = m.microseconds(&GpuPeaks::launch_us, empty, queued(false));
    if (status.ok()) status = m.microseconds(&GpuPeaks::graph_launch_us, empty, queued(true));
    if (status.ok())
        status = m.microseconds(&GpuPeaks::latency_us, empty, [&](GpuTimer &timer, GpuTimes &times) { return timer.latency(empty.queue, 5 * o.samples, times); });
    return status;
}

std::optional<double> clock_of_arithmetic(const GpuPeaks &peaks) {
    std::vector<double> clocks;
    for (const GpuPeak &p : peaks.figures)
        if (p.name.find("gflops") != std::string::npos && p.watched.median.sm_mhz) clocks.push_back(*p.watched.median.sm_mhz);
    if (clocks.empty()) return std::nullopt;
    return summarise(clocks).median;
}

}  // namespace

std::shared_ptr<const Nvml> nvml_of(const GpuDevice &device, std::string &why_not) {
    why_not = device.text() + ": NVML is for CUDA devices";
    if (device.backend() != Backend::cuda) return nullptr;
    std::array<char, 32> address = {};
    int index = 0;
    cuda::take_failure();
    const cuda::PushContext pushed(device.native_context());
    cuda::Result result = pushed.result();
    if (result == cuda::success) result = cuda::cuCtxGetDevice(&index);
    if (result == cuda::success) result = cuda::cuDeviceGetPCIBusId(address.data(), int(address.size() - 1), index);
    if (result != cuda::success) {
        why_not = fmt::format("{} does not tell its PCI address: {}", device.text(), cuda::take_failure().text);
        return nullptr;
    }
    return Nvml::open(address.data(), why_not);
}

GpuPeaks measure_gpu_peaks(const std::shared_ptr<GpuDevice> &device, const GpuPeakOptions &options, Status &status) {
    GpuPeaks peaks;
    peaks.device = device->info();
    const std::unique_ptr<PeakKernels> kernels = PeakKernels::load(device, status);
    if (!kernels) return peaks;
    Measurement measurement(device, options, peaks);
    status = arithmetic(measurement, *kernels, *device, options);
    if (status.ok()) status = memory(measurement, *kernels, *device, options, peaks);
    if (status.ok()) status = launches(measurement, *kernels, options);
    peaks.sm_clock_mhz = clock_of_arithmetic(peaks);
    return peaks;
}

nlohmann::ordered_json to_json(const GpuInfo &info) {
    return {{"name", info.name},           {"compute_capability", info.compute_capability}, {"multiprocessors", info.multiprocessors},
            {"clock_khz", info.clock_khz}, {"memory_clock_khz", info.memory_clock_khz},     {"l2_bytes", info.l2_bytes},
            {"driver_version", info.driver_version}, {"memory_bytes", info.memory_bytes}};
}

nlohmann::ordered_json to_json(const GpuPeaks &peaks) {
    nlohmann::ordered_json j = {{"format", json_format}, {"device", to_json(peaks.device)}, {"driver", peaks.driver}};
    j["no_nvml"] = peaks.why_no_nvml.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(peaks.why_no_nvml);
    nlohmann::ordered_json &numbers = j["peaks"];
    for (const Number &f : all_numbers) numbers[f.name] = peaks.*f.value;
    numbers["dram_bytes"] = peaks.dram_bytes;
    numbers["l2_bytes"] = peaks.l2_bytes;
    numbers["sm_clock_mhz"] = peaks.sm_clock_mhz ? nlohmann::ordered_json(*peaks.sm_clock_mhz) : nlohmann::ordered_json();
    j["figures"] = nlohmann::ordered_json::array();
    for (const GpuPeak &p : peaks.figures)
        j["figures"].push_back({{"name", p.name}, {"median", p.median}, {"spread_pct", p.spread_pct}, {"samples", p.samples}, {"nvml", to_json(p.watched)}});
    return j;
}

GpuPeaks gpu_peaks_from_json(const std::string &text, const std::string &source) {
    const nlohmann::json j = nlohmann::json::parse(text, nullptr, false);
    const auto bad = [&](const std::string &what) { return BadInput(fmt::format("{}: {}; allowed: a file that `sepal peak --device cuda --json` wrote", source, what)); };
    if (!j.is_object()) throw bad("this is no JSON object");
    if (j.value("format", nlohmann::json()) != json_format) throw bad(fmt::format("field \"format\" is not {}", json_format));
    const auto part = [&](const char *name) {
        if (!j.contains(name) || !j[name].is_object()) throw bad(fmt::format("there is no object \"{}\"", name));
        return j[name];
    };
    const auto number = [&](const nlohmann::json &of, const char *object, const char *name) {
        if (!of.contains(name) || !of[name].is_number() || of[name].get<double>() < 0)
            throw bad(fmt::format("\"{}\" of \"{}\" is not a number of 0 or more", name, object));
        return of[name].get<double>();
    };
    GpuPeaks peaks;
    const nlohmann::json device = part("device"), numbers = part("peaks");
    if (!device.contains("name") || !device["name"].is_string()) throw bad("\"name\" of \"device\" is not a text");
    peaks.device.name = device["name"];
    const std::pair<const char *, int GpuInfo::*> integers[] = {{"compute_capability", &GpuInfo::compute_capability},
                                                                {"multiprocessors", &GpuInfo::multiprocessors},
                                                                {"clock_khz", &GpuInfo::clock_khz},
                                                                {"memory_clock_khz", &GpuInfo::memory_clock_khz},
                                                                {"l2_bytes", &GpuInfo::l2_bytes},
                                                                {"driver_version", &GpuInfo::driver_version}};
    for (const auto &[name, field] : integers) peaks.device.*field = int(number(device, "device", name));
    peaks.device.memory_bytes = int64_t(number(device, "device", "memory_bytes"));
    for (const Number &f : all_numbers) peaks.*f.value = number(numbers, "peaks", f.name);
    peaks.dram_bytes = number(numbers, "peaks", "dram_bytes");
    peaks.l2_bytes = number(numbers, "peaks", "l2_bytes");
    if (numbers.contains("sm_clock_mhz") && numbers["sm_clock_mhz"].is_number()) peaks.sm_clock_mhz = numbers["sm_clock_mhz"].get<double>();
    return peaks;
}

std::string gpu_peaks_table(const GpuPeaks &peaks) {
    const GpuInfo &d = peaks.device;
    std::string text = fmt::format("{}: compute capability {}.{}, {} multiprocessors, L2 of {:.1f} MB, memory of {:.1f} GB, driver {}of CUDA {}.{}\n", d.name,
                                   d.compute_capability / 10, d.compute_capability % 10, d.multiprocessors, d.l2_bytes / 1e6, double(d.memory_bytes) / 1e9,
                                   peaks.driver.empty() ? "" : peaks.driver + " ", d.driver_version / 1000, d.driver_version % 1000 / 10);
    for (const GpuPeak &p : peaks.figures)
        for (const Number &f : all_numbers) {
            if (p.name != f.name) continue;
            text += fmt::format("  {:<42}{:>10.{}f} {:<8} spread {:.1f} %", f.title, p.median * f.scale, p.median * f.scale < 1000 ? 1 : 0, f.unit, p.spread_pct);
            const GpuWatched &w = p.watched;
            if (w.median.sm_mhz) text += fmt::format(", SM {:.0f} MHz", *w.median.sm_mhz);
            if (w.highest_power_w) text += fmt::format(", at most {:.0f} W", *w.highest_power_w);
            if (!w.throttled.empty()) text += fmt::format(", slowed down by: {}", fmt::join(w.throttled, ", "));
            text += "\n";
        }
    if (!peaks.why_no_nvml.empty()) text += fmt::format("  clocks and power were not watched: {}\n", peaks.why_no_nvml);
    return text;
}

}  // namespace sepal
