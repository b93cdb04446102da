#include "reference.h"

#include "half.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

namespace sepal {
namespace {

// splitmix64 (Steele, Lea, Flood 2014): the same numbers on every machine, which the distributions of <random> are not.
struct Random {
    uint64_t state;
    uint64_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    int64_t below(int64_t n) { return int64_t(next() % uint64_t(n)); }
    double unit() { return double(next() >> 11) * 0x1p-53; }
    // -magnitude ... magnitude without 0
    float integer(int64_t magnitude) {
        const int64_t v = 1 + below(2 * magnitude);
        return float(v <= magnitude ? v : magnitude - v);
    }
};

// Terms of one sum of the first (or only) half.
int64_t first_terms(const ConvProblem &p) {
    const bool dense = p.op == Operator::conv2d || p.op == Operator::pointwise;
    return p.r * p.s * (dense ? p.c / p.groups : 1);
}

Tensors allocate(const ConvProblem &p) {
    Tensors t;
    t.problem = p;
    t.input.resize(size_t(p.input_elements()));
    t.filter.resize(size_t(p.filter_elements()));
    t.pointwise_filter.resize(size_t(p.pointwise_filter_elements()));
    if (p.mid.bias) t.mid_bias.resize(size_t(p.mid_channels()));
    if (p.out.bias) t.bias.resize(size_t(p.out_channels()));
    t.skip.resize(size_t(p.skip_elements()));
    t.output.assign(size_t(p.output_elements()), std::numeric_limits<float>::quiet_NaN());
    return t;
}

// A filter of small integers. Element (output, term) is at output * output_stride + term * term_stride. The magnitudes of one output's
// terms add up to at most `budget` (>= 2 magnitude); about `density` of them or as many as that allows, and at least one, are not 0.
// Returns the largest sum of magnitudes.
struct FilterShape {
    int64_t outputs, terms, output_stride, term_stride;
};
int64_t fill_filter(float *filter, FilterShape shape, int64_t magnitude, double density, int64_t budget, Random &random) {
    // Mean magnitude of a term: (magnitude + 1) / 2.
    density = std::min(density, 2.0 * double(budget - magnitude) / double((magnitude + 1) * shape.terms));
    int64_t largest = 0;
    for (int64_t o = 0; o < shape.outputs; o++) {
        const int64_t always = random.below(shape.terms);
        int64_t sum = 0;
        for (int64_t i = 0; i < shape.terms; i++) {
            float &f = filter[o * shape.output_stride + i * shape.term_stride];
            f = 0;
            if (i != always && density < 1 && random.unit() >= density) continue;
            const float v = random.integer(magnitude);
            // Keeps what the term that is always there may need.
            if (i != always && sum + int64_t(std::fabs(v)) > budget - magnitude) continue;
            f = v;
            sum += int64_t(std::fabs(v));
        }
        largest = std::max(largest, sum);
    }
    return largest;
}

// acc[k] += sum over i of x[i] * f[i * k_count + k], or of the magnitudes. Four rows of f for each pass over acc.
template<bool magnitudes>
[[gnu::always_inline]] inline void multiply_add_body(double *acc, int64_t k_count, const double *x, const float *f, int64_t rows) {
    const auto value = [](float v) { return double(magnitudes ? std::fabs(v) : v); };
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        const float *f0 = f + i * k_count, *f1 = f0 + k_count, *f2 = f1 + k_count, *f3 = f2 + k_count;
        const double x0 = x[i], x1 = x[i + 1], x2 = x[i + 2], x3 = x[i + 3];
        for (int64_t k = 0; k < k_count; k++) acc[k] += x0 * value(f0[k]) + x1 * value(f1[k]) + x2 * value(f2[k]) + x3 * value(f3[k]);
    }
    for (; i < rows; i++) {
        const double x0 = x[i];
        for (int64_t k = 0; k < k_count; k++) acc[k] += x0 * value(f[i * k_count + k]);
    }
}

using MultiplyAdd = void(double *acc, int64_t k_count, const double *x, const float *f, int64_t rows);
#if defined(__x86_64__)
template<bool magnitudes>
[[gnu::target("avx2,fma")]] void multiply_add_avx2(double *acc, int64_t k_count, const double *x, const float *f, int64_t rows) {
    multiply_add_body<magnitudes>(acc, k_count, x, f, rows);
}
template<bool magnitudes>
MultiplyAdd *multiply_add() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? multiply_add_avx2<magnitudes> : multiply_add_body<magnitudes>;
}
#else
template<bool magnitudes>
MultiplyAdd *multiply_add() {
    return multiply_add_body<magnitudes>;
}
#endif

