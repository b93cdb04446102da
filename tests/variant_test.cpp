// Every variant against the reference.
#include "catch.h"
#include "runtime/aligned.h"
#include "runtime/half.h"
#include "support.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

using namespace sepal;

namespace {

constexpr int threads = 2;

// One line for each ISA, so that CTest shows as skipped what this CPU cannot run.
void check_edge_grid(Isa isa) {
    set_num_threads(threads);
    for (const Variant *v : runnable_variants(isa)) {
        const std::vector<ConvProblem> problems = problems_to_check(*v);
        INFO(v->name);
        CHECK(!problems.empty());
        for (const ConvProblem &p : problems) {
            Tensors t = make_exact_tensors(p, check_seed);
            const CheckResult result = check_variant(*v, t, 1e8);
            CHECK(report(result.passed, *v, p, result.message, check_command(*v, p, threads)));
        }
    }
}

}  // namespace

TEST_CASE("every variant equals the reference around every tile edge: x64", "[edge_grid][x64]") { check_edge_grid(Isa::x64); }
TEST_CASE("every variant equals the reference around every tile edge: avx2", "[edge_grid][avx2]") { check_edge_grid(Isa::avx2); }
TEST_CASE("every variant equals the reference around every tile edge: avx512", "[edge_grid][avx512]") { check_edge_grid(Isa::avx512); }

TEST_CASE("300 random problems get a variant, and every variant that takes them is right", "[random_problems]") {
    set_num_threads(threads);
    const Cpu cpu = Cpu::detect();
    const std::vector<const Variant *> variants = runnable_variants();
    for (uint32_t seed = 1; seed <= 300; seed++) {
        ConvProblem p = random_problem(seed);
        if (seed % 3 == 0) p.dtype = DType::f16;
        if (seed % 2 == 0) p.layout = Layout::nchw;
        INFO(p.key());
        const Variant *selected = Registry::builtin().select(p, cpu, threads);
        REQUIRE(selected);
        Tensors t = make_exact_tensors(p, check_seed);
        int checked = 0;
        for (const Variant *v : variants) {
            if (!v->refuses(p).empty()) continue;
            const CheckResult result = check_variant(*v, t);
            CHECK(report(result.passed, *v, p, result.message, check_command(*v, p, threads)));
            checked += v == selected;
        }
        CHECK(checked == 1);
    }
}

TEST_CASE("values that are no integers stay within the bound on rounding", "[random_values]") {
    set_num_threads(threads);
    for (const Variant *v : runnable_variants())
        for (uint32_t seed = 1; seed <= 80; seed++) {
            ConvProblem p = random_problem(seed);
            p.dtype = v->dtype;
            p.layout = v->layout;
            if (!v->refuses(p).empty()) continue;
            Tensors t = make_random_tensors(p, check_seed);
            const CheckResult result = check_variant(*v, t);
            CHECK(report(result.passed, *v, p, result.message, test_command("random_values")));
        }
}

TEST_CASE("an f16 kernel rounds its sums as half.h does, around every half", "[random_values]") {
    const std::vector<float> values = values_around_halves();
    int kernels = 0;
    for (const Variant *v : runnable_variants()) {
        if (v->dtype != DType::f16) continue;
        // Sums of zeros and a bias, which is f32.
        ConvProblem p;
        p.op = v->op;
        p.dtype = DType::f16;
        p.layout = v->layout;
        p.h = p.w = p.c = 1;
        p.pad_mode = PadMode::valid;
        if (p.op == Operator::depthwise)
            p.c = int64_t(values.size());
        else
            p.k = int64_t(values.size());
        p.out.bias = true;
        if (!v->refuses(p).empty()) continue;
        Tensors t = make_exact_tensors(p, check_seed);
        std::fill(t.filter.begin(), t.filter.end(), 0.0f);
        t.bias = values;
        (void)check_variant(*v, t);
        int64_t wrong = 0;
        for (size_t i = 0; i < values.size(); i++) wrong += !(t.output[i] == rounded_to_half(values[i]));
        CHECK(report(wrong == 0, *v, p, fmt::format("{} of {} sums are rounded otherwise", wrong, values.size()), test_command("random_values")));
        kernels++;
    }
    CHECK(kernels >= 8);
}

