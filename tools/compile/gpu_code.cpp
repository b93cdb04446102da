#include "gpu_code.h"

#include "passes/device_code.h"
#include "passes/ptx_edits.h"
#include "register_cap.h"

#include <algorithm>
#include <map>

using namespace Halide;

namespace sepal {

GpuCode gpu_code(const Module &module, int blocks, const std::string &only) {
    const std::vector<KernelLaunch> launches = kernel_launches(module);
    std::map<std::string, LaunchBounds> bounds;
    for (const KernelLaunch &launch : launches)
        if (launch.threads[0] * launch.threads[1] * launch.threads[2] > 0) bounds[launch.kernel] = {launch.threads, blocks};
    GpuCode code;
    code.ptx = with_launch_bounds(require_ptx_version(shared_memory_where_it_is(calls_to_instructions(device_code(module))), 7, 0), bounds);
    code.why_no_cubins = why_no_ptxas();
    if (!code.why_no_cubins.empty()) return code;
    std::vector<std::string> architectures = ptxas_architectures();
    if (std::find(architectures.begin(), architectures.end(), only) != architectures.end()) architectures = {only};
    for (const std::string &arch : architectures) {
        if (launches.size() != 1 || bounds.size() != 1) {
            code.cubins.push_back(assemble_ptx(code.ptx, arch));
            continue;
        }
        const std::array<int, 3> &threads = launches[0].threads;
        const std::vector<CapTrial> trials = try_register_caps(code.ptx, arch, threads[0] * threads[1] * threads[2], launches[0].shared_bytes);
        const CapTrial &best = best_register_cap(trials);
        // Told of the threads alone, ptxas spills some values to have more warps; told that one block is enough, it does not.
        if (blocks == 0 && best.resources.spill_store_bytes > 0) return gpu_code(module, 1, only);
        code.cubins.push_back(best.cubin);
    }
    return code;
}

Module with_gpu_code(const Module &module, const GpuCode &code) {
    return with_device_code(module, code.cubins.empty() ? code.ptx : make_fatbin(code.cubins, code.ptx, ptx_target(code.ptx)));
}

}  // namespace sepal
