#include "schedule.h"

#include <algorithm>

namespace sepal {

Schedule derive(Schedule s, Operator op, Isa isa, const std::optional<ConvProblem> &problem) {
    const auto set = [](int &knob, int value) { if (knob == 0) knob = value; };
    set(s.lanes, lanes_f32(isa));
    set(s.k_vectors, 2);
    set(s.q_tile, op == Operator::depthwise ? 7 : isa == Isa::avx512 ? 14 : 4);
    set(s.p_tile, 1);
    set(s.q_strip, s.q_tile * 2);
    set(s.p_strip, op == Operator::pointwise ? 4 : 4);
    set(s.c_unroll, 1);
    (void)problem;
    return s;
}

}  // namespace sepal
