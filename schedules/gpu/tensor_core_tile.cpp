#include "tensor_core_tile.h"

#include "occupancy.h"
#include "schedules/derive.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sepal {
namespace {

// Registers of a lane for k_tiles 4 x m_tiles 4 or the like: 64 accumulators, as many for operands of two steps, and addresses.
constexpr int lane_registers = 168;

// Shared memory of a block, in bytes: what is well used, three of which sm_80 has and sm_90 more, and what sm_86 and sm_89 have at most.
constexpr int64_t used_shared_bytes = 48 << 10, most_shared_bytes = 99 << 10;

// Bytes of shared memory of the channels of one pixel, and pixels of a row there, as schedules/gpu/tensor_core.cpp places them.
int64_t pixel_bytes(int64_t c) { return 16 * ((4 * ceil_div(c, 32) + 3) / 8 * 8 + 4); }
int64_t row_pixels(int64_t columns) { return columns / 2 * 2 + 1; }

int64_t blocks_of(const ConvProblem &p, const TensorCoreTile &t) {
    const TensorCoreBlock block = block_of(t);
    const int64_t panels = ceil_div(p.k, block.channels);
    if (p.op != Operator::depsep && !block.two_rows) return panels * ceil_div(p.pixels(), block.pixels);
    return (p.op != Operator::depsep || t.panels_apart > 1 ? panels : 1) * p.n * ceil_div(p.p(), 2) * ceil_div(p.q(), block.pixels / 2);
}

// Tiles of pixels that a depsep's warp has at least: 8 columns, which are what a warp of the depthwise half takes where there are few channels.
constexpr int depsep_m_tiles = 2;

// Bytes of shared memory of a conv2d's block that copies its input there, of two rows.
int64_t staged_bytes(const ConvProblem &p, const TensorCoreTile &t) {
    const int64_t columns = (block_of(t).pixels / 2 - 1) * p.stride_w + (p.s - 1) * p.dilation_w + 1, rows = p.stride_h + (p.r - 1) * p.dilation_h + 1;
    return pixel_bytes(p.c) * row_pixels(columns) * rows;
}

// Bytes of shared memory of what a depsep's block has between its halves, of two rows.
int64_t mid_bytes(int64_t c, int64_t block_pixels) { return pixel_bytes(c) * row_pixels(block_pixels / 2) * 2; }

// Steps of 32 input channels; 0 where the problem is not known.
int steps_of(const std::optional<ConvProblem> &p) { return p ? int(ceil_div(p->c, 32)) : 0; }

// The largest panel of which little is filled up with zeros.
int panel_of(int64_t k) { return ceil_div(k, 128) * 128 - k <= k / 8 ? 128 : 64; }

}  // namespace

