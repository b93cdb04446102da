#include "occupancy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace sepal {
namespace {

constexpr int64_t kib = 1024;
//                         arch    warps blocks   shared  a block  reserved  unit
constexpr SmLimits table[] = {{"sm_75", 32, 16, 64 * kib, 64 * kib, 0, 256},
                              {"sm_80", 64, 32, 164 * kib, 163 * kib, kib, 128},
                              {"sm_86", 48, 16, 100 * kib, 99 * kib, kib, 128},
                              {"sm_89", 48, 24, 100 * kib, 99 * kib, kib, 128},
                              {"sm_90", 64, 32, 228 * kib, 227 * kib, kib, 128}};

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

std::vector<std::string> known_architectures() {
    std::vector<std::string> names;
    for (const SmLimits &sm : table) names.push_back(sm.arch);
    return names;
}

const SmLimits &sm_limits(const std::string &arch) {
    for (const SmLimits &sm : table)
        if (arch == sm.arch) return sm;
    throw std::invalid_argument(
        fmt::format("GPU architecture \"{}\" is not known; known are {}", arch, fmt::join(known_architectures(), ", ")));
}

Occupancy occupancy(const SmLimits &sm, int registers, int threads, int64_t shared_bytes) {
    Occupancy o;
    o.most_warps = sm.warps;
    const int warps = (threads + warp_threads - 1) / warp_threads;
    if (warps < 1 || threads > sm.block_threads) return o.limiter = "warps", o;

    const int64_t of_warp = round_up(int64_t(registers) * warp_threads, sm.register_unit);
    // The hardware admits a block as if its warps came in whole rows, one for each partition.
    const bool fits = registers <= sm.thread_registers && of_warp * round_up(warps, sm.partitions) <= sm.registers;
    const int64_t by_registers = !fits ? 0 : of_warp == 0 ? sm.blocks : sm.registers / sm.partitions / of_warp * sm.partitions / warps;
    const int64_t of_block = round_up(shared_bytes + sm.reserved_bytes, sm.shared_unit);
    const int64_t by_shared = shared_bytes > sm.block_shared_bytes ? 0 : of_block == 0 ? sm.blocks : sm.shared_bytes / of_block;
    const std::pair<int64_t, const char *> limits[] = {
        {by_registers, "registers"}, {by_shared, "shared memory"}, {sm.warps / warps, "warps"}, {sm.blocks, "blocks"}};
    o.blocks = int(std::min_element(std::begin(limits), std::end(limits))->first);
    o.warps = o.blocks * warps;
    for (const auto &[blocks, what] : limits)
        if (blocks == o.blocks) o.limiter += (o.limiter.empty() ? "" : " and ") + std::string(what);
    return o;
}

}  // namespace sepal
