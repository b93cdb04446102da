#include "schedule.h"

#include "cost_model.h"
#include "derive.h"
#include "runtime/winograd.h"
#include "schedule_check.h"

#include <algorithm>
#include <limits>

namespace sepal {
namespace {

// Bytes of the L2 that tiles are cut for: the smallest of the CPUs that have the ISA.
int64_t l2_bytes(Isa isa) { return isa == Isa::avx512 ? 1 << 20 : 256 << 10; }

// A number halved, as often as that leaves no remainder, until it is no larger than `most`.
int64_t halved_to(int64_t number, int64_t most) {
    while (number % 2 == 0 && number > most) number /= 2;
    return number;
}

// The accumulator tile is k_vectors x q_tile registers; besides it live k_vectors vectors of the filter (for each of s_unroll taps) and
// one broadcast input value (SSE, which has no fused multiply-add, needs one more for the product).
//   avx512 (32 registers): 2 x 14 + 2 + 1 = 31; 16 loads for 28 FMAs, and 128 bytes of filter every 14 cycles
//                          2 x 12 + 6 + 1 = 31 with 3 taps together: 20 loads for 72 FMAs, which leaves the front end room
//                          3 x 8  + 3 + 1 = 28; 3 x 9 fits, too, but was slower
//   avx2   (16 registers): 2 x 6 + 2 + 1 = 15;   8 loads for 12 FMAs
//                          1 x 12 + 3 + 1 = 16 with 3 taps together: 17 loads for 36 FMAs
//   x64    (16 registers): 2 x 4 + 2 + 1 + 1 = 12
//   neon   (32 registers): 4 x 5 + 4 + 5 = 29, with a vector of channels of each pixel: 13 loads, since filters come in pairs, for 80 FMAs
int widest_q_tile(Schedule tile, Operator op, Isa isa) {
    const bool few = tile.s_unroll > 1 || tile.k_vectors == 3;
    const int most_accumulators = isa == Isa::avx512 ? (few ? 24 : 28) : isa == Isa::neon ? 20 : isa == Isa::avx2 ? 12 : 8;
    tile.q_tile = std::max(1, most_accumulators / tile.k_vectors);
    while (tile.q_tile > 1 && registers_needed(tile, op, isa) > vector_registers(isa)) tile.q_tile--;
    return tile.q_tile;
}

// The tile width that does a row of q pixels quickest: the cost of a tile is its multiply-adds plus about two pixels' worth of
// loading the filter. The last tile of a row is computed whole, or `cut` to what is left: then the narrowest of equals leaves most.
int q_tile_for(int64_t q, int widest, bool cut = false) {
    int best = 1;
    double best_cost = 1e30;
    for (int tile = 1; tile <= widest; tile++) {
        const double tiles = double(ceil_div(q, tile)), cost = tiles * 2 + (cut ? double(q) : tiles * tile);
        if (cost < best_cost || (cost == best_cost && !cut)) best = tile, best_cost = cost;
    }
    return best;
}

// Rows of the accumulator tile of a depthwise convolution or half.
constexpr int64_t depthwise_p_tile = 2;

// Tasks that a kernel is cut into where its loops allow it.
constexpr int64_t parallel_tasks = 2;

// Tasks that would be idle at the end, if `tasks` of one size were shared out.
int64_t idle_tasks(int64_t tasks) { return ceil_div(tasks, parallel_tasks) * parallel_tasks - tasks; }

// At most `most` of the rows of an image, cut so that tasks are of nearly one size, and none is idle, whatever the number of images.
int64_t even_strip(int64_t rows, int64_t most) {
    const int64_t strips = ceil_div(rows, most);
    return ceil_div(rows, std::min(rows, strips + idle_tasks(strips)));
}

// What a strip keeps in scratch memory.
struct Scratch {
    int64_t bytes_per_pixel, most_bytes;
    bool halo;       // the padded input, halo included; else one pixel for each of output
    int64_t p_tile;  // rows that are computed at a time
};

// Rows and pixels of a strip whose scratch memory is not too large, with the fewest rows and pixels of halo in all. With `shared_rows` the
// rows are few enough for `parallel_tasks` tasks. Without, which is for filters that each strip reads anew from beyond L2, tasks come from
// k_strip.
struct Strip {
    int64_t q, p;
};
Strip strip_for(const ConvProblem &problem, int q_tile, const Scratch &scratch, bool shared_rows) {
    const int64_t q = problem.q(), p = problem.p();
    const int64_t most_rows = shared_rows ? std::min(p, ceil_div(p * problem.n, parallel_tasks)) : p;
    const int64_t most_pixels = scratch.most_bytes / scratch.bytes_per_pixel;
    Strip best{q_tile, 1};
    double best_cost = std::numeric_limits<double>::infinity();
    // What a strip itself costs, in pixels: less where its halo counts already, more where it does little but walk through the filter again.
    const double strip_cost = scratch.halo ? 8 : 20;
    // A row's last strip is computed by whole tiles, but for one of a single tile, which is compiled for the width that is left. Without
    // halo a strip of the whole row, all in whole tiles, is the better form where two rows fit.
    const int64_t row = ceil_div(q, q_tile) * q_tile;
    const bool only_whole_rows = row != q && !scratch.halo && 2 * row <= most_pixels;
    const int64_t narrowest = only_whole_rows ? row : q_tile, widest = only_whole_rows || row == q ? row : q_tile;
    for (int64_t sq = narrowest; sq <= widest; sq += q_tile)
        for (int64_t sp = 1; sp <= most_rows; sp++) {
            const int64_t rows = scratch.halo ? (sp - 1) * problem.stride_h + problem.dilation_h * (problem.r - 1) + 1
                                              : ceil_div(sp, scratch.p_tile) * scratch.p_tile;
            const int64_t columns = scratch.halo ? (sq - 1) * problem.stride_w + problem.dilation_w * (problem.s - 1) + 1 : sq;
            if (rows * columns > most_pixels) break;
            const double strips = double(ceil_div(q, sq) * ceil_div(p, sp));
            const int64_t tasks = ceil_div(p, sp);
            const double idle = shared_rows ? double(idle_tasks(tasks)) / double(tasks) : 0;
            const double cost = strips * (1 + idle) * (double(rows * columns) + strip_cost);
            if (cost < best_cost * 0.999) best = {sq, sp}, best_cost = cost;
        }
    return best;
}

// So few tasks that one which is left for a single thread at the end counts.
constexpr int64_t few_tasks = 16;
bool unevenly_shared(int64_t tasks) { return tasks < few_tasks && idle_tasks(tasks) > 0; }

// The k_strip that makes at least parallel_tasks tasks of `tasks`; 0, all panels, where they are enough already.
int64_t k_strip_for(const ConvProblem &problem, const Schedule &s, int64_t tasks) {
    const int64_t panels = ceil_div(problem.k / problem.groups, s.lanes * s.k_vectors);
    return tasks >= parallel_tasks || panels == 1 ? 0 : ceil_div(panels, ceil_div(parallel_tasks, tasks));
}

// Whether an input does not fit in L2.
bool input_from_afar(const ConvProblem &problem, Isa isa) { return 4 * problem.input_elements() > l2_bytes(isa); }

// The filter whose products are summed over channels: of depsep that of the pointwise half.
int64_t filter_bytes(const ConvProblem &problem) {
    return 4 * (problem.op == Operator::depsep ? problem.pointwise_filter_elements() : problem.filter_elements());
}

// Whether it stays in L2 beside input and output; whether it is too large for L2, so that its panels come from beyond: then strips are as
// large as L2 allows, so that each panel comes seldom, and where a panel is used briefly the next is fetched ahead.
bool filter_stays(const ConvProblem &problem, Isa isa) { return filter_bytes(problem) <= l2_bytes(isa) / 4; }
bool filter_from_afar(const ConvProblem &problem, Isa isa) { return filter_bytes(problem) > l2_bytes(isa); }

// Bytes of a filter that is read from L3 pass by pass nearly as quickly as it is used (2.4 MB are, 5.3 MB are not, on a Xeon of the Cascade
// Lake generation, whose L3 others share).
constexpr int64_t filter_kept_in_l3 = 4 << 20;

// Accumulators and whatever a step loads are short of room in 16 registers.
bool few_registers(Isa isa) { return vector_registers(isa) < 32; }

// A tensor that is larger comes from memory beyond every cache: a large share of a core's.
constexpr int64_t most_cached_bytes = 16 << 20;

bool input_from_memory(const ConvProblem &problem) { return 4 * problem.input_elements() > most_cached_bytes; }

// Whether a depsep problem's input comes from there, while the filter stays in L2.
bool depsep_streams(const ConvProblem &problem, Isa isa) { return input_from_memory(problem) && filter_stays(problem, isa); }

// A conv2d that is pointwise but for its stride or groups.
bool is_1x1(const ConvProblem &problem) { return problem.op == Operator::conv2d && problem.r == 1 && problem.s == 1; }

// The same of neon, of whose narrow vectors a tile has three or four, so that an input value, which takes a load of its own, serves as many
// multiply-adds: as many as leave the least of the last panel empty.
int neon_k_vectors(int64_t vectors) {
    int best = 1;
    for (int k_vectors = 2; k_vectors <= std::min<int64_t>(vectors, 4); k_vectors++)
        if (k_vectors == 2 || ceil_div(vectors, k_vectors) * k_vectors <= ceil_div(vectors, best) * best) best = k_vectors;
    return best;
}

// Vectors of output channels in a tile of conv2d and depsep. Two make the widest tiles, which load the filter least often.
int k_vectors_for(const ConvProblem &problem, Operator op, Isa isa, int lanes) {
    const int64_t k = problem.k / problem.groups;
    if (isa == Isa::neon) return neon_k_vectors(ceil_div(k, lanes));
    // Where that costs nothing, since the filter comes from L2 while the input comes from afar, four load fewest in all: 4 x 6 tiles
    // need 10 loads for 24 multiply-adds.
    if (op == Operator::depsep && isa == Isa::avx512 && depsep_streams(problem, isa) && k % (4 * lanes) == 0) return 4;
    // A row of 7 pixels leaves registers for three: 10 loads for 21 multiply-adds instead of 9 for 14. So do rows of whole tiles of 7 or 8
    // pixels, where depsep's panels come from beyond L2: strips of such tiles come closer to what L2 holds.
    const int64_t q = problem.q();
    const bool whole_tiles = op == Operator::depsep && filter_from_afar(problem, isa) && (q % 8 == 0 || q % 7 == 0);
    if ((op == Operator::depsep || is_1x1(problem)) && isa == Isa::avx512 && (q <= 7 || whole_tiles) && k >= 6 * lanes) return 3;
    return k <= lanes ? 1 : 2;
}

// Bytes of L1, and what may be counted on of it.
constexpr int64_t l1_bytes = 32 << 10, l1_share = 24 << 10;

// Pixels of a strip of pointwise: one tile's, so that its input is read from L1 by every panel, where the filter stays in L2; two tiles',
// for half the loads of the filter, where it may; as many as leave L2 room for panels where it does not. A tile in half as many registers
// needs twice the filter for its multiply-adds, so there a panel serves all the tiles whose input stays in L1 beside it.
int64_t pointwise_q_strip(const ConvProblem &problem, Isa isa, const Schedule &tile) {
    const int64_t tile_bytes = 4 * problem.c * tile.q_tile, panel_bytes = 4 * problem.c * tile.lanes * tile.k_vectors;
    int64_t tiles = filter_stays(problem, isa) ? 1 : 2;
    if (few_registers(isa)) tiles = std::max(tiles, std::min<int64_t>((l1_share - panel_bytes) / tile_bytes, 8));
    if (filter_from_afar(problem, isa)) tiles = std::max(tiles, l2_bytes(isa) / 4 / tile_bytes);
    return tile.q_tile * std::min(tiles, ceil_div(problem.pixels(), tile.q_tile));
}

// The accumulator tile of pointwise that does all pixels and channels quickest. Costs are in multiply-adds, of which two are done in a
// cycle: those of whole tiles, since the last panel and the last tile are computed whole; 3/4 for each load, which takes its share of
// the front end, a little more for a pixel's when the strip's input does not stay in L1; and what a vector of the filter costs beyond
// L1. The factors were fitted to measured times of 12 shapes of networks on a Xeon of the Cascade Lake generation.
void set_pointwise_tile(Schedule &s, Isa isa, const ConvProblem &problem) {
    constexpr int widest = 14;
    const int64_t pixels = problem.pixels(), vectors = ceil_div(problem.k, s.lanes);
    const double load = 0.75, vector_share = lanes_f32(isa) / 16.0;
    const double filter_load =
        load + vector_share * (filter_bytes(problem) <= l1_share ? 0 : filter_bytes(problem) <= l2_bytes(isa) / 4 * 3 ? 0.75 : 3.25);
    Schedule best = s;
    double best_cost = std::numeric_limits<double>::infinity();
    for (int k_vectors = 1; k_vectors <= std::min<int64_t>(vectors, 5); k_vectors++)
        for (int q_tile = k_vectors; q_tile <= widest; q_tile++) {
            Schedule tile = s;
            set(tile.k_vectors, k_vectors);
            set(tile.q_tile, q_tile);
            if ((s.q_tile == 0 || s.k_vectors == 0) && tile.q_tile > widest_q_tile(tile, Operator::pointwise, isa)) continue;
            const int accumulators = tile.k_vectors * tile.q_tile;
            const bool input_in_l1 = 4 * problem.c * pointwise_q_strip(problem, isa, tile) <= l1_share;
            const double tile_cost = accumulators + tile.q_tile * (input_in_l1 ? load : load + 0.25) + tile.k_vectors * filter_load;
            const double cost = double(ceil_div(vectors, tile.k_vectors) * ceil_div(pixels, tile.q_tile)) * tile_cost;
            if (cost < best_cost) best = tile, best_cost = cost;
        }
    s = best;
}

// The accumulator tile of depthwise and of depsep's depthwise half: one vector of channels x a few pixels x 2 rows, so that each row of
// input serves both. On avx512, 7 x 2 are 14 accumulators and 9 taps, 36 loads for 126 multiply-adds (3x3); 16 registers leave 4 x 2 room
// for the input, but hold no taps. An input that is not in L2 is read in the order of memory, nearly: few pixels at a time, all their
// channels, so that the processor's prefetching keeps up.
int depthwise_q_tile(const std::optional<ConvProblem> &problem, Isa isa) {
    if (problem && input_from_afar(*problem, isa)) return 2;
    return few_registers(isa) ? 4 : 7;
}

// Of depthwise alone, by where the input comes from.
struct DepthwiseTile {
    int64_t q, p;
};
DepthwiseTile depthwise_tile(const std::optional<ConvProblem> &problem, Isa isa) {
    const int widest = depthwise_q_tile(problem, isa);
    if (!problem) return {widest, depthwise_p_tile};
    if (!input_from_afar(*problem, isa)) {
        // Of few rows and a large filter, many taps fall on padding: a tile of one row leaves them out. With a stride, rows share less.
        constexpr int64_t few_rows = 7, small_filter = 3;
        const bool alone = problem->p() <= few_rows && (problem->r > small_filter || problem->stride_h > 1);
        const int64_t q = problem->q(), p = alone ? 1 : depthwise_p_tile;
        // The last tile of a row that tiles do not divide tests every tap, and costs as much as several. With a stride, 16 registers have
        // room for the input of two pixels.
        const int most = few_registers(isa) && problem->stride_w > 1 ? 2 : widest;
        for (int tile : {4, 7, 6, 5, 3, 2})
            if (tile <= most && q % tile == 0) return {tile, p};
        return {q_tile_for(q, most), p};
    }
    // Four rows at a time, so that half as many rows are read again for the tiles below, but for few rows that are no whole tiles. From
    // memory a pixel at a time, which is the order of memory in each row; two where an input serves more outputs.
    constexpr int64_t many_rows = 32, large_filter = 7;
    const int64_t rows = problem->p() % 4 == 0 || problem->p() >= many_rows ? 4 : depthwise_p_tile;
    const auto dividing = [&](int64_t q) {
        while (problem->q() % q != 0) q /= 2;
        return q;
    };
    if (input_from_memory(*problem)) return {dividing(problem->multiplier > 1 || problem->r >= large_filter ? 2 : 1), rows};
    // From L3, tiles of large and dilated filters must also spare loads from L2. Rows are often a multiple of 4 KiB apart, so that more of
    // them than L1 has ways push each other out.
    constexpr int64_t l1_ways = 8;
    if ((rows - 1) * problem->stride_h + problem->dilation_h * (problem->r - 1) + 1 > l1_ways)
        return {problem->stride_w > 1 ? 1 : dividing(4), depthwise_p_tile};
    return {dividing(problem->dilation_w > 1 && !few_registers(isa) ? 4 : 2), rows};
}

void derive_depthwise(Schedule &s, Isa isa, const std::optional<ConvProblem> &problem) {
    set(s.k_vectors, 1);
    const DepthwiseTile tile = depthwise_tile(problem, isa);
    set(s.q_tile, tile.q);
    set(s.p_tile, tile.p);
    set(s.q_strip, s.q_tile);
    // In units of p_tile.
    set(s.p_strip, problem ? even_strip(ceil_div(problem->p(), s.p_tile), 8) : 4);
}

// An any-shape kernel's tile and strip: pixels beyond the end of a row are computed and thrown away, slowly, so that both are no wider
// than the rows of the smallest images of the usual networks.
constexpr int any_shape_q_tile = 7;

// Up to how many channels tiles read the input themselves, since a copy would be mostly empty vectors, or take a good part of the time: it
// does of an input from beyond L2, and where the stride lets each pixel serve few outputs.
int64_t few_channels(const ConvProblem &problem, Isa isa) {
    const bool from_afar = input_from_afar(problem, isa), strided = problem.stride_w > 1;
    return from_afar && strided ? 64 : from_afar || strided ? 32 : 8;
}

// Of few channels the taps of a filter row are always taken together. The tile divides the row, since the last one, computed in part and
// with tests of its taps, costs several others, and leaves a register or two to addresses and constants.
void set_tile_of_few_channels(Schedule &s, Isa isa, const ConvProblem &problem) {
    constexpr int narrowest = 4, widest = 10;
    Schedule tile = s;
    tile.s_unroll = int(problem.s);
    set(tile.k_vectors, k_vectors_for(problem, Operator::conv2d, isa, s.lanes));
    const int spare = few_registers(isa) ? 1 : 2;
    const auto fits = [&](int q_tile) {
        Schedule t = tile;
        t.q_tile = q_tile;
        return registers_needed(t, Operator::conv2d, isa) <= vector_registers(isa) - spare;
    };
    if (!fits(narrowest) && s.k_vectors == 0) tile.k_vectors = 1;
    if (!fits(s.q_tile > 0 ? s.q_tile : narrowest)) return;
    int q_tile = int(std::min<int64_t>(problem.q(), widest));
    while (!fits(q_tile)) q_tile--;
    for (int divisor = q_tile; divisor >= narrowest; divisor--)
        if (problem.q() % divisor == 0) {
            q_tile = divisor;
            break;
        }
    set(tile.q_tile, q_tile);
    set(tile.c_unroll, 1);
    s = tile;
}

// Taking the taps of a filter row together saves loads, since neighbouring pixels read the same input, and costs registers, hence width
// of the tile. It pays for rows of output that need several tiles anyway, and for those that fit in the narrower one.
void derive_conv2d_tile(Schedule &s, Isa isa, const std::optional<ConvProblem> &problem) {
    const bool possible = problem && isa != Isa::x64 && problem->s >= 2 && problem->s <= 7 && problem->dilation_w == 1;
    constexpr int64_t always_few = 4;
    set(s.staging, problem && problem->summed_channels() <= (possible ? few_channels(*problem, isa) : always_few) ? 1 : 2);
    if (possible && s.staging == 1 && s.s_unroll == 0) set_tile_of_few_channels(s, isa, *problem);
    Schedule alone = s, together = s;
    alone.s_unroll = 1;
    if (possible && isa != Isa::neon && s.staging == 2 && problem->stride_w <= 2) {
        together.s_unroll = int(problem->s);
        if (isa == Isa::avx2) set(together.k_vectors, 1);
        set(together.k_vectors, k_vectors_for(*problem, Operator::conv2d, isa, s.lanes));
        set(alone.k_vectors, together.k_vectors);
        const int64_t q = problem->q();
        const int widest = widest_q_tile(together, Operator::conv2d, isa);
        const bool pays = isa == Isa::avx2 ? q >= 48 : q > widest_q_tile(alone, Operator::conv2d, isa) || q <= widest;
        if (pays && s.s_unroll == 0 && s.q_tile <= widest) s = together;
    }
    set(s.s_unroll, 1);
}

void derive_conv2d(Schedule &s, Isa isa, const std::optional<ConvProblem> &problem) {
    if (!problem) {
        set(s.q_strip, s.q_tile);
        set(s.p_strip, 4);
        set(s.panel_ahead, 1);
        return;
    }
    const int64_t c = problem->summed_channels(), l2 = l2_bytes(isa), q = problem->q(), p = problem->p();
    if (s.staging == 1) {  // whole rows, so that only their first and last tiles test taps; all of the few channels at a time
        set(s.c_unroll, c);
        set(s.q_strip, ceil_div(q, s.q_tile) * s.q_tile);
        set(s.p_strip, even_strip(p, 16));
        set(s.panel_ahead, 1);
        return;
    }
    const bool from_afar = filter_from_afar(*problem, isa), one_tap = is_1x1(*problem);
    // Where a pass through the filter costs time, passes are few, and the next panel is fetched meanwhile: where it is from memory, or a
    // panel from L3 is used for a single tap.
    const bool from_memory = !one_tap && filter_bytes(*problem) > filter_kept_in_l3, fetched = from_memory || (one_tap && from_afar);
    set(s.panel_ahead, fetched && problem->groups == 1 ? 2 : 1);
    // A panel that does not stay in L2 from tile to tile is cut into blocks of channels that do, into small ones where the filter is from memory.
    const int64_t channel_bytes = 4 * problem->r * problem->s * s.lanes * s.k_vectors;
    const int64_t block = halved_to(c, (from_memory ? l2 / 8 : l2 / 2) / channel_bytes);
    if (block < c) set(s.c_block, block);
    // An eighth of L2 for the padded input leaves the rest to the filter's panels; a quarter where they do not stay there, and as many
    // pixels of many channels, of which a block is in use at a time. A 1x1 filter that stays uses a strip's input soon again: little
    // more than L1 holds.
    constexpr int64_t many_channels = 256;
    const int64_t l2_shares = from_memory ? std::max<int64_t>(1, c / many_channels) : 1;
    const int64_t most_bytes = from_afar ? l2 / 4 * l2_shares : one_tap ? l1_share / 3 * 5 : l2 / 8;
    const Strip strip = strip_for(*problem, s.q_tile, {4 * c, most_bytes, !one_tap, 1}, !fetched);
    set(s.q_strip, strip.q);
    set(s.p_strip, strip.p);
    // Strips that two threads cannot share evenly (7 for 14 rows: 1.75 times the speed of one) are cut into halves of their panels, for each of
    // which the input is padded again: a hundredth of the work where it has many products.
    const int64_t tasks = problem->n * ceil_div(p, s.p_strip), panels = ceil_div(problem->k / problem->groups, s.lanes * s.k_vectors);
    if (unevenly_shared(tasks) && panels % parallel_tasks == 0) set(s.k_strip, panels / parallel_tasks);
    set(s.k_strip, k_strip_for(*problem, s, tasks));
}

// Of all images.
int64_t winograd_blocks(const Schedule &s, const ConvProblem &problem) {
    return problem.n * ceil_div(problem.q(), int64_t(s.winograd) * s.q_strip) * ceil_div(problem.p(), int64_t(s.winograd) * s.p_strip);
}

// What a block costs besides its tiles, in tiles, for each pair of channels: for each of its register tiles, and for itself.
struct BlockCost {
    double register_tile, block;
};

// The block of at most `most` tiles that computes all tiles of the output quickest, of those that make `least_blocks` blocks. A block's tiles are
// all computed, also those that stick out of the output, in register tiles, of which the last is computed whole. Where blocks are tasks, a
// remainder that leaves tasks idle counts by half, since one thread does not mind.
void set_winograd_block(Schedule &s, const ConvProblem &problem, int64_t widest, int64_t most, int64_t least_blocks, const BlockCost &besides) {
    const int64_t across = ceil_div(problem.q(), s.winograd), down = ceil_div(problem.p(), s.winograd);
    Schedule best;
    double best_cost = std::numeric_limits<double>::infinity();
    for (int64_t rows = 1; rows <= std::min(down, most); rows++)
        for (int64_t columns = 1; columns <= std::min(across, most / rows); columns++) {
            Schedule block = s;
            set(block.q_strip, columns);
            set(block.p_strip, rows);
            const int64_t tiles = int64_t(block.q_strip) * block.p_strip, blocks = winograd_blocks(block, problem);
            set(block.q_tile, q_tile_for(tiles, int(std::min<int64_t>(widest, tiles))));
            const double idle = least_blocks > 1 ? double(idle_tasks(blocks)) / 2 : 0;
            const double cost = (double(blocks) + idle) * (double(ceil_div(tiles, block.q_tile)) * (block.q_tile + besides.register_tile) + besides.block);
            if (best.lanes == 0 || (cost < best_cost && blocks >= std::min(least_blocks, problem.n * across * down))) best = block, best_cost = cost;
        }
    s = best;
}

// Blocks of tiles by Winograd's algorithm: q_tile, q_strip and p_strip count tiles. Of a filter that stays in L2 they are one or two register
// tiles, whose transformed input, n^2 values for each channel of a tile, stays there, too. A filter from beyond L2 goes by, run by run, the
// next one being fetched meanwhile: seldom, since a small image is one block, and a block of a large one as many tiles as L2 holds, or of
// more channels many more. Where blocks are too few for tasks, panels are.
void derive_winograd(Schedule &s, Isa isa, const std::optional<ConvProblem> &problem) {
    set(s.s_unroll, 1);
    set(s.staging, 1);
    if (!problem) {
        set(s.k_vectors, isa == Isa::neon ? 4 : 2);
        set(s.q_tile, widest_q_tile(s, Operator::conv2d, isa));
        set(s.q_strip, 7);
        set(s.p_strip, ceil_div(s.q_tile, s.q_strip));
        set(s.panel_ahead, 1);
        set(s.c_unroll, 1);
        return;
    }
    set(s.k_vectors, k_vectors_for(*problem, Operator::conv2d, isa, s.lanes));
    constexpr int64_t small_image = 64;  // tiles
    const int64_t c = problem->c, n = winograd_points(s.winograd), tile_bytes = 4 * c * n * n, panels = ceil_div(problem->k, s.lanes * s.k_vectors);
    const int64_t tiles = ceil_div(problem->q(), s.winograd) * ceil_div(problem->p(), s.winograd), filter = tile_bytes * problem->k;
    const int64_t widest = widest_q_tile(s, Operator::conv2d, isa), most_in_l2 = l2_bytes(isa) / 8 * 5;
    if (filter <= most_in_l2) {
        set_winograd_block(s, *problem, widest, 2 * widest, parallel_tasks, {0.5, 0.5});
    } else {
        const int64_t in_l2 = most_in_l2 / tile_bytes, most = tiles <= small_image ? tiles : in_l2 >= 2 * widest ? in_l2 : 7 * widest;
        set_winograd_block(s, *problem, widest, most, panels > 1 ? 1 : parallel_tasks, {2, 3});
    }
    if (winograd_blocks(s, *problem) < 2 * parallel_tasks && panels > 1) set(s.k_strip, 1);
    set(s.panel_ahead, filter > l2_bytes(isa) / 2 ? 2 : 1);
    set(s.c_unroll, isa == Isa::neon && c % s.lanes == 0 ? s.lanes : c % 2 == 0 ? 2 : 1);
}

void derive_pointwise(Schedule &s, Isa isa, const std::optional<ConvProblem> &problem) {
    if (!problem) {
        set(s.q_strip, 2 * s.q_tile);
        set(s.p_strip, 4);
        set(s.staging, 1);
        set(s.read_ahead, 1);
        set(s.panel_ahead, 1);
        return;
    }
    set(s.q_strip, pointwise_q_strip(*problem, isa, s));
    // Where strips are few and odd in number, tasks are of panels, if these are whole.
    const int64_t strips = ceil_div(problem->pixels(), s.q_strip);
    const bool by_panels = unevenly_shared(strips) && problem->k % (s.lanes * s.k_vectors) == 0;
    set(s.p_strip, by_panels ? strips : even_strip(strips, std::max<int64_t>(1, 16 * s.q_tile / s.q_strip)));
    set(s.staging, problem->k >= 128 && l1_lines_for_pixels(problem->c) < s.q_tile ? 2 : 1);
    const bool from_memory = input_from_memory(*problem);
    set(s.read_ahead, from_memory && s.staging == 1 ? 2 : 1);
    if (from_memory) set(s.c_unroll, 4);  // each step also reads ahead
    set(s.panel_ahead, filter_from_afar(*problem, isa) ? 2 : 1);
    // Threads that all read a filter from L3, strip by strip, wait for each other there (two were 1.7 times as fast as one): it is cut into
    // parts that stay in L2, if few are enough, since the input is read for each.
    constexpr int64_t most_parts = 3;
    const int64_t panels = ceil_div(problem->k, s.lanes * s.k_vectors), panels_in_l2 = l2_bytes(isa) / 5 * 4 * panels / filter_bytes(*problem);
    if (filter_from_afar(*problem, isa) && panels_in_l2 > 0 && ceil_div(panels, panels_in_l2) <= most_parts) set(s.k_strip, panels_in_l2);
    set(s.k_strip, k_strip_for(*problem, s, ceil_div(strips, s.p_strip)));
}

void derive_depsep(Schedule &s, Isa isa, const std::optional<ConvProblem> &problem) {
    // An input from beyond L2 is fetched ahead while the pointwise half is at work, if that leaves L2 room; one from memory is read four rows at
    // a time, as by depthwise alone.
    constexpr int64_t rows_from_memory = 4;
    const bool streams = problem && depsep_streams(*problem, isa), many_rows = streams && isa != Isa::x64 && problem->p() >= rows_from_memory;
    set(s.p_tile, many_rows ? rows_from_memory : depthwise_p_tile);
    set(s.mid_q_tile, depthwise_q_tile(problem, isa));
    set(s.read_ahead, problem && isa != Isa::x64 && input_from_afar(*problem, isa) && filter_stays(*problem, isa) ? 2 : 1);
    const bool from_afar = problem && filter_from_afar(*problem, isa);
    set(s.panel_ahead, from_afar ? 2 : 1);
    if (!problem) {
        set(s.q_strip, s.q_tile);
        set(s.p_strip, 4);
        return;
    }
    const int64_t mid_share = l2_bytes(isa) / 8 * 3;  // of L2, for a strip's depthwise half
    if (filter_stays(*problem, isa)) {
        // The pointwise filter stays in L2 anyway: a strip of one tile keeps the depthwise half in L1. Where rows are not whole tiles, a
        // strip of one takes a loop of its own for the last; whole rows do not, which pays where rows are few tiles, or tiles are small.
        const int64_t row = ceil_div(problem->q(), s.q_tile) * s.q_tile, row_bytes = 4 * problem->mid_channels() * row;
        const bool few_tiles = few_registers(isa) || row <= 4 * s.q_tile;
        const bool whole_rows = row != problem->q() && few_tiles && !streams && 2 * row_bytes <= mid_share;
        set(s.q_strip, whole_rows ? row : s.q_tile);
        set(s.p_strip, many_rows ? rows_from_memory : whole_rows && 4 * row_bytes <= mid_share ? 4 : 2);
    } else {
        // A panel of very many channels, and the next one that is fetched meanwhile, would leave a strip little room in L2: blocks of them do.
        // Tiles in nearly all registers spill by blocks.
        const int64_t c = problem->mid_channels(), channel_bytes = 4 * s.lanes * s.k_vectors;
        const bool large_panel = s.k_vectors == 3 && c * channel_bytes > l2_bytes(isa) / 4;
        const int64_t block = large_panel ? halved_to(c, l2_bytes(isa) / 8 / channel_bytes) : c;
        if (block < c) set(s.c_block, block);
        // Tasks come from rows, since every strip of panels computes the depthwise half anew; where all rows are one strip, for the sake
        // of a filter from afar, from panels, which are many then.
        const Strip strip = strip_for(*problem, s.q_tile, {4 * c, block < c ? l2_bytes(isa) / 2 : mid_share, false, depthwise_p_tile}, !from_afar);
        set(s.q_strip, strip.q);
        set(s.p_strip, strip.p);
        if (from_afar) set(s.k_strip, k_strip_for(*problem, s, problem->n * ceil_div(problem->p(), s.p_strip)));
    }
}

// Lanes of a vector that the channels fill at least by half: half of a wide vector is a narrow one, of which processors that do one wide
// multiply-add in a cycle do two.
int lanes_for(const ConvProblem &problem, Isa isa) {
    const int64_t channels = problem.op == Operator::depthwise ? problem.mid_channels()
                             : problem.op == Operator::depsep  ? std::min(problem.mid_channels(), problem.k)
                                                               : problem.k / problem.groups;
    int lanes = lanes_f32(isa);
    while (lanes > 4 && channels <= lanes / 2) lanes /= 2;
    return lanes;
}

Schedule with_algorithm(int winograd, Schedule s, Isa isa, const std::optional<ConvProblem> &problem) {
    s.winograd = winograd;
    return derive(s, Operator::conv2d, isa, problem);
}

// Knobs that are set already, but for streaming, are meant for the direct algorithm. Without any, Winograd's with the tile that the model thinks
// quickest, of those that are exact enough for the problem, where it is a good deal quicker. (F(6x6) is at best a little quicker than F(4x4), and
// less exact.)
Schedule with_quickest_algorithm(const Schedule &set, Isa isa, const ConvProblem &problem) {
    constexpr double worthwhile = 0.85;
    const Schedule direct = with_algorithm(1, set, isa, problem);
    Schedule of_direct_algorithm = set;
    of_direct_algorithm.streaming = 0;
    if (!knobs_text(of_direct_algorithm).empty() || !winograd_takes(problem)) return direct;
    const CoreBudget budget{l1_bytes, l2_bytes(isa), 1};
    Schedule best = direct;
    const Prediction predicted_direct = predict(direct, problem, isa, budget);
    double least = predicted_direct.pruned ? 0 : worthwhile * predicted_direct.cycles;
    for (int m : {2, 4}) {
        if (winograd_rel_error(m, problem.c) > problem.max_rel_error) continue;
        const Schedule s = with_algorithm(m, set, isa, problem);
        const Prediction predicted = predict(s, problem, isa, budget);
        if (!predicted.pruned && predicted.cycles < least) best = s, least = predicted.cycles;
    }
    return best;
}

}  // namespace

std::string knobs_text(const Schedule &schedule, char separator) {
    std::string text;
    for (const Knob &knob : knobs) {
        if (schedule.*knob.member == 0) continue;
        if (!text.empty()) text += separator;
        text += std::string(knob.token) + std::to_string(schedule.*knob.member);
    }
    return text;
}

int64_t streaming_pixels(const ConvProblem &problem) { return most_cached_bytes / (4 * problem.out_channels()) + 1; }

bool streaming_pays(const ConvProblem &problem, Isa isa) {
    return has_streaming_stores(isa) && problem.pixels() >= streaming_pixels(problem) && problem.out_channels() / problem.groups % lanes_for(problem, isa) == 0;
}

Schedule derive(Schedule s, Operator op, Isa isa, const std::optional<ConvProblem> &problem) {
    if (op == Operator::conv2d && s.winograd == 0) return problem ? with_quickest_algorithm(s, isa, *problem) : with_algorithm(1, s, isa, problem);
    set(s.lanes, problem ? lanes_for(*problem, isa) : lanes_f32(isa));
    set(s.streaming, 1);
    if (op == Operator::depthwise) {
        derive_depthwise(s, isa, problem);
        return s;
    }
    if (is_winograd(s)) {
        derive_winograd(s, isa, problem);
        return s;
    }
    if (op == Operator::conv2d) derive_conv2d_tile(s, isa, problem);
    if (op == Operator::pointwise && problem) set_pointwise_tile(s, isa, *problem);
    set(s.k_vectors, problem ? k_vectors_for(*problem, op, isa, s.lanes) : isa == Isa::neon ? 4 : 2);
    const int widest = widest_q_tile(s, op, isa);
    if (op == Operator::pointwise)
        set(s.q_tile, widest);
    else
        set(s.q_tile, problem ? q_tile_for(problem->q(), widest, s.s_unroll > 1) : std::min(widest, any_shape_q_tile));
    switch (op) {
    case Operator::conv2d: derive_conv2d(s, isa, problem); break;
    case Operator::pointwise: derive_pointwise(s, isa, problem); break;
    case Operator::depsep: derive_depsep(s, isa, problem); break;
    case Operator::depthwise: break;
    }
    // Several channels at a time take the loop's own instructions off the front end; only where the number of channels is known. Tiles
    // of half as many registers, and steps of one tap, are short: four. So many channels of a pixel neon loads at once.
    const int64_t channels = s.c_block > 0 || !problem ? s.c_block : problem->summed_channels();
    const bool short_steps = (few_registers(isa) || isa == Isa::neon) && s.s_unroll <= 1;
    set(s.c_unroll, !problem || s.c_block % 2 != 0 ? 1 : short_steps && channels % 4 == 0 ? 4 : 2);
    return s;
}

}  // namespace sepal
