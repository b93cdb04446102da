#include "schedule_check.h"

#include "derive.h"
#include "runtime/winograd.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace sepal {
namespace {

constexpr int most_lanes = 64;          // four registers of avx512
constexpr int most_unrolled = 64;       // copies of a loop's body
constexpr int most_of_an_axis = 65536;  // pixels, rows, channels of a block; the planner allows no more for any knob

int registers_of_a_vector(const Schedule &s, Isa isa) { return (s.lanes + lanes_f32(isa) - 1) / lanes_f32(isa); }

int depthwise_registers(const Schedule &s, int64_t q_tile, Isa isa) {
    return int((q_tile * s.p_tile + 2) * registers_of_a_vector(s, isa));
}

struct Range {
    int Schedule::*member;
    int least, most;
};

std::string out_of_range(const Schedule &s, Operator op) {
    const bool depthwise = op == Operator::depthwise, has_taps = depthwise || op == Operator::depsep;
    // What an operator does not use may be 0.
    const Range ranges[] = {{&Schedule::lanes, 1, most_lanes},
                            {&Schedule::k_vectors, 1, depthwise ? 1 : most_unrolled},
                            {&Schedule::q_tile, 1, most_unrolled},
                            {&Schedule::p_tile, has_taps ? 1 : 0, most_unrolled},
                            {&Schedule::mid_q_tile, op == Operator::depsep ? 1 : 0, most_unrolled},
                            {&Schedule::q_strip, 1, most_of_an_axis},
                            {&Schedule::p_strip, 1, most_of_an_axis},
                            {&Schedule::c_block, 0, most_of_an_axis},
                            {&Schedule::c_unroll, depthwise ? 0 : 1, most_unrolled},
                            {&Schedule::s_unroll, op == Operator::conv2d ? 1 : 0, most_unrolled},
                            {&Schedule::staging, op == Operator::conv2d || op == Operator::pointwise ? 1 : 0, 2},
                            {&Schedule::k_strip, 0, most_of_an_axis},
                            {&Schedule::read_ahead, op == Operator::pointwise ? 1 : 0, op == Operator::pointwise || op == Operator::depsep ? 2 : 0},
                            {&Schedule::panel_ahead, depthwise ? 0 : 1, depthwise ? 0 : 2},
                            {&Schedule::streaming, 1, 2},
                            {&Schedule::winograd, op == Operator::conv2d ? 1 : 0, op == Operator::conv2d ? 6 : 0}};
    for (const Range &r : ranges)
        if (s.*r.member < r.least || s.*r.member > r.most)
            return fmt::format("knob \"{}\" is {}; allowed for {}: {} to {}", knob_of(r.member).name, s.*r.member, name(op), r.least, r.most);
    return {};
}

}  // namespace

int registers_needed(const Schedule &s, Operator op, Isa isa) {
    if (op == Operator::depthwise) return depthwise_registers(s, s.q_tile, isa);
    const int vectors = s.k_vectors * (s.q_tile + std::max(s.s_unroll, 1));
    const int products = isa == Isa::x64 ? registers_of_a_vector(s, isa) : 0;
    const int inputs = isa == Isa::neon && s.s_unroll <= 1 ? s.q_tile : 1;
    return vectors * registers_of_a_vector(s, isa) + products + inputs;
}

int depthwise_half_registers(const Schedule &s, Isa isa) { return depthwise_registers(s, s.mid_q_tile, isa); }

int64_t l1_lines_for_pixels(int64_t c) {
    constexpr int64_t sets = 64, ways = 8, floats = 16;
    return c % floats == 0 ? sets / std::gcd(sets, c / floats) * ways : sets * ways;
}

std::string why_no_schedule(DType dtype, Isa isa) {
    return dtype == DType::f32 || is_gpu(isa) ? "" : fmt::format("the hand-written schedules for CPUs are for f32, not {}", name(dtype));
}

std::string why_no_gpu_schedule(const ConvProblem &problem, Isa isa) {
    if (problem.layout != Layout::nhwc) return fmt::format("kernels for GPUs are for nhwc, not {}", name(problem.layout));
    return problem.dtype == DType::f32 || backend(isa) == Backend::cuda ? "" : fmt::format("kernels for opencl are for f32, not {}", name(problem.dtype));
}

