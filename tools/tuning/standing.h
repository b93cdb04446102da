// Standing: what the records of one problem, ISA, thread count and machine say about where its search stands.
#pragma once

#include "tools/tuning/record.h"

#include <string>
#include <utility>
#include <vector>

namespace sepal {

// Neither by_incumbent nor by_confirmation.
bool is_trial(const TuningRecord &record);

class Standing {
public:
    explicit Standing(const Schedule &hand) : hand_(hand) {}
    void add(const TuningRecord &record);

    const std::vector<TuningRecord> &records() const { return records_; }
    int64_t trials() const;      // proposals that were tried
    int64_t failed() const;      // those without times
    int64_t next_trial() const;  // a number that no record has

    // The latest ok record of the hand schedule and of the incumbent, which is the schedule of best_record(); null when there is none.
    const TuningRecord *hand() const { return latest(hand_); }
    const TuningRecord *best() const;
    // hand() and best() for showing how they compare: the last two that were timed in turns, or else the latest ones.
    std::pair<const TuningRecord *, const TuningRecord *> hand_and_best() const;
    // Whether best() is the hand schedule, or was compared with it in turns at the end of a session.
    bool confirmed() const;

private:
    const TuningRecord *latest(const Schedule &schedule) const;
    const TuningRecord *challenger_of(const TuningRecord &incumbent) const;

    Schedule hand_;
    std::vector<TuningRecord> records_;
};

}  // namespace sepal
