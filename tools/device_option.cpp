#include "tools/device_option.h"

#include "bench/gpu/emulator/emulator.h"
#include "runtime/gpu/cuda_driver.h"
#include "tools/bad_input.h"
#include "tools/selection.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <charconv>

namespace sepal {

DeviceName parse_device(const std::string &text) {
    const size_t colon = text.find(':');
    const std::string kind = text.substr(0, colon), which = colon == std::string::npos ? "0" : text.substr(colon + 1);
    DeviceName device;
    const auto wrong = [&] {
        return BadInput(fmt::format("--device is \"{}\"; allowed: cpu, cuda, opencl, cuda:INDEX and opencl:INDEX, counted from 0, and cuda:emulated", text));
    };
    if (kind == "cpu" && colon == std::string::npos) return device;
    if (kind != "cuda" && kind != "opencl") throw wrong();
    device.backend = kind == "cuda" ? Backend::cuda : Backend::opencl;
    device.emulated = device.backend == Backend::cuda && which == "emulated";
    if (device.emulated) return device;
    const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), device.index);
    if (error != std::errc() || end != which.data() + which.size() || device.index < 0) throw wrong();
    return device;
}

std::string ChosenDevice::text() const { return gpu ? gpu->text() : fmt::format("the CPU (up to {})", name(cpu.best)); }

std::string ChosenDevice::why_not_runnable(const Variant &variant) const {
    if (std::string why = sepal::why_not_runnable(variant, processor()); !why.empty()) return why;
    if (gpu && variant.dtype == DType::f16 && !gpu->info().half_precision) return fmt::format("needs half precision, which {} does not have", gpu->text());
    return {};
}

void DeviceOption::add_to(CLI::App &command) {
    command.add_option("--device", text_, "What the kernels run on: cpu, cuda or opencl, or one of several GPUs, such as cuda:1; cuda:emulated: on the CPU, slowly, each "
                                          "access checked")
        ->capture_default_str();
}

ChosenDevice DeviceOption::open() const {
    const DeviceName named = parse_device(text_);
    ChosenDevice device;
    device.option = text_;
    device.cpu = Cpu::detect();
    device.emulated = named.emulated;
    if (named.backend == Backend::cpu) return device;
    if (named.emulated) use_cuda_driver(emulated_cuda_symbol);
    Status status;
    device.gpu = GpuDevice::open(named.backend, named.index, status);
    if (!device.gpu) throw BadInput(fmt::format("--device {}: {}", text_, status.message));
    return device;
}

}  // namespace sepal
