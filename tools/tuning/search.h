// Search: which schedule to try next, given the records of the trials so far. It keeps no state of its own, so that a session that
// is stopped and resumed goes on as if nothing had happened.
#pragma once

#include "schedules/search_space.h"
#include "tools/tuning/record.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sepal {

// Part `index` (1 ... count) of the candidates of a problem, by a hash of problem and candidate. Parts are disjoint and together all;
// the hand schedule is in each, since every session compares with it.
struct Shard {
    int index = 1, count = 1;
};

struct Proposal {
    Schedule schedule;        // complete
    std::string proposed_by;  // "heuristic" (the hand schedule), "model" or "neighbour"
};

class Search {
public:
    // For a valid problem, whose space is built here (up to a second).
    Search(const ConvProblem &problem, Isa isa, const CoreBudget &budget, uint32_t seed, const Shard &shard);

    const SearchSpace &space() const { return space_; }
    bool in_shard(const Schedule &schedule) const;

    // The next schedule: the hand schedule first, then what the model thinks quickest, with a fine for every trial that a register tile
    // has had already; after the first few trials, two of three proposals are neighbours of the best schedule (or, by a draw, of
    // the best of another register tile: a restart). The model learns: each value of each knob carries the mean by which the schedules
    // with it were slower or quicker than predicted. Never one that is in the records, but where each of its trials was disturbed; empty
    // when there is none left.
    // Equal records (of this problem, ISA and thread count, in any order), best schedules and seeds give equal proposals. `best` is
    // null as long as there is none.
    std::optional<Proposal> next(const std::vector<TuningRecord> &records, const Schedule *best) const;

private:
    class Model;
    std::set<std::string> seen_in(const std::vector<TuningRecord> &records) const;
    std::optional<Proposal> by_model(const std::vector<TuningRecord> &records, const Model &model) const;

    std::string problem_key_;
    uint32_t seed_;
    Shard shard_;
    SearchSpace space_;
    ConvProblem problem_;
    Isa isa_;
    CoreBudget budget_;
};

}  // namespace sepal
