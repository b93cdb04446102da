// sepal peak: measures this machine.
#include "bench/gpu/peaks.h"
#include "bench/machine.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/threads.h"
#include "tools/command.h"
#include "tools/device_option.h"
#include "tools/files.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace sepal {
namespace {

struct Options {
    int threads = 0;  // 0: as many as the process may use CPUs
    std::string json;
    bool quick = false;
    DeviceOption device;
};

void peak_of_gpu(const Options &o, const ChosenDevice &device) {
    if (o.threads) throw BadInput(fmt::format("--threads counts on the CPU; leave it out with --device {}", device.option));
    Progress progress(0);
    GpuPeakOptions options;
    if (o.quick) options.samples = 3, options.warm_up_seconds = 0.05;
    options.progress = [&](const std::string &what) { progress.show("measuring " + what, 0); };
    Status status;
    const GpuPeaks peaks = measure_gpu_peaks(device.gpu, options, status);
    progress.clear();
    if (!status.ok()) throw BadInput(fmt::format("--device {}: {}", device.option, status.message));
    fmt::print("{}", gpu_peaks_table(peaks));
    if (!o.json.empty()) write_file(o.json, {to_json(peaks).dump(2), "\n"});
}

void peak(const Options &o) {
    const int cpus = int(allowed_cpus().size());
    if (o.threads < 0 || o.threads > cpus)
        throw BadInput(fmt::format("--threads is {}; allowed: 1 to {} (the CPUs that this process may use), or 0 for all of them", o.threads, cpus));
    const int threads = o.threads ? o.threads : cpus;
    if (!o.json.empty()) check_writable(o.json);
    if (const DeviceName named = parse_device(o.device.text()); named.emulated || named.backend == Backend::opencl)
        throw BadInput(fmt::format("--device is \"{}\"; allowed: cpu, cuda and cuda:INDEX, for peaks are measured of CPUs and CUDA devices", o.device.text()));
    const ChosenDevice device = o.device.open();
    if (device.gpu) return peak_of_gpu(o, device);

    Machine machine = detect_machine();
    Progress progress(0);
    MeasureOptions options;
    options.quick = o.quick;
    options.progress = [&](const std::string &what) { progress.show("measuring " + what, 0); };
    measure_peaks(machine, 1, options);
    if (threads > 1) measure_peaks(machine, threads, options);
    progress.clear();

    fmt::print("{}", machine_table(machine, 0));
    if (!o.json.empty()) write_file(o.json, {to_json(machine).dump(2), "\n"});
    std::string why;
    if (o.quick)
        fmt::print("a quick measurement is not kept for other commands\n");
    else if (store_machine(machine, machine_cache_path(), why))
        fmt::print("kept for other commands in {}\n", machine_cache_path());
    else
        fmt::print(stderr, "sepal: warning: the machine's peaks are not kept for later runs: {}\n", why);
}

}  // namespace

void add_peak_command(CLI::App &app, int &exit_code) {
    auto options = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("peak", "Measure this machine: FMA peak of each ISA, bandwidth of each level of memory; or a GPU");
    command->add_option("--threads", options->threads, "Measure with one and with so many threads (default: one for each CPU)");
    command->add_option("--json", options->json, "Write the result to this file; `sepal bench --machine` reads it");
    options->device.add_to(*command);
    command->add_flag("--quick", options->quick, "Fewer and shorter samples, about a second; not kept for other commands");
    command->callback([options, &exit_code] {
        peak(*options);
        exit_code = exit_ok;
    });
}

}  // namespace sepal
