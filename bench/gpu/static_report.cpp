#include "static_report.h"

#include "bench/gpu/cubin.h"
#include "bench/gpu/emulator/module_image.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace sepal {
namespace {

constexpr double least_useful = 0.5;  // share of the sectors that a kernel moves

// Of blocks of the launch over those that the GPU holds at once; 0 where the report has no occupancy for it.
double waves(const StaticReport &report, const GpuModel &gpu) {
    for (const ArchReport &a : report.architectures)
        if (a.arch == gpu.arch && a.occupancy.blocks)
            return double(report.counts->blocks) / (double(a.occupancy.blocks) * gpu.multiprocessors);
    return 0;
}

}  // namespace

GpuKernel shipped_kernel(const std::string &title, const KernelCounts &launch) {
    GpuKernel k;
    k.title = title;
    k.entry = launch.kernel;
    k.threads = int(launch.block[0] * launch.block[1] * launch.block[2]);
    k.dynamic_shared_bytes = int64_t(launch.dynamic_shared_bytes);
    k.counts = launch;
    if (!launch.image) return k;
    for (const ptx::MachineCode &code : ptx::machine_code_of(*launch.image)) {
        Cubin cubin = read_cubin(fmt::format("sm_{}", code.compute_capability), code.elf);
        for (KernelResources &r : cubin.kernels)
            if (r.kernel == launch.kernel) r.shared_bytes = int(launch.static_shared_bytes);
        k.cubins.push_back(std::move(cubin));
    }
    return k;
}

StaticReport static_report(const GpuKernel &kernel, const std::vector<std::string> &gpus) {
    StaticReport r;
    r.title = kernel.title;
    r.entry = kernel.entry;
    r.threads = kernel.threads;
    r.dynamic_shared_bytes = kernel.dynamic_shared_bytes;
    r.why_no_sass = why_no_nvdisasm();
    r.counts = kernel.counts;
    if (kernel.cubins.empty()) {
        r.why_no_architectures = why_no_ptxas();
        if (r.why_no_architectures.empty()) r.why_no_architectures = "the kernel comes without machine code";
    }
    for (const Cubin &cubin : kernel.cubins) {
        ArchReport &a = r.architectures.emplace_back();
        a.arch = cubin.arch;
        a.resources = cubin.resources(kernel.entry);
        a.warnings = cubin.warnings;
        a.occupancy =
            occupancy(sm_limits(cubin.arch), a.resources.registers, kernel.threads, a.resources.shared_bytes + kernel.dynamic_shared_bytes);
        if (r.why_no_sass.empty()) a.sass = read_sass(disassemble(cubin), kernel.entry);
    }
    if (kernel.counts) {
        for (const std::string &gpu : gpus) {
            r.bounds.push_back(gpu_bounds(*kernel.counts, gpu_model(gpu)));
            r.waves.push_back(waves(r, gpu_model(gpu)));
        }
        if (kernel.unfused_bytes > 0) r.fused_bytes = compulsory_bytes(*kernel.counts), r.unfused_bytes = kernel.unfused_bytes;
    }
    return r;
}

std::vector<std::string> complaints(const StaticReport &r) {
    std::vector<std::string> list;
    for (const ArchReport &a : r.architectures) {
        const KernelResources &k = a.resources;
        if (k.spill_store_bytes < 0)
            list.push_back(fmt::format("{}: on {} a thread keeps {} bytes of spilled registers or arrays in local memory", r.title, a.arch, k.stack_bytes));
        else if (k.spill_store_bytes || k.spill_load_bytes)
            list.push_back(fmt::format("{}: on {} a thread spills registers: {} bytes stored, {} bytes loaded", r.title, a.arch,
                                       k.spill_store_bytes, k.spill_load_bytes));
        else if (k.stack_bytes)
            list.push_back(fmt::format("{}: on {} a thread keeps {} bytes of arrays in local memory", r.title, a.arch, k.stack_bytes));
        if (!a.occupancy.blocks)
            list.push_back(fmt::format("{}: on {} no block of {} threads can be launched: too little of {}", r.title, a.arch, r.threads,
                                       a.occupancy.limiter));
    }
    if (!r.counts) return list;
    const auto look = [&](const char *what, const GlobalCounts &g) {
        if (g.requests && g.useful() < least_useful)
            list.push_back(
                fmt::format("{}: global {} use {:.0f} % of the sectors that they move ({:.1f} sectors a request); {:.0f} % are to be used",
                            r.title, what, 100 * g.useful(), g.sectors_per_request(), 100 * least_useful));
    };
    look("loads", r.counts->global_loads);
    look("stores", r.counts->global_stores);
    return list;
}

}  // namespace sepal
