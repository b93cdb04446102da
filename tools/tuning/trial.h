// A trial: one or two schedules of one problem, compiled, checked and timed in a process of its own. What the tuner asks of that
// process (`sepal tune-trial`, JSON on standard input) and what it answers (two lines of JSON on standard output).
#pragma once

#include "tools/tuning/record.h"

#include <functional>
#include <string>
#include <vector>

namespace sepal {

struct TrialRequest {
    ConvProblem problem;
    Isa isa = Isa::x64;
    int threads = 1;
    // Complete ones. One: to be timed alone. Two: the challenger and the incumbent, timed in turns.
    std::vector<Schedule> schedules;
    double seconds = 0.4;   // of timing, for each schedule
    double stop_score = 0;  // optimistic_score() beyond which a schedule that is alone is not timed any longer; 0: none
};

// What came of one schedule.
struct Timing {
    Verdict verdict = Verdict::ok;
    std::string error;               // one sentence; empty when ok
    std::vector<double> samples_ms;  // of one run; empty unless ok
};

struct TrialAnswer {
    std::vector<Timing> timings;  // as many as schedules were asked for
    double fma_gflops = 0;        // FMA peak of the ISA on as many threads: median of the probes between the samples; 0 without any
    bool interrupted = false;     // the trial was given up because the session is to end; nothing is known of the schedules then
};

// score() of the quickest sample: what the schedule may be capable of if something else slowed the others down.
double optimistic_score(const TuningRecord &record);

// One line each, without a newline. The parsers throw BadInput with one sentence.
std::string to_json(const TrialRequest &request);
TrialRequest trial_request_from_json(const std::string &text);
std::string to_json(const TrialAnswer &answer);
TrialAnswer trial_answer_from_json(const std::string &text, size_t schedules);

// The line that comes before the answer: all schedules that could be are compiled; from here on the limit of running counts.
constexpr const char *trial_compiled_line = "{\"event\":\"compiled\"}";

// Does a trial in this process: compiles, calls `compiled` once, checks on exact tensors (check_variant), then times in rounds of an
// FMA probe and a sample of each schedule, by turns first. A sample is one run or as many as last a millisecond, after a run that
// is not timed; at least 5 rounds, at most 60, and fewer where a run takes a second. What a generator, a kernel or the check has
// against a schedule becomes its verdict. Requires that this CPU runs the ISA and 1 <= threads <= allowed_cpus().size().
TrialAnswer do_trial(const TrialRequest &request, const std::function<void()> &compiled);

}  // namespace sepal
