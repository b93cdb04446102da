#include "search_space.h"

#include "runtime/winograd.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace sepal {
namespace {

// 1, 2, 3, 4, 6, 8, 12, 16, 24 ... up to `most`, and `most` itself: each one or two thirds of an octave from the next.
std::vector<int> ladder(int64_t most) {
    std::vector<int> values;
    for (int64_t power = 1; power <= most; power *= 2) {
        values.push_back(int(power));
        if (power >= 2 && power + power / 2 <= most) values.push_back(int(power + power / 2));
    }
    if (values.empty() || values.back() < most) values.push_back(int(std::max<int64_t>(most, 1)));
    return values;
}

std::vector<int> up_to(int64_t most) {
    std::vector<int> values;
    for (int64_t v = 1; v <= std::max<int64_t>(most, 1); v++) values.push_back(int(v));
    return values;
}

// The whole vector, and the half where the channels do not fill the last whole one.
std::vector<int> lane_values(int64_t channels, Isa isa) {
    const int whole = lanes_f32(isa), half = whole / 2;
    if (half < 4 || channels % whole == 0) return {whole};
    return {half, whole};
}

// Divisors of the channels down to a loop of 16, and all of them: no blocks.
std::vector<int> block_values(int64_t channels) {
    std::vector<int> values;
    for (int64_t block = channels; block >= 16 && values.size() < 6; block--)
        if (channels % block == 0) values.push_back(int(block));
    if (values.empty()) values.push_back(int(channels));
    std::reverse(values.begin(), values.end());
    return values;
}

std::vector<Axis> direct_axes(const ConvProblem &p, Isa isa) {
    const int64_t registers = vector_registers(isa), q = p.op == Operator::pointwise ? p.pixels() : p.q();
    if (p.op == Operator::depthwise)
        return {{knob_of(&Schedule::lanes), false, lane_values(p.mid_channels(), isa)},
                {knob_of(&Schedule::q_tile), false, up_to(std::min(q, registers / 2))},
                {knob_of(&Schedule::p_tile), false, up_to(std::min<int64_t>(p.p(), 4))},
                {knob_of(&Schedule::p_strip), false, ladder(p.p())}};
    const int64_t k = p.k / p.groups;
    std::vector<Axis> axes = {{knob_of(&Schedule::lanes), false, lane_values(k, isa)},
                              {knob_of(&Schedule::k_vectors), false, up_to(std::min<int64_t>(5, (k + 3) / 4))},
                              {knob_of(&Schedule::q_tile), false, up_to(std::min(q, registers - 3))}};
    if (p.op == Operator::depsep) {
        axes.push_back({knob_of(&Schedule::p_tile), false, up_to(std::min<int64_t>(p.p(), 4))});
        axes.push_back({knob_of(&Schedule::mid_q_tile), false, {1, 2, 4, 7}});  // from the order of memory to taps' loads shared by most pixels
    }
    axes.push_back({knob_of(&Schedule::q_strip), true, ladder(p.op == Operator::pointwise ? std::min<int64_t>(q, 64) : q)});
    axes.push_back({knob_of(&Schedule::p_strip), false, ladder(p.op == Operator::pointwise ? std::min<int64_t>(q, 256) : p.p())});
    if (p.op != Operator::pointwise) axes.push_back({knob_of(&Schedule::c_block), false, block_values(p.summed_channels())});
    axes.push_back({knob_of(&Schedule::c_unroll), false, {1, 2, 4}});
    if (p.op == Operator::conv2d && p.s > 1 && p.s <= 7) axes.push_back({knob_of(&Schedule::s_unroll), false, {1, int(p.s)}});
    if (p.op != Operator::depsep) axes.push_back({knob_of(&Schedule::staging), false, {1, 2}});
    if (p.op == Operator::pointwise) axes.push_back({knob_of(&Schedule::read_ahead), false, {1, 2}});
    constexpr int64_t surely_in_l2 = 256 << 10;
    const int64_t filter = p.op == Operator::depsep ? p.pointwise_filter_elements() : p.filter_elements();
    if (4 * filter > surely_in_l2) axes.push_back({knob_of(&Schedule::panel_ahead), false, {1, 2}});
    return axes;
}

// Empty where no algorithm with larger tiles is exact enough for the problem.
std::vector<Axis> winograd_axes(const ConvProblem &p, Isa isa) {
    std::vector<int> tiles;
    for (int m : winograd_tiles)
        if (winograd_takes(p) && winograd_rel_error(m, p.c) <= p.max_rel_error) tiles.push_back(m);
    if (tiles.empty()) return {};
    const auto count = [&](int64_t extent) { return ladder((extent + tiles.front() - 1) / tiles.front()); };
    return {{knob_of(&Schedule::lanes), false, lane_values(p.k, isa), true},
            {knob_of(&Schedule::k_vectors), false, up_to(std::min<int64_t>(4, (p.k + 3) / 4)), true},
            {knob_of(&Schedule::q_tile), false, up_to(vector_registers(isa) - 3), true},
            {knob_of(&Schedule::q_strip), false, count(p.q()), true},
            {knob_of(&Schedule::p_strip), false, count(p.p()), true},
            {knob_of(&Schedule::c_unroll), false, {1, 2, 4}, true},
            {knob_of(&Schedule::panel_ahead), false, {1, 2}, true},
            {knob_of(&Schedule::winograd), false, tiles, true}};
}

}  // namespace