TEST_CASE("an output does not depend on the number of threads, to the last bit", "[threads]") {
    for (const Variant *v : runnable_variants()) {
        int taken = 0;
        for (const ConvProblem &p : problems_to_check(*v)) {
            if (!is_large(p) && taken++ % 4) continue;
            Tensors t = make_random_tensors(p, check_seed);
            std::vector<float> single;
            for (int count : {1, 2, 3, 7}) {
                if (is_large(p) && count > 2) continue;
                set_num_threads(count);
                const CheckResult result = check_variant(*v, t, 1e5);
                CHECK(report(result.passed, *v, p, result.message, test_command("threads")));
                if (count == 1) single = t.output;
                const bool equal = std::memcmp(single.data(), t.output.data(), single.size() * sizeof(float)) == 0;
                CHECK(report(equal, *v, p, fmt::format("1 and {} threads give different bits", count), test_command("threads")));
            }
        }
    }
}

TEST_CASE("fused depsep equals depthwise then pointwise, to the last bit", "[fused]") {
    set_num_threads(threads);
    const Cpu cpu = Cpu::detect();
    int compared = 0;
    for (const Variant *v : runnable_variants()) {
        if (v->op != Operator::depsep) continue;
        for (const ConvProblem &p : problems_to_check(*v)) {
            // hardswish rounds: then the two are compared with the reference, within its bound, by the tests above.
            if (p.mid.activation == Activation::hardswish || p.out.activation == Activation::hardswish) continue;
            Tensors fused = make_exact_tensors(p, check_seed);
            const CheckResult checked = check_variant(*v, fused, 1e5);
            REQUIRE(report(checked.passed, *v, p, checked.message, check_command(*v, p, threads)));

            const AlignedArray skip(p.dtype, fused.skip);
            const auto run = [&](const ConvProblem &half, const AlignedArray &input, const Weights &weights) {
                Status status;
                const Variant *variant = Registry::builtin().select(half, cpu, threads);
                REQUIRE(variant);
                const std::unique_ptr<Plan> plan = Plan::create(half, *variant, weights, status);
                REQUIRE(status.message == "");
                AlignedArray output(half.dtype, half.output_elements());
                REQUIRE(plan->run(input.data(), output.data(), half.residual ? skip.data() : nullptr).message == "");
                return output;
            };
            const Weights w = fused.weights();
            const AlignedArray middle = run(p.depthwise_half(), AlignedArray(p.dtype, fused.input), {w.filter, nullptr, nullptr, w.mid_bias});
            const bool equal = fused.output == run(p.pointwise_half(), middle, {w.pointwise_filter, nullptr, nullptr, w.bias}).values();
            CHECK(report(equal, *v, p, "the two kernels give another result", test_command("fused")));
            compared++;
        }
    }
    CHECK(compared > 0);
}

TEST_CASE("a kernel that is given a shape it was not made for reports it or is right all the same", "[wrong_shape]") {
    set_num_threads(threads);
    for (const Variant *v : runnable_variants()) {
        // The registry would refuse: without its conditions, the kernel's own are left.
        Variant unguarded = *v;
        unguarded.when_count = 0;
        bool has_extent = false;  // in a condition that the kernel can see from its buffers
        for (int i = 0; i < v->when_count; i++)
            for (Field f : {Field::h, Field::w, Field::c, Field::r, Field::s})
                has_extent = has_extent || (v->when[size_t(i)].field == f && v->when[size_t(i)].relation == Condition::Relation::equal);
        ConvProblem p;
        p.name = "wrong_shape";
        p.op = v->op;
        p.dtype = v->dtype;
        p.layout = v->layout;
        p.h = 5;
        p.w = 6;
        p.c = 7;
        if (p.op == Operator::pointwise)
            p.pad_mode = PadMode::valid;
        else
            p.r = 2, p.s = 4;
        if (p.op == Operator::depthwise || p.op == Operator::depsep) p.multiplier = 2;
        if (p.op != Operator::depthwise) p.k = 9;
        p.residual = v->residual;
        REQUIRE(p.validate() == "");
        if (v->refuses(p).empty()) continue;
        Tensors t = make_exact_tensors(p, check_seed);
        const CheckResult result = check_variant(unguarded, t);
        const auto says = [&](const char *text) { return result.message.find(text) != std::string::npos; };
        // By the kernel, as Plan::run says; or before a filter of another shape would be transformed.
        const bool refused = says(" failed: ") || (v->is_winograd() && says("is by Winograd's algorithm"));
        CHECK(report(refused || (!has_extent && result.passed), *v, p, "not refused: " + result.message, test_command("wrong_shape")));
    }
}
