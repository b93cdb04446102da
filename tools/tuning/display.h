// What a tuning session shows: on a terminal a live view of two lines below those that scroll, else plain lines only.
#pragma once

#include "bench/machine.h"
#include "tools/tuning/record.h"

#include <optional>
#include <string>
#include <vector>

namespace sepal {

// What came of one problem.
struct TuneOutcome {
    ConvProblem problem;
    Isa isa = Isa::x64;
    std::optional<TuningRecord> hand, best;  // times of the hand schedule and of the answer, side by side where possible
    int64_t trials = 0, failed = 0;          // of all sessions on this database
    bool confirmed = false;                  // the answer is the hand schedule or was timed against it in turns
    bool exhausted = false;                  // there is nothing left to try

    double gain() const;  // time_ratio of the hand schedule and the answer; 0 without both
};

// "0.812 ms, 91 % of the FMA peak, 95 % of the roofline (L2)".
std::string rate_text(const TuningRecord &record, const Machine &machine);

class Display {
public:
    explicit Display(const Machine &machine);
    ~Display();
    Display(const Display &) = delete;
    Display &operator=(const Display &) = delete;

    // A trial begins. `share` of the session is done (0 to 1), after `seconds` of it.
    void trying(const TuneOutcome &state, const std::string &what, double share, double seconds);
    // What a trial came to: a line for each without a terminal, only for a new best one and for a failure with one.
    void result(const TuneOutcome &state, const TuningRecord &record, bool is_new_best);
    void line(const std::string &text);
    // Draws the live view again, at most ten times a second.
    void tick();

private:
    void clear();

    const Machine &machine_;
    bool terminal_, drawn_ = false;
    std::string upper_, lower_;
    double share_ = 0, started_ = 0, elapsed_ = 0, last_drawn_ = 0;
};

// One line for each problem, and a head; gains and knobs.
std::string outcome_table(const std::vector<TuneOutcome> &outcomes);

}  // namespace sepal