TensorCoreTile derive(TensorCoreTile given, Operator op, const std::optional<ConvProblem> &problem, int multiprocessors) {
    TensorCoreTile t = given;
    const bool depsep = op == Operator::depsep;
    if (t.staging == 0) {
        // Where taps share what they read, there are blocks to go round, and three of them fit.
        t.staging = 1;
        if (op == Operator::conv2d && problem && problem->r * problem->s > 1 && panel_of(problem->k) == 128) {
            TensorCoreTile staged = given;
            staged.staging = 2;
            staged = derive(staged, op, problem, multiprocessors);
            if (staged_bytes(*problem, staged) <= used_shared_bytes && blocks_of(*problem, staged) >= multiprocessors) return staged;
        }
    }
    const bool two_rows = depsep || t.staging > 1;
    const int panel = problem ? panel_of(problem->k) : 64;
    // A warp of 64 channels by 32 pixels multiplies 32 times for 8 + 4 loads of a lane.
    set(t.k_tiles, 4);
    set(t.k_warps, std::max(1, panel / (16 * t.k_tiles)));
    set(t.panels_apart, 1);
    set(t.half_sums, depsep && problem && half_sums_rel_error(*problem) <= problem->max_rel_error ? 2 : 1);
    const bool free_m_tiles = t.m_tiles == 0, free_m_warps = t.m_warps == 0;
    set(t.m_tiles, 4);
    // Of a depsep of known shape one: small blocks, many of which share a multiprocessor, so that one's depthwise half goes on during others' products.
    set(t.m_warps, depsep && problem ? 1 : two_rows ? panel / 64 : op == Operator::pointwise || t.k_warps == 1 ? 2 : 1);
    if (problem) {
        // Smaller blocks where there are not enough to go round, and, for depsep, where the middle of so many channels takes too much.
        const auto too_large = [&] {
            if (depsep && mid_bytes(problem->c, block_of(t).pixels) > used_shared_bytes) return true;
            return blocks_of(*problem, t) < multiprocessors;
        };
        const auto halve = [&](int &value, bool is_free, int least = 1) {
            while (is_free && value > least && too_large()) value /= 2;
        };
        halve(t.m_warps, free_m_warps);
        halve(t.m_tiles, free_m_tiles, depsep ? depsep_m_tiles : 1);
        if (depsep && given.panels_apart == 0 && blocks_of(*problem, t) < multiprocessors) t.panels_apart = 2;
        if (given.k_warps == 0) halve(t.k_warps, !depsep || t.panels_apart > 1);
    } else if (depsep) {
        if (free_m_tiles) t.m_tiles = depsep_m_tiles;
    }
    const int steps = steps_of(problem);
    if (t.c_unroll == 0) {
        t.c_unroll = 1;
        // Of a conv2d from shared memory two: 128 channels on 224 x 224 pixels took 37.7 us in place of 46.1 for one image on an H200, 553 in place of
        // 540 for 16. Of a depsep four: 186 in place of 211.
        if (op == Operator::depsep || t.staging > 1) t.c_unroll = steps > 0 && steps % 2 == 0 ? 2 : 1;
        if (op == Operator::depsep && t.c_unroll == 2 && steps % 4 == 0) t.c_unroll = 4;
        if (op == Operator::pointwise) t.c_unroll = steps <= 8 ? std::max(1, steps) : steps % 4 == 0 ? 4 : steps % 2 == 0 ? 2 : 1;
    }
    // Of 64 sums of a lane 8 pixels of a row x 4 channels take less from the multiprocessor's cache, which is what holds the kernel up, than 4 x 8: the
    // taps of 40 words of 64 bits in place of 24 of 128, and half of the filter. 128 channels on 224 x 224 pixels, 8 images: 75 us in place of 94.
    const auto fits = [&] {
        const int64_t items = block_of(t).pixels / 2 * (32 / t.mid_channels) * std::max(1, steps);
        return divides_rows(t, steps) && items / t.mid_q_tile >= threads_of(t);
    };
    const auto set_mid = [&](int channels, int columns) {
        t.mid_channels = given.mid_channels ? given.mid_channels : channels;
        t.mid_q_tile = given.mid_q_tile ? given.mid_q_tile : columns;
    };
    set_mid(4, 8);
    if (!problem || !fits()) set_mid(8, 4);
    while (given.mid_q_tile == 0 && t.mid_q_tile > 1 && !fits()) t.mid_q_tile /= 2;
    set(t.blocks, std::max(1, SmLimits::registers / (lane_registers * threads_of(t))));
    return t;
}

