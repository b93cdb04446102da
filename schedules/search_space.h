// SearchSpace: the schedules that are worth compiling for a problem on an ISA, cheapest first by a model of the machine. Needs no
// Halide. What the model is unsure of, measurements decide (tools/tuning/search.h).
#pragma once

#include "cost_model.h"

#include <string>
#include <vector>

namespace sepal {

// The values that one knob may take, ascending, in schedules of one algorithm: Winograd's or the direct one.
struct Axis {
    Knob knob;
    bool in_q_tiles = false;  // values are multiples of q_tile
    std::vector<int> values;
    bool winograd = false;

    bool is_for(const Schedule &s) const { return is_winograd(s) == winograd; }
    // 0 for a schedule of the other algorithm.
    int value(const Schedule &s) const { return !is_for(s) ? 0 : in_q_tiles ? s.*knob.member / s.q_tile : s.*knob.member; }
};

struct RankedSchedule {
    Schedule schedule;  // complete() makes it one that can be compiled
    double cycles = 0;  // predicted
};

class SearchSpace {
public:
    // For a valid problem.
    SearchSpace(const ConvProblem &problem, Isa isa, const CoreBudget &budget);

    // The schedule without any search: derive().
    const Schedule &hand() const { return hand_; }
    // One for each knob that the operator's schedule looks at, in the order of `knobs`; those of Winograd's algorithm, where the problem allows
    // it, after those of the direct one. A knob without an axis keeps the value that derive() gives it beside the others.
    const std::vector<Axis> &axes() const { return axes_; }
    // All that are not pruned, each once, by predicted cycles, then by key().
    const std::vector<RankedSchedule> &ranked() const { return ranked_; }
    int64_t points() const { return points_; }  // of the whole grids, pruned ones included

    // Schedules of the space that differ from `schedule` by one or two places on one axis, or by one on each of two; not pruned, in
    // the order of the axes. A value that is not on its axis counts as the nearest one that is.
    std::vector<RankedSchedule> neighbours(const Schedule &schedule) const;

    // The knobs with an axis as they are, the others derived beside them; nothing is left to derive.
    Schedule complete(const Schedule &schedule) const;
    // key() of the knobs with an axis: equal for schedules that are the same candidate.
    std::string point(const Schedule &schedule) const;

private:
    // Axes of one algorithm, and a schedule of it that has what they do not say.
    struct Grid {
        Schedule base;
        std::vector<Axis> axes;
    };
    void add(const Grid &grid, const std::vector<size_t> &place, std::vector<RankedSchedule> &to) const;

    ConvProblem problem_;
    Isa isa_;
    CoreBudget budget_;
    Schedule hand_;
    std::vector<Grid> grids_;
    std::vector<Axis> axes_;  // of all grids
    std::vector<RankedSchedule> ranked_;
    int64_t points_ = 0;
};

// What tells schedules apart, and their order among equals: "kv2_tq14_sq56_sp4".
inline std::string key(const Schedule &schedule) { return knobs_text(schedule, '_'); }

}  // namespace sepal
