// The search space, the model behind it, and the search: proposals for given measurements.
#include "catch.h"
#include "tools/tuning/search.h"

#include "runtime/isa.h"
#include "schedules/schedule_check.h"
#include "schedules/search_space.h"
#include "tools/tuning/trial.h"

#include <algorithm>
#include <cmath>
#include <set>

using namespace sepal;

namespace {

ConvProblem problem(Operator op, int64_t size = 28, int64_t channels = 64) {
    ConvProblem p;
    p.name = "a " + std::string(name(op));
    p.op = op;
    p.h = p.w = size;
    p.c = channels;
    if (op != Operator::depthwise) p.k = channels;
    if (op != Operator::pointwise) p.r = p.s = 3;
    return p;
}

constexpr Operator all_operators[] = {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep};

const Axis *axis(const SearchSpace &space, int Schedule::*knob) {
    for (const Axis &a : space.axes())
        if (a.knob.member == knob) return &a;
    return nullptr;
}

// A record as a trial would leave it, of a machine on which the schedule takes `ms`.
TuningRecord record(const ConvProblem &p, Isa isa, const Schedule &schedule, int64_t trial, double ms) {
    TuningRecord r;
    r.problem = p;
    r.isa = isa;
    r.schedule = schedule;
    r.samples_ms = {ms, ms, ms};
    r.fma_gflops = 100;
    r.trial = trial;
    return r;
}

// A machine that disagrees with the model about tiles: quickest at 2 vectors x 6 pixels, unrolled by 2.
double machine_ms(const Schedule &s) {
    return 1 + 0.1 * std::abs(s.q_tile - 6) + 0.3 * std::abs(s.k_vectors - 2) + 0.05 * std::abs(s.c_unroll - 2) + 0.001 * std::abs(s.q_strip - 12);
}

std::vector<Schedule> play(const Search &search, const ConvProblem &p, Isa isa, int trials) {
    std::vector<TuningRecord> records;
    std::vector<Schedule> proposals;
    const TuningRecord *best = nullptr;
    for (int i = 0; i < trials; i++) {
        const auto proposal = search.next(records, best ? &best->schedule : nullptr);
        if (!proposal) break;
        proposals.push_back(proposal->schedule);
        records.push_back(record(p, isa, proposal->schedule, i, machine_ms(proposal->schedule)));
        best = &records.front();
        for (const TuningRecord &r : records)
            if (score(r) < score(*best)) best = &r;
    }
    return proposals;
}

}  // namespace

TEST_CASE("what is left of the space fits in registers, image and L2", "[search]") {
    for (Operator op : all_operators)
        for (Isa isa : cpu_isas) {
            const ConvProblem p = problem(op);
            const SearchSpace space(p, isa, {});
            INFO(p.name << " " << name(isa));
            REQUIRE(space.ranked().size() > 10);
            CHECK(int64_t(space.ranked().size()) < space.points());
            std::set<std::string> points;
            double before = 0;
            for (const RankedSchedule &r : space.ranked()) {
                const Schedule &s = r.schedule;
                const int accumulators = op == Operator::depthwise ? s.q_tile * s.p_tile : s.q_tile * s.k_vectors;
                if (accumulators >= vector_registers(isa)) FAIL_CHECK(key(s) << " does not fit in registers");
                if (is_winograd(s)) {
                    if (s.q_tile > s.q_strip * s.p_strip) FAIL_CHECK(key(s) << " is wider than its block");
                } else if (op != Operator::depthwise && s.q_strip % s.q_tile != 0) {
                    FAIL_CHECK(key(s) << " has a strip of broken tiles");
                }
                if (op != Operator::pointwise && !is_winograd(s) && s.q_tile > p.q()) FAIL_CHECK(key(s) << " is wider than the image");
                if (op == Operator::depsep && 4 * s.q_strip * s.p_strip * p.c > 1 << 20) FAIL_CHECK(key(s) << " does not fit in L2");
                if (r.cycles < before || !(r.cycles > 0)) FAIL_CHECK(key(s) << " is out of order");
                if (!points.insert(space.point(s)).second) FAIL_CHECK(key(s) << " is there twice");
                before = r.cycles;
            }
            CHECK(key(space.complete(space.hand())) == key(space.hand()));
            for (const Knob &k : knobs)  // the hand schedule is the one that is derived, but for the spelling of "one block"
                if (k.member != &Schedule::c_block) CHECK(space.hand().*k.member == derive({}, op, isa, p).*k.member);
        }
}

