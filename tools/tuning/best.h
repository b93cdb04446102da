// Which TuningRecords are the best: of each problem, and what is worth keeping. best_record() is in record.h.
#pragma once

#include "tools/tuning/record.h"

#include <vector>

namespace sepal {

struct BestRecord {
    const TuningRecord *record;  // of the list that was given
    bool from_elsewhere;         // measured on another machine, since this one has none
};

// best_record() of records that are all of one problem, ISA and thread count, whatever their machines.
const TuningRecord *best_of_group(const std::vector<TuningRecord> &records);

// best_record() of each (problem, ISA, thread count) that has an ok record, ordered by those.
std::vector<BestRecord> best_records(const std::vector<TuningRecord> &records, const MachineFingerprint &machine);

// Of each (problem, ISA, thread count, machine) the `count` best ok records, best first; none of a schedule that best_record() passes over.
std::vector<TuningRecord> keep_best(const std::vector<TuningRecord> &records, int count);

// The records as lines (to_json_line), sorted, each once: the same for the same set of records, in whatever order they come.
std::vector<std::string> canonical_lines(const std::vector<TuningRecord> &records);

}  // namespace sepal
