#include "register_cap.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <stdexcept>
#include <tuple>

namespace sepal {

const std::vector<int> register_caps = {168, 128, 96, 80};

std::vector<CapTrial> try_register_caps(const std::string &ptx, const std::string &arch, int threads, int64_t dynamic_shared_bytes,
                                        const std::vector<int> &caps) {
    const SmLimits &sm = sm_limits(arch);
    std::vector<CapTrial> trials;
    const auto attempt = [&](int cap) {
        CapTrial trial{cap, assemble_ptx(ptx, arch, {cap}), {}, {}};
        if (trial.cubin.kernels.size() != 1)
            throw CudaToolFailed(fmt::format("the PTX has {} kernels; a register cap is chosen for one", trial.cubin.kernels.size()));
        trial.resources = trial.cubin.kernels.front();
        trial.occupancy = occupancy(sm, trial.resources.registers, threads, trial.resources.shared_bytes + dynamic_shared_bytes);
        trials.push_back(std::move(trial));
    };
    attempt(0);
    const KernelResources free = trials.front().resources;
    int warps = trials.front().occupancy.warps;
    std::vector<int> descending = caps;
    std::sort(descending.rbegin(), descending.rend());
    for (int cap : descending) {
        if (cap >= free.registers) continue;
        if (occupancy(sm, cap, threads, free.shared_bytes + dynamic_shared_bytes).warps <= warps) continue;
        attempt(cap);
        if (trials.back().resources.spill_store_bytes > free.spill_store_bytes) break;
        warps = std::max(warps, trials.back().occupancy.warps);
    }
    return trials;
}

const CapTrial &best_register_cap(const std::vector<CapTrial> &trials) {
    if (trials.empty()) throw std::invalid_argument("there is no trial to choose a register cap from");
    const auto rank = [](const CapTrial &t) {
        return std::make_tuple(t.resources.spill_store_bytes + t.resources.spill_load_bytes, -t.occupancy.warps,
                               -(t.cap ? t.cap : INT_MAX));
    };
    return *std::min_element(trials.begin(), trials.end(), [&](const CapTrial &a, const CapTrial &b) { return rank(a) < rank(b); });
}

}  // namespace sepal
