// --device: what the kernels of a command run on.
#pragma once

#include "runtime/gpu/device.h"

#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace sepal {

// The CPU, or a GPU that is open.
struct ChosenDevice {
    std::string option = "cpu";  // as it was given
    Cpu cpu;
    std::shared_ptr<GpuDevice> gpu;  // null: the CPU
    bool emulated = false;           // a CUDA driver that executes PTX on the CPU stands in for one

    Processor processor() const { return gpu ? Processor(gpu->backend()) : Processor(cpu); }
    std::string text() const;  // "the CPU (up to avx512)", "CUDA device 0 (NVIDIA H100 80GB HBM3)"
    // Why the variant cannot run on it: it was not built, or is for something else. Empty when it can.
    std::string why_not_runnable(const Variant &variant) const;
};

class DeviceOption {
public:
    void add_to(CLI::App &command);
    // Throws BadInput with one sentence when the option's text is wrong, or there is no such device: another one is never taken instead.
    ChosenDevice open() const;
    const std::string &text() const { return text_; }

private:
    std::string text_ = "cpu";
};

// What an option's text says. Throws BadInput.
struct DeviceName {
    Backend backend = Backend::cpu;
    int index = 0;
    bool emulated = false;
};
DeviceName parse_device(const std::string &text);

}  // namespace sepal