double activate(double x, Activation activation) {
    switch (activation) {
    case Activation::none: return x;
    case Activation::relu: return std::max(x, 0.0);
    case Activation::relu6: return std::min(std::max(x, 0.0), 6.0);
    case Activation::hardswish: return x * std::min(std::max(x + 3, 0.0), 6.0) / 6;
    }
    return x;
}

// How far a kernel's f32 result may be from the double-precision one. With u = 2^-24 (half an ulp of 1), first order in u:
//   sum of N products and a bias, in any order, with or without FMA:  at most (N + 1) u (sum of |terms|);
//     with a residual, one term more:                                 at most (N + 2) u (sum of |terms|);
//     nothing when the tensors are exact (make_exact_tensors) and no hardswish came before;
//   an error e_i of an input of the sum comes through as              sum of e_i |w_i|;
//   none, relu, relu6: |f'| <= 1, so e stays e;
//   hardswish as x * min(max(x + 3, 0), 6) * (1.0f / 6): |f'| <= 1.5 (at x = 3), and four roundings (x + 3, two products, the
//     constant 1 / 6), each of at most u |y|:                         1.5 e + 4 u |y|.
// 1e-30 stands for results below the smallest normal number, which a kernel may flush to 0.
// Where a result is stored as half, see store_as_half().
constexpr double u = 0x1p-24;

struct Pixel { int64_t n, p, q; };

// Evaluates the operator at one output pixel at a time, all channels. Holds the filters with the output channels innermost.
class Evaluator {
public:
    explicit Evaluator(const Tensors &tensors)
        : t(tensors), p(tensors.problem), pad(p.pad()), halves{rounded(t.filter), rounded(t.pointwise_filter)},
          filter(is_half() ? halves[0] : t.filter), pointwise_filter(is_half() ? halves[1] : t.pointwise_filter) {
        if (p.op == Operator::conv2d || p.op == Operator::pointwise) first = transpose(filter, p.groups, p.k / p.groups, first_terms(p));
        if (p.op == Operator::depsep) second = transpose(pointwise_filter, 1, p.k, p.mid_channels());
        const bool hardswish = p.out.activation == Activation::hardswish || p.mid.activation == Activation::hardswish;
        with_bounds = !t.exact || hardswish;
    }

    // value[k] and, if with_bounds, the bound on |result - value[k]|.
    struct Result {
        std::vector<double> value, bound, mid, mid_bound, row, row_magnitude;
    };
    bool with_bounds = false;

    void evaluate(Pixel at, Result &out) const {
        const bool two = p.op == Operator::depsep;
        std::vector<double> &value = two ? out.mid : out.value, &bound = two ? out.mid_bound : out.bound;
        const Epilogue &epilogue = two ? p.mid : p.out;
        start(two ? p.mid_channels() : p.out_channels(), epilogue.bias ? (two ? &t.mid_bias : &t.bias) : nullptr, value, bound);
        if (p.op == Operator::depthwise || two)
            add_depthwise(at, out, value, bound);
        else
            add_dense(at, out, value, bound);
        if (!two) add_residual(at, value, bound);
        finish(t.exact ? 0 : first_terms(p) + 1 + (!two && p.residual), nullptr, epilogue.activation, value, bound);
        if (!two) return;

        start(p.k, p.out.bias ? &t.bias : nullptr, out.value, out.bound);
        add(out.value.data(), p.k, out.mid.data(), second.data(), p.mid_channels());
        std::vector<double> *carried = nullptr;
        if (with_bounds) {
            magnitudes_of(out.mid, out.row_magnitude);
            add_magnitudes(out.bound.data(), p.k, out.row_magnitude.data(), second.data(), p.mid_channels());
            out.row.assign(size_t(p.k), 0.0);
            add_magnitudes(out.row.data(), p.k, out.mid_bound.data(), second.data(), p.mid_channels());
            carried = &out.row;
        }
        add_residual(at, out.value, out.bound);
        const bool sums_exact = t.exact && p.mid.activation != Activation::hardswish;
        finish(sums_exact ? 0 : p.mid_channels() + 1 + p.residual, carried, p.out.activation, out.value, out.bound);
    }

private:
    const Tensors &t;
    const ConvProblem &p;
    const Padding pad;
    const Strides strides = p.input_strides();
    const std::vector<float> halves[2];  // the filters as an f16 kernel reads them
    const std::vector<float> &filter, &pointwise_filter;
    std::vector<float> first, second;  // [groups][terms][outputs of the group]
    MultiplyAdd *add = multiply_add<false>(), *add_magnitudes = multiply_add<true>();

