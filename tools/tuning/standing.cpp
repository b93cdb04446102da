#include "tools/tuning/standing.h"

#include "bench/statistics.h"
#include "schedules/search_space.h"
#include "tools/tuning/trial.h"

#include <algorithm>
#include <map>
#include <set>

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
    std::map<std::string, std::vector<double>> scores;
    std::set<std::string> won, lost;
    for (const TuningRecord &r : records_) {
        if (r.verdict != Verdict::ok) continue;
        scores[key(r.schedule)].push_back(score(r));
        const TuningRecord *challenger = challenger_of(r);
        if (!challenger) continue;
        const bool taken = time_ratio(*challenger, r) < 1;
        (taken ? won : lost).insert(key(challenger->schedule));
        (taken ? lost : won).insert(key(r.schedule));
    }
    const bool timed_hand = scores.count(key(hand_)) > 0;
    const TuningRecord *best = timed_hand ? hand() : nullptr;
    double least = 0;
    bool found = false;
    for (const auto &[name, values] : scores) {
        const bool eligible = !timed_hand || won.count(name) || name == key(hand_);
        if (!eligible || lost.count(name)) continue;
        const double median = summarise(values).median;
        if (found && median >= least) continue;
        const std::string &wanted = name;
        best = &*std::find_if(records_.rbegin(), records_.rend(),
                              [&](const TuningRecord &r) { return r.verdict == Verdict::ok && key(r.schedule) == wanted; });
        least = median;
        found = true;
    }
    return best;
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
