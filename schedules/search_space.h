// SearchSpace: the schedules that are worth compiling for a problem on an ISA, cheapest first by a model of the machine. Needs no
// Halide. What the model is unsure of, measurements decide (tools/tuning/search.h).
#pragma once

#include "schedule.h"

#include <string>
#include <vector>

namespace sepal {

// What the model has to know of the machine that the kernel runs on.
struct CoreBudget {
    int64_t l1_bytes = 32 << 10;  // of data cache, of one core
    int64_t l2_bytes = 1 << 20;
    int threads = 1;              // that the kernel runs on
    bool streaming = false;       // whether streaming stores can be compiled here
};

struct Prediction {
    double cycles = 0;          // of the slowest thread, for the whole problem; for comparing candidates, not for reports
    const char *pruned = nullptr;  // why it is not worth compiling, one phrase; null when it is, and only then are `cycles` set
};

// The model. The kernel takes as long as its most loaded resource, and a quarter of what it asks of the others, since they do not
// overlap perfectly. The resources: multiply-add units, load ports, the front end and the latency of an accumulator's chain, for
// each step of the accumulator tile; bytes from L2 into L1 and from beyond L2, by which of filter panel, strip of input (or
// depthwise half) and partial sums stay in which cache; then what a strip costs besides (halo and padding computed or copied
// again, tiles and strips that stick out, starting a task), and idle threads at the end.
// Pruned without a prediction: tiles that do not fit in the registers or in the image, strips that do not fit in L2, fewer tasks
// than threads where the problem has enough, and bodies of loops too long to be worth compiling.
// `s` is complete and for a valid problem.
Prediction predict(const Schedule &s, const ConvProblem &problem, Isa isa, const CoreBudget &budget);

// The values that one knob may take, ascending.
struct Axis {
    Knob knob;
    bool in_q_tiles = false;  // values are multiples of q_tile
    std::vector<int> values;

    int value(const Schedule &s) const { return in_q_tiles ? s.*knob.member / s.q_tile : s.*knob.member; }
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
    // One for each knob that the operator's schedule looks at, in the order of `knobs`. A knob without an axis keeps the value that
    // derive() gives it beside the others.
    const std::vector<Axis> &axes() const { return axes_; }
    // All that are not pruned, each once, by predicted cycles, then by key().
    const std::vector<RankedSchedule> &ranked() const { return ranked_; }
    int64_t points() const { return points_; }  // of the whole grid, pruned ones included

    // Schedules of the space that differ from `schedule` by one or two places on one axis, or by one on each of two; not pruned, in
    // the order of the axes. A value that is not on its axis counts as the nearest one that is.
    std::vector<RankedSchedule> neighbours(const Schedule &schedule) const;

    // The knobs with an axis as they are, the others derived beside them; nothing is left to derive.
    Schedule complete(const Schedule &schedule) const;
    // key() of the knobs with an axis: equal for schedules that are the same candidate.
    std::string point(const Schedule &schedule) const;

private:
    void add(const std::vector<size_t> &place, std::vector<RankedSchedule> &to) const;

    ConvProblem problem_;
    Isa isa_;
    CoreBudget budget_;
    Schedule hand_;
    std::vector<Axis> axes_;
    std::vector<RankedSchedule> ranked_;
    int64_t points_ = 0;
};

// What tells schedules apart, and their order among equals: "kv2_tq14_sq56_sp4".
inline std::string key(const Schedule &schedule) { return knobs_text(schedule, '_'); }

}  // namespace sepal