    bool is_half() const { return p.dtype == DType::f16; }
    std::vector<float> rounded(const std::vector<float> &values) const {
        std::vector<float> out;
        for (size_t i = 0; is_half() && i < values.size(); i++) out.push_back(rounded_to_half(values[i]));
        return out;
    }
    static std::vector<float> transpose(const std::vector<float> &from, int64_t groups, int64_t outputs, int64_t terms) {
        std::vector<float> to(from.size());
        for (int64_t g = 0; g < groups; g++)
            for (int64_t o = 0; o < outputs; o++)
                for (int64_t i = 0; i < terms; i++) to[size_t((g * terms + i) * outputs + o)] = from[size_t((g * outputs + o) * terms + i)];
        return to;
    }
    static void magnitudes_of(const std::vector<double> &from, std::vector<double> &to) {
        to.resize(from.size());
        for (size_t i = 0; i < from.size(); i++) to[i] = std::fabs(from[i]);
    }

    // value = bias or 0; bound = its magnitude: it gathers the sum of |terms| until finish().
    void start(int64_t channels, const std::vector<float> *bias, std::vector<double> &value, std::vector<double> &bound) const {
        value.assign(size_t(channels), 0.0);
        if (bias) std::copy(bias->begin(), bias->end(), value.begin());
        if (with_bounds) magnitudes_of(value, bound);
    }

    void add_residual(Pixel at, std::vector<double> &value, std::vector<double> &bound) const {
        if (!p.residual) return;
        const Strides like_output = p.output_strides();
        const float *skip = t.skip.data() + like_output.at(at.n, at.p, at.q, 0);
        for (size_t k = 0; k < value.size(); k++) {
            const double term = double(skip[int64_t(k) * like_output.c]);
            value[k] += term;
            if (with_bounds) bound[k] += std::fabs(term);
        }
    }

    // Rounding keeps order: the half that a kernel stores lies between those of the ends of what it may have computed.
    static void store_as_half(double &value, double *bound) {
        const double low = bound ? rounded_to_half(value - *bound) : 0, high = bound ? rounded_to_half(value + *bound) : 0;
        value = rounded_to_half(value);
        if (bound) *bound = std::max(high - value, value - low);
    }

    // sum of |terms| -> error of the sum -> error of the activation -> of what is stored.
    void finish(int64_t roundings, const std::vector<double> *carried, Activation activation, std::vector<double> &value,
                std::vector<double> &bound) const {
        for (size_t k = 0; k < value.size(); k++) {
            value[k] = activate(value[k], activation);
            if (with_bounds) {
                double error = double(roundings) * u * bound[k] + (carried ? (*carried)[k] : 0.0);
                if (activation == Activation::hardswish) error = 1.5 * error + 4 * u * std::fabs(value[k]);
                bound[k] = error + (t.exact ? 0 : 1e-30);
            }
            if (is_half()) store_as_half(value[k], with_bounds ? &bound[k] : nullptr);
        }
    }