SearchSpace::SearchSpace(const ConvProblem &problem, Isa isa, const CoreBudget &budget) : problem_(problem), isa_(isa), budget_(budget) {
    for (std::vector<Axis> axes : {direct_axes(problem, isa), winograd_axes(problem, isa)}) {
        if (axes.empty()) continue;
        Schedule base;
        if (problem.op == Operator::conv2d) base.winograd = axes.front().winograd ? axes.back().values.front() : 1;
        if (budget.streaming && streaming_pays(problem, isa)) axes.push_back({knob_of(&Schedule::streaming), false, {1, 2}, axes.front().winograd});
        axes_.insert(axes_.end(), axes.begin(), axes.end());
        grids_.push_back({derive(base, problem.op, isa, problem), axes});
        std::vector<size_t> place(axes.size(), 0);
        for (size_t axis = 0; axis < axes.size();) {  // counts through the grid, the first axis quickest
            if (axis == 0) {
                points_++;
                add(grids_.back(), place, ranked_);
            }
            if (++place[axis] < axes[axis].values.size()) {
                axis = 0;
            } else {
                place[axis++] = 0;
            }
        }
    }
    hand_ = complete(derive({}, problem.op, isa, problem));
    std::vector<std::pair<std::string, RankedSchedule>> keyed;
    for (const RankedSchedule &r : ranked_) keyed.emplace_back(key(r.schedule), r);
    std::sort(keyed.begin(), keyed.end(), [](const auto &a, const auto &b) {
        return a.second.cycles != b.second.cycles ? a.second.cycles < b.second.cycles : a.first < b.first;
    });
    ranked_.clear();
    for (size_t i = 0; i < keyed.size(); i++)
        if (i == 0 || keyed[i].first != keyed[i - 1].first) ranked_.push_back(keyed[i].second);
}

void SearchSpace::add(const Grid &grid, const std::vector<size_t> &place, std::vector<RankedSchedule> &to) const {
    Schedule s = grid.base;
    for (size_t i = 0; i < grid.axes.size(); i++) {
        const Axis &axis = grid.axes[i];
        int value = axis.values[place[i]];
        if (axis.in_q_tiles) {  // a strip that would stick out of the row is the whole row
            const int64_t row = problem_.op == Operator::pointwise ? problem_.pixels() : problem_.q();
            value = int(std::min<int64_t>(value, (row + s.q_tile - 1) / s.q_tile)) * s.q_tile;
        }
        s.*axis.knob.member = value;
    }
    const Prediction prediction = predict(s, problem_, isa_, budget_);
    if (!prediction.pruned) to.push_back({s, prediction.cycles});
}

std::vector<RankedSchedule> SearchSpace::neighbours(const Schedule &schedule) const {
    const std::string itself = point(schedule);
    const auto grid = std::find_if(grids_.begin(), grids_.end(), [&](const Grid &g) { return g.axes.front().is_for(schedule); });
    if (grid == grids_.end()) return {};
    const std::vector<Axis> &axes = grid->axes;
    std::vector<size_t> home;
    for (const Axis &axis : axes) {
        const int value = axis.value(schedule);
        const auto nearest = std::min_element(axis.values.begin(), axis.values.end(),
                                              [&](int a, int b) { return std::abs(a - value) < std::abs(b - value); });
        home.push_back(size_t(nearest - axis.values.begin()));
    }
    std::vector<RankedSchedule> out;
    const auto move = [&](std::vector<size_t> &place, size_t axis, int by) {
        const int64_t to = int64_t(place[axis]) + by;
        if (to < 0 || to >= int64_t(axes[axis].values.size())) return false;
        place[axis] = size_t(to);
        return true;
    };
    for (size_t i = 0; i < axes.size(); i++)
        for (int by : {-1, 1, -2, 2}) {
            std::vector<size_t> place = home;
            if (!move(place, i, by)) continue;
            add(*grid, place, out);
            if (std::abs(by) != 1) continue;
            for (size_t j = i + 1; j < axes.size(); j++)
                for (int also : {-1, 1})
                    if (std::vector<size_t> both = place; move(both, j, also)) add(*grid, both, out);
        }
    // Strips longer than a row are all the whole row.
    out.erase(std::remove_if(out.begin(), out.end(), [&](const RankedSchedule &r) { return point(r.schedule) == itself; }), out.end());
    return out;
}

Schedule SearchSpace::complete(const Schedule &schedule) const {
    Schedule s;
    if (problem_.op == Operator::conv2d) s.winograd = 1;
    for (const Axis &axis : axes_) {
        if (!axis.is_for(schedule)) continue;
        s.*axis.knob.member = schedule.*axis.knob.member;
        // Of the two spellings of "all channels in one block", the one that derive() does not replace.
        if (axis.knob.member == &Schedule::c_block && s.c_block == 0) s.c_block = axis.values.back();
    }
    return derive(s, problem_.op, isa_, problem_);
}

std::string SearchSpace::point(const Schedule &schedule) const {
    Schedule s;
    for (const Axis &axis : axes_)
        if (axis.is_for(schedule)) s.*axis.knob.member = schedule.*axis.knob.member;
    return key(s);
}

}  // namespace sepal
