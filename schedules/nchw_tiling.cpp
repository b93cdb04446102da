#include "nchw_schedule.h"

#include "derive.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace sepal {
namespace {

// Bytes of the L2 that strips are cut for: the smallest of the CPUs that have the ISA. And what may be counted on of L1.
int64_t l2_bytes(Isa isa) { return isa == Isa::avx512 ? 1 << 20 : 256 << 10; }
constexpr int64_t l1_share = 16 << 10;

// Tasks that a kernel is cut into where its loops allow it, of each image: a kernel takes any number of images.
constexpr int64_t parallel_tasks = 2;

int64_t round_up(int64_t number, int64_t unit) { return ceil_div(number, unit) * unit; }

// Whether a vector may be read in part at no cost (passes/masked_reads.h).
bool has_masked_reads(Isa isa) { return isa != Isa::x64; }

bool has_depthwise(Operator op) { return op == Operator::depthwise || op == Operator::depsep; }

// Of the accumulator tile: k_tile x q_tile accumulators, the vectors of input, one value of the filter and, without fused multiply-adds, a product.
int registers_needed(const NchwSchedule &s, Isa isa) {
    const int vectors = s.q_tile / s.lanes;
    return s.k_tile * vectors + vectors + (isa == Isa::x64 ? 2 : 1);
}

// Pixels that lie in one dimension.
int64_t row_of(const ConvProblem &p) { return p.op == Operator::pointwise ? p.h * p.w : p.q(); }

// The tile that does all channels and pixels quickest. The last panel and the last tile are computed whole. A tile's cost is in multiply-adds:
// besides its own, a share for each load, and at least what keeps the adders busy.
//   avx512 (32 registers): 13 x 2 + 2 + 1 = 29, 8 x 3 + 3 + 1 = 28
//   avx2   (16 registers):  6 x 2 + 2 + 1 = 15
//   x64    (16 registers):  4 x 2 + 2 + 2 = 12
void set_tile(NchwSchedule &s, Isa isa, int64_t channels, int64_t pixels) {
    constexpr int most_vectors = 4, most_channels = 16;
    constexpr double load = 0.5, least = 8, cut_tile = 1.08;  // a row's last tile, if it is cut, is stored under masks
    NchwSchedule best;
    double best_cost = std::numeric_limits<double>::infinity();
    for (int vectors = 1; vectors <= most_vectors; vectors++)
        for (int k_tile = 1; k_tile <= most_channels; k_tile++) {
            NchwSchedule tile = s;
            set(tile.q_tile, vectors * s.lanes);
            set(tile.k_tile, k_tile);
            if ((s.q_tile == 0 || s.k_tile == 0) && registers_needed(tile, isa) > vector_registers(isa)) continue;
            const int across = tile.q_tile / s.lanes;
            const double each = std::max(least, tile.k_tile * double(across)) + load * (tile.k_tile + across);
            const double stores = pixels % tile.q_tile == 0 ? 1 : cut_tile;
            const double cost = double(ceil_div(channels, tile.k_tile) * ceil_div(pixels, tile.q_tile)) * each * stores;
            if (cost < best_cost) best = tile, best_cost = cost;
        }
    s = best;
}

// Elements of a row of so many pixels in scratch memory, of a strip of so many pixels of output.
int64_t scratch_row(NchwSchedule s, int64_t strip, int64_t pixels) {
    s.q_strip = int(strip);
    return round_up(pixels, scratch_alignment(s));
}

// Rows, columns and elements of the input that a strip of output meets, of one channel.
struct Met {
    int64_t rows, columns, elements;
};
Met met_by(const NchwSchedule &s, const ConvProblem &p, int64_t rows, int64_t pixels) {
    const int64_t height = (rows - 1) * p.stride_h + p.dilation_h * (p.r - 1) + 1;
    const int64_t beyond = p.dilation_w * (p.s - 1), phases = p.s == 1 ? 1 : p.stride_w;
    return {height, (pixels - 1) * p.stride_w + beyond + 1, height * phases * scratch_row(s, pixels, pixels + beyond / p.stride_w)};
}

// The strip of whole tiles with the fewest rows and columns of halo in all, of those whose scratch memory is not too large: the input of conv2d,
// the depthwise half of depsep.
void set_strip(NchwSchedule &s, Isa isa, const ConvProblem &p) {
    const int64_t most_bytes = l2_bytes(isa) / 8 * (p.op == Operator::depsep ? 4 : 3), q = p.q();
    const int64_t most_rows = ceil_div(p.p(), parallel_tasks);
    constexpr int64_t lines_cut = 32;  // elements of the lines at both ends of a row that are read for a part
    constexpr double strip_cost = 256;
    NchwSchedule best = s;
    double best_cost = std::numeric_limits<double>::infinity();
    for (int64_t pixels = s.q_tile; pixels < q + s.q_tile; pixels += s.q_tile)
        for (int64_t rows = 1; rows <= most_rows; rows++) {
            const Met met = met_by(s, p, rows, pixels);
            const int64_t elements = p.op == Operator::depsep ? round_up(rows, s.p_tile) * scratch_row(s, pixels, pixels) * p.mid_channels()
                                                              : met.elements * (p.c / p.groups);
            if (4 * elements > most_bytes && (rows > 1 || pixels > s.q_tile)) break;
            NchwSchedule strip = s;
            set(strip.q_strip, pixels);
            set(strip.p_strip, rows);
            const double cost = double(ceil_div(q, strip.q_strip) * ceil_div(p.p(), strip.p_strip)) * (double(met.rows * (met.columns + lines_cut)) + strip_cost);
            if (cost < best_cost * 0.999) best = strip, best_cost = cost;
        }
    s = best;
}

// Two vectors of pixels by four rows share rows of the input: 36 loads of it for 72 multiply-adds (3x3).
int64_t depthwise_q_tile(const NchwSchedule &s, const std::optional<ConvProblem> &problem) {
    const int64_t vectors = problem ? ceil_div(problem->q(), s.lanes) : 1;
    return s.lanes * (vectors % 2 == 0 ? 2 : 1);
}
int64_t depthwise_p_tile(const std::optional<ConvProblem> &problem) {
    constexpr int64_t many_rows = 16;
    if (!problem) return 2;
    return problem->p() % 4 == 0 || problem->p() >= many_rows ? 4 : problem->p() == 1 ? 1 : 2;
}

void derive_depthwise(NchwSchedule &s, const std::optional<ConvProblem> &problem) {
    set(s.q_tile, depthwise_q_tile(s, problem));
    set(s.p_tile, depthwise_p_tile(problem));
    set(s.q_strip, s.q_tile * (problem ? ceil_div(problem->q(), s.q_tile) : 1));
    if (!problem) {
        set(s.p_strip, 4);
        set(s.k_strip, 4);
        return;
    }
    const int64_t tiles = ceil_div(problem->p(), s.p_tile);
    // In place, a strip is what the next one is fetched during: long enough for memory to answer, and a small part of L2.
    constexpr int64_t fetched_ahead = 32 << 10;
    const auto fits = [&](int64_t rows) {
        return s.staging == 1 ? 4 * rows * problem->stride_h * problem->w <= fetched_ahead : 4 * met_by(s, *problem, rows, s.q_strip).elements <= l1_share;
    };
    int64_t strip = 1;
    while (strip < tiles && fits((strip + 1) * s.p_tile)) strip++;
    set(s.p_strip, ceil_div(tiles, ceil_div(tiles, strip)));
    // Tasks of little work would mostly wait for the next one.
    constexpr int64_t task_pixels = 32 << 10;
    const int64_t channels = problem->mid_channels(), most = ceil_div(channels, parallel_tasks);
    set(s.k_strip, std::min({most, ceil_div(task_pixels, problem->p() * problem->q())}));
}

void derive_pointwise(NchwSchedule &s, Isa isa, const std::optional<ConvProblem> &problem) {
    if (!problem) {
        set(s.q_strip, 2 * s.q_tile);
        set(s.p_strip, 4);
        return;
    }
    const int64_t pixels = row_of(*problem), tiles = ceil_div(pixels, s.q_tile), in_l2 = l2_bytes(isa) / 4 / (4 * problem->c * s.q_tile);
    const int64_t strips = ceil_div(tiles, std::clamp<int64_t>(in_l2, 1, ceil_div(tiles, parallel_tasks)));
    set(s.q_strip, s.q_tile * ceil_div(tiles, strips));
    set(s.p_strip, std::max<int64_t>(1, ceil_div(pixels, s.q_strip) / (8 * parallel_tasks)));
}

int lanes_for(Isa isa, const ConvProblem &problem) {
    int lanes = lanes_f32(isa);
    while (lanes > 4 && row_of(problem) <= lanes / 2) lanes /= 2;
    return lanes;
}

struct Range {
    int NchwSchedule::*member;
    int least, most;
};

}  // namespace