std::string why_not_valid(const TensorCoreTile &given, Operator op, const std::optional<ConvProblem> &problem) {
    const auto refused = [](const char *name, int value, const std::string &allowed) { return fmt::format("knob \"{}\" is {}; allowed on tensor cores: {}", name, value, allowed); };
    constexpr int most_tiles = 16, most_threads = 1024, most_unrolled = 64, most_blocks = 32;
    if (given.k_tiles % 4 != 0 || given.k_tiles > most_tiles) return refused("k_tiles", given.k_tiles, fmt::format("multiples of 4 up to {}", most_tiles));
    if (given.m_tiles > most_tiles) return refused("m_tiles", given.m_tiles, fmt::format("1 to {}", most_tiles));
    if (given.c_unroll > most_unrolled) return refused("c_unroll", given.c_unroll, fmt::format("1 to {}", most_unrolled));
    if (given.blocks > most_blocks) return refused("blocks", given.blocks, fmt::format("1 to {}", most_blocks));
    if (given.mid_channels != 0 && given.mid_channels != 4 && given.mid_channels != 8) return refused("mid_channels", given.mid_channels, "4 and 8");
    for (const auto &[name, value] : {std::pair("panels_apart", given.panels_apart), std::pair("staging", given.staging), std::pair("half_sums", given.half_sums)})
        if (value > 2) return refused(name, value, "1 and 2");
    const TensorCoreTile t = derive(given, op, problem);
    if (threads_of(t) > most_threads)
        return fmt::format("knobs \"k_warps\" and \"m_warps\" make blocks of {} threads; allowed: up to {}", threads_of(t), most_threads);
    if (op == Operator::depsep && !divides_rows(t, steps_of(problem)))
        return refused("mid_q_tile", t.mid_q_tile, fmt::format("what cuts a block's {} columns evenly for the lanes of a warp", block_of(t).pixels / 2));
    return {};
}

int depthwise_lane_groups(const TensorCoreTile &t, int steps) {
    const int groups_of_step = 32 / t.mid_channels;
    int groups = groups_of_step;
    while (steps > 0 && groups < 32 && steps * groups_of_step % (2 * groups) == 0) groups *= 2;
    return groups;
}

bool divides_rows(const TensorCoreTile &t, int steps) {
    const int64_t columns = block_of(t).pixels / 2;
    return columns % t.mid_q_tile == 0 && columns / t.mid_q_tile % (32 / depthwise_lane_groups(t, steps)) == 0;
}

int64_t most_depsep_channels(const TensorCoreTile &t) {
    int64_t c = 0;
    while (mid_bytes(c + 32, block_of(t).pixels) <= most_shared_bytes) c += 32;
    return c;
}

std::string why_not_on_tensor_cores(const ConvProblem &p, const std::optional<TensorCoreTile> &tile) {
    if (p.op == Operator::depthwise) return "is a depthwise convolution, which has no sum over channels for tensor cores";
    if (p.c % 8 != 0) return fmt::format("needs c to be a multiple of 8 on tensor cores, the problem has c = {}", p.c);
    if (p.k % 8 != 0) return fmt::format("needs k to be a multiple of 8 on tensor cores, the problem has k = {}", p.k);
    if (p.groups != 1) return fmt::format("needs groups = 1 on tensor cores, the problem has groups = {}", p.groups);
    if (p.multiplier != 1) return fmt::format("needs multiplier = 1 on tensor cores, the problem has multiplier = {}", p.multiplier);
    constexpr int64_t most = 65535;  // blocks of a grid but in its first direction
    const bool two_rows = p.op == Operator::depsep || (tile && tile->staging > 1);
    if (two_rows && (p.n > most || ceil_div(p.p(), 2) > most))
        return fmt::format("needs at most {} images and pairs of rows, the problem has {} and {}", most, p.n, ceil_div(p.p(), 2));
    if (p.op != Operator::depsep) {
        const int64_t bytes = two_rows ? staged_bytes(p, *tile) : 0;
        if (bytes > most_shared_bytes) return fmt::format("needs {} bytes of shared memory for the input of a block; a block has {}", bytes, most_shared_bytes);
        return {};
    }
    const int64_t pixels = tile ? block_of(*tile).pixels : 8 * depsep_m_tiles, bytes = mid_bytes(p.c, pixels);
    if (bytes > most_shared_bytes)
        return fmt::format("needs {} bytes of shared memory for {} pixels of c = {}; a block has {}", bytes, pixels, p.c, most_shared_bytes);
    return {};
}

}  // namespace sepal
