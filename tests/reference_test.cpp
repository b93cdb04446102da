// The reference itself: against hand-computed values and loops straight from the definition.
#include "catch.h"
#include "runtime/half.h"
#include "support.h"

#include <cmath>
#include <limits>
#include <map>

using namespace sepal;

namespace {

Tensors tensors(const ConvProblem &p, std::vector<float> input, std::vector<float> filter, std::vector<float> pointwise = {},
                std::vector<float> mid_bias = {}, std::vector<float> bias = {}) {
    Tensors t;
    t.problem = p;
    t.input = std::move(input);
    t.filter = std::move(filter);
    t.pointwise_filter = std::move(pointwise);
    t.mid_bias = std::move(mid_bias);
    t.bias = std::move(bias);
    t.exact = true;
    return t;
}

std::vector<double> output_of(const Tensors &t) {
    std::vector<double> out(size_t(t.problem.output_elements()));
    reference(t, out.data());
    return out;
}

ConvProblem shape(Operator op, int64_t h, int64_t w, int64_t c, int64_t k, int64_t r, int64_t s) {
    ConvProblem p;
    p.op = op;
    p.h = h;
    p.w = w;
    p.c = c;
    p.k = k;
    p.r = r;
    p.s = s;
    if (op == Operator::pointwise) p.pad_mode = PadMode::valid;
    return p;
}

ConvProblem random_half_problem(uint32_t seed) {
    ConvProblem p = random_problem(seed);
    p.dtype = DType::f16;
    return p;
}

// The reference rounded to f32, as a faultless kernel would give it.
std::vector<float> rounded(const Tensors &t) {
    const std::vector<double> exact = output_of(t);
    return {exact.begin(), exact.end()};
}

}  // namespace

TEST_CASE("hand-computed convolutions", "[reference]") {
    const std::vector<float> nine = {1, 2, 3, 4, 5, 6, 7, 8, 9}, ones(9, 1.0f);
    ConvProblem p = shape(Operator::conv2d, 3, 3, 1, 1, 3, 3);
    CHECK(output_of(tensors(p, nine, ones)) == std::vector<double>{12, 21, 16, 27, 45, 33, 24, 39, 28});
    // The filter is not mirrored: the tap at (0, 0) sees the pixel above and to the left.
    CHECK(output_of(tensors(p, nine, {1, 0, 0, 0, 0, 0, 0, 0, 0})) == std::vector<double>{0, 0, 0, 0, 1, 2, 0, 4, 5});
    p.pad_mode = PadMode::valid;
    CHECK(output_of(tensors(p, nine, ones)) == std::vector<double>{45});
    p.pad_mode = PadMode::explicit_;
    p.padding = {1, 0, 0, 0};
    CHECK(output_of(tensors(p, nine, ones)) == std::vector<double>{21, 45});
    p.pad_mode = PadMode::same;
    p.stride_h = p.stride_w = 2;
    CHECK(output_of(tensors(p, nine, ones)) == std::vector<double>{12, 16, 24, 28});
    // Two groups: each output channel sees its own half of the input channels.
    ConvProblem groups = shape(Operator::conv2d, 1, 1, 4, 2, 1, 1);
    groups.groups = 2;
    CHECK(output_of(tensors(groups, {1, 2, 3, 4}, {10, 100, 1000, 10000})) == std::vector<double>{210, 43000});
    // Dilation 2 on one row.
    ConvProblem dilated = shape(Operator::conv2d, 1, 5, 1, 1, 1, 3);
    dilated.dilation_w = 2;
    CHECK(output_of(tensors(dilated, {1, 2, 3, 4, 5}, {100, 10, 1})) == std::vector<double>{13, 24, 135, 240, 350});
}

