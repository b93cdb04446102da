#include "gpu_schedule.h"

#include "schedules/derive.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace sepal {
namespace {

// Of `sizes` the one that wastes the fewest of `extent` elements in its last tile; the first of equals.
int64_t least_waste(int64_t extent, std::initializer_list<int> sizes) {
    int64_t best = 1, best_elements = INT64_MAX;
    for (int64_t size : sizes)
        if (const int64_t elements = ceil_div(extent, size) * size; elements < best_elements) best = size, best_elements = elements;
    return best;
}

int64_t power_of_two_from(int64_t least) {
    int64_t p = 1;
    while (p < least) p *= 2;
    return p;
}

// Threads of a block. Small blocks, several of which share a multiprocessor, were quicker than large ones on an H100.
constexpr int64_t threads = 128;
// Threads next to each other over output channels: a warp, so that its stores are 512 bytes in a row and that all of it reads one input value at a
// time from shared memory.
constexpr int64_t most_k_threads = 32;

// Multiprocessors of a large GPU, an H100, which are to have a block each.
constexpr int64_t multiprocessors = 132;
// Shared memory of a block of which sm_86 and sm_89 hold two, and sm_80 and sm_90 more.
constexpr int64_t shared_bytes = 48 << 10;

// The largest whole number of vectors of channels that is at most `most` and divides them; 0 where there is none of at least `least`.
int64_t dividing_block(int64_t channels, int vector, int64_t most, int64_t least) {
    for (int64_t b = std::min(most, channels); b >= least; b--)
        if (channels % b == 0 && b % vector == 0) return b;
    return 0;
}

// Bytes of shared memory of a conv2d's block by staging 2: the input of all of its pixels' taps and the filter of one tap.
int64_t staged_bytes(const GpuSchedule &s, const ConvProblem &p) {
    const int64_t columns = (block_columns(s) - 1) * p.stride_w + (p.s - 1) * p.dilation_w + 1, rows = (block_rows(s) - 1) * p.stride_h + (p.r - 1) * p.dilation_h + 1;
    return int64_t(sizeof(float)) * (columns * rows * pixel_in_shared_memory(s) + s.c_block * block_channels(s));
}

int64_t blocks_of(const GpuSchedule &s, const ConvProblem &p) {
    const int64_t panels = p.groups * ceil_div(p.k / p.groups, block_channels(s));
    if (p.op == Operator::pointwise) return panels * ceil_div(p.pixels(), block_columns(s));
    return panels * p.n * ceil_div(p.q(), block_columns(s)) * ceil_div(p.p(), block_rows(s));
}

// A sum over channels where there are enough of all. A thread has 8 channels x 8 pixels: 64 accumulators, and besides 4 channels of the input of
// each pixel and those of the filter for one: 256 FMAs for 16 loads of 128 bits from shared memory. Threads come in pairs of neighbouring pixels, so that
// lanes l and l ^ 1 read the same filter and l and l ^ 2 the same pixel: then a load takes shared memory 2 clocks in place of 4, half of the time
// that the FMAs of 4 warps take. 128 registers are enough: 16 warps on a multiprocessor. False where the problem is too small, or its channels
// do not come out even.
bool derive_pairs(GpuSchedule &given, const ConvProblem &p) {
    GpuSchedule s = given;
    const bool rows = p.op != Operator::pointwise;
    const int64_t k = p.k / p.groups, c = p.summed_channels();
    set(s.k_tile, 4);
    set(s.c_vector, 4);
    set(s.k_vectors, 2);
    set(s.k_threads, std::min<int64_t>(16, power_of_two_from(ceil_div(k, 8))));
    set(s.q_lanes, 2);
    set(s.p_tile, 1);
    const int64_t pixel_threads = std::max<int64_t>(s.q_lanes, threads / s.k_threads);
    set(s.q_threads, rows ? s.q_lanes : pixel_threads);
    set(s.q_tile, rows ? least_waste(ceil_div(p.q(), s.q_threads), {8, 7, 4}) : 8);
    set(s.p_threads, rows ? pixel_threads / s.q_threads : 1);
    const bool taps = p.op == Operator::conv2d && p.r * p.s > 1;
    set(s.staging, taps ? 2 : 1);
    const bool free_block = s.c_block == 0;
    for (int64_t most = 32; free_block && most >= 8; most -= s.c_vector) {
        s.c_block = int(dividing_block(c, s.c_vector, most, 8));
        constexpr int64_t banks = 32;
        const bool conflicts = s.staging > 1 && pixel_in_shared_memory(s) * p.stride_w % banks == 0;
        if (s.c_block == 0 || (!conflicts && (s.staging == 1 || staged_bytes(s, p) <= shared_bytes))) break;
        s.c_block = 0;
    }
    if (given.q_lanes == 0 && (s.c_block == 0 || c % s.c_block != 0)) return false;
    set(s.c_block, 8);  // which why_not_valid() refuses
    if (given.q_lanes == 0 && (k % 4 != 0 || c % 4 != 0 || p.c % 4 != 0 || k < 32 || blocks_of(s, p) < multiprocessors)) return false;
    set(s.c_unroll, s.c_block % 8 == 0 ? 8 : s.c_vector);
    set(s.load_ahead, 1);
    // A thread of depsep's depthwise half computes 2 x 2 pixels, which read 16 of the input together in place of 36.
    const auto halves = [&](int extent) { return extent % 2 == 0; };
    const int64_t tiles = int64_t(s.c_block / s.c_vector) * block_columns(s) * block_rows(s);
    set(s.mid_q_tile, halves(block_columns(s)) && tiles >= 2 * block_threads(s) ? 2 : 1);
    set(s.mid_p_tile, halves(block_rows(s)) && tiles >= 2 * s.mid_q_tile * block_threads(s) ? 2 : 1);
    given = s;
    return true;
}

// Any sum over channels. Besides k_tile x q_tile accumulators (of 4 x 8: 32 registers) a step of the loop has k_tile values of the filter and one of
// the input for each pixel: 32 FMAs for 3 loads of shared memory (of 4 x 14: 56 FMAs for 4 or 5, but 3 blocks in place of 4). c_block channels of
// filter and input take (128 + 32) x 32 x 4 = 20 KiB of shared memory.
void derive_sum(GpuSchedule &s, Operator op, const std::optional<ConvProblem> &problem) {
    if (problem && s.q_lanes != 1 && derive_pairs(s, *problem)) return;
    const bool rows = op != Operator::pointwise;
    const int64_t k = problem ? problem->k / problem->groups : 128, c = problem ? problem->summed_channels() : 32;
    set(s.k_tile, !problem || k % 4 == 0 ? 4 : 1);
    set(s.c_vector, !problem || (op == Operator::depsep ? problem->c : c) % 4 == 0 ? 4 : 1);
    set(s.k_threads, std::min(most_k_threads, power_of_two_from(ceil_div(k, s.k_tile))));
    set(s.k_vectors, s.k_tile == 1 ? std::min<int64_t>(4, ceil_div(k, s.k_threads)) : 1);
    set(s.q_tile, problem && rows ? least_waste(problem->q(), {8, 7, 4}) : 8);
    set(s.p_tile, 1);
    const int64_t pixel_threads = std::max<int64_t>(1, threads / s.k_threads);
    const int64_t columns = problem && rows ? power_of_two_from(ceil_div(problem->q(), s.q_tile)) : rows ? 2 : pixel_threads;
    set(s.q_threads, std::min(pixel_threads, columns));
    set(s.p_threads, rows ? std::max<int64_t>(1, pixel_threads / s.q_threads) : 1);
    int64_t block = std::min<int64_t>(32, c);
    if (const int64_t dividing = problem ? dividing_block(c, s.c_vector, block, 16) : 0) block = dividing;
    set(s.c_block, std::max<int64_t>(s.c_vector, block / s.c_vector * s.c_vector));
    set(s.c_unroll, s.c_block);
    for (int *one : {&s.q_lanes, &s.mid_q_tile, &s.mid_p_tile, &s.staging, &s.load_ahead}) set(*one, 1);
}

// A thread's tile of 4 channels x 2 pixels x 4 rows has 32 accumulators and reads 4 x 6 pixels for a 3 x 3 filter, 3 for each of output. A warp
// reads and writes 512 bytes of each pixel.
void derive_depthwise(GpuSchedule &s, const std::optional<ConvProblem> &problem) {
    const int64_t k = problem ? problem->mid_channels() : 128;
    const bool vector = !problem || (problem->c % 4 == 0 && problem->multiplier == 1);
    set(s.k_tile, vector ? 4 : 1);
    set(s.c_vector, s.k_tile);
    set(s.k_vectors, 1);
    set(s.k_threads, std::min(most_k_threads, power_of_two_from(ceil_div(k, s.k_tile))));
    set(s.q_tile, 2);
    set(s.p_tile, problem ? least_waste(problem->p(), {4, 2}) : 4);
    const int64_t pixel_threads = std::max<int64_t>(1, threads / s.k_threads);
    set(s.q_threads, std::min(pixel_threads, problem ? power_of_two_from(ceil_div(problem->q(), s.q_tile)) : 4));
    set(s.p_threads, std::max<int64_t>(1, pixel_threads / s.q_threads));
    for (int *one : {&s.c_block, &s.c_unroll, &s.q_lanes, &s.mid_q_tile, &s.mid_p_tile, &s.staging, &s.load_ahead}) set(*one, 1);
}

// Why a schedule of pairs of threads, or one that copies the input once for all taps, cannot be kept to.
std::string why_not_pairs(const GpuSchedule &s, Operator op, const std::optional<ConvProblem> &problem) {
    const char *const what = s.staging > 1 ? "staging" : "q_lanes";
    if (op == Operator::depthwise) return fmt::format("knob \"{}\" is {}; allowed for depthwise: 1", what, s.staging > 1 ? s.staging : s.q_lanes);
    if (!problem) return fmt::format("knob \"{}\" is 2; allowed without a suite: 1, for it needs to know the channels", what);
    if (s.staging > 1 && op != Operator::conv2d) return fmt::format("knob \"staging\" is {}; allowed but for conv2d: 1", s.staging);
    const int64_t c = problem->summed_channels();
    if (c % s.c_block != 0) return fmt::format("knob \"c_block\" is {}; allowed with {} 2: what divides {} channels", s.c_block, what, c);
    return "";
}

}  // namespace

