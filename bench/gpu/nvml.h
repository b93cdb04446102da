// NVML, NVIDIA's library that tells a GPU's clocks, power and load: found when the program runs, and nothing needs it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace sepal {

// Where entry points of NVML come from: null for a name that it does not have.
using NvmlSymbols = void *(*)(const char *name);
// The library to use from now on; null: libnvidia-ml.so.1 of the system, which is the default.
void use_nvml(NvmlSymbols symbols);

// What NVML says of a GPU at a moment; nothing where it says nothing.
struct GpuState {
    std::optional<double> sm_mhz, memory_mhz, power_w, power_limit_w, temperature_c;
    std::optional<double> gpu_pct, memory_pct;  // share of the last sampling period (1/6 s to 1 s) in which a kernel ran, memory was accessed
    std::optional<uint64_t> throttle;           // bits of nvmlClocksEventReasons
};

// "power cap", "thermal" ... of the bits; those that slow nothing down (idle, clocks that an application has set) are left out.
std::vector<std::string> throttle_reasons(uint64_t bits);

class Nvml {
public:
    // Of the GPU with the PCI address that cuDeviceGetPCIBusId() gives. Null, with one sentence in `why_not`, when it tells nothing of it.
    static std::shared_ptr<const Nvml> open(const std::string &pci_bus_id, std::string &why_not);
    ~Nvml();
    Nvml(const Nvml &) = delete;

    GpuState state() const;
    const std::string &driver() const { return driver_; }  // its version, "580.159.04"; may be empty

private:
    Nvml() = default;
    void *device_ = nullptr;
    std::string driver_;
};

// What was seen while something ran.
struct GpuWatched {
    int samples = 0;
    GpuState median;                    // each field of its own; of `throttle` nothing
    std::optional<double> lowest_sm_mhz, highest_power_w;
    std::vector<std::string> throttled;  // the reasons of any sample
};

// Looks at the state every few milliseconds, in a thread of its own, from the beginning to stop().
class GpuWatch {
public:
    explicit GpuWatch(std::shared_ptr<const Nvml> nvml);  // null: sees nothing
    ~GpuWatch();
    GpuWatch(const GpuWatch &) = delete;
    GpuWatched stop();

private:
    std::shared_ptr<const Nvml> nvml_;
    std::vector<GpuState> states_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// {"samples", "sm_mhz", "lowest_sm_mhz", "memory_mhz", "power_w", "highest_power_w", "power_limit_w", "temperature_c", "gpu_pct", "memory_pct",
// "throttled": [...]}: null where NVML says nothing.
nlohmann::ordered_json to_json(const GpuWatched &watched);

}  // namespace sepal
