#include "tools/tuning/standing.h"

#include "schedules/search_space.h"
#include "tools/tuning/best.h"

#include <algorithm>

namespace sepal {

bool is_trial(const TuningRecord &r) { return r.proposed_by != by_incumbent && r.proposed_by != by_confirmation; }

void Standing::add(const TuningRecord &record) { records_.push_back(record); }

int64_t Standing::trials() const { return std::count_if(records_.begin(), records_.end(), is_trial); }

int64_t Standing::failed() const {
    return std::count_if(records_.begin(), records_.end(), [](const TuningRecord &r) { return is_trial(r) && r.verdict != Verdict::ok; });
}

int64_t Standing::next_trial() const {
    int64_t next = 0;
    for (const TuningRecord &r : records_) next = std::max(next, r.trial + 1);
    return next;
}

const TuningRecord *Standing::latest(const Schedule &schedule) const {
    const auto found = std::find_if(records_.rbegin(), records_.rend(),
                                    [&](const TuningRecord &r) { return r.verdict == Verdict::ok && key(r.schedule) == key(schedule); });
    return found == records_.rend() ? nullptr : &*found;
}

const TuningRecord *Standing::challenger_of(const TuningRecord &incumbent) const {
    if (incumbent.proposed_by != by_incumbent) return nullptr;
    for (const TuningRecord &r : records_)
        if (timed_in_turns(incumbent, r)) return &r;
    return nullptr;
}

const TuningRecord *Standing::best() const {
    const TuningRecord *best = best_of_group(records_);
    return best ? latest(best->schedule) : nullptr;
}

std::pair<const TuningRecord *, const TuningRecord *> Standing::hand_and_best() const {
    const TuningRecord *answer = best();
    if (!answer || key(answer->schedule) == key(hand_)) return {answer ? answer : hand(), answer};
    for (auto r = records_.rbegin(); r != records_.rend(); ++r) {
        const TuningRecord *challenger = challenger_of(*r);
        if (!challenger) continue;
        if (key(r->schedule) == key(hand_) && key(challenger->schedule) == key(answer->schedule)) return {&*r, challenger};
        if (key(challenger->schedule) == key(hand_) && key(r->schedule) == key(answer->schedule)) return {challenger, &*r};
    }
    return {hand(), answer};
}

bool Standing::confirmed() const {
    const TuningRecord *answer = best();
    if (!answer || key(answer->schedule) == key(hand_)) return answer != nullptr;
    return std::any_of(records_.begin(), records_.end(), [&](const TuningRecord &r) {
        if (key(r.schedule) != key(answer->schedule)) return false;
        const TuningRecord *challenger = challenger_of(r);
        return challenger && key(challenger->schedule) == key(hand_);
    });
}

}  // namespace sepal