NchwSchedule derive_nchw(NchwSchedule s, Operator op, Isa isa, const std::optional<ConvProblem> &problem) {
    set(s.lanes, problem ? lanes_for(isa, *problem) : lanes_f32(isa));
    set(s.streaming, 1);
    set(s.read_ahead, problem && op != Operator::conv2d && isa != Isa::x64 && 4 * problem->c * problem->h * problem->w > l2_bytes(isa) ? 2 : 1);
    if (has_depthwise(op)) set(s.staging, problem && problem->stride_w == 1 && has_masked_reads(isa) ? 1 : 2);
    if (op == Operator::depthwise) {
        derive_depthwise(s, problem);
        return s;
    }
    constexpr int64_t any_channels = 128, any_vectors = 2;
    set_tile(s, isa, problem ? problem->k / problem->groups : any_channels, problem ? row_of(*problem) : any_vectors * s.lanes);
    set(s.c_unroll, problem && problem->summed_channels() % 2 == 0 ? 2 : 1);
    if (op == Operator::depsep) {
        set(s.p_tile, depthwise_p_tile(problem));
        set(s.mid_q_tile, depthwise_q_tile(s, problem));
    }
    if (op == Operator::pointwise) {
        derive_pointwise(s, isa, problem);
    } else if (problem) {
        set_strip(s, isa, *problem);
    } else {
        set(s.q_strip, s.q_tile);
        set(s.p_strip, 4);
    }
    return s;
}

