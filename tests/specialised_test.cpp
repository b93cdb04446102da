// Kernels specialised to a problem, compiled in process, against the reference: what the schedules do only where extents are known.
#include "catch.h"
#include "support.h"
#include "tools/compile/in_process.h"

using namespace sepal;

namespace {

constexpr int threads = 2;

ConvProblem conv2d(int64_t h, int64_t w, int64_t c, int64_t k, int64_t r, int64_t s) {
    ConvProblem p;
    p.op = Operator::conv2d;
    p.h = h, p.w = w, p.c = c, p.k = k, p.r = r, p.s = s;
    p.out = {true, Activation::relu};
    return p;
}

ConvProblem pointwise(int64_t h, int64_t w, int64_t c, int64_t k) {
    ConvProblem p = conv2d(h, w, c, k, 1, 1);
    p.op = Operator::pointwise;
    return p;
}

ConvProblem strided(ConvProblem p, int64_t stride, int64_t dilation = 1) {
    p.stride_h = p.stride_w = stride;
    p.dilation_h = p.dilation_w = dilation;
    return p;
}

Schedule knob(int Schedule::*member, int value, Schedule s = {}) {
    s.*member = value;
    return s;
}

void check(const ConvProblem &p, const Schedule &knobs = {}) {
    const Cpu cpu = Cpu::detect();
    for (Isa isa : {Isa::avx512, Isa::avx2}) {
        if (!cpu.runs(isa)) continue;
        INFO(p.key() << " " << name(isa) << " " << knobs_text(knobs));
        const KernelSpec spec = specialise(p, isa, "hand", knobs);
        set_num_threads_in_process(threads);
        const auto kernel = compile_in_process(spec);
        REQUIRE(kernel->variant().refuses(p) == "");
        Tensors tensors = make_exact_tensors(p, check_seed);
        const CheckResult result = check_variant(kernel->variant(), tensors);
        CHECK(result.passed);
        CHECK(result.message == "");
    }
}

}  // namespace

TEST_CASE("taps of a filter row taken together: tiles, tails of rows and of channels", "[specialised]") {
    for (int64_t w : {1, 7, 11, 12, 13, 25, 37}) check(conv2d(3, w, 5, 33, 3, 3), knob(&Schedule::s_unroll, 3));
    check(conv2d(4, 29, 3 * 17, 16, 3, 3));
    check(conv2d(9, 23, 8, 40, 5, 5));
    check(conv2d(8, 30, 6, 24, 7, 7));
    check(conv2d(5, 19, 4, 20, 1, 2), knob(&Schedule::s_unroll, 2));
}

TEST_CASE("taps taken together with strides, dilation, groups, padding of its own, blocks of channels", "[specialised]") {
    check(strided(conv2d(9, 27, 6, 20, 3, 3), 2), knob(&Schedule::s_unroll, 3));
    check(strided(conv2d(9, 27, 6, 20, 3, 3), 1, 2), knob(&Schedule::s_unroll, 3));
    ConvProblem groups = conv2d(6, 17, 12, 40, 3, 3);
    groups.groups = 2;
    check(groups, knob(&Schedule::s_unroll, 3));
    check(conv2d(6, 17, 32, 20, 3, 3), knob(&Schedule::c_block, 16, knob(&Schedule::s_unroll, 3)));
}

TEST_CASE("few channels are read without a copy, tested at the edges only", "[specialised]") {
    check(strided(conv2d(31, 37, 3, 32, 3, 3), 2));
    check(strided(conv2d(23, 29, 3, 20, 7, 7), 2));
    check(conv2d(5, 14, 1, 7, 3, 3));
    check(conv2d(2, 3, 4, 16, 5, 5));  // a filter larger than the image
    check(conv2d(6, 40, 20, 24, 3, 3), knob(&Schedule::staging, 1));
}

TEST_CASE("a pointwise strip copied to scratch, with tails of pixels and channels", "[specialised]") {
    for (int64_t w : {14, 15, 27, 49}) check(pointwise(1, w, 64, 40), knob(&Schedule::staging, 2));
    check(pointwise(7, 7, 1024, 130));
    check(pointwise(5, 13, 19, 33), knob(&Schedule::staging, 2));
}

TEST_CASE("strips of panels, dividing them or not", "[specialised]") {
    for (int k_strip : {1, 2, 3, 9}) {
        check(pointwise(4, 9, 24, 32 * 4 + 5), knob(&Schedule::k_strip, k_strip));
        check(conv2d(5, 7, 8, 32 * 4 + 5, 3, 3), knob(&Schedule::k_strip, k_strip));
    }
    ConvProblem depsep = conv2d(7, 9, 32, 32 * 4 + 5, 3, 3);
    depsep.op = Operator::depsep;
    check(depsep, knob(&Schedule::k_strip, 2));
    check(depsep, knob(&Schedule::k_vectors, 3));
}
