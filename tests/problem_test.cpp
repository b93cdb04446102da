// ConvProblem's arithmetic against counting.
#include "catch.h"
#include "support.h"

#include <set>

using namespace sepal;

namespace {

// Windows of `filter` taps, `dilation` apart, that fit into `extent`, `stride` apart.
int64_t count_windows(int64_t extent, int64_t filter, int64_t stride, int64_t dilation) {
    int64_t count = 0;
    for (int64_t first = 0; first + (filter - 1) * dilation < extent; first += stride) count++;
    return count;
}

ConvProblem small() {
    ConvProblem p;
    p.op = Operator::conv2d;
    p.h = 9;
    p.w = 7;
    p.c = 6;
    p.k = 4;
    p.r = p.s = 3;
    return p;
}

std::string rejection(const ConvProblem &base, void (*change)(ConvProblem &)) {
    ConvProblem p = base;
    change(p);
    return p.validate();
}

}  // namespace

TEST_CASE("output extents are the number of windows that fit", "[problem]") {
    for (int64_t h = 1; h <= 12; h++)
        for (int64_t r = 1; r <= 5; r++)
            for (int64_t stride = 1; stride <= 4; stride++)
                for (int64_t dilation = 1; dilation <= 3; dilation++)
                    for (int64_t top = 0; top <= 3; top++)
                        for (int64_t bottom = 0; bottom <= 3; bottom++) {
                            ConvProblem p = small();
                            p.h = h;
                            p.w = 12 - h + 1;
                            p.r = p.s = r;
                            p.stride_h = p.stride_w = stride;
                            p.dilation_h = p.dilation_w = dilation;
                            p.pad_mode = PadMode::explicit_;
                            p.padding = {top, bottom, bottom, top};
                            const int64_t rows = count_windows(h + top + bottom, r, stride, dilation);
                            const int64_t columns = count_windows(p.w + top + bottom, r, stride, dilation);
                            INFO(p.key());
                            REQUIRE(p.validate().empty() == (rows > 0 && columns > 0));
                            if (!p.validate().empty()) continue;
                            REQUIRE(p.p() == rows);
                            REQUIRE(p.q() == columns);
                        }
}

TEST_CASE("same padding is the least that keeps ceil(extent / stride) windows, the odd zero last", "[problem]") {
    for (int64_t w = 1; w <= 14; w++)
        for (int64_t s = 1; s <= 6; s++)
            for (int64_t stride = 1; stride <= 4; stride++)
                for (int64_t dilation = 1; dilation <= 3; dilation++) {
                    ConvProblem p = small();
                    p.w = w;
                    p.s = s;
                    p.stride_w = stride;
                    p.dilation_w = dilation;
                    p.pad_mode = PadMode::same;
                    int64_t wanted = 0, total = 0;
                    for (int64_t x = 0; x < w; x += stride) wanted++;
                    while (count_windows(w + total, s, stride, dilation) < wanted) total++;
                    INFO(p.key());
                    REQUIRE(p.validate().empty());
                    REQUIRE(p.q() == wanted);
                    REQUIRE(p.pad().left + p.pad().right == total);
                    REQUIRE(p.pad().right - p.pad().left == total % 2);
                }
}

