#include "nvml.h"

#include "bench/statistics.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace sepal {
namespace {

// Names, arguments and numbers are those of nvml.h of the CUDA Toolkit.
using Result = int;
constexpr int clock_sm = 1, clock_memory = 2, temperature_of_gpu = 0;
constexpr auto sample_interval = std::chrono::milliseconds(5);

void *library = nullptr;
void *system_symbol(const char *name) { return dlsym(library, name); }
NvmlSymbols &given_symbols() {
    static NvmlSymbols symbols = nullptr;
    return symbols;
}

// Those to use; null, with `why_not` set, when there are none.
NvmlSymbols symbols(std::string &why_not) {
    if (given_symbols()) return given_symbols();
    if (!library) library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library) return system_symbol;
    why_not = fmt::format("there is no NVML: libnvidia-ml.so.1 cannot be loaded ({})", dlerror());
    return nullptr;
}

constexpr Result no_function = 13;  // NVML_ERROR_FUNCTION_NOT_FOUND
template<typename... Arguments>
Result call(const char *name, Arguments... arguments) {
    std::string ignored;
    const NvmlSymbols from = symbols(ignored);
    void *const function = from ? from(name) : nullptr;
    return function ? reinterpret_cast<Result (*)(Arguments...)>(function)(arguments...) : no_function;
}

std::string text_of(Result result) {
    std::string ignored;
    const NvmlSymbols from = symbols(ignored);
    void *const function = from ? from("nvmlErrorString") : nullptr;
    const char *const text = function ? reinterpret_cast<const char *(*)(Result)>(function)(result) : nullptr;
    return text ? text : fmt::format("NVML error {}", result);
}

struct Utilization {
    unsigned gpu = 0, memory = 0;
};

std::optional<double> median_of(const std::vector<GpuState> &states, std::optional<double> GpuState::*field) {
    std::vector<double> values;
    for (const GpuState &s : states)
        if (s.*field) values.push_back(*(s.*field));
    if (values.empty()) return std::nullopt;
    return summarise(values).median;
}

}  // namespace

void use_nvml(NvmlSymbols symbols) { given_symbols() = symbols; }

std::vector<std::string> throttle_reasons(uint64_t bits) {
    static constexpr std::pair<uint64_t, const char *> reasons[] = {
        {0x04, "power cap"}, {0x08, "hardware slowdown"}, {0x10, "sync boost"}, {0x20, "thermal"}, {0x40, "hardware thermal"}, {0x80, "power brake"}};
    std::vector<std::string> names;
    for (const auto &[bit, name] : reasons)
        if (bits & bit) names.emplace_back(name);
    return names;
}

std::shared_ptr<const Nvml> Nvml::open(const std::string &pci_bus_id, std::string &why_not) {
    why_not.clear();
    if (!symbols(why_not)) return nullptr;
    if (const Result result = call("nvmlInit_v2"); result != 0) {
        why_not = fmt::format("NVML cannot be started: {}", text_of(result));
        return nullptr;
    }
    std::shared_ptr<Nvml> nvml(new Nvml);
    if (const Result result = call("nvmlDeviceGetHandleByPciBusId_v2", pci_bus_id.c_str(), &nvml->device_); result != 0) {
        why_not = fmt::format("NVML does not know the GPU at {}: {}", pci_bus_id, text_of(result));
        return nullptr;
    }
    std::array<char, 96> driver = {};
    if (call("nvmlSystemGetDriverVersion", driver.data(), unsigned(driver.size() - 1)) == 0) nvml->driver_ = driver.data();
    return nvml;
}

Nvml::~Nvml() { call("nvmlShutdown"); }

GpuState Nvml::state() const {
    GpuState s;
    const auto number = [&](std::optional<double> &to, double scale, const char *name, auto... arguments) {
        unsigned value = 0;
        if (call(name, device_, arguments..., &value) == 0) to = value * scale;
    };
    number(s.sm_mhz, 1, "nvmlDeviceGetClockInfo", clock_sm);
    number(s.memory_mhz, 1, "nvmlDeviceGetClockInfo", clock_memory);
    number(s.power_w, 1e-3, "nvmlDeviceGetPowerUsage");
    number(s.power_limit_w, 1e-3, "nvmlDeviceGetEnforcedPowerLimit");
    number(s.temperature_c, 1, "nvmlDeviceGetTemperature", temperature_of_gpu);
    Utilization load;
    if (call("nvmlDeviceGetUtilizationRates", device_, &load) == 0) s.gpu_pct = load.gpu, s.memory_pct = load.memory;
    unsigned long long bits = 0;
    if (call("nvmlDeviceGetCurrentClocksThrottleReasons", device_, &bits) == 0) s.throttle = bits;
    return s;
}

GpuWatch::GpuWatch(std::shared_ptr<const Nvml> nvml) : nvml_(std::move(nvml)) {
    if (!nvml_) return;
    thread_ = std::thread([this] {
        do {
            states_.push_back(nvml_->state());
            std::this_thread::sleep_for(sample_interval);
        } while (!stop_);
    });
}

GpuWatch::~GpuWatch() { (void)stop(); }

GpuWatched GpuWatch::stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    GpuWatched w;
    w.samples = int(states_.size());
    for (auto field : {&GpuState::sm_mhz, &GpuState::memory_mhz, &GpuState::power_w, &GpuState::power_limit_w, &GpuState::temperature_c, &GpuState::gpu_pct,
                       &GpuState::memory_pct})
        w.median.*field = median_of(states_, field);
    uint64_t bits = 0;
    for (const GpuState &s : states_) {
        if (s.sm_mhz) w.lowest_sm_mhz = std::min(*s.sm_mhz, w.lowest_sm_mhz.value_or(*s.sm_mhz));
        if (s.power_w) w.highest_power_w = std::max(*s.power_w, w.highest_power_w.value_or(*s.power_w));
        bits |= s.throttle.value_or(0);
    }
    w.throttled = throttle_reasons(bits);
    return w;
}

nlohmann::ordered_json to_json(const GpuWatched &w) {
    nlohmann::ordered_json j;
    const auto add = [&](const char *name, const std::optional<double> &value) { j[name] = value ? nlohmann::ordered_json(*value) : nullptr; };
    j["samples"] = w.samples;
    add("sm_mhz", w.median.sm_mhz);
    add("lowest_sm_mhz", w.lowest_sm_mhz);
    add("memory_mhz", w.median.memory_mhz);
    add("power_w", w.median.power_w);
    add("highest_power_w", w.highest_power_w);
    add("power_limit_w", w.median.power_limit_w);
    add("temperature_c", w.median.temperature_c);
    add("gpu_pct", w.median.gpu_pct);
    add("memory_pct", w.median.memory_pct);
    j["throttled"] = w.throttled;
    return j;
}

}  // namespace sepal
