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

    explicit Ranked(const TuningRecord &r) : record(&r), time(score(r)) {}
    bool operator<(const Ranked &o) const {
        return time != o.time ? time < o.time : to_json_line(*record) < to_json_line(*o.record);
    }
};

// Of the records of one problem, those of schedules that won comparisons in turns on their machine and never lost one; where every winner
// also lost one, of any that won; where none was compared, all.
std::vector<Ranked> without_losers(const std::vector<Ranked> &ranked) {
    const auto name_of = [](const TuningRecord &r) { return std::make_pair(r.machine.key(), knobs_text(r.schedule)); };
    std::set<std::pair<std::string, std::string>> won, lost;
    std::set<std::string> contested, decided;  // machines with comparisons; with a winner that never lost
    for (const Ranked &i : ranked)
        for (const Ranked &c : ranked) {
            const TuningRecord &incumbent = *i.record, &challenger = *c.record;
            if (!timed_in_turns(incumbent, challenger)) continue;
            const bool taken = time_ratio(challenger, incumbent) < 1;
            won.insert(name_of(taken ? challenger : incumbent));
            lost.insert(name_of(taken ? incumbent : challenger));
        }
    for (const auto &winner : won) {
        contested.insert(winner.first);
        if (!lost.count(winner)) decided.insert(winner.first);
    }
    std::vector<Ranked> left;
    for (const Ranked &r : ranked) {
        const auto name = name_of(*r.record);
        if (!contested.count(name.first) || (won.count(name) && !(decided.count(name.first) && lost.count(name)))) left.push_back(r);
    }
    return left;
}

// Null for an empty list.
const TuningRecord *best_of(const std::vector<Ranked> &all, const MachineFingerprint &machine, bool *from_elsewhere) {
    const std::vector<Ranked> ranked = without_losers(all);
    const Ranked *here = nullptr, *anywhere = nullptr;
    const std::string this_machine = machine.key();
    for (const Ranked &r : ranked) {
        if (!anywhere || r < *anywhere) anywhere = &r;
        if ((!here || r < *here) && r.record->machine.key() == this_machine) here = &r;
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
        std::vector<Ranked> ranked = without_losers(all);
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