TEST_CASE("FLOPs are two for each tap of each output, bytes are each tensor once", "[problem]") {
    for (uint32_t seed = 1; seed <= 100; seed++) {
        const ConvProblem p = random_problem(seed);
        int64_t macs = 0;
        for (int64_t pixel = 0; pixel < p.pixels(); pixel++) {
            if (p.op == Operator::conv2d)
                for (int64_t k = 0; k < p.k; k++) macs += p.r * p.s * p.c / p.groups;
            if (p.op == Operator::pointwise) macs += p.c * p.k;
            if (p.op == Operator::depthwise || p.op == Operator::depsep)
                for (int64_t m = 0; m < p.c * p.multiplier; m++) macs += p.r * p.s + (p.op == Operator::depsep ? p.k : 0);
        }
        INFO(p.key());
        CHECK(p.flops() == 2 * double(macs));

        const Tensors t = make_random_tensors(p, 1);
        const size_t elements =
            t.input.size() + t.filter.size() + t.mid_bias.size() + t.pointwise_filter.size() + t.bias.size() + t.skip.size() + t.output.size();
        CHECK(p.bytes() == 4 * double(elements));
        CHECK(p.intensity() == Approx(p.flops() / p.bytes()));
        if (p.op != Operator::depsep) {
            CHECK(p.unfused_bytes() == p.bytes());
            CHECK(p.mid_elements() == 0);
            CHECK(p.summed_channels() * p.r * p.s * p.out_channels() == p.filter_elements());
            continue;
        }
        const ConvProblem first = p.depthwise_half(), second = p.pointwise_half();
        CHECK(first.validate() == "");
        CHECK(second.validate() == "");
        CHECK(first.flops() + second.flops() == p.flops());
        CHECK(first.bytes() + second.bytes() == p.unfused_bytes());
        CHECK(second.output_elements() == p.output_elements());
        CHECK(first.output_elements() == second.input_elements());
        CHECK(p.mid_elements() == second.input_elements());
        CHECK(p.summed_channels() == second.summed_channels());
    }
}

TEST_CASE("an f16 problem moves half the bytes, but for its biases, and is another problem with other weights", "[problem]") {
    CHECK(name(DType::f16) == "f16");
    CHECK(dtype_from_name("f16") == DType::f16);
    CHECK(dtype_names() == "f32, f16");
    CHECK(size_in_bytes(DType::f16) == 2);
    for (uint32_t seed = 1; seed <= 50; seed++) {
        const ConvProblem p = random_problem(seed);
        ConvProblem half = p;
        half.dtype = DType::f16;
        INFO(half.key());
        CHECK(half.validate() == "");
        const double bias_bytes = 4 * (p.out.bias ? double(p.out_channels()) : 0) + 4 * (p.mid.bias ? double(p.mid_channels()) : 0);
        CHECK(half.bytes() - bias_bytes == (p.bytes() - bias_bytes) / 2);
        CHECK(half.unfused_bytes() - half.bytes() == (p.unfused_bytes() - p.bytes()) / 2);
        CHECK(half.flops() == p.flops());
        CHECK(half.key() != p.key());
        CHECK(half.weights_key() != p.weights_key());
        if (p.op != Operator::depsep) continue;
        CHECK(half.depthwise_half().dtype == DType::f16);
        CHECK(half.depthwise_half().bytes() + half.pointwise_half().bytes() == half.unfused_bytes());
    }
}

TEST_CASE("a residual moves a tensor like the output once, to the pointwise half of a depsep, and costs no FLOPs", "[problem]") {
    for (uint32_t seed = 1; seed <= 100; seed++) {
        ConvProblem plain = random_problem(seed);
        if (plain.op == Operator::depthwise) continue;
        if (seed % 2 == 0) plain.dtype = DType::f16;
        plain.residual = false;
        ConvProblem p = plain;
        p.residual = true;
        INFO(p.key());
        CHECK(p.validate() == "");
        CHECK(p.key() == plain.key() + " residual");
        CHECK(p.weights_key() == plain.weights_key());
        CHECK(p.flops() == plain.flops());
        CHECK(p.flops_inside() == plain.flops_inside());
        CHECK(p.skip_elements() == p.output_elements());
        CHECK(plain.skip_elements() == 0);
        const double skip = double(p.output_elements() * size_in_bytes(p.dtype));
        CHECK(p.bytes() == plain.bytes() + skip);
        CHECK(p.unfused_bytes() == plain.unfused_bytes() + skip);
        if (p.op != Operator::depsep) continue;
        CHECK(!p.depthwise_half().residual);
        CHECK(p.pointwise_half().residual);
    }
}