TEST_CASE("hand-computed depthwise, pointwise and depsep", "[reference]") {
    ConvProblem depthwise = shape(Operator::depthwise, 1, 2, 2, 0, 1, 1);
    depthwise.multiplier = 2;
    // Input [1, 1, 2, 2], filter [1, 1, 2, 2]: channel 0 times 10 and 20, channel 1 times 30 and 40.
    CHECK(output_of(tensors(depthwise, {1, 2, 3, 4}, {10, 20, 30, 40})) == std::vector<double>{10, 20, 60, 80, 30, 60, 120, 160});
    CHECK(output_of(tensors(shape(Operator::pointwise, 1, 2, 2, 1, 1, 1), {1, 2, 3, 4}, {10, 100})) == std::vector<double>{210, 430});
    ConvProblem depsep = shape(Operator::depsep, 1, 1, 2, 2, 1, 1);
    depsep.mid = {true, Activation::relu};
    depsep.out = {true, Activation::none};
    // Middle: relu(1 * 2 + 1) = 3, relu(2 * 3 - 7) = 0.
    CHECK(output_of(tensors(depsep, {1, 2}, {2, 3}, {10, 100, -1, 5}, {1, -7}, {0.5, 7})) == std::vector<double>{30.5, 4});
}

TEST_CASE("activations", "[reference]") {
    const std::vector<float> in = {-4, -3, -1.5, 0, 1.5, 3, 6, 7};
    const std::map<Activation, std::vector<double>> expected = {
        {Activation::none, {-4, -3, -1.5, 0, 1.5, 3, 6, 7}},
        {Activation::relu, {0, 0, 0, 0, 1.5, 3, 6, 7}},
        {Activation::relu6, {0, 0, 0, 0, 1.5, 3, 6, 6}},
        {Activation::hardswish, {0, 0, -0.375, 0, 1.125, 3, 6, 7}},
    };
    for (const auto &[activation, out] : expected) {
        ConvProblem p = shape(Operator::depthwise, 1, 8, 1, 0, 1, 1);
        p.out.activation = activation;
        CHECK(output_of(tensors(p, in, {1})) == out);
    }
}

TEST_CASE("a residual is added after the bias and before the activation; a depsep's to its pointwise half", "[reference]") {
    ConvProblem p = shape(Operator::pointwise, 1, 3, 1, 2, 1, 1);
    p.out = {true, Activation::relu};
    p.residual = true;
    Tensors t = tensors(p, {1, 2, 3}, {1, -1}, {}, {}, {10, 1});
    t.skip = {-5, 1, -12, 0.5f, -20, 100};
    CHECK(output_of(t) == std::vector<double>{6, 1, 0, 0, 0, 98});
    p = shape(Operator::depsep, 1, 1, 1, 1, 1, 1);
    p.mid.activation = Activation::relu;
    p.residual = true;
    t = tensors(p, {-3}, {1}, {2});
    t.skip = {-7};
    CHECK(output_of(t) == std::vector<double>{-7});
}

TEST_CASE("the reference agrees with loops from the definition", "[reference]") {
    for (uint32_t seed = 1; seed <= 250; seed++) {
        ConvProblem p = random_problem(seed);
        if (seed % 2) p.layout = Layout::nchw;
        if (p.flops() > 4e5) continue;
        INFO(p.key());
        const Tensors exact = make_exact_tensors(p, seed), random = make_random_tensors(p, seed);
        const bool hardswish = p.out.activation == Activation::hardswish || p.mid.activation == Activation::hardswish;
        if (!hardswish) REQUIRE(output_of(exact) == naive(exact));
        for (const Tensors *t : {&exact, &random}) {
            const std::vector<double> a = output_of(*t), b = naive(*t);
            REQUIRE(a.size() == b.size());
            double largest = 0;
            for (size_t i = 0; i < a.size(); i++) largest = std::max(largest, std::fabs(a[i] - b[i]) / (1 + std::fabs(b[i])));
            REQUIRE(largest < 1e-11);
        }
    }
}

