#include "tools/tuning/search.h"

#include "tools/tuning/standing.h"
#include "tools/tuning/trial.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <random>
#include <set>

namespace sepal {
namespace {

constexpr size_t model_trials = 10;      // at the beginning, before neighbours are looked at
constexpr double tile_fine = 0.02;       // of the predicted time, for each trial that the register tile has had
constexpr double shrinkage = 2;          // a knob's value with that many trials is believed by half
constexpr int sweeps = 4;                // of fitting the knobs one after the other
constexpr uint32_t restart_one_in = 4, model_one_in = 3;

// FNV-1a, 64 bits: the same on every machine.
uint64_t hash(const std::string &text) {
    uint64_t h = 14695981039346656037u;
    for (unsigned char c : text) h = (h ^ c) * 1099511628211u;
    return h;
}

using Tile = std::array<int, 4>;
Tile tile_of(const Schedule &s) { return {s.lanes, s.k_vectors, s.q_tile, s.p_tile}; }

struct Parent {
    double time;
    std::string key;
    Schedule schedule;
    bool operator<(const Parent &o) const { return time != o.time ? time < o.time : key < o.key; }
};

}  // namespace

// The prediction with what the trials taught.
class Search::Model {
public:
    Model(const Search &search, const std::vector<TuningRecord> &records) : axes_(search.space_.axes()), corrections_(axes_.size()) {
        struct Sample {
            const Schedule *schedule;
            double residual;  // log of measured / predicted, less what is explained
        };
        std::vector<Sample> samples;
        for (const TuningRecord &r : records) {
            if (r.verdict != Verdict::ok || !is_trial(r)) continue;
            const Prediction predicted = predict(r.schedule, search.problem_, search.isa_, search.budget_);
            if (!predicted.pruned) samples.push_back({&r.schedule, std::log(score(r)) - std::log(predicted.cycles)});
        }
        if (samples.empty()) return;
        // Sums depend on their order, and the order of records is to make no difference.
        std::sort(samples.begin(), samples.end(), [](const Sample &a, const Sample &b) {
            return a.residual != b.residual ? a.residual < b.residual : key(*a.schedule) < key(*b.schedule);
        });
        double mean = 0;
        for (const Sample &s : samples) mean += s.residual / double(samples.size());
        for (Sample &s : samples) s.residual -= mean;
        for (int sweep = 0; sweep < sweeps; sweep++)
            for (size_t i = 0; i < axes_.size(); i++) {
                std::map<int, std::pair<double, int>> sums;
                for (const Sample &s : samples) {
                    auto &[sum, count] = sums[axes_[i].value(*s.schedule)];
                    sum += s.residual;
                    count++;
                }
                for (const auto &[value, sum] : sums) sums[value].first = sum.first / (sum.second + shrinkage);
                for (Sample &s : samples) s.residual -= sums[axes_[i].value(*s.schedule)].first;
                for (const auto &[value, step] : sums) corrections_[i][value] += step.first;
            }
    }

    // Log of the predicted time, in a unit of its own.
    double log_time(const RankedSchedule &candidate) const {
        double sum = std::log(candidate.cycles);
        for (size_t i = 0; i < axes_.size(); i++) {
            const auto found = corrections_[i].find(axes_[i].value(candidate.schedule));
            if (found != corrections_[i].end()) sum += found->second;
        }
        return sum;
    }

private:
    const std::vector<Axis> &axes_;
    std::vector<std::map<int, double>> corrections_;  // by axis and value
};

Search::Search(const ConvProblem &problem, Isa isa, const CoreBudget &budget, uint32_t seed, const Shard &shard)
    : problem_key_(problem.key()), seed_(seed), shard_(shard), space_(problem, isa, budget), problem_(problem), isa_(isa), budget_(budget) {}

bool Search::in_shard(const Schedule &schedule) const {
    return hash(problem_key_ + " " + space_.point(schedule)) % uint64_t(shard_.count) == uint64_t(shard_.index - 1);
}

std::set<std::string> Search::seen_in(const std::vector<TuningRecord> &records) const {
    std::set<std::string> seen;
    for (const TuningRecord &r : records)
        if (r.verdict != Verdict::disturbed) seen.insert(space_.point(r.schedule));
    return seen;
}

std::optional<Proposal> Search::by_model(const std::vector<TuningRecord> &records, const Model &model) const {
    const std::set<std::string> seen = seen_in(records);
    std::map<Tile, std::set<std::string>> trials;
    for (const TuningRecord &r : records) trials[tile_of(r.schedule)].insert(space_.point(r.schedule));
    // Most candidates are out of the question by their time already, before their names are looked up.
    const RankedSchedule *best = nullptr;
    double best_time = 0;
    for (const RankedSchedule &candidate : space_.ranked()) {
        double time = model.log_time(candidate);
        if (best && time >= best_time) continue;
        const auto tile = trials.find(tile_of(candidate.schedule));
        if (tile != trials.end()) time += tile_fine * double(tile->second.size());
        if (best && time >= best_time) continue;
        if (seen.count(space_.point(candidate.schedule)) || !in_shard(candidate.schedule)) continue;
        best = &candidate;
        best_time = time;
    }
    if (!best) return std::nullopt;
    return Proposal{space_.complete(best->schedule), "model"};
}

std::optional<Proposal> Search::next(const std::vector<TuningRecord> &records, const Schedule *best) const {
    const std::set<std::string> seen = seen_in(records);
    if (!seen.count(space_.point(space_.hand()))) return Proposal{space_.hand(), by_heuristic};

    const Model model(*this, records);
    std::seed_seq sequence{seed_, uint32_t(seen.size()), uint32_t(hash(problem_key_))};
    std::mt19937 random(sequence);
    if (!best || seen.size() <= model_trials || random() % model_one_in == 0) {
        if (auto proposal = by_model(records, model)) return proposal;
    }
    // The best of each register tile, best first.
    std::map<Tile, Parent> of_tile;
    for (const TuningRecord &r : records) {
        if (r.verdict != Verdict::ok) continue;
        const Parent parent{score(r), key(r.schedule), r.schedule};
        const auto [at, is_new] = of_tile.try_emplace(tile_of(r.schedule), parent);
        if (!is_new && parent < at->second) at->second = parent;
    }
    std::vector<Parent> parents;
    for (const auto &[tile, parent] : of_tile) parents.push_back(parent);
    std::sort(parents.begin(), parents.end());
    const bool restart = random() % restart_one_in == 0 && parents.size() > 1;
    if (restart) std::rotate(parents.begin(), parents.begin() + 1 + random() % (parents.size() - 1), parents.end());
    if (best && !restart) parents.insert(parents.begin(), {0, key(*best), *best});

    const bool by_prediction = random() % 2 == 0;  // else any neighbour
    for (const Parent &parent : parents) {
        std::vector<RankedSchedule> fresh;
        for (const RankedSchedule &n : space_.neighbours(parent.schedule))
            if (!seen.count(space_.point(n.schedule)) && in_shard(n.schedule)) fresh.push_back(n);
        if (fresh.empty()) continue;
        const auto chosen = by_prediction ? std::min_element(fresh.begin(), fresh.end(), [&](const RankedSchedule &a, const RankedSchedule &b) {
            return model.log_time(a) < model.log_time(b);
        }) : fresh.begin() + random() % fresh.size();
        return Proposal{space_.complete(chosen->schedule), "neighbour"};
    }
    return by_model(records, model);
}

}  // namespace sepal