TEST_CASE("the microbenchmark has the published cost", "[problem]") {
    const ProblemSet set = load_suite("microbenchmark");
    const auto find = [&](const std::string &name) {
        for (const ConvProblem &p : set.problems)
            if (p.name == name) return p;
        FAIL("no problem " << name);
        return ConvProblem();
    };
    CHECK(find("conv2d.b1").flops() / 2 == 7398752256.0);  // 224 * 224 * 128 * 128 * 9
    CHECK(find("depsep.b1").flops() / 2 == 879886336.0);   // 224 * 224 * (128 * 9 + 128 * 128)
    CHECK(find("conv2d.b16").flops() == 16 * find("conv2d.b1").flops());
    CHECK(find("conv2d.b1").bytes() / 4 == 12992512.0);  // in, out and filter
    CHECK(find("depsep.b1").flops() == find("depthwise.b1").flops() + find("pointwise.b1").flops());
}

TEST_CASE("a layout says where the elements of input and output are, and nothing else of a problem", "[problem]") {
    ConvProblem p = small();
    p.n = 2;
    p.stride_h = 2;
    CHECK(p.input_shape() == std::vector<int64_t>{2, 9, 7, 6});
    CHECK(p.output_shape() == std::vector<int64_t>{2, 5, 7, 4});
    CHECK(p.input_strides().at(1, 8, 6, 5) == p.input_elements() - 1);
    CHECK(p.output_strides().at(1, 2, 3, 1) == ((1 * 5 + 2) * 7 + 3) * 4 + 1);
    const double flops = p.flops(), bytes = p.bytes();
    p.layout = Layout::nchw;
    CHECK(p.key() == "conv2d n2 h9 w7 c6 k4 r3 s3 st2x1 di1x1 pad1,1,1,1 g1 m1 f32 nchw out:none");
    CHECK(p.input_shape() == std::vector<int64_t>{2, 6, 9, 7});
    CHECK(p.output_shape() == std::vector<int64_t>{2, 4, 5, 7});
    CHECK(p.input_strides().at(1, 8, 6, 5) == p.input_elements() - 1);
    CHECK(p.output_strides().at(1, 2, 3, 1) == ((1 * 4 + 1) * 5 + 2) * 7 + 3);
    CHECK(p.flops() == flops);
    CHECK(p.bytes() == bytes);
    CHECK(p.validate() == "");
    p.op = Operator::depsep;
    CHECK(p.depthwise_half().layout == Layout::nchw);
    CHECK(p.pointwise_half().layout == Layout::nchw);
}

TEST_CASE("equal problems have equal keys, different ones different keys", "[problem]") {
    ConvProblem base = small();
    base.op = Operator::depsep;
    base.pad_mode = PadMode::explicit_;
    base.padding = {1, 1, 1, 1};
    using Change = void (*)(ConvProblem &);
    const Change changes[] = {[](ConvProblem &p) { p.op = Operator::conv2d; },
                              [](ConvProblem &p) { p.n++; },
                              [](ConvProblem &p) { p.h++; },
                              [](ConvProblem &p) { p.w++; },
                              [](ConvProblem &p) { p.c++; },
                              [](ConvProblem &p) { p.k++; },
                              [](ConvProblem &p) { p.r--; },
                              [](ConvProblem &p) { p.s--; },
                              [](ConvProblem &p) { p.stride_h++; },
                              [](ConvProblem &p) { p.stride_w++; },
                              [](ConvProblem &p) { p.dilation_h++; },
                              [](ConvProblem &p) { p.dilation_w++; },
                              [](ConvProblem &p) { p.padding.top++; },
                              [](ConvProblem &p) { p.padding.left++; },
                              [](ConvProblem &p) { p.padding.bottom++; },
                              [](ConvProblem &p) { p.padding.right++; },
                              [](ConvProblem &p) { p.groups++; },
                              [](ConvProblem &p) { p.multiplier++; },
                              [](ConvProblem &p) { p.mid.bias = true; },
                              [](ConvProblem &p) { p.mid.activation = Activation::relu; },
                              [](ConvProblem &p) { p.out.bias = true; },
                              [](ConvProblem &p) { p.out.activation = Activation::relu6; },
                              [](ConvProblem &p) { p.out.activation = Activation::hardswish; },
                              [](ConvProblem &p) { p.layout = Layout::nchw; },
                              [](ConvProblem &p) { p.residual = true; }};
    std::set<std::string> keys = {base.key()};
    for (Change change : changes) {
        ConvProblem p = base;
        change(p);
        CHECK(keys.insert(p.key()).second);
    }
    ConvProblem same = base;
    same.name = "another name";
    same.pad_mode = PadMode::same;  // 3x3 at stride 1: one zero on every side
    CHECK(same.key() == base.key());

    // Filters and biases do not depend on the images, nor on what is done with the sums.
    std::set<std::string> weights_keys = {base.weights_key()};
    for (Change change : changes) {
        ConvProblem p = base;
        change(p);
        weights_keys.insert(p.weights_key());
        const bool of_weights = p.c != base.c || p.k != base.k || p.r != base.r || p.s != base.s || p.groups != base.groups ||
                                p.multiplier != base.multiplier || p.layout != base.layout || p.mid.bias != base.mid.bias || p.out.bias != base.out.bias || p.op != base.op;
        CHECK((p.weights_key() != base.weights_key()) == of_weights);
    }
    CHECK(weights_keys.size() >= 8);
}