TEST_CASE("exact tensors are small integers whose sums are exact in f32, and most outputs tell something", "[reference]") {
    std::vector<ConvProblem> problems;
    for (uint32_t seed = 1; seed <= 300; seed++) problems.push_back(random_problem(seed));
    ConvProblem huge = shape(Operator::depsep, 2, 2, 3000, 2, 31, 31);  // needs thinning out
    problems.push_back(huge);
    huge.out.activation = Activation::relu6;
    problems.push_back(huge);
    problems.push_back(shape(Operator::conv2d, 3, 3, 4000, 2, 31, 31));
    int64_t outputs = 0, mute = 0;
    for (const ConvProblem &p : problems) {
        INFO(p.key());
        Tensors t = make_exact_tensors(p, 1);
        REQUIRE(t.exact);
        for (const std::vector<float> *v : {&t.input, &t.filter, &t.pointwise_filter, &t.mid_bias, &t.bias, &t.skip})
            REQUIRE(std::all_of(v->begin(), v->end(), [](float x) { return x == std::floor(x) && std::fabs(x) <= 4; }));
        for (float x : t.output) REQUIRE(std::isnan(x));
        for (const std::vector<float> *v : {&t.input, &t.mid_bias, &t.bias, &t.skip}) REQUIRE(std::count(v->begin(), v->end(), 0.0f) == 0);

        // The sums of magnitudes: the same operator on |values| without activation bounds every partial sum.
        Tensors magnitudes = t;
        for (std::vector<float> *v :
             {&magnitudes.input, &magnitudes.filter, &magnitudes.pointwise_filter, &magnitudes.mid_bias, &magnitudes.bias, &magnitudes.skip})
            for (float &x : *v) x = std::fabs(x);
        magnitudes.problem.out.activation = magnitudes.problem.mid.activation = Activation::none;
        for (double x : output_of(magnitudes)) REQUIRE(x < 16777216);

        const std::vector<float> out = rounded(t);
        outputs += int64_t(out.size());
        for (float x : out) mute += x == 0 || (p.out.activation == Activation::relu6 && x == 6);
    }
    CHECK(double(mute) < 0.45 * double(outputs));
}

TEST_CASE("an f16 problem reads halves, rounds depsep's middle to halves and rounds its results once", "[reference]") {
    const float tenth = rounded_to_half(0.1f);
    REQUIRE(tenth != 0.1f);
    ConvProblem p = shape(Operator::pointwise, 1, 1, 1, 2, 1, 1);
    p.dtype = DType::f16;
    p.out.bias = true;
    // The filter is rounded, the bias is not, the sum is.
    CHECK(output_of(tensors(p, {3}, {0.1f, 1}, {}, {}, {0.1f, 2046})) == std::vector<double>{rounded_to_half(3 * double(tenth) + double(0.1f)), 2048});
    p = shape(Operator::depsep, 1, 1, 1, 1, 1, 1);
    p.dtype = DType::f16;
    // 3 * 0.1 is no half, and 2051 is none.
    CHECK(output_of(tensors(p, {3}, {0.1f}, {-1})) == std::vector<double>{-rounded_to_half(3 * double(tenth))});
    CHECK(output_of(tensors(p, {2048}, {1}, {1.0f})) == std::vector<double>{2048});
    p.mid.bias = true;
    CHECK(output_of(tensors(p, {2048}, {1}, {0.25f}, {3.0f})) == std::vector<double>{513});  // 2051 is stored as 2052
}