    // f(input pixel [c], tap index) for every tap that lies inside the image.
    template<typename F>
    void for_each_tap(Pixel at, F &&f) const {
        std::vector<float> gathered(strides.c == 1 ? 0 : size_t(p.c));
        for (int64_t r = 0; r < p.r; r++) {
            const int64_t y = at.p * p.stride_h + r * p.dilation_h - pad.top;
            if (y < 0 || y >= p.h) continue;
            for (int64_t s = 0; s < p.s; s++) {
                const int64_t x = at.q * p.stride_w + s * p.dilation_w - pad.left;
                if (x < 0 || x >= p.w) continue;
                const float *pixel = t.input.data() + strides.at(at.n, y, x, 0);
                for (size_t c = 0; c < gathered.size(); c++) gathered[c] = pixel[int64_t(c) * strides.c];
                f(gathered.empty() ? pixel : gathered.data(), r * p.s + s);
            }
        }
    }

    void add_dense(Pixel at, Result &out, std::vector<double> &value, std::vector<double> &bound) const {
        const int64_t c = p.c / p.groups, k = p.k / p.groups;
        for_each_tap(at, [&](const float *x, int64_t tap) {
            for (int64_t g = 0; g < p.groups; g++) {
                const float *f = first.data() + (g * p.r * p.s + tap) * c * k;
                out.row.assign(x + g * c, x + (g + 1) * c);
                add(value.data() + g * k, k, out.row.data(), f, c);
                if (!with_bounds) continue;
                magnitudes_of(out.row, out.row_magnitude);
                add_magnitudes(bound.data() + g * k, k, out.row_magnitude.data(), f, c);
            }
        });
    }

    void add_depthwise(Pixel at, Result &out, std::vector<double> &value, std::vector<double> &bound) const {
        const int64_t mid = p.mid_channels();
        out.row.resize(size_t(mid));
        for_each_tap(at, [&](const float *x, int64_t tap) {
            double *terms = out.row.data();
            const float *f = filter.data() + tap * mid;
            for (int64_t c = 0; c < p.c; c++) std::fill_n(terms + c * p.multiplier, p.multiplier, double(x[c]));
            for (int64_t k = 0; k < mid; k++) value[size_t(k)] += terms[k] *= double(f[k]);
            for (int64_t k = 0; with_bounds && k < mid; k++) bound[size_t(k)] += std::fabs(terms[k]);
        });
    }
};

Pixel pixel_at(const ConvProblem &p, int64_t index) {
    const int64_t columns = p.q(), rows = p.p();
    return {index / columns / rows, index / columns % rows, index % columns};
}

// Where the output has the first channel of a pixel; the next ones are `strides.c` apart.
int64_t first_channel(const Strides &strides, const Pixel &at) { return strides.at(at.n, at.p, at.q, 0); }

// `count` indices of output pixels, sorted.
std::vector<int64_t> sample_pixels(const ConvProblem &p, int64_t count) {
    const int64_t rows = p.p(), columns = p.q();
    const auto where_tiles_meet = [](int64_t extent) {
        std::vector<int64_t> at = {0, extent - 1, std::min<int64_t>(1, extent - 1), std::max<int64_t>(extent - 2, 0)};
        for (int64_t tile : {7, 8})
            for (int64_t edge = tile; edge < extent; edge += tile) at.insert(at.end(), {edge - 1, edge});
        return at;
    };
    const std::vector<int64_t> edge_rows = where_tiles_meet(rows), edge_columns = where_tiles_meet(columns);
    std::vector<int64_t> chosen;
    const auto choose = [&](int64_t n, int64_t y, int64_t x) { chosen.push_back((n * rows + y) * columns + x); };
    for (int64_t n : {int64_t(0), p.n - 1})
        for (int64_t y : {int64_t(0), rows - 1})
            for (int64_t x : {int64_t(0), columns - 1}) choose(n, y, x);
    Random random{1};
    while (int64_t(chosen.size()) < count) {
        const bool edge_row = random.below(2), edge_column = random.below(2);
        const int64_t n = random.below(p.n);
        const int64_t y = edge_row ? edge_rows[size_t(random.below(int64_t(edge_rows.size())))] : random.below(rows);
        const int64_t x = edge_column ? edge_columns[size_t(random.below(int64_t(edge_columns.size())))] : random.below(columns);
        choose(n, y, x);
    }
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    return chosen;
}

