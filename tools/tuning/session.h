// A tuning session: problems share the time; every trial is recorded at once.
#pragma once

#include "tools/tuning/display.h"
#include "tools/tuning/search.h"
#include "tools/tuning/trial_runner.h"

#include <functional>
#include <string>
#include <vector>

namespace sepal {

struct TuneTask {
    ConvProblem problem;  // valid
    Isa isa = Isa::x64;
};

struct TuneOptions {
    std::vector<TuneTask> tasks;
    int threads = 1;
    double seconds = 0;  // of this session; 0: no limit
    int64_t trials = 0;  // for each problem, those that are recorded already included; 0: no limit
    uint32_t seed = 0;
    Shard shard;
    std::string commit;  // of Sepal
    bool streaming = false;  // CoreBudget::streaming
};

// Everything that a session needs from outside; tests put their own in its place.
struct TuneContext {
    const Machine &machine;
    const TrialRunner &runner;
    std::function<void(const TuningRecord &)> append;  // to the database; what it throws ends the session
    std::function<bool()> stop;                        // whether the user wants an end
    Display &display;
};

// Tunes until time, trials or candidates are used up, or `stop` says so. `known` are the records of the database so far, of which
// those of this machine and thread count speak for the tasks. The next trial is of the problem that has had the least time in
// this session. A candidate within 3 % of the best one is timed against it, in turns in one process, and takes its place only when it
// wins; so is the hand schedule against the answer at the end, and is the answer when it wins. One outcome for each task.
std::vector<TuneOutcome> tune(const TuneOptions &options, const TuneContext &context, const std::vector<TuningRecord> &known);

}  // namespace sepal