std::string why_not_valid(const GpuSchedule &s, Operator op, const std::optional<ConvProblem> &problem) {
    constexpr int most_threads = 1024;
    if (block_threads(s) > most_threads)
        return fmt::format("knobs \"k_threads\", \"q_threads\" and \"p_threads\" make blocks of {} threads; allowed: up to {}", block_threads(s), most_threads);
    const bool pairs = s.q_lanes > 1 || s.staging > 1;
    if (op == Operator::depthwise) return pairs ? why_not_pairs(s, op, problem) : "";
    if (s.c_block % s.c_vector != 0) return fmt::format("knob \"c_block\" is {}; allowed: multiples of c_vector, {}", s.c_block, s.c_vector);
    if (s.c_unroll % s.c_vector != 0 || s.c_block % s.c_unroll != 0)
        return fmt::format("knob \"c_unroll\" is {}; allowed: multiples of c_vector, {}, that divide c_block, {}", s.c_unroll, s.c_vector, s.c_block);
    if (s.q_threads % s.q_lanes != 0 || (s.q_lanes > 1 && op != Operator::pointwise && s.q_lanes != s.q_threads))
        return fmt::format("knob \"q_lanes\" is {}; allowed: 1, or q_threads, {}{}", s.q_lanes, s.q_threads, op == Operator::pointwise ? ", or what divides it" : "");
    if (block_columns(s) % s.mid_q_tile != 0 || block_rows(s) % s.mid_p_tile != 0)
        return fmt::format("knobs \"mid_q_tile\" and \"mid_p_tile\" are {} and {}; allowed: what divides a block's {} columns and {} rows", s.mid_q_tile, s.mid_p_tile,
                           block_columns(s), block_rows(s));
    return pairs ? why_not_pairs(s, op, problem) : "";
}

GpuSchedule derive_gpu(GpuSchedule s, Operator op, const std::optional<ConvProblem> &problem) {
    if (op == Operator::depthwise)
        derive_depthwise(s, problem);
    else
        derive_sum(s, op, problem);
    return s;
}

}  // namespace sepal
