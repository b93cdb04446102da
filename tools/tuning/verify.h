// Whether TuningRecords still hold on this machine.
#pragma once

#include "tools/tuning/best.h"

#include <functional>
#include <optional>
#include <string>

namespace sepal {

// What a rerun of one record gave, beside the same schedule function with the heuristic's knobs.
struct Verification {
    BestRecord best;
    std::string skipped;     // why it cannot be rerun here; empty when it was
    std::string broken;      // one sentence: where it no longer holds; empty when it does
    double stated_pct = 0;   // % of the FMA peak of its ISA: in the record ...
    double now_pct = 0;      // ... and now, warm; 0 when it was not timed
    // By how much the heuristic's knobs take longer now, % of the record's time; none when the record's are the heuristic's.
    std::optional<double> gain_pct;
    double margin_pct = 0;   // what counts as noise: the widest spread of the three medians, at least 3 %
};

// Compiles the record's kernel and the heuristic's in process, checks both against the reference and times them interleaved
// (run_candidates) for about `seconds` each. A record holds unless its kernel cannot be compiled or is wrong, needs more time relative
// to the FMA peak than it states (records of this machine only), or more than the heuristic's, each by more than the margin.
// `tell` is told what is under way; may be empty.
Verification verify_record(const BestRecord &best, double seconds, const std::function<void(const std::string &)> &tell);

}  // namespace sepal