TEST_CASE("a problem that makes no sense is rejected with the field, what was found and what is allowed", "[problem]") {
    struct Case {
        void (*change)(ConvProblem &);
        std::vector<std::string> parts;
    };
    const Case cases[] = {
        {[](ConvProblem &p) { p.h = -3; }, {"\"h\"", "-3", "allowed"}},
        {[](ConvProblem &p) { p.w = 0; }, {"\"w\"", "0", "allowed"}},
        {[](ConvProblem &p) { p.n = 0; }, {"\"n\""}},
        {[](ConvProblem &p) { p.c = int64_t(1) << 40; }, {"\"c\"", "1099511627776"}},
        {[](ConvProblem &p) { p.k = 0; }, {"\"k\"", "0"}},
        {[](ConvProblem &p) { p.r = 0; }, {"\"r\""}},
        {[](ConvProblem &p) { p.s = -1; }, {"\"s\"", "-1"}},
        {[](ConvProblem &p) { p.stride_h = 0; }, {"\"stride[0]\""}},
        {[](ConvProblem &p) { p.stride_w = -2; }, {"\"stride[1]\"", "-2"}},
        {[](ConvProblem &p) { p.dilation_h = 0; }, {"\"dilation[0]\""}},
        {[](ConvProblem &p) { p.dilation_w = 0; }, {"\"dilation[1]\""}},
        {[](ConvProblem &p) { p.groups = 0; }, {"\"groups\""}},
        {[](ConvProblem &p) { p.groups = 4; }, {"\"groups\"", "4", "c = 6"}},
        {[](ConvProblem &p) { p.groups = 3; }, {"\"groups\"", "3", "k = 4"}},
        {[](ConvProblem &p) { p.multiplier = 2; }, {"\"multiplier\"", "2", "conv2d"}},
        {[](ConvProblem &p) { p.mid.bias = true; }, {"\"mid_bias\"", "depsep"}},
        {[](ConvProblem &p) { p.mid.activation = Activation::relu; }, {"\"mid_activation\"", "depsep"}},
        {[](ConvProblem &p) { p.op = Operator::depthwise; }, {"\"k\"", "4", "6"}},
        {[](ConvProblem &p) {
             p.op = Operator::depthwise;
             p.k = 0;
             p.residual = true;
         },
         {"\"residual\"", "depthwise", "allowed", "conv2d, pointwise, depsep"}},
        {[](ConvProblem &p) {
             p.op = Operator::depsep;
             p.groups = 2;
         },
         {"\"groups\"", "2"}},
        {[](ConvProblem &p) { p.op = Operator::pointwise; }, {"pointwise", "r = s = 1"}},
        {[](ConvProblem &p) {
             p.pad_mode = PadMode::explicit_;
             p.padding = {0, -1, 0, 0};
         },
         {"pad[1]", "-1"}},
        {[](ConvProblem &p) {
             p.pad_mode = PadMode::valid;
             p.r = 10;
         },
         {"9 rows", "10"}},
        {[](ConvProblem &p) {
             p.pad_mode = PadMode::valid;
             p.dilation_w = 4;
         },
         {"7 pixels", "9"}},
        {[](ConvProblem &p) {
             p.n = 100000;
             p.h = 1000;
             p.w = 1000;
         },
         {"input", "2147483647"}},
        {[](ConvProblem &p) { p.k = 2000000000; }, {"2147483647"}},
        {[](ConvProblem &p) {
             p.dilation_h = 2147483647;
             p.r = 2147483647;
         },
         {"dilated filter"}},
    };
    CHECK(small().validate() == "");
    for (const Case &c : cases) {
        const std::string sentence = rejection(small(), c.change);
        for (const std::string &part : c.parts) {
            INFO(sentence);
            CHECK(sentence.find(part) != std::string::npos);
        }
    }
}