std::string why_not_valid(const Schedule &s, Operator op, Isa isa) {
    if (std::string why = out_of_range(s, op); !why.empty()) return why;
    if ((s.lanes & (s.lanes - 1)) != 0) return fmt::format("knob \"lanes\" is {}; allowed: a power of two up to {}", s.lanes, most_lanes);
    if (is_winograd(s) && !is_winograd_tile(s.winograd)) return fmt::format("knob \"winograd\" is {}; allowed: 1, 2, 4 and 6", s.winograd);
    if (is_winograd(s) && s.q_strip * s.p_strip < s.q_tile)
        return fmt::format("knob \"q_tile\" is {}; allowed with winograd {}: up to the {} tiles of a block, q_strip x p_strip", s.q_tile, s.winograd,
                           s.q_strip * s.p_strip);
    if (is_winograd(s) && s.s_unroll != 1) return fmt::format("knob \"s_unroll\" is {}; allowed with winograd {}: 1", s.s_unroll, s.winograd);
    if (is_winograd(s) && s.k_strip > 1) return fmt::format("knob \"k_strip\" is {}; allowed with winograd {}: 0 and 1", s.k_strip, s.winograd);
    if (!is_winograd(s) && s.q_strip % s.q_tile != 0)
        return fmt::format("knob \"q_strip\" is {}; allowed: a multiple of q_tile, which is {}", s.q_strip, s.q_tile);
    if (s.c_block > 0 && s.c_unroll > 0 && s.c_block % s.c_unroll != 0)
        return fmt::format("knob \"c_block\" is {}; allowed: 0 or a multiple of c_unroll, which is {}", s.c_block, s.c_unroll);
    const int registers = vector_registers(isa);
    if (const int needed = registers_needed(s, op, isa); needed > registers)
        return fmt::format("knob \"q_tile\" is {}, which with {} takes {} vector registers of {} lanes; allowed: {}, as many as {} has", s.q_tile,
                           op == Operator::depthwise ? fmt::format("p_tile {}", s.p_tile)
                           : s.s_unroll > 1          ? fmt::format("k_vectors {} of {} lanes and s_unroll {}", s.k_vectors, s.lanes, s.s_unroll)
                                                     : fmt::format("k_vectors {} of {} lanes", s.k_vectors, s.lanes),
                           needed, lanes_f32(isa), registers, name(isa));
    if (op != Operator::depsep) return {};
    if (const int needed = depthwise_half_registers(s, isa); needed > registers)
        return fmt::format("knob \"p_tile\" is {}, which with mid_q_tile {} in the depthwise half takes {} vector registers; allowed: {}, as many as {} has",
                           s.p_tile, s.mid_q_tile, needed, registers, name(isa));
    return {};
}

std::string why_not_valid(const Schedule &schedule, const ConvProblem &problem, Isa isa) {
    if (std::string why = why_no_schedule(problem.dtype, isa); !why.empty()) return why;
    Schedule s = schedule;
    if (s.c_block >= problem.summed_channels()) s.c_block = 0;
    if (std::string why = why_not_valid(s, problem.op, isa); !why.empty()) return why;
    if (is_winograd(s) && !winograd_takes(problem))
        return fmt::format("knob \"winograd\" is {}; allowed for the problem: 1, since only a 3 x 3 filter with stride 1, dilation 1 and groups 1 has others", s.winograd);
    if (is_streaming(s) && !has_streaming_stores(isa)) return fmt::format("knob \"streaming\" is {}; allowed for {}: 1", s.streaming, name(isa));
    if (is_streaming(s) && problem.out_channels() / problem.groups % s.lanes != 0)
        return fmt::format("knob \"streaming\" is {}; allowed for the problem: 1, since its {} output channels{} are no whole vectors of {}", s.streaming,
                           problem.out_channels() / problem.groups, problem.groups > 1 ? " of a group" : "", s.lanes);
    const auto least = least_extent(problem.op);
    if (!least || value(problem, least->field) >= s.*least->knob) return {};
    return fmt::format("knob \"{}\" is {}; allowed: up to {}, the problem's {}", knob_of(least->knob).name, s.*least->knob, value(problem, least->field),
                       least->field == Field::c ? "channels" : "pixels");
}

std::optional<LeastExtent> least_extent(Operator op) {
    switch (op) {
    case Operator::depthwise:
    case Operator::depsep: return LeastExtent{Field::c, &Schedule::lanes};
    case Operator::pointwise: return LeastExtent{Field::pixels, &Schedule::q_tile};
    case Operator::conv2d: break;
    }
    return std::nullopt;
}

}  // namespace sepal