TEST_CASE("exact tensors of an f16 problem stay in range, with a middle and most results that half holds exactly", "[reference]") {
    std::vector<ConvProblem> problems;
    for (uint32_t seed = 1; seed <= 300; seed++) problems.push_back(random_half_problem(seed));
    ConvProblem large = shape(Operator::depsep, 3, 3, 1024, 20, 3, 3);
    large.dtype = DType::f16;
    problems.push_back(large);
    large.op = Operator::conv2d, large.c = 4000, large.r = large.s = 31;
    problems.push_back(large);
    int64_t outputs = 0, inexact = 0, mute = 0;
    for (const ConvProblem &p : problems) {
        INFO(p.key());
        const Tensors t = make_exact_tensors(p, 1);
        // Of the magnitudes, without activation: the bounds of every partial sum.
        Tensors magnitudes = t;
        for (std::vector<float> *v :
             {&magnitudes.input, &magnitudes.filter, &magnitudes.pointwise_filter, &magnitudes.mid_bias, &magnitudes.bias, &magnitudes.skip})
            for (float &x : *v) x = std::fabs(x);
        magnitudes.problem.dtype = DType::f32;
        magnitudes.problem.out.activation = magnitudes.problem.mid.activation = Activation::none;
        for (double x : output_of(magnitudes)) REQUIRE(x <= 65504);
        if (p.op == Operator::depsep) {
            Tensors first = magnitudes;
            first.problem = magnitudes.problem.depthwise_half();
            first.bias = magnitudes.mid_bias;
            for (double x : output_of(first)) REQUIRE(x <= 2048);
        }
        const std::vector<float> out = rounded(t);
        outputs += int64_t(out.size());
        for (float x : out) {
            REQUIRE(x == rounded_to_half(x));
            inexact += std::fabs(x) > 2048;
            mute += x == 0 || (p.out.activation == Activation::relu6 && x == 6);
        }
    }
    CHECK(double(inexact) < 0.03 * double(outputs));
    CHECK(double(mute) < 0.45 * double(outputs));
}

TEST_CASE("check_output of an f16 problem passes the right halves and finds the next ones", "[reference]") {
    for (uint32_t seed = 1; seed <= 80; seed++) {
        const ConvProblem p = random_half_problem(seed);
        INFO(p.key());
        const bool hardswish = p.out.activation == Activation::hardswish || p.mid.activation == Activation::hardswish;
        for (const Tensors &t : {make_exact_tensors(p, seed), make_random_tensors(p, seed)}) {
            for (const std::vector<float> *v : {&t.input, &t.skip})
                for (float x : *v) REQUIRE(x == rounded_to_half(x));
            const std::vector<float> right = rounded(t);
            AlignedArray out(DType::f16, right);
            REQUIRE(check_output(t, out.data()).message == "");
            uint16_t &half = static_cast<uint16_t *>(out.data())[int64_t(seed) * 7919 % p.output_elements()];
            const uint16_t was = half;
            // Not even the last bit where sums are exact; elsewhere the last bit of the exponent.
            const bool exact = t.exact && !hardswish;
            half = uint16_t(was ^ (exact ? 1 : 0x400));
            const CheckResult bad = check_output(t, out.data());
            INFO(was << " became " << half << ": " << bad.message);
            if (exact || std::fabs(float_from_half(was)) > 0.5f) REQUIRE(!bad.passed);
            half = 0x7e00;  // NaN
            REQUIRE(!check_output(t, out.data()).passed);
            REQUIRE(!check_output(t, out.data(), 1).passed);
        }
    }
}

TEST_CASE("the tolerance of f16 holds for f32 sums in another order, which mostly round to the same half", "[reference]") {
    int64_t outputs = 0, other = 0;
    for (uint32_t seed = 1; seed <= 200; seed++) {
        ConvProblem p = random_half_problem(seed);
        if (p.op != Operator::pointwise) continue;
        p.out.activation = Activation::none;
        const Tensors t = make_random_tensors(p, seed);
        const std::vector<float> want = rounded(t);
        std::vector<float> out(want.size());
        for (int64_t i = 0; i < p.n * p.h * p.w; i++)
            for (int64_t k = 0; k < p.k; k++) {
                float sum = 0;
                for (int64_t c = p.c - 1; c >= 0; c--) sum += t.input[size_t(i * p.c + c)] * rounded_to_half(t.filter[size_t(k * p.c + c)]);
                if (p.out.bias) sum += t.bias[size_t(k)];
                if (p.residual) sum += t.skip[size_t(i * p.k + k)];
                out[size_t(i * p.k + k)] = sum;
            }
        INFO(p.key());
        AlignedArray halves(DType::f16, out);
        REQUIRE(check_output(t, halves.data()).message == "");
        const std::vector<float> stored = halves.values();
        for (size_t i = 0; i < want.size(); i++) other += stored[i] != want[i];
        outputs += int64_t(want.size());
        for (float &x : out) x += 3e-3f + std::fabs(x) / 256;
        REQUIRE(!check_output(t, AlignedArray(DType::f16, out).data()).passed);
    }
    CHECK(outputs > 1000);
    CHECK(double(other) < 0.01 * double(outputs));
}

