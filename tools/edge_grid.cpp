#include "tools/edge_grid.h"

#include "tools/problem_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace sepal {
namespace {

constexpr Activation activations[] = {Activation::none, Activation::relu, Activation::relu6, Activation::hardswish};

// Everything of a problem but its channels.
struct Space {
    int64_t n, h, w, r, s;
    int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
    PadMode pad_mode = PadMode::same;
    Padding padding = {};
};

const Space spaces[] = {
    {1, 7, 7, 3, 3},
    {1, 1, 1, 1, 1},
    {1, 1, 1, 3, 3},  // filter larger than the image
    {1, 2, 3, 7, 7},
    {2, 9, 7, 3, 3},
    {1, 1, 19, 3, 3},  // one row
    {1, 19, 1, 3, 3},  // one column
    {1, 5, 13, 3, 3, 2, 2},
    {1, 6, 12, 3, 3, 2, 2},
    {2, 10, 9, 3, 3, 3, 3},
    {1, 9, 10, 3, 5, 1, 2},
    {1, 11, 10, 5, 5},
    {1, 15, 14, 3, 3, 1, 1, 2, 2},
    {1, 12, 17, 3, 3, 2, 1, 1, 3},
    {1, 10, 17, 3, 1},
    {1, 17, 10, 1, 3},
    {1, 12, 14, 7, 7},
    {1, 6, 9, 2, 2},  // even: the odd zero goes to the bottom and right
    {1, 9, 6, 4, 4, 2, 2},
    {1, 7, 8, 1, 1, 2, 2},  // a stride wider than the filter
    {1, 8, 8, 3, 3, 1, 1, 1, 1, PadMode::valid},
    {1, 3, 3, 3, 3, 1, 1, 1, 1, PadMode::valid},  // one output pixel
    {1, 13, 11, 3, 3, 2, 3, 1, 1, PadMode::valid},
    {1, 6, 7, 3, 3, 1, 1, 1, 1, PadMode::explicit_, {0, 1, 2, 3}},
    {1, 7, 6, 3, 3, 2, 2, 1, 1, PadMode::explicit_, {3, 0, 0, 2}},
    {1, 4, 5, 3, 3, 1, 1, 1, 1, PadMode::explicit_, {5, 4, 3, 6}},  // output pixels that see nothing but zeros
    {1, 4, 5, 5, 3, 1, 1, 2, 2, PadMode::explicit_, {6, 1, 0, 4}},
    {1, 31, 31, 3, 3},
};

// Around a multiple of `unit`, primes, and no more than 150.
std::vector<int64_t> channels_around(int64_t unit) {
    std::vector<int64_t> out = {1, unit - 1, unit, unit + 1, 2 * unit, 2 * unit + 1, 3, 37};
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    out.erase(std::remove_if(out.begin(), out.end(), [](int64_t c) { return c < 1 || c > 150; }), out.end());
    return out;
}

class Grid {
public:
    explicit Grid(const Variant &variant) : op_(variant.op), dtype_(variant.dtype), layout_(variant.layout), residual_(variant.residual) {
        for (int i = 0; i < variant.when_count; i++) {
            const Condition &condition = variant.when[size_t(i)];
            if (condition.relation != Condition::Relation::multiple_of) continue;
            if (condition.field == Field::c) c_unit_ = condition.value;
            if (condition.field == Field::k) k_unit_ = condition.value;
        }
    }

    // Channels are filled up to what the variant takes multiples of. Activations and biases change from one problem to the next, each at its own
    // pace.
    void add(const Space &at, int64_t c, int64_t k, int64_t multiplier = 1, int64_t groups = 1) {
        c = (c + c_unit_ - 1) / c_unit_ * c_unit_;
        k = (k + k_unit_ - 1) / k_unit_ * k_unit_;
        const size_t i = problems.size();
        ConvProblem p;
        p.name = fmt::format("edge.{}.{}", sepal::name(op_), i);
        p.op = op_;
        p.dtype = dtype_;
        p.layout = layout_;
        p.residual = residual_;
        p.n = at.n;
        p.h = at.h;
        p.w = at.w;
        p.c = c;
        if (op_ != Operator::depthwise) p.k = k;
        if (op_ == Operator::pointwise) {
            p.pad_mode = PadMode::valid;
        } else {
            p.r = at.r;
            p.s = at.s;
            p.stride_h = at.stride_h;
            p.stride_w = at.stride_w;
            p.dilation_h = at.dilation_h;
            p.dilation_w = at.dilation_w;
            p.pad_mode = at.pad_mode;
            p.padding = at.padding;
        }
        p.groups = groups;
        p.multiplier = multiplier;
        p.out = {i % 3 != 0, activations[i % 4]};
        if (op_ == Operator::depsep) p.mid = {i % 5 < 3, activations[i / 4 % 4]};
        problems.push_back(p);
    }

    // That the variant takes multiples of; 1: any number.
    int64_t whole_channels() const { return std::max(c_unit_, k_unit_); }

    std::vector<ConvProblem> problems;

private:
    Operator op_;
    DType dtype_;
    Layout layout_;
    bool residual_;
    int64_t c_unit_ = 1, k_unit_ = 1;
};

}  // namespace

