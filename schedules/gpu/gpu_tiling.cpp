#include "gpu_schedule.h"

#include "schedules/derive.h"

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

// A sum over channels. Besides k_tile x q_tile accumulators (of 4 x 8: 32 registers) a step of the loop has k_tile values of the filter and one of
// the input for each pixel: 32 FMAs for 3 loads of shared memory (of 4 x 14: 56 FMAs for 4 or 5, but 3 blocks in place of 4). c_block channels of
// filter and input take (128 + 32) x 32 x 4 = 20 KiB of shared memory.
void derive_sum(GpuSchedule &s, Operator op, const std::optional<ConvProblem> &problem) {
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
    if (problem)
        for (int64_t b = block; b >= 16; b--)
            if (c % b == 0 && b % s.c_vector == 0) {
                block = b;
                break;
            }
    set(s.c_block, std::max<int64_t>(s.c_vector, block / s.c_vector * s.c_vector));
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
    set(s.c_block, 1);
}

}  // namespace

GpuSchedule derive_gpu(GpuSchedule s, Operator op, const std::optional<ConvProblem> &problem) {
    if (op == Operator::depthwise)
        derive_depthwise(s, problem);
    else
        derive_sum(s, op, problem);
    return s;
}

}  // namespace sepal
