// TrialRunner: hands trials to processes of their own, so that one that crashes or stalls costs itself only.
#pragma once

#include "tools/tuning/trial.h"

#include <functional>
#include <string>
#include <vector>

namespace sepal {

struct TrialLimits {
    double compile_seconds = 60;  // for each schedule
    double run_seconds = 60;      // from the last schedule compiled to the answer
};

class TrialRunner {
public:
    // command: the program and its arguments; it reads a TrialRequest, one line, on standard input. `stop` is asked ten times a second
    // whether the trial is to be given up, and may draw a display meanwhile; it may be empty.
    TrialRunner(std::vector<std::string> command, std::function<bool()> stop);

    // Runs one trial, to its end or to one of the limits; then its whole process group is killed. Whatever goes wrong with the
    // process becomes the verdict of every schedule of the request: `timed_out`, or `crashed` for a signal, an exit code, or an
    // answer that is none, with what it last said on standard error (LineProcess). Throws BadInput when no process can be started at all.
    TrialAnswer run(const TrialRequest &request, const TrialLimits &limits) const;

private:
    std::vector<std::string> command_;
    std::function<bool()> stop_;
};

// The program that is running, as its own trial program: {its path, "tune-trial"}.
std::vector<std::string> own_trial_command();

}  // namespace sepal
