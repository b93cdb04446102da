#include "tools/tuning/best.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace sepal {
namespace {

// An ok record with what it is compared by.
struct Ranked {
    const TuningRecord *record;
    double time;
    std::pair<std::string, std::string> schedule;  // after the machine

    explicit Ranked(const TuningRecord &r) : record(&r), time(score(r)), schedule(r.machine.key(), knobs_text(r.schedule)) {}
    bool operator<(const Ranked &o) const {
        return time != o.time ? time < o.time : to_json_line(*record) < to_json_line(*o.record);
    }
};

// What decides between the schedules of one problem on one machine before their scores do, the best first. See best_record().
enum class Place { undefeated, hand, winner, other };

// Of each machine's records, those of schedules in the best place that one of them takes.
std::vector<Ranked> in_best_place(const std::vector<Ranked> &ranked) {
    std::set<std::pair<std::string, std::string>> won, lost, hand;
    for (const Ranked &i : ranked) {
        if (i.record->proposed_by == by_heuristic || i.record->proposed_by == by_confirmation) hand.insert(i.schedule);
        if (i.record->proposed_by != by_incumbent) continue;
        for (const Ranked &c : ranked) {
            if (!timed_in_turns(*i.record, *c.record)) continue;
            const bool taken = time_ratio(*c.record, *i.record) < 1;
            won.insert(taken ? c.schedule : i.schedule);
            lost.insert(taken ? i.schedule : c.schedule);
        }
    }
    const auto place = [&](const Ranked &r) {
        if (won.count(r.schedule) && !lost.count(r.schedule)) return Place::undefeated;
        return hand.count(r.schedule) ? Place::hand : won.count(r.schedule) ? Place::winner : Place::other;
    };
    std::map<std::string, Place> first;  // by machine
    for (const Ranked &r : ranked) {
        Place &p = first.try_emplace(r.schedule.first, Place::other).first->second;
        p = std::min(p, place(r));
    }
    std::vector<Ranked> left;
    for (const Ranked &r : ranked)
        if (place(r) == first.at(r.schedule.first)) left.push_back(r);
    return left;
}

// Null for an empty list.
const TuningRecord *best_of(const std::vector<Ranked> &all, const MachineFingerprint &machine, bool *from_elsewhere = nullptr) {
    const std::vector<Ranked> ranked = in_best_place(all);
    const Ranked *here = nullptr, *anywhere = nullptr;
    const std::string this_machine = machine.key();
    for (const Ranked &r : ranked) {
        if (!anywhere || r < *anywhere) anywhere = &r;
        if ((!here || r < *here) && r.schedule.first == this_machine) here = &r;
    }
    if (from_elsewhere) *from_elsewhere = anywhere && !here;
    return here ? here->record : anywhere ? anywhere->record : nullptr;
}

using Group = std::tuple<std::string, Isa, int>;  // problem, ISA, threads
Group group_of(const TuningRecord &r) { return {r.problem.key(), r.isa, r.threads}; }

}  // namespace

bool is_for(const TuningRecord &record, const ConvProblem &problem, Isa isa) {
    return record.isa == isa && record.problem.op == problem.op && record.problem.key() == problem.key();
}

const TuningRecord *best_record(const std::vector<TuningRecord> &records, const ConvProblem &problem, Isa isa, int threads,
                                const MachineFingerprint &machine, bool *from_elsewhere) {
    std::vector<Ranked> ranked;
    for (const TuningRecord &r : records)
        if (r.verdict == Verdict::ok && r.threads == threads && is_for(r, problem, isa)) ranked.emplace_back(r);
    return best_of(ranked, machine, from_elsewhere);
}

const TuningRecord *best_of_group(const std::vector<TuningRecord> &records) {
    std::vector<Ranked> ranked;
    for (const TuningRecord &r : records)
        if (r.verdict == Verdict::ok) ranked.emplace_back(r);
    return best_of(ranked, {});
}

std::vector<BestRecord> best_records(const std::vector<TuningRecord> &records, const MachineFingerprint &machine) {
    std::map<Group, std::vector<Ranked>> groups;
    for (const TuningRecord &r : records)
        if (r.verdict == Verdict::ok) groups[group_of(r)].emplace_back(r);
    std::vector<BestRecord> best;
    for (const auto &[group, ranked] : groups) {
        bool from_elsewhere = false;
        const TuningRecord *record = best_of(ranked, machine, &from_elsewhere);
        best.push_back({record, from_elsewhere});
    }
    return best;
}

std::vector<TuningRecord> keep_best(const std::vector<TuningRecord> &records, int count) {
    std::map<std::pair<Group, std::string>, std::vector<Ranked>> groups;
    for (const TuningRecord &r : records)
        if (r.verdict == Verdict::ok) groups[{group_of(r), r.machine.key()}].emplace_back(r);
    std::vector<TuningRecord> kept;
    for (const auto &[group, all] : groups) {
        std::vector<Ranked> ranked = in_best_place(all);
        std::sort(ranked.begin(), ranked.end());
        std::set<std::string> lines;  // a record that is there twice counts once
        for (size_t i = 0; i < ranked.size() && lines.size() < size_t(count); i++)
            if (lines.insert(to_json_line(*ranked[i].record)).second) kept.push_back(*ranked[i].record);
    }
    return kept;
}

std::vector<std::string> canonical_lines(const std::vector<TuningRecord> &records) {
    std::set<std::string> lines;
    for (const TuningRecord &r : records) lines.insert(to_json_line(r));
    return {lines.begin(), lines.end()};
}

}  // namespace sepal