std::vector<ConvProblem> edge_grid(const Variant &variant) {
    const int64_t lanes = lanes_f32(variant.isa), panel = variant.filter_layout.panel, unit = panel > 0 ? panel : lanes;
    const bool has_depthwise = variant.op == Operator::depthwise || variant.op == Operator::depsep;
    Grid grid(variant);
    for (const Space &space : spaces) grid.add(space, lanes + 1, std::min<int64_t>(unit + 1, 150));
    size_t next = 0;
    for (int64_t c : channels_around(lanes))
        for (int64_t k : variant.op == Operator::depthwise ? std::vector<int64_t>{0} : channels_around(unit))
            grid.add(spaces[next++ % 20], c, k);
    if (const int64_t v = grid.whole_channels(); v > 1) {  // every space, with channels around those of blocks
        const std::vector<int64_t> cs = {v, 3 * v, 32 - v, 32, 32 + v, 64 + v}, ks = {v, 5 * v, unit - v, unit, 128 + v};
        for (const Space &space : spaces)
            for (int i = 0; i < 3; i++, next++) grid.add(space, cs[next % cs.size()], std::clamp<int64_t>(ks[next % ks.size()], v, 150 / v * v));
    }
    // Widths around those of the tiles, and heights.
    for (int64_t w = 1; w <= 31; w += w < 17 ? 1 : 3) grid.add({1, 3, w, 3, 3}, lanes, unit > 150 ? 150 : unit);
    for (int64_t h = 1; h <= 9; h++) grid.add({2, h, 5, 3, 3}, lanes, unit > 150 ? 150 : unit);
    if (has_depthwise)
        for (int64_t multiplier : {2, 3})
            for (int64_t c : {int64_t(1), int64_t(5), lanes - 1, lanes, lanes + 1, 2 * lanes})
                grid.add(spaces[next++ % 20], c, lanes + 3, multiplier);
    if (variant.op == Operator::conv2d)
        for (int64_t groups : {2, 3, 5})
            for (int64_t c : {int64_t(1), int64_t(3), lanes})
                for (int64_t k : {int64_t(1), lanes + 1}) grid.add(spaces[next++ % 20], groups * c, groups * k, 1, groups);
    if (variant.is_winograd()) {  // images of several tiles and blocks, around their edges
        const std::vector<int64_t> cs = {2 * lanes, 2 * lanes + 1, 3 * lanes - 1, 37, 64}, ks = {1, unit - 1, unit, unit + 1};
        for (int64_t w = 14; w <= 37; w++, next++)
            grid.add({1 + int64_t(next % 2), 14 + w * 5 % 11, w, 3, 3}, cs[next % cs.size()], ks[next % ks.size()]);
        for (const Padding &padding : {Padding{0, 0, 0, 0}, Padding{0, 1, 2, 3}, Padding{3, 0, 0, 2}})
            grid.add({1, 15, 17, 3, 3, 1, 1, 1, 1, PadMode::explicit_, padding}, 2 * lanes, unit);
    }
    return grid.problems;
}

ConvProblem random_problem(uint32_t seed) {
    std::mt19937 bits(seed);
    const auto draw = [&](int64_t low, int64_t high) { return low + int64_t(bits() % uint32_t(high - low + 1)); };
    for (;;) {
        ConvProblem p;
        p.name = fmt::format("random.{}", seed);
        p.op = Operator(draw(0, 3));
        p.n = draw(1, 3);
        p.h = draw(1, 31);
        p.w = draw(1, 31);
        // Mostly few channels, sometimes many.
        p.c = draw(0, 2) ? draw(1, 40) : draw(1, 150);
        if (p.op != Operator::depthwise) p.k = draw(0, 2) ? draw(1, 40) : draw(1, 150);
        if (p.op == Operator::conv2d && draw(0, 3) == 0) {
            p.groups = draw(2, 6);
            p.c = p.groups * draw(1, 20);
            p.k = p.groups * draw(1, 20);
        }
        if (p.op == Operator::pointwise) {
            p.pad_mode = PadMode::valid;
        } else {
            p.r = draw(0, 1) ? 3 : draw(1, 7);
            p.s = draw(0, 1) ? p.r : draw(1, 7);
            p.stride_h = draw(1, 3);
            p.stride_w = draw(0, 1) ? p.stride_h : draw(1, 3);
            p.dilation_h = draw(0, 2) ? 1 : draw(1, 3);
            p.dilation_w = draw(0, 2) ? 1 : draw(1, 3);
            p.pad_mode = PadMode(draw(0, 2));
            if (p.pad_mode == PadMode::explicit_) p.padding = {draw(0, 4), draw(0, 4), draw(0, 4), draw(0, 4)};
        }
        if (p.op == Operator::depthwise || p.op == Operator::depsep) p.multiplier = draw(0, 2) ? 1 : draw(1, 3);
        p.out = {draw(0, 1) == 1, activations[draw(0, 3)]};
        if (p.op == Operator::depsep) p.mid = {draw(0, 1) == 1, activations[draw(0, 3)]};
        if (p.op != Operator::depthwise) p.residual = draw(0, 3) == 0;
        if (p.validate().empty() && p.flops() <= 4e7) return p;
    }
}

std::vector<ConvProblem> problems_to_check(const Variant &variant, bool full) {
    std::vector<ConvProblem> out;
    if (*variant.suite) {
        for (const ConvProblem &p : load_suite(variant.suite).problems)
            if (variant.refuses(p).empty()) out.push_back(p);
        std::sort(out.begin(), out.end(), [](const ConvProblem &a, const ConvProblem &b) { return a.flops() < b.flops(); });
        if (!full && out.size() > 1) out.resize(1);
    }
    for (const ConvProblem &p : edge_grid(variant))
        if (variant.refuses(p).empty()) out.push_back(p);
    return out;
}

}  // namespace sepal