TEST_CASE("tensors depend on the seed alone", "[reference]") {
    const ConvProblem p = random_problem(5);
    CHECK(make_exact_tensors(p, 7).input == make_exact_tensors(p, 7).input);
    CHECK(make_exact_tensors(p, 7).input != make_exact_tensors(p, 8).input);
    const Tensors t = make_random_tensors(p, 7);
    CHECK(t.filter == make_random_tensors(p, 7).filter);
    CHECK(*std::min_element(t.input.begin(), t.input.end()) >= -1);
    CHECK(*std::max_element(t.input.begin(), t.input.end()) < 1);
    CHECK(!t.exact);
}

TEST_CASE("check_output passes the right output and points at the wrong element", "[reference]") {
    for (uint32_t seed = 1; seed <= 60; seed++) {
        ConvProblem p = random_problem(seed);
        if (seed % 2) p.layout = Layout::nchw;
        INFO(p.key());
        for (const Tensors &t : {make_exact_tensors(p, seed), make_random_tensors(p, seed)}) {
            std::vector<float> out = rounded(t);
            const CheckResult good = check_output(t, out.data());
            REQUIRE(good.message == "");
            REQUIRE(good.passed);
            REQUIRE(good.compared == p.output_elements());

            const int64_t at = int64_t(seed) * 7919 % p.output_elements();
            int64_t k = at % p.out_channels(), q = at / p.out_channels() % p.q();
            int64_t py = at / p.out_channels() / p.q() % p.p(), n = at / p.out_channels() / p.q() / p.p();
            if (p.layout == Layout::nchw) q = at % p.q(), py = at / p.q() % p.p(), k = at / p.q() / p.p() % p.out_channels(), n = at / p.q() / p.p() / p.out_channels();
            const std::string where =
                "n=" + std::to_string(n) + ", p=" + std::to_string(py) + ", q=" + std::to_string(q) + ", k=" + std::to_string(k);
            const float right = out[size_t(at)];
            for (float wrong : {right + 1, -right - 1, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
                out[size_t(at)] = wrong;
                const CheckResult bad = check_output(t, out.data());
                INFO(bad.message);
                REQUIRE(!bad.passed);
                REQUIRE(bad.message.find(where) != std::string::npos);
                REQUIRE(bad.message.find("1 of " + std::to_string(p.output_elements())) != std::string::npos);
            }
            const bool hardswish = p.out.activation == Activation::hardswish || p.mid.activation == Activation::hardswish;
            if (t.exact && !hardswish) {  // not even the last bit
                out[size_t(at)] = std::nextafter(right, 1e9f);
                REQUIRE(!check_output(t, out.data()).passed);
                out[size_t(at)] = right == 0 ? -0.0f : right;
                REQUIRE(check_output(t, out.data()).passed);
            }
        }
    }
}

TEST_CASE("a NaN that the sample has not met is told with its place in the layout", "[reference]") {
    ConvProblem p = shape(Operator::conv2d, 60, 61, 8, 8, 3, 3);
    p.n = 2;
    for (Layout layout : {Layout::nhwc, Layout::nchw}) {
        p.layout = layout;
        const Tensors t = make_exact_tensors(p, 1);
        std::vector<float> out = rounded(t);
        out[size_t(p.output_strides().at(1, 25, 25, 5))] = std::numeric_limits<float>::quiet_NaN();
        CHECK_THAT(check_output(t, out.data(), 1).message, Catch::Matchers::StartsWith("output[n=1, p=25, q=25, k=5] is nan"));
    }
}

TEST_CASE("the tolerance holds for f32 sums in other orders and is not loose", "[reference]") {
    for (uint32_t seed = 1; seed <= 200; seed++) {
        const ConvProblem p = random_problem(seed);
        if (p.op != Operator::pointwise) continue;
        INFO(p.key());
        const Tensors t = make_random_tensors(p, seed);
        std::vector<float> out(size_t(p.output_elements()));
        for (int64_t i = 0; i < p.n * p.h * p.w; i++)
            for (int64_t k = 0; k < p.k; k++) {
                float sum = 0;
                for (int64_t c = p.c - 1; c >= 0; c--) sum += t.input[size_t(i * p.c + c)] * t.filter[size_t(k * p.c + c)];
                if (p.out.bias) sum += t.bias[size_t(k)];
                if (p.residual) sum += t.skip[size_t(i * p.k + k)];
                float &y = out[size_t(i * p.k + k)];
                y = sum;
                if (p.out.activation == Activation::relu || p.out.activation == Activation::relu6) y = std::max(y, 0.0f);
                if (p.out.activation == Activation::relu6) y = std::min(y, 6.0f);
                if (p.out.activation == Activation::hardswish) y = sum * std::min(std::max(sum + 3, 0.0f), 6.0f) * (1.0f / 6);
            }
        REQUIRE(check_output(t, out.data()).message == "");
        for (float &x : out) x += 3e-3f;
        REQUIRE(!check_output(t, out.data()).passed);
    }
}

TEST_CASE("a problem too large to compare in full is sampled, and a NaN is found wherever it is", "[reference]") {
    ConvProblem p = shape(Operator::conv2d, 60, 61, 8, 8, 3, 3);
    p.n = 2;
    const Tensors t = make_exact_tensors(p, 1);
    std::vector<float> out = rounded(t);
    const CheckResult sampled = check_output(t, out.data(), 1e6);
    CHECK(sampled.passed);
    CHECK(sampled.compared < p.output_elements() / 2);
    CHECK(sampled.compared >= 16 * 8 / 2);
    CHECK(sampled.compared == check_output(t, out.data(), 1e6).compared);
    for (size_t corner : {size_t(0), out.size() - 1, size_t(60 * 8), size_t(60 * 61 * 8 - 1)}) {
        const float right = out[corner];
        out[corner] = right + 1;
        CHECK(!check_output(t, out.data(), 1).passed);
        out[corner] = right;
    }
    for (size_t i = 0; i < out.size(); i += 997) {
        const float right = out[i];
        out[i] = std::numeric_limits<float>::quiet_NaN();
        CHECK(!check_output(t, out.data(), 1e5).passed);
        out[i] = right;
    }
}

TEST_CASE("the error beyond the direct algorithm is a share of the largest output", "[reference]") {
    ConvProblem p;
    p.name = "example";
    p.op = Operator::depsep;
    p.n = 2;
    p.h = 9;
    p.w = 8;
    p.c = 4;
    p.k = 5;
    p.r = p.s = 3;
    p.stride_h = p.stride_w = 2;
    p.dilation_w = 2;
    p.mid.bias = p.out.bias = true;
    p.mid.activation = Activation::relu;
    const Tensors t = make_random_tensors(p, 3);
    const std::vector<double> expected = naive(t);
    std::vector<float> output(expected.begin(), expected.end());
    double largest = 0;
    for (double v : expected) largest = std::max(largest, std::abs(v));
    CHECK(check_output(t, output.data(), 1e9, 0.02).rel_error < 1e-6);
    output.back() += float(0.01 * largest);  // a corner, which is always looked at
    for (double max_macs : {1e9, 1.0}) {
        const CheckResult result = check_output(t, output.data(), max_macs, 0.02);
        CHECK(result.passed);
        CHECK(result.rel_error == Approx(0.01).epsilon(max_macs > 1 ? 0.01 : 0.5));
        CHECK_FALSE(check_output(t, output.data(), max_macs, 0.001).passed);
    }
    output.front() = std::nanf("");
    CHECK_FALSE(check_output(t, output.data(), 1e9, 0.02).passed);
}