// body(first, last) on parts of [0, count), each on one of the machine's threads; small work stays on this one.
void parallel_parts(int64_t count, double macs, const std::function<void(int64_t, int64_t)> &body) {
    const int64_t threads = macs < 1e7 ? 1 : std::max<int64_t>(1, int64_t(std::thread::hardware_concurrency()));
    const int64_t part = std::max<int64_t>(1, count / (threads * 8));
    std::atomic<int64_t> next{0};
    const auto work = [&] {
        for (int64_t first; (first = next.fetch_add(part)) < count;) body(first, std::min(count, first + part));
    };
    std::vector<std::thread> others;
    for (int64_t i = 1; i < threads; i++) others.emplace_back(work);
    work();
    for (std::thread &thread : others) thread.join();
}

}  // namespace

Weights Tensors::weights() const {
    const auto pointer = [](const std::vector<float> &v) { return v.empty() ? nullptr : v.data(); };
    return {pointer(filter), pointer(mid_bias), pointer(pointwise_filter), pointer(bias)};
}

Tensors make_exact_tensors(const ConvProblem &p, uint32_t seed) {
    Tensors t = allocate(p);
    t.exact = true;
    Random random{seed};
    // Partial sums stay below 2^24; of an f16 problem, whose results are stored as half, they stay in its range (up to 2^11 every integer is a
    // half, beyond it they are rounded). With two halves, the first gets 2^10 of it, so that its results, halves too, leave 2^14 (f16: 63) for the second.
    const int64_t limit = p.dtype == DType::f16 ? int64_t(largest_half) : (1 << 24) - 1;
    constexpr int64_t mid_limit = 1 << 10, bias_magnitude = 4, skip_magnitude = 4;
    const int64_t added_magnitude = bias_magnitude + (p.residual ? skip_magnitude : 0);  // to the sums of the only or the second half
    // A handful of terms of magnitude 1 on inputs of magnitude 2 makes sums of about 3: mostly inside the range of relu6.
    const bool narrow = p.out.activation == Activation::relu6 || p.mid.activation == Activation::relu6;
    const int64_t input_magnitude = narrow ? 2 : 4, magnitude = narrow ? 1 : 4;
    const auto density = [&](int64_t terms) { return narrow ? 4.0 / double(terms) : 1.0; };

    for (float &v : t.input) v = random.integer(input_magnitude);
    for (float &v : t.mid_bias) v = random.integer(bias_magnitude);
    for (float &v : t.bias) v = random.integer(bias_magnitude);
    const bool two = p.op == Operator::depsep, strided = two || p.op == Operator::depthwise;  // [terms, outputs], else [outputs, terms]
    const int64_t terms = first_terms(p), outputs = strided ? p.mid_channels() : p.out_channels();
    const int64_t budget = (two ? mid_limit - bias_magnitude : limit - added_magnitude) / input_magnitude;
    const FilterShape shape = {outputs, terms, strided ? 1 : terms, strided ? outputs : 1};
    const int64_t largest = fill_filter(t.filter.data(), shape, magnitude, density(terms), budget, random);
    if (two) {
        const int64_t largest_mid = largest * input_magnitude + bias_magnitude;
        const int64_t mid = p.mid_channels();
        fill_filter(t.pointwise_filter.data(), {p.k, mid, mid, 1}, magnitude, density(mid), (limit - added_magnitude) / largest_mid, random);
    }
    for (float &v : t.skip) v = random.integer(skip_magnitude);
    return t;
}

Tensors make_random_tensors(const ConvProblem &p, uint32_t seed) {
    Tensors t = allocate(p);
    Random random{seed};
    for (std::vector<float> *v : {&t.input, &t.filter, &t.mid_bias, &t.pointwise_filter, &t.bias, &t.skip})
        for (float &x : *v) x = float(int64_t(random.next() >> 40) - (1 << 23)) * 0x1p-23f;
    if (p.dtype == DType::f16)
        for (std::vector<float> *v : {&t.input, &t.skip})
            for (float &x : *v) x = rounded_to_half(x);
    return t;
}

void reference(const Tensors &t, double *output) {
    const ConvProblem &p = t.problem;
    const Strides strides = p.output_strides();
    const Evaluator evaluator(t);
    parallel_parts(p.pixels(), p.flops() / 2, [&](int64_t first, int64_t last) {
        Evaluator::Result result;
        for (int64_t i = first; i < last; i++) {
            const Pixel pixel = pixel_at(p, i);
            evaluator.evaluate(pixel, result);
            double *to = output + first_channel(strides, pixel);
            for (size_t k = 0; k < result.value.size(); k++) to[int64_t(k) * strides.c] = result.value[k];
        }
    });
}

