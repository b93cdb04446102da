#include "tensor_core_stages.h"

#include "passes/fragments.h"

using namespace Halide;

namespace sepal {
namespace {

constexpr int words = 4;             // of 128 bits
constexpr int step_groups = 4;       // groups of 8 input channels in a step
constexpr int chunk_channels = 64;   // output channels of 4 tiles
constexpr int lane_channels = 8;     // of them in a lane
constexpr int lane_pixels = 2;       // of the 8 of a tile, that a lane ends up with
constexpr int block_rows = 2;

Expr within(const Expr &index, const Expr &extent) { return clamp(index, 0, extent - 1); }
Expr inside(const Expr &index, const Expr &extent) { return index >= 0 && index < extent; }

// a / b and a % b of what is not negative, which takes fewer instructions unsigned.
Expr quotient(const Expr &a, const Expr &b) { return cast<int>(cast<uint32_t>(a) / cast<uint32_t>(b)); }
Expr remainder(const Expr &a, const Expr &b) { return cast<int>(cast<uint32_t>(a) % cast<uint32_t>(b)); }

// An output pixel of a tile, counted through all images.
Expr pixel_of(const TensorCoreStages &st, const TensorCoreProblem &p, const Expr &in_tile) {
    return st.block * p.block_pixels + st.tile * mma_columns + in_tile;
}
// Column and row of it in blocks of two rows, whose tiles are 4 pixels of each, a column after another.
Expr column_of(const TensorCoreStages &st, const TensorCoreProblem &p, const Expr &column_in_tile) {
    return st.block * (p.block_pixels / block_rows) + st.tile * (mma_columns / block_rows) + column_in_tile;
}
Expr row_of(const TensorCoreStages &st, const Expr &row_in_tile) { return st.row_pair * block_rows + row_in_tile; }
// Of the pixel whose words a lane loads, which is its group's.
Expr loaded_pixel(const TensorCoreStages &st, const TensorCoreProblem &p) { return pixel_of(st, p, st.group); }
Expr loaded_column(const TensorCoreStages &st, const TensorCoreProblem &p) { return column_of(st, p, st.group / block_rows); }
Expr loaded_row(const TensorCoreStages &st) { return row_of(st, st.group % block_rows); }

std::vector<Var> append(std::vector<Var> to, const std::vector<Var> &more) {
    to.insert(to.end(), more.begin(), more.end());
    return to;
}

}  // namespace

std::vector<Var> TensorCoreStages::pixels() const {
    return two_rows ? std::vector<Var>{tile, block, row_pair, n} : std::vector<Var>{tile, block};
}

void read_pixels(TensorCoreStages &st, const Func &input, const TensorCoreProblem &p) {
    const bool pointwise = input.dimensions() == 3;
    const Expr group = st.step * step_groups + st.in_group, c8 = p.cases.whole_steps ? group : min(group, p.c8 - 1);
    Expr there = p.cases.whole_steps ? Internal::const_true() : group < p.c8, word;
    // Lanes beyond the last pixel multiply that one again, and store nothing.
    if (pointwise) {
        const Expr pixel = loaded_pixel(st, p);
        word = input(st.word, c8, p.cases.whole_blocks ? unsafe_promise_clamped(pixel, 0, p.w - 1) : min(pixel, p.w - 1));
    } else {
        const Expr pixel = p.cases.whole_blocks ? loaded_pixel(st, p) : min(loaded_pixel(st, p), p.n * p.p * p.q - 1);
        Expr line = quotient(pixel, p.q), column = remainder(pixel, p.q);
        if (p.cases.whole_rows) {
            const Expr tile = st.block * (p.block_pixels / mma_columns) + st.tile, tiles = p.q / mma_columns;
            line = quotient(tile, tiles), column = remainder(tile, tiles) * mma_columns + st.group;
        }
        const Expr x = column * p.geometry.stride_w + st.column * p.geometry.dilation_w - p.geometry.pad_left;
        const Expr y = remainder(line, p.p) * p.geometry.stride_h + st.row * p.geometry.dilation_h - p.geometry.pad_top;
        const Expr n = unsafe_promise_clamped(quotient(line, p.p), 0, p.n - 1);
        if (p.cases.no_padding) {
            word = input(st.word, c8, unsafe_promise_clamped(x, 0, p.w - 1), unsafe_promise_clamped(y, 0, p.h - 1), n);
        } else {
            word = input(st.word, c8, within(x, p.w), within(y, p.h), n);
            there = inside(x, p.w) && inside(y, p.h) && there;
        }
    }
    st.b = Func("b");
    std::vector<Var> at = append({st.word, st.in_group, st.group}, append(st.pixels(), {st.step}));
    if (!pointwise) at = append(at, {st.column, st.row});
    st.b(at) = Internal::is_const_one(there) ? word : select(there, word, cast<uint32_t>(0));
}

void read_staged_pixels(TensorCoreStages &st, const Func &input, const TensorCoreProblem &p) {
    st.two_rows = true;
    const Expr c8 = p.cases.whole_steps ? Expr(st.c8) : min(st.c8, p.c8 - 1), word = input(st.word, c8, within(st.x, p.w), within(st.y, p.h), st.n);
    Expr there = p.cases.no_padding ? Internal::const_true() : inside(st.x, p.w) && inside(st.y, p.h);
    if (!p.cases.whole_steps) there = there && st.c8 < p.c8;
    st.staged = Func("staged");
    st.staged(st.word, st.c8, st.x, st.y, st.n) = Internal::is_const_one(there) ? word : select(there, word, cast<uint32_t>(0));
    const Expr x = loaded_column(st, p) * p.geometry.stride_w + st.column * p.geometry.dilation_w - p.geometry.pad_left;
    const Expr y = loaded_row(st) * p.geometry.stride_h + st.row * p.geometry.dilation_h - p.geometry.pad_top;
    st.columns = Internal::simplify((p.block_pixels / block_rows - 1) * p.geometry.stride_w + (p.s - 1) * p.geometry.dilation_w + 1);
    st.b = Func("b");
    st.b(append({st.word, st.in_group, st.group}, append(st.pixels(), {st.step, st.column, st.row}))) =
        st.staged(st.word, st.step * step_groups + st.in_group, x, y, st.n);
}

void read_depthwise(TensorCoreStages &st, const Func &input, const Func &filter, const Func &bias, const TensorCoreProblem &p, bool half_sums) {
    st.two_rows = true;
    const Expr c8 = p.cases.whole_steps ? Expr(st.c8) : min(st.c8, p.c8 - 1);
    const Expr zero = cast<float16_t>(0);
    st.padded = Func("padded");
    const Expr value = input(st.i, st.c8, within(st.x, p.w), within(st.y, p.h), st.n);
    st.padded(st.i, st.c8, st.x, st.y, st.n) = p.cases.no_padding ? value : select(inside(st.x, p.w) && inside(st.y, p.h), value, zero);

    st.taps = RDom(0, p.s, 0, p.r, "taps");
    const Expr x = st.x * p.geometry.stride_w + st.taps.x * p.geometry.dilation_w - p.geometry.pad_left;
    const Expr y = st.y * p.geometry.stride_h + st.taps.y * p.geometry.dilation_h - p.geometry.pad_top;
    const Type sums = half_sums ? Float(16) : Float(32);
    st.depthwise = Func("depthwise");
    st.depthwise(st.i, st.c8, st.x, st.y, st.n) = cast(sums, bias(st.i, c8));
    st.depthwise(st.i, st.c8, st.x, st.y, st.n) += cast(sums, filter(st.i, c8, st.taps.x, st.taps.y)) * cast(sums, st.padded(st.i, c8, x, y, st.n));
    const Expr done = cast<float16_t>(activate(cast<float>(st.depthwise(st.i, st.c8, st.x, st.y, st.n)), p.mid_activation));
    st.mid = Func("mid");
    st.mid(st.i, st.c8, st.x, st.y, st.n) = p.cases.whole_steps ? done : select(st.c8 < p.c8, done, zero);

    const Expr group = st.step * step_groups + st.in_group;
    const std::vector<Var> lane = append({st.in_group, st.group}, append(st.pixels(), {st.step}));
    st.loaded = Func("loaded");
    st.loaded(append({st.i}, lane)) = st.mid(st.i, group, loaded_column(st, p), loaded_row(st), st.n);
    st.columns = p.block_pixels / block_rows;
    const auto half = [&](const Expr &i) {
        std::vector<Expr> at(lane.begin(), lane.end());
        at.insert(at.begin(), i);
        return reinterpret<uint16_t>(st.loaded(at));
    };
    st.b = Func("b");
    st.b(append({st.word}, lane)) = concat_bits({half(2 * st.word), half(2 * st.word + 1)});
}

void multiply(TensorCoreStages &st, const Func &filter, const Func &bias, const Func &skip, const TensorCoreProblem &p) {
    const bool has_taps = filter.dimensions() == 6;
    st.steps = Internal::simplify((p.c8 + step_groups - 1) / step_groups);
    st.sum = has_taps ? RDom(0, st.steps, 0, p.s, 0, p.r, "sum") : RDom(0, st.steps, "sum");
    std::vector<Expr> at_sum = {st.sum.x};
    std::vector<Var> steps = {st.step};
    if (has_taps) at_sum = {st.sum.x, st.sum.y, st.sum.z}, steps = {st.step, st.column, st.row};

    st.a = Func("a");
    std::vector<Expr> filter_at = {(st.group * step_groups + st.in_group) * words + st.word, st.k_tile * 2 + st.part};
    for (const Var &v : steps) filter_at.push_back(v);
    filter_at.push_back(st.panel);
    st.a(append({st.word, st.in_group, st.group, st.part, st.k_tile, st.panel}, steps)) = filter(filter_at);

    const auto a = [&](int word, int part) {
        std::vector<Expr> at = {word, st.in_group, st.group, part, st.k_tile, st.panel};
        at.insert(at.end(), at_sum.begin(), at_sum.end());
        return st.a(at);
    };
    const auto b = [&](int word) {
        std::vector<Expr> at = {word, st.in_group, st.group};
        for (const Var &v : st.pixels()) at.push_back(v);
        at.insert(at.end(), at_sum.begin(), at_sum.end());
        return st.b(at);
    };
    const std::vector<Var> at = append({st.in_group, st.group, st.k_tile, st.panel}, st.pixels());
    const Expr first_channel = st.panel * p.panel_channels + st.chunk * chunk_channels + st.group * lane_channels;
    st.lane_bias = Func("lane_bias");
    st.lane_bias(st.channel, st.group, st.chunk, st.panel) = bias(first_channel + st.channel);
    const auto bias_of = [&](int row) { return st.lane_bias(st.k_tile % 4 * 2 + row, st.group, st.k_tile / 4, st.panel); };
    st.acc = Func("acc");
    st.acc(at) = fragment_of(bias_of(0), bias_of(1));
    Expr value = st.acc(at);
    for (int i = 0; i < 2; i++)  // of the 32 channels of a step 16 each
        value = fragment_multiply_add({a(0, i), a(1, i), a(2, i), a(3, i)}, {b(2 * i), b(2 * i + 1)}, value);
    st.acc(at) = value;

    std::vector<Expr> from = {st.in_group, st.group, st.chunk * 4 + st.word, st.panel};
    for (const Var &v : st.pixels()) from.push_back(v);
    const Expr fragment = st.acc(from);
    const std::vector<Var> out = append({st.word, st.group, st.chunk, st.panel, st.in_group, st.half}, st.pixels());
    if (skip.defined()) {
        // Lanes beyond the last channel or pixel add some others, and store nothing.
        const Expr k8 = (st.panel * p.panel_channels + st.chunk * chunk_channels) / lane_channels + st.group;
        const Expr there = p.cases.whole_panels ? k8 : min(k8, p.k / lane_channels - 1), pixel = pixel_of(st, p, st.in_group * lane_pixels + st.half);
        st.added = Func("added");
        st.added(out) = st.two_rows ? skip(st.word, there, min(column_of(st, p, st.in_group), p.q - 1), min(row_of(st, st.half), p.p - 1), st.n)
                                    : skip(st.word, there, min(pixel, p.n * p.p * p.q - 1));
    }
    const auto result = [&](int row) {
        Expr sum = select(st.half == 0, fragment_value(fragment, 2 * row), fragment_value(fragment, 2 * row + 1));
        if (skip.defined()) sum += cast<float>(reinterpret<float16_t>(cast<uint16_t>(st.added(std::vector<Expr>(out.begin(), out.end())) >> (16 * row))));
        return activate(sum, p.activation);
    };
    st.packed = Func("packed");
    st.packed(out) = halves_of(result(0), result(1));

    Expr there = st.two_rows ? column_of(st, p, st.in_group) < p.q && row_of(st, st.half) < p.p
                             : pixel_of(st, p, st.in_group * lane_pixels + st.half) < p.n * p.p * p.q;
    if (p.cases.whole_blocks) there = Internal::const_true();
    if (!p.cases.whole_panels) there = there && first_channel < p.k;
    st.output(out) = Internal::is_const_one(there) ? st.packed(out) : store_if(there, st.packed(out));
}

}  // namespace sepal