TEST_CASE("the model says why a schedule is not worth compiling", "[search]") {
    const ConvProblem p = problem(Operator::conv2d);
    Schedule hand;
    hand.winograd = 1;
    hand = derive(hand, p.op, Isa::avx2, p);
    REQUIRE(!predict(hand, p, Isa::avx2, {}).pruned);
    const auto why = [&](int Schedule::*knob, int value, const CoreBudget &budget = {}) {
        Schedule s = hand;
        s.*knob = value;
        const Prediction prediction = predict(s, p, Isa::avx2, budget);
        return std::string(prediction.pruned ? prediction.pruned : "");
    };
    CHECK(why(&Schedule::k_vectors, 4) == "more accumulators than registers");
    CHECK(why(&Schedule::c_unroll, 3) == "channels that are not whole unrolled steps");
    CHECK(why(&Schedule::p_strip, 29) == "strips higher than the image");
    CHECK(why(&Schedule::p_strip, 28, {32 << 10, 1 << 20, 2}) == "fewer tasks than threads");
    CHECK(why(&Schedule::p_strip, 14, {32 << 10, 32 << 10, 1}) == "a strip larger than L2");
    CHECK(why(&Schedule::p_strip, 14, {32 << 10, 1 << 20, 2}).empty());
    ConvProblem few = problem(Operator::depsep);
    few.c = 2;
    CHECK(std::string(predict(derive({}, few.op, Isa::avx512, few), few, Isa::avx512, {}).pruned) == "fewer channels than a vector has lanes");
}

TEST_CASE("the model prefers what its resources say", "[search]") {
    const ConvProblem p = problem(Operator::pointwise, 56, 128);
    Schedule wide = SearchSpace(p, Isa::avx512, {}).hand(), narrow = wide;
    narrow.q_tile = 2;  // 4 loads for 4 multiply-adds, and too few accumulators to cover the latency
    narrow.q_strip = wide.q_strip / 2 * 2;
    CHECK(predict(narrow, p, Isa::avx512, {}).cycles > 1.5 * predict(wide, p, Isa::avx512, {}).cycles);
    // At most the multiply-add units' share of time is needed on a core with enough of everything else.
    const double least = p.flops() / 2 / 16 / 2;
    CHECK(predict(wide, p, Isa::avx512, {}).cycles > least);
    CHECK(predict(wide, p, Isa::avx512, {}).cycles < 2 * least);
    CoreBudget two;
    two.threads = 2;
    CHECK(predict(wide, p, Isa::avx512, two).cycles < 0.7 * predict(wide, p, Isa::avx512, {}).cycles);
}

TEST_CASE("half vectors are tried where the channels do not fill whole ones, and blocks divide the channels", "[search]") {
    CHECK(axis(SearchSpace(problem(Operator::pointwise, 28, 24), Isa::avx512, {}), &Schedule::lanes)->values == std::vector<int>{8, 16});
    CHECK(axis(SearchSpace(problem(Operator::pointwise, 28, 32), Isa::avx512, {}), &Schedule::lanes)->values == std::vector<int>{16});
    CHECK(axis(SearchSpace(problem(Operator::conv2d, 28, 96), Isa::avx512, {}), &Schedule::c_block)->values == std::vector<int>{16, 24, 32, 48, 96});
    CHECK(axis(SearchSpace(problem(Operator::depthwise), Isa::avx512, {}), &Schedule::c_block) == nullptr);
}

TEST_CASE("neighbours are near, of the same algorithm, and not the schedule itself", "[search]") {
    const SearchSpace space(problem(Operator::conv2d), Isa::avx512, {});
    for (const bool winograd : {false, true}) {
        const auto best = std::find_if(space.ranked().begin(), space.ranked().end(), [&](const RankedSchedule &r) { return is_winograd(r.schedule) == winograd; });
        REQUIRE(best != space.ranked().end());
        const Schedule home = best->schedule;
        const auto neighbours = space.neighbours(home);
        REQUIRE(neighbours.size() > 5);
        for (const RankedSchedule &n : neighbours) {
            int moved = 0;
            for (const Axis &a : space.axes()) moved += a.value(n.schedule) != a.value(home);
            if (moved < 1 || moved > 2 || is_winograd(n.schedule) != winograd) FAIL_CHECK(key(n.schedule) << " is no neighbour of " << key(home));
        }
    }
}