bool has_whole_tiles(const NchwSchedule &s, const ConvProblem &problem) { return row_of(problem) % s.q_tile == 0; }

std::string why_not_valid(const NchwSchedule &s, Operator op, Isa isa) {
    constexpr int most_unrolled = 64, most_of_an_axis = 65536;
    const bool depthwise = op == Operator::depthwise, taps = has_depthwise(op);
    // What an operator does not use may be 0.
    const Range ranges[] = {{&NchwSchedule::lanes, 1, lanes_f32(isa)},
                            {&NchwSchedule::k_tile, depthwise ? 0 : 1, depthwise ? 0 : most_unrolled},
                            {&NchwSchedule::q_tile, 1, most_of_an_axis},
                            {&NchwSchedule::p_tile, taps ? 1 : 0, taps ? most_unrolled : 0},
                            {&NchwSchedule::mid_q_tile, op == Operator::depsep ? 1 : 0, op == Operator::depsep ? most_of_an_axis : 0},
                            {&NchwSchedule::q_strip, 1, most_of_an_axis},
                            {&NchwSchedule::p_strip, 1, most_of_an_axis},
                            {&NchwSchedule::k_strip, depthwise ? 1 : 0, depthwise ? most_of_an_axis : 0},
                            {&NchwSchedule::staging, !taps ? 0 : has_masked_reads(isa) ? 1 : 2, taps ? 2 : 0},
                            {&NchwSchedule::c_unroll, depthwise ? 0 : 1, depthwise ? 0 : most_unrolled},
                            {&NchwSchedule::read_ahead, 1, op == Operator::conv2d ? 1 : 2},
                            {&NchwSchedule::streaming, 1, 2}};
    const auto knob_name = [](int NchwSchedule::*member) {
        return std::find_if(std::begin(nchw_knobs), std::end(nchw_knobs), [&](const NchwKnob &k) { return k.member == member; })->name;
    };
    for (const Range &r : ranges)
        if (s.*r.member < r.least || s.*r.member > r.most)
            return fmt::format("knob \"{}\" is {}; allowed for {} with nchw and {}: {} to {}", knob_name(r.member), s.*r.member, name(op), name(isa), r.least, r.most);
    if ((s.lanes & (s.lanes - 1)) != 0) return fmt::format("knob \"lanes\" is {}; allowed: a power of two up to {}", s.lanes, lanes_f32(isa));
    for (int NchwSchedule::*member : {&NchwSchedule::q_tile, &NchwSchedule::mid_q_tile})
        if (s.*member % s.lanes != 0)
            return fmt::format("knob \"{}\" is {}; allowed with nchw: whole vectors, a multiple of lanes, which is {}", knob_name(member), s.*member, s.lanes);
    if (s.q_strip % s.q_tile != 0) return fmt::format("knob \"q_strip\" is {}; allowed: a multiple of q_tile, which is {}", s.q_strip, s.q_tile);
    const int registers = vector_registers(isa);
    if (const int needed = registers_needed(s, isa); !depthwise && needed > registers)
        return fmt::format("knob \"q_tile\" is {}, which with k_tile {} takes {} vector registers of {} lanes; allowed: {}, as many as {} has", s.q_tile,
                           s.k_tile, needed, s.lanes, registers, name(isa));
    const int q_tile = depthwise ? s.q_tile : s.mid_q_tile;
    if (taps && q_tile / s.lanes * s.p_tile + 2 > registers)
        return fmt::format("knob \"p_tile\" is {}, which with {} pixels takes {} vector registers of {} lanes; allowed: {}, as many as {} has", s.p_tile, q_tile,
                           q_tile / s.lanes * s.p_tile + 2, s.lanes, registers, name(isa));
    return {};
}

}  // namespace sepal