CheckResult check_output(const Tensors &t, const void *output, double max_macs, double rel_error) {
    const ConvProblem &p = t.problem;
    const int64_t channels = p.out_channels(), pixels = p.pixels();
    const Strides strides = p.output_strides();
    const double macs = p.flops() / 2, macs_each = macs / double(pixels);
    std::vector<int64_t> sample;
    if (macs > max_macs) sample = sample_pixels(p, std::min<int64_t>(pixels, std::max<int64_t>(16, int64_t(max_macs / macs_each))));
    const int64_t count = sample.empty() ? pixels : int64_t(sample.size());

    struct Mismatch {
        int64_t pixel = -1, k = 0;
        double expected = 0, bound = 0;
    };
    const Evaluator evaluator(t);
    const auto got = [&](int64_t pixel, int64_t k) { return element(output, p.dtype, first_channel(strides, pixel_at(p, pixel)) + k * strides.c); };
    const auto for_each_pixel = [&](const std::function<void(int64_t, int64_t, const Evaluator::Result &)> &body) {
        parallel_parts(count, std::min(macs, max_macs), [&](int64_t first, int64_t last) {
            Evaluator::Result expected;
            for (int64_t i = first; i < last; i++) {
                const int64_t pixel = sample.empty() ? i : sample[size_t(i)];
                evaluator.evaluate(pixel_at(p, pixel), expected);
                body(i, pixel, expected);
            }
        });
    };
    std::vector<double> largest(static_cast<size_t>(count));
    if (rel_error > 0)
        for_each_pixel([&](int64_t i, int64_t, const Evaluator::Result &expected) {
            for (double v : expected.value) largest[size_t(i)] = std::max(largest[size_t(i)], std::fabs(v));
        });
    const double scale = count > 0 ? *std::max_element(largest.begin(), largest.end()) : 0;
    std::vector<double> difference(static_cast<size_t>(count));
    std::atomic<int64_t> differing{0};
    std::vector<Mismatch> firsts(static_cast<size_t>(count));
    for_each_pixel([&](int64_t i, int64_t pixel, const Evaluator::Result &expected) {
        for (int64_t k = 0; k < channels; k++) {
            const double want = expected.value[size_t(k)], bound = rel_error * scale + (evaluator.with_bounds ? expected.bound[size_t(k)] : 0);
            const double off = std::fabs(double(got(pixel, k)) - want);
            difference[size_t(i)] = std::max(difference[size_t(i)], off);
            if (off <= bound) continue;  // false for NaN
            if (firsts[size_t(i)].pixel < 0) firsts[size_t(i)] = {pixel, k, want, bound};
            differing++;
        }
    });

    CheckResult result;
    result.compared = count * channels;
    if (scale > 0) result.rel_error = *std::max_element(difference.begin(), difference.end()) / scale;
    const auto at = [&](int64_t index, int64_t k) {
        const Pixel pixel = pixel_at(p, index);
        return fmt::format("output[n={}, p={}, q={}, k={}] is {}", pixel.n, pixel.p, pixel.q, k, got(index, k));
    };
    for (const Mismatch &m : firsts) {
        if (m.pixel < 0) continue;
        result.message = fmt::format("{}, expected {}{}; {} of {} compared elements differ", at(m.pixel, m.k), m.expected,
                                     m.bound > 0 ? fmt::format(" to within {:.2g}", m.bound) : "", differing.load(), result.compared);
        return result;
    }
    if (!sample.empty())  // outside the sample too
        for (int64_t i = 0; i < p.output_elements(); i++)
            if (std::isnan(element(output, p.dtype, i))) {
                const int64_t k = i / strides.c % channels, pixel = strides.c == 1 ? i / channels : i / strides.n * strides.c + i % strides.c;
                result.message = at(pixel, k) + ", expected a number; the compared elements agree";
                return result;
            }
    result.passed = true;
    return result;
}

}  // namespace sepal