TEST_CASE("the random problems of the tests are valid, repeatable and of every kind", "[problem]") {
    std::set<Operator> operators;
    std::set<Activation> activations;
    std::set<PadMode> pads;
    bool groups = false, multiplier = false, dilation = false;
    std::set<Operator> with_residual;
    for (uint32_t seed = 1; seed <= 300; seed++) {
        const ConvProblem p = random_problem(seed);
        REQUIRE(p.validate() == "");
        REQUIRE(p.key() == random_problem(seed).key());
        operators.insert(p.op);
        activations.insert(p.out.activation);
        pads.insert(p.pad_mode);
        groups = groups || p.groups > 1;
        multiplier = multiplier || p.multiplier > 1;
        dilation = dilation || p.dilation_h > 1;
        if (p.residual) with_residual.insert(p.op);
    }
    CHECK(operators.size() == 4);
    CHECK(activations.size() == 4);
    CHECK(pads.size() == 3);
    CHECK((groups && multiplier && dilation));
    CHECK(with_residual == std::set<Operator>{Operator::conv2d, Operator::pointwise, Operator::depsep});
}

TEST_CASE("the edge grid is valid and holds the shapes it promises", "[problem]") {
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep}) {
        Variant v;
        v.op = op;
        v.isa = Isa::avx2;
        v.filter_layout.panel = 16;
        std::set<std::string> names;
        std::set<int64_t> c, k, w, stride, multipliers, groups;
        bool batch = false;
        for (const ConvProblem &p : edge_grid(v)) {
            INFO(p.key());
            REQUIRE(p.validate() == "");
            REQUIRE(names.insert(p.name).second);
            REQUIRE(std::max({p.h, p.w}) <= 31);
            REQUIRE(std::max(p.c, p.out_channels()) <= 150);
            c.insert(p.c);
            k.insert(p.k);
            w.insert(p.w);
            stride.insert(p.stride_h);
            multipliers.insert(p.multiplier);
            groups.insert(p.groups);
            batch = batch || p.n == 2;
            REQUIRE(!p.residual);
        }
        v.residual = true;  // of a variant that adds one, all problems have one
        if (op != Operator::depthwise)
            for (const ConvProblem &p : edge_grid(v)) REQUIRE((p.residual && p.validate() == ""));
        for (int64_t edge : {1, 7, 8, 9, 37}) CHECK(c.count(edge));
        if (op != Operator::depthwise)
            for (int64_t edge : {1, 15, 16, 17, 33, 37}) CHECK(k.count(edge));
        for (int64_t x = 1; x <= 17; x++) CHECK(w.count(x));
        if (op != Operator::pointwise) CHECK(stride == std::set<int64_t>{1, 2, 3});
        if (op == Operator::depthwise || op == Operator::depsep) CHECK(multipliers == std::set<int64_t>{1, 2, 3});
        if (op == Operator::conv2d) CHECK(groups.size() > 3);
        CHECK(batch);
    }
}
