// TensorCoreTile: how the kernels on tensor cores share out their work, plain ints. Needs no Halide, as schedules/schedule.h.
#pragma once

#include "runtime/gpu/tensor_core_views.h"
#include "runtime/problem.h"

#include <optional>

namespace sepal {

struct TensorCoreTile {
    int k_tiles = 0;       // of 16 output channels, that a warp computes: a multiple of 4, since a lane stores the channels of 4 as one word of 128 bits
    int m_tiles = 0;       // of 8 pixels, that a warp computes; k_tiles x m_tiles are its accumulators, 4 registers a lane for each
    int k_warps = 0;       // of a block, side by side over output channels ...
    int m_warps = 0;       // ... and over pixels
    int c_unroll = 0;      // steps of 32 input channels that are unrolled
    int blocks = 0;        // that a multiprocessor is to hold at once, which limits the registers of a lane; 1: whatever comes of it
    int mid_q_tile = 0;    // depsep: pixels of a row, in each of two rows, that a lane of the depthwise half computes ...
    int mid_channels = 0;  // ... for so many channels, 4 or 8
    int panels_apart = 0;  // depsep, 2: each panel of output channels is a block of its own, which computes the depthwise half anew; 1: one block
                           // computes all panels after each other
    int staging = 0;       // conv2d, specialised only: 1: lanes read the input itself; 2: that of a block is copied to shared memory first, for all taps
    int half_sums = 0;     // depsep, 2: the depthwise half is summed up in f16, where the problem allows half_sums_rel_error(); 1: in f32
};

struct TensorCoreKnob {
    const char *token;  // in a variant's name
    const char *name;   // as GeneratorParam
    int TensorCoreTile::*member;
};
constexpr TensorCoreKnob tensor_core_knobs[] = {
    {"kt", "k_tiles", &TensorCoreTile::k_tiles},   {"mt", "m_tiles", &TensorCoreTile::m_tiles}, {"kw", "k_warps", &TensorCoreTile::k_warps},
    {"mw", "m_warps", &TensorCoreTile::m_warps},   {"uc", "c_unroll", &TensorCoreTile::c_unroll}, {"bl", "blocks", &TensorCoreTile::blocks},
    {"tm", "mid_q_tile", &TensorCoreTile::mid_q_tile}, {"mc", "mid_channels", &TensorCoreTile::mid_channels}, {"pa", "panels_apart", &TensorCoreTile::panels_apart},
    {"in", "staging", &TensorCoreTile::staging},       {half_sums_token, "half_sums", &TensorCoreTile::half_sums},
};

// Replaces what is 0 in `given` by what suits the problem on a device of so many multiprocessors; without a problem by what does for any.
TensorCoreTile derive(TensorCoreTile given, Operator op, const std::optional<ConvProblem> &problem, int multiprocessors = 132);

// Why kernels cannot keep to the knobs that are given, of which 0 is none, one sentence that names the knob; empty when they can.
std::string why_not_valid(const TensorCoreTile &given, Operator op, const std::optional<ConvProblem> &problem);

inline int threads_of(const TensorCoreTile &t) { return 32 * t.k_warps * t.m_warps; }
// Output channels and pixels of a block.
inline TensorCoreBlock block_of(const TensorCoreTile &t) { return {16 * t.k_tiles * t.k_warps, 8 * t.m_tiles * t.m_warps, t.staging > 1}; }

// The lanes of a warp in depsep's depthwise half: so many take neighbouring groups of mid_channels channels of a pixel, as many as there are in whole,
// and the others neighbouring tiles of pixels. `steps`: of 32 input channels; 0: any number.
int depthwise_lane_groups(const TensorCoreTile &tile, int steps);
// Whether warps come out even on a row of a block.
bool divides_rows(const TensorCoreTile &tile, int steps);

// Channels of a depsep that a kernel of the tile has shared memory for on every architecture; a multiple of 8.
int64_t most_depsep_channels(const TensorCoreTile &tile);

// Why a kernel of the tile cannot take the problem, one sentence; empty when it can. The problem is valid; without a tile the sentence is about
// any kernel on tensor cores.
std::string why_not_on_tensor_cores(const ConvProblem &problem, const std::optional<TensorCoreTile> &tile = std::nullopt);

}  // namespace sepal