TEST_CASE("tiles by Winograd's algorithm are in the space where the problem allows their error", "[search]") {
    ConvProblem p = problem(Operator::conv2d);
    const auto tiles = [&] {
        const SearchSpace space(p, Isa::avx512, {});
        std::set<int> found;
        for (const RankedSchedule &r : space.ranked()) {
            found.insert(r.schedule.winograd);
            CHECK(why_not_valid(space.complete(r.schedule), p, Isa::avx512) == "");
        }
        return found;
    };
    CHECK(tiles() == std::set<int>{1, 2, 4, 6});
    p.max_rel_error = 1e-5;
    CHECK(tiles() == std::set<int>{1, 2, 4});
    p.max_rel_error = 0;
    CHECK(tiles() == std::set<int>{1});
    p = problem(Operator::conv2d);
    p.stride_h = p.stride_w = 2;
    CHECK(tiles() == std::set<int>{1});
}

TEST_CASE("the search starts at the hand schedule, never repeats itself, and is the same for the same measurements", "[search]") {
    const ConvProblem p = problem(Operator::pointwise);
    const Search search(p, Isa::avx2, {}, 7, {});
    const std::vector<Schedule> first = play(search, p, Isa::avx2, 60);
    REQUIRE(first.size() == 60);
    CHECK(key(first.front()) == key(search.space().hand()));
    std::set<std::string> points;
    for (const Schedule &s : first) {
        CHECK(points.insert(search.space().point(s)).second);
        CHECK(key(derive(s, p.op, Isa::avx2, p)) == key(s));  // nothing is left to derive
    }
    const std::vector<Schedule> again = play(Search(p, Isa::avx2, {}, 7, {}), p, Isa::avx2, 60), other = play(Search(p, Isa::avx2, {}, 8, {}), p, Isa::avx2, 60);
    const auto names = [](const std::vector<Schedule> &schedules) {
        std::vector<std::string> out;
        for (const Schedule &s : schedules) out.push_back(key(s));
        return out;
    };
    CHECK(names(again) == names(first));
    CHECK(names(other) != names(first));
}

TEST_CASE("the search finds what a machine likes, also against the model", "[search]") {
    const ConvProblem p = problem(Operator::pointwise);
    const Search search(p, Isa::avx2, {}, 1, {});
    double least = 1e9, found = 1e9;
    for (const RankedSchedule &r : search.space().ranked()) least = std::min(least, machine_ms(r.schedule));
    for (const Schedule &s : play(search, p, Isa::avx2, 80)) found = std::min(found, machine_ms(s));
    CHECK(machine_ms(search.space().ranked().front().schedule) > 1.05 * least);
    CHECK(found < 1.02 * least);
}

TEST_CASE("a small space is searched to its end", "[search]") {
    ConvProblem p = problem(Operator::depthwise, 4, 16);
    const Search search(p, Isa::avx512, {}, 1, {});
    const std::vector<Schedule> all = play(search, p, Isa::avx512, 10000);
    std::set<std::string> points = {search.space().point(search.space().hand())};
    for (const RankedSchedule &r : search.space().ranked()) points.insert(search.space().point(r.schedule));
    CHECK(all.size() == points.size());
}

TEST_CASE("shards are disjoint and together all", "[search]") {
    const ConvProblem p = problem(Operator::depthwise, 7, 32);
    std::set<std::string> together;
    size_t count = 0;
    const SearchSpace space(p, Isa::avx512, {});
    for (int index = 1; index <= 3; index++) {
        const Search search(p, Isa::avx512, {}, 1, {index, 3});
        const std::vector<Schedule> part = play(search, p, Isa::avx512, 10000);
        CHECK(key(part.front()) == key(space.hand()));
        for (size_t i = 1; i < part.size(); i++) {
            CHECK(search.in_shard(part[i]));
            together.insert(space.point(part[i]));
            count++;
        }
        CHECK(part.size() > space.ranked().size() / 6);
    }
    CHECK(count == together.size());
    together.insert(space.point(space.hand()));
    for (const RankedSchedule &r : space.ranked()) CHECK(together.count(space.point(r.schedule)));
}
