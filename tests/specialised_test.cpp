// Kernels specialised to a problem, compiled in process, against the reference: what the schedules do only where extents are known.
#include "catch.h"
#include "passes/panel_ahead.h"
#include "passes/read_ahead.h"
#include "passes/strip_ahead.h"
#include "support.h"
#include "tools/compile/assemble.h"
#include "tools/compile/in_process.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <utility>

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

// Of a 3x3 filter with stride 1, which would be taken by Winograd's algorithm.
const Schedule direct = knob(&Schedule::winograd, 1);

void check(const ConvProblem &p, const Schedule &knobs = {}) {
    const Cpu cpu = Cpu::detect();
    for (Isa isa : {Isa::avx512, Isa::avx2}) {
        if (!cpu.runs(isa)) {
            static std::set<Isa> told;
            if (told.insert(isa).second) fmt::print("[SKIP] specialised kernels of {}: this CPU cannot run them\n", name(isa));
            continue;
        }
        INFO(p.key() << " " << name(isa) << " " << knobs_text(knobs));
        const KernelSpec spec = specialise(p, isa, "hand", knobs);
        set_num_threads(threads);
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
    check(conv2d(4, 29, 3 * 17, 16, 3, 3), direct);
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

TEST_CASE("a 1x1 filter with a stride copies only the pixels that the stride meets", "[specialised]") {
    for (int64_t w : {1, 2, 19, 27, 28, 29, 57}) check(strided(conv2d(9, w, 24, 40, 1, 1), 2));
    check(strided(conv2d(10, 31, 20, 24, 1, 1), 3));
    ConvProblem padded = strided(conv2d(7, 15, 24, 40, 1, 1), 2);
    padded.pad_mode = PadMode::explicit_;
    padded.padding = {1, 2, 2, 1};
    check(padded);
    padded.groups = 2;
    check(padded);
}

TEST_CASE("depsep of very many channels leaves a strip its room in L2: panels by blocks of channels", "[specialised]") {
    for (ConvProblem p : {conv2d(5, 7, 2048, 150, 3, 3), conv2d(9, 16, 2048, 150, 3, 3), conv2d(3, 14, 1536, 200, 3, 3)}) {
        p.op = Operator::depsep;
        const Schedule s = derive({}, p.op, Isa::avx512, p);
        CHECK(s.c_block > 0);
        CHECK(p.c % s.c_block == 0);
        CHECK(4 * p.c * s.q_strip * s.p_strip <= 1 << 19);
        check(p);
    }
}

TEST_CASE("Winograd tiles of 2, 4 and 6 stay within their error around every edge of tiles, blocks and channels", "[specialised]") {
    const auto by = [](int m, Schedule s = {}) { return knob(&Schedule::winograd, m, s); };
    for (int m : {2, 4, 6})
        for (int64_t w : {m - 1, m + 1, 3 * m}) check(conv2d(w % 5 + m, w, 16, 33, 3, 3), by(m));
    for (int64_t c : {1, 15, 17}) check(conv2d(9, 13, c, 2 * c + 1, 3, 3), by(4));
    ConvProblem p = conv2d(11, 17, 20, 4 * 32 - 5, 3, 3);
    p.n = 2;
    p.pad_mode = PadMode::explicit_;
    p.padding = {0, 1, 3, 2};
    check(p, by(2));
    // Blocks of several rows that stick out of the image; panels fetched ahead; tasks of blocks, and of panels.
    const Schedule blocks = knob(&Schedule::q_strip, 3, knob(&Schedule::p_strip, 2, knob(&Schedule::q_tile, 5, knob(&Schedule::panel_ahead, 2))));
    for (int k_strip : {0, 1}) check(p, by(4, knob(&Schedule::k_strip, k_strip, blocks)));
    p.pad_mode = PadMode::valid;
    check(p, by(6, blocks));
    check(conv2d(9, 20, 320, 70, 3, 3), by(4));  // its transformed input does not stay in L2
    for (int64_t k : {1, 4, 7, 8}) check(conv2d(9, 14, 8, k, 3, 3), by(4));  // narrow vectors
}

TEST_CASE("without knobs, the algorithm is the quickest that is exact enough", "[specialised]") {
    ConvProblem p = conv2d(28, 28, 64, 64, 3, 3);
    const auto chosen = [&] { return derive({}, p.op, Isa::avx512, p).winograd; };
    CHECK(chosen() == 4);
    check(p);
    p.max_rel_error = 1e-6;  // 64 channels: F(4x4) 3.2e-6, F(2x2) 0.8e-6
    CHECK(chosen() == 2);
    check(p);
    p.max_rel_error = 1e-7;
    CHECK(chosen() == 1);
    check(p);
    p.max_rel_error = ConvProblem().max_rel_error;
    p.c = 3;  // transforms would take longer than the taps
    CHECK(chosen() == 1);
    CHECK(derive({}, p.op, Isa::avx512, strided(conv2d(28, 28, 64, 64, 3, 3), 2)).winograd == 1);
    CHECK(derive({}, p.op, Isa::avx512, conv2d(28, 28, 64, 64, 5, 5)).winograd == 1);
    CHECK(derive(knob(&Schedule::q_tile, 7), p.op, Isa::avx512, conv2d(28, 28, 64, 64, 3, 3)).winograd == 1);  // a knob of the direct algorithm
}

TEST_CASE("few channels are read without a copy, tested at the edges only", "[specialised]") {
    check(strided(conv2d(31, 37, 3, 32, 3, 3), 2));
    check(strided(conv2d(23, 29, 3, 20, 7, 7), 2));
    check(conv2d(5, 14, 1, 7, 3, 3), direct);
    check(conv2d(2, 3, 4, 16, 5, 5));  // a filter larger than the image
    check(conv2d(6, 40, 20, 24, 3, 3), knob(&Schedule::staging, 1));
}

TEST_CASE("a residual is added to tiles, tails of pixels and of channels, by every schedule", "[specialised]") {
    const auto adding = [](ConvProblem p) {
        p.residual = true;
        return p;
    };
    for (int64_t w : {7, 13, 14, 15, 41}) check(adding(pointwise(3, w, 24, 40)));
    check(adding(pointwise(7, 7, 1024, 130)), knob(&Schedule::panel_ahead, 2));
    check(adding(pointwise(3, 50, 20, 256)), knob(&Schedule::read_ahead, 2, knob(&Schedule::staging, 2)));
    for (int64_t w : {11, 14, 29}) {
        ConvProblem p = adding(conv2d(5, w, 20, 37, 3, 3));
        check(p, direct);
        check(p, knob(&Schedule::winograd, 4));
        check(p, knob(&Schedule::k_strip, 1, direct));
        p.op = Operator::depsep;
        p.out.activation = Activation::none;
        check(p);
        check(p, knob(&Schedule::read_ahead, 2));
        p.n = 2, p.multiplier = 2;
        check(p, knob(&Schedule::c_block, 20));
    }
    ConvProblem groups = adding(conv2d(6, 17, 12, 40, 3, 3));
    groups.groups = 2;
    check(groups);
    check(adding(strided(conv2d(9, 27, 24, 40, 1, 1), 2)));
}

TEST_CASE("a pointwise strip copied to scratch, with tails of pixels and channels", "[specialised]") {
    for (int64_t w : {14, 15, 27, 49}) check(pointwise(1, w, 64, 40), knob(&Schedule::staging, 2));
    check(pointwise(7, 7, 1024, 130));
    check(pointwise(5, 13, 19, 33), knob(&Schedule::staging, 2));
}

TEST_CASE("reading ahead changes no result, whatever the number of pixels", "[specialised]") {
    for (int64_t pixels : {14, 15, 41, 300}) check(pointwise(1, pixels, 48, 70), knob(&Schedule::read_ahead, 2));
    check(pointwise(3, 50, 20, 256), knob(&Schedule::read_ahead, 2, knob(&Schedule::staging, 2)));
}

TEST_CASE("the pass reads the next tile in every loop over channels, and not beyond the input", "[specialised]") {
    // 3 panels of 2 sums over 8 channels for each of 12 pixels.
    Halide::ImageParam in(Halide::Float(32), 2, "in");
    Halide::Var k("k"), x("x"), panel("panel"), inner("inner");
    Halide::RDom c(0, 8, "c");
    Halide::Func sum("sum");
    sum(k, x) = 0.0f;
    sum(k, x) += in(c, x) * Halide::cast<float>(k);
    Halide::Func out("out");
    out(k, x) = sum(k, x);
    out.bound(k, 0, 6).split(k, panel, inner, 2).reorder(inner, panel, x).parallel(x);
    sum.compute_at(out, panel).update().reorder(k, c);
    in.dim(0).set_bounds(0, 8).dim(1).set_min(0).set_stride(8);
    out.output_buffer().dim(0).set_bounds(0, 6).dim(1).set_min(0).set_stride(6);
    Halide::Pipeline pipeline(out);
    const Halide::Expr pixels = Halide::Internal::Variable::make(Halide::Int(32), "in.extent.1");
    pipeline.add_custom_lowering_pass(new ReadAhead({"c$x", ".panel", "in", 8, 4, pixels * 8}));

    const TemporaryFolder folder;
    pipeline.compile_to_lowered_stmt(folder.path("sum.stmt"), {in}, Halide::Text);
    const std::string text = bytes_of(folder.path("sum.stmt"));
    CHECK_THAT(text, Catch::Matchers::Contains("read_ahead") && Catch::Matchers::Contains("min(read_ahead_start"));

    Halide::Buffer<float> data(8, 12);  // the last pixel's next tile would lie outside
    data.fill([](int ci, int xi) { return float(ci + 10 * xi); });
    in.set(data);
    const Halide::Buffer<float> result = pipeline.realize({6, 12});
    for (int xi = 0; xi < 12; xi++)
        for (int ki = 0; ki < 6; ki++) CHECK(result(ki, xi) == float(ki * (28 + 80 * xi)));
}

TEST_CASE("fetching panels ahead changes no result, with one panel or many, few tiles or many", "[specialised]") {
    for (int64_t pixels : {1, 14, 41, 300}) check(pointwise(1, pixels, 48, 70), knob(&Schedule::panel_ahead, 2));
    check(pointwise(3, 50, 20, 16), knob(&Schedule::panel_ahead, 2));
    check(pointwise(7, 7, 320, 1284));  // as derived
    ConvProblem depsep = conv2d(7, 9, 40, 32 * 4 + 5, 3, 3);
    depsep.op = Operator::depsep;
    check(depsep, knob(&Schedule::panel_ahead, 2));
    check(depsep, knob(&Schedule::panel_ahead, 2, knob(&Schedule::k_strip, 2, knob(&Schedule::c_block, 8))));
    for (int64_t w : {1, 27, 28, 29}) check(strided(conv2d(7, w, 40, 32 * 4 + 5, 1, 1), 2), knob(&Schedule::panel_ahead, 2));
    check(conv2d(6, 13, 24, 70, 3, 3), knob(&Schedule::panel_ahead, 2));
    check(conv2d(6, 13, 24, 70, 3, 3), knob(&Schedule::panel_ahead, 2, knob(&Schedule::c_block, 8)));
}

TEST_CASE("a filter from memory goes by in few passes, blocks of channels fetched ahead", "[specialised]") {
    for (const ConvProblem &p : {conv2d(5, 7, 512, 240, 3, 3), strided(conv2d(9, 13, 512, 240, 3, 3), 2)}) {
        const Schedule s = derive(direct, p.op, Isa::avx512, p);
        CHECK(s.panel_ahead == 2);
        CHECK(s.c_block > 0);
        CHECK(s.p_strip == p.p());
        check(p, direct);
    }
    const ConvProblem kept = conv2d(14, 14, 256, 256, 3, 3);
    CHECK(derive(direct, kept.op, Isa::avx512, kept).panel_ahead == 1);
}

TEST_CASE("few channels are read without a copy, the more the dearer it would be", "[specialised]") {
    const ConvProblem near = conv2d(9, 28, 32, 40, 3, 3), far = conv2d(97, 91, 32, 40, 3, 3);
    CHECK(derive(direct, near.op, Isa::avx512, near).staging == 2);
    for (const ConvProblem &p : {conv2d(9, 28, 8, 16, 3, 3), strided(near, 2), far, strided(conv2d(70, 65, 64, 33, 3, 3), 2)}) {
        CHECK(derive(direct, p.op, Isa::avx512, p).staging == 1);
        check(p, direct);
    }
}

namespace {

// The indices of `filter` that a pipeline prefetches, whose extents are all known.
class Prefetched : public Halide::Internal::IRVisitor {
public:
    std::set<int64_t> indices;

    template<typename Pass>
    Prefetched(Halide::Pipeline pipeline, const Halide::ImageParam &filter, Pass *pass) {
        pipeline.add_custom_lowering_pass(pass);
        const Halide::Target target("x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41-no_runtime");
        const Halide::Module module = pipeline.compile_to_module({filter}, "fetching", target);
        CHECK(has_prefetches(module));
        for (const Halide::Internal::LoweredFunc &function : module.functions()) function.body.accept(this);
    }

private:
    using IRVisitor::visit;
    Halide::Expr value_of(Halide::Expr e) {
        for (const auto &[name, value] : values_) e = Halide::Internal::substitute(name, value, e);
        return Halide::Internal::simplify(e);
    }
    void visit(const Halide::Internal::LetStmt *op) override {
        values_[op->name] = value_of(op->value);
        op->body.accept(this);
        values_.erase(op->name);
    }
    void visit(const Halide::Internal::For *op) override {
        const auto extent = Halide::Internal::as_const_int(value_of(op->extent)), min = Halide::Internal::as_const_int(value_of(op->min));
        REQUIRE((extent && min));
        for (int64_t i = 0; i < *extent; i++) {
            values_[op->name] = int(*min + i);
            op->body.accept(this);
        }
        values_.erase(op->name);
    }
    void visit(const Halide::Internal::Call *op) override {
        if (!op->is_intrinsic(Halide::Internal::Call::prefetch)) return;
        const auto index = Halide::Internal::as_const_int(value_of(op->args[1]));
        REQUIRE(index);
        indices.insert(*index);
    }

    std::map<std::string, Halide::Expr> values_;
};

std::set<int64_t> first_of_lines(int64_t lines) {
    std::set<int64_t> all;
    for (int64_t line = 0; line < lines; line++) all.insert(line * 16);
    return all;
}

}  // namespace

TEST_CASE("the pass fetches every line of the next panel, from the last one those of the first", "[specialised]") {
    // Panels of 16 x 8 floats, 8 lines each; 3 of them; tiles of 1 pixel, of which 6 run over each panel.
    Halide::ImageParam filter(Halide::Float(32), 3, "filter");
    Halide::Var k("k"), x("x"), panel("panel"), inner("inner");
    Halide::RDom c(0, 8, "c");
    Halide::Func sum("sum"), out("out");
    sum(k, x) = 0.0f;
    sum(k, x) += filter(k % 16, c, k / 16) * Halide::cast<float>(x);
    out(k, x) = sum(k, x);
    out.bound(k, 0, 48).bound(x, 0, 6).split(k, panel, inner, 16).reorder(inner, x, panel).vectorize(inner, 16);
    sum.compute_at(out, x).vectorize(k, 16).update().reorder(k, c).vectorize(k, 16);
    filter.dim(0).set_bounds(0, 16).dim(1).set_bounds(0, 8).set_stride(16).dim(2).set_bounds(0, 3).set_stride(128);
    CHECK(PanelAhead::lines_for(128, 6, 8) == 1);
    CHECK(PanelAhead::lines_for(128, 1, 4) == 2);
    CHECK(PanelAhead::lines_for(130, 1, 4) == 3);
    CHECK(Prefetched(out, filter, new PanelAhead({"c$x", ".panel", "filter", 128, 128, 1})).indices == first_of_lines(3 * 8));
}

TEST_CASE("the pass fetches every line where a panel has taps and is used by blocks of channels", "[specialised]") {
    // Panels of 16 x 8 channels x 3 taps, used by blocks of 4 channels: runs of 4 lines, 6 in a panel; taps one by one, then together.
    for (const bool together : {false, true}) {
        Halide::ImageParam filter(Halide::Float(32), 4, "filter");
        Halide::Var k("k"), x("x"), panel("panel"), inner("inner"), partial("partial");
        Halide::RDom c(0, 8, 0, 3, "c");
        Halide::RVar block("block"), channel("channel");
        Halide::Func sum("sum"), out("out");
        sum(k, x) = 0.0f;
        sum(k, x) += filter(k % 16, c.x, c.y, k / 16) * Halide::cast<float>(x);
        out(k, x) = sum(k, x);
        out.bound(k, 0, 48).bound(x, 0, 6).split(k, panel, inner, 16).reorder(inner, x, panel).vectorize(inner, 16);
        sum.update().split(c.x, block, channel, 4);
        Halide::Func part = sum.update().rfactor(block, partial);
        sum.compute_at(out, panel).bound_extent(k, 16).bound_extent(x, 6).vectorize(k, 16);
        sum.update().reorder(k, x, block).vectorize(k, 16);
        part.compute_at(sum, x).vectorize(k, 16);
        Halide::Stage update = part.update();
        if (together)
            update.reorder(k, c.y, channel).unroll(c.y).vectorize(k, 16);
        else
            update.reorder(k, channel, c.y).vectorize(k, 16);
        filter.dim(0).set_bounds(0, 16).dim(1).set_bounds(0, 8).set_stride(16).dim(2).set_bounds(0, 3).set_stride(128);
        filter.dim(3).set_bounds(0, 3).set_stride(384);
        PanelAhead::Where where{".channel", ".panel", "filter", 384, 64, 1, "c$", ".block"};
        if (together) where.runs_together = 3, where.run_distance = 128;
        CHECK(Prefetched(out, filter, new PanelAhead(where)).indices == first_of_lines(3 * 24));
    }
}

TEST_CASE("the pass fetches every line of a panel whose runs follow each other over two loops", "[specialised]") {
    // As by Winograd's algorithm: 2 x 3 products, of each of which a run of 16 x 8 floats, one after another; then the next panel begins.
    Halide::ImageParam filter(Halide::Float(32), 4, "filter");
    Halide::Var k("k"), x("x"), i("i"), j("j");
    Halide::RDom c(0, 8, "c");
    Halide::Func sum("sum"), out("out");
    sum(k, x, j, i) = 0.0f;
    sum(k, x, j, i) += filter(k, c, j, i) * Halide::cast<float>(x);
    out(k, x, j, i) = sum(k, x, j, i);
    out.bound(k, 0, 16).bound(x, 0, 6).bound(j, 0, 3).bound(i, 0, 2).vectorize(k, 16);
    sum.compute_at(out, x).vectorize(k, 16).update().reorder(k, c).vectorize(k, 16);
    filter.dim(0).set_bounds(0, 16).dim(1).set_bounds(0, 8).set_stride(16).dim(2).set_bounds(0, 3).set_stride(128).dim(3).set_bounds(0, 2).set_stride(384);
    PanelAhead::Where where{"c$x", ".j", "filter", 128, 128, 1};
    where.after_last = 384;
    std::set<int64_t> expected = first_of_lines((6 + 1) * 8);
    for (int64_t line : first_of_lines(8)) expected.erase(line);  // the first run is fetched by whatever comes before
    CHECK(Prefetched(out, filter, new PanelAhead(where)).indices == expected);
}

TEST_CASE("depthwise takes four rows at a time from afar, tiles that divide a row, and single rows of few", "[specialised]") {
    const auto depthwise = [](int64_t h, int64_t w, int64_t c, int64_t taps, int64_t stride = 1, int64_t dilation = 1, int64_t multiplier = 1) {
        ConvProblem p = strided(conv2d(h, w, c, 0, taps, taps), stride, dilation);
        p.op = Operator::depthwise;
        p.multiplier = multiplier;
        return p;
    };
    const auto tile = [](const ConvProblem &p) {
        const Schedule s = derive({}, p.op, Isa::avx512, p);
        return std::pair(s.q_tile, s.p_tile);
    };
    // 1 MiB and more; rows and pixels that tiles divide, and that they do not.
    const ConvProblem from_l3 = depthwise(66, 66, 64, 3), odd = depthwise(67, 65, 64, 5), dilated = depthwise(68, 68, 64, 3, 1, 2);
    const ConvProblem large = depthwise(66, 68, 64, 7), far_strided = depthwise(67, 66, 64, 3, 2), few_rows = depthwise(14, 300, 64, 3);
    const ConvProblem from_memory = depthwise(259, 257, 64, 3), doubled = depthwise(260, 260, 64, 3, 1, 1, 2);
    CHECK(tile(from_l3) == std::pair(2, 4));
    CHECK(tile(odd) == std::pair(1, 4));
    CHECK(tile(dilated) == std::pair(4, 4));
    CHECK(tile(large) == std::pair(4, 2));
    CHECK(tile(far_strided) == std::pair(1, 2));
    CHECK(tile(few_rows) == std::pair(2, 2));
    CHECK(tile(from_memory) == std::pair(1, 4));
    CHECK(tile(doubled) == std::pair(2, 4));
    for (const ConvProblem &p : {from_l3, odd, dilated, large, far_strided, few_rows, from_memory, doubled}) check(p);
    const ConvProblem near = depthwise(9, 28, 20, 3), row = depthwise(7, 7, 24, 5), row_strided = depthwise(13, 13, 20, 3, 2);
    CHECK(tile(near) == std::pair(4, 2));
    CHECK(tile(depthwise(9, 14, 20, 3)) == std::pair(7, 2));
    CHECK(tile(row) == std::pair(7, 1));
    CHECK(tile(row_strided) == std::pair(7, 1));
    for (const ConvProblem &p : {near, row, row_strided, depthwise(9, 13, 20, 3)}) check(p);
}

TEST_CASE("the pass fetches every line that the next strip reads", "[specialised]") {
    // Strips of 2 pixels, which read 3 pixels of 16 channels of 2 rows; 3 strips in a row of 6 pixels; 2 panels.
    Halide::ImageParam in(Halide::Float(32), 3, "in");
    Halide::Var k("k"), x("x"), panel("panel"), inner("inner"), strip("strip"), in_strip("in_strip");
    Halide::RDom c(0, 16, "c"), taps(0, 2, 0, 2, "taps");
    Halide::Func mid("mid"), sum("sum"), out("out");
    mid(k, x) = 0.0f;
    mid(k, x) += in(k, x + taps.x, taps.y);
    sum(k, x) = 0.0f;
    sum(k, x) += Halide::cast<float>(k) * mid(c, x);
    out(k, x) = sum(k, x);
    out.bound(k, 0, 32).bound(x, 0, 6).split(x, strip, in_strip, 2).split(k, panel, inner, 16).reorder(inner, in_strip, panel, strip).vectorize(inner, 16);
    mid.compute_at(out, strip).vectorize(k, 16).update().vectorize(k, 16);
    sum.compute_at(out, in_strip).vectorize(k, 16).update().reorder(k, c).vectorize(k, 16);
    in.dim(0).set_bounds(0, 16).dim(1).set_bounds(0, 7).set_stride(16).dim(2).set_bounds(0, 2).set_stride(112);
    std::set<int64_t> expected;
    for (int64_t pixel = 2; pixel < 9; pixel++)
        for (int64_t row : {0, 1}) expected.insert(row * 112 + pixel * 16);
    CHECK(Prefetched(out, in, new StripAhead({".x.strip", ".panel", "c$x", "in", 2, 48, 112, 2 * 2 * 16})).indices == expected);
}

TEST_CASE("fetching the next strip ahead changes no result; it is done where the input comes from beyond L2", "[specialised]") {
    for (int64_t w : {5, 6, 7, 13, 24}) {
        ConvProblem p = conv2d(9, w, 40, 70, 3, 3);
        p.op = Operator::depsep;
        check(p, knob(&Schedule::read_ahead, 2));
        check(strided(p, 2), knob(&Schedule::read_ahead, 2, knob(&Schedule::p_tile, 4, knob(&Schedule::p_strip, 4))));
    }
    ConvProblem large = conv2d(224, 224, 128, 128, 3, 3);
    large.op = Operator::depsep;
    CHECK(derive({}, large.op, Isa::avx512, large).read_ahead == 2);
    large.h = large.w = 28;
    CHECK(derive({}, large.op, Isa::avx512, large).read_ahead == 1);
}

namespace {

void check_nchw(ConvProblem p, const NchwSchedule &knobs = {}, const std::vector<Isa> &isas = {Isa::avx512, Isa::avx2, Isa::x64}) {
    p.layout = Layout::nchw;
    for (Isa isa : isas) {
        if (!Cpu::detect().runs(isa)) continue;  // check() tells
        INFO(p.key() << " " << name(isa));
        REQUIRE(why_not_valid(derive_nchw(knobs, p.op, isa, p), p.op, isa) == "");
        const auto kernel = compile_in_process(specialise_nchw(p, isa, knobs));
        set_num_threads(threads);
        REQUIRE(kernel->variant().refuses(p) == "");
        Tensors tensors = make_exact_tensors(p, check_seed);
        const CheckResult result = check_variant(kernel->variant(), tensors);
        CHECK(result.message == "");
    }
}

}  // namespace

TEST_CASE("NCHW: rows around vectors and tiles, strides, dilation, groups, multipliers", "[specialised]") {
    ConvProblem grouped = conv2d(6, 19, 6, 15, 3, 3), dilated = conv2d(9, 33, 5, 7, 3, 5);
    grouped.groups = 3;
    dilated.dilation_w = 3, dilated.stride_w = 2;
    for (int64_t w : {1, 7, 16, 17, 49}) check_nchw(conv2d(4, w, 5, 14, 3, 3));
    for (const ConvProblem &p : {grouped, dilated, strided(conv2d(9, 37, 4, 9, 3, 3), 2), strided(conv2d(7, 12, 4, 9, 1, 1), 3)}) check_nchw(p);
    for (int64_t w : {1, 5, 16, 35}) check_nchw(pointwise(3, w, 10, 27));
    for (Operator op : {Operator::depthwise, Operator::depsep})
        for (int64_t stride : {1, 2})
            for (int64_t w : {3, 16, 39}) {
                ConvProblem p = strided(conv2d(11, w, 5, op == Operator::depsep ? 14 : 0, 3, 3), stride);
                p.op = op;
                p.multiplier = stride;
                check_nchw(p);
            }
}

TEST_CASE("NCHW: a depthwise convolution or half reads the input in place or a copy of it", "[specialised]") {
    NchwSchedule in_place, copied;
    in_place.staging = 1, copied.staging = 2;
    for (Operator op : {Operator::depthwise, Operator::depsep})
        for (int64_t w : {1, 15, 17, 40, 48}) {
            ConvProblem p = conv2d(13, w, 5, op == Operator::depsep ? 14 : 0, 3, 5);
            p.op = op;
            check_nchw(p, copied);
            if (!Cpu::detect().runs(Isa::avx2)) continue;  // check_nchw() tells
            for (int64_t dilation : {1, 3}) {
                p.dilation_h = p.dilation_w = dilation;
                check_nchw(p, in_place, {Isa::avx512, Isa::avx2});
            }
            p.dilation_h = p.dilation_w = 1;
            p.layout = Layout::nchw;
            CHECK(derive_nchw({}, op, Isa::avx512, p).staging == 1);
            CHECK(derive_nchw({}, op, Isa::x64, p).staging == 2);
            CHECK(derive_nchw({}, op, Isa::avx512, strided(p, 2)).staging == 2);
        }
    CHECK(why_not_valid(derive_nchw(in_place, Operator::depthwise, Isa::x64, {}), Operator::depthwise, Isa::x64) ==
          "knob \"staging\" is 1; allowed for depthwise with nchw and x64: 2 to 2");
}

TEST_CASE("NCHW: a residual is added to tiles, tails of pixels and of channels", "[specialised]") {
    for (int64_t w : {1, 16, 35}) {
        ConvProblem p = pointwise(3, w, 10, 27);
        p.residual = true;
        check_nchw(p);
        p = conv2d(5, w, 6, 27, 3, 3);
        p.residual = true;
        check_nchw(p);
        p.op = Operator::depsep;
        check_nchw(p);
    }
}

TEST_CASE("NCHW: fetching ahead changes no result; it is done where the input comes from beyond L2", "[specialised]") {
    NchwSchedule ahead;
    ahead.read_ahead = 2;
    for (Operator op : {Operator::depthwise, Operator::pointwise, Operator::depsep}) {
        ConvProblem p = conv2d(21, 35, 6, op == Operator::depthwise ? 0 : 14, 3, 3);
        p.op = op;
        if (op == Operator::pointwise) p.r = p.s = 1;
        check_nchw(p, ahead);
        p.layout = Layout::nchw;
        CHECK(derive_nchw({}, op, Isa::avx512, p).read_ahead == 1);
        p.h = p.w = 224;
        CHECK(derive_nchw({}, op, Isa::avx512, p).read_ahead == 2);
    }
}

TEST_CASE("strips of panels, dividing them or not", "[specialised]") {
    for (int k_strip : {1, 2, 3, 9}) {
        check(pointwise(4, 9, 24, 32 * 4 + 5), knob(&Schedule::k_strip, k_strip));
        check(conv2d(5, 7, 8, 32 * 4 + 5, 3, 3), knob(&Schedule::k_strip, k_strip, direct));
    }
    ConvProblem depsep = conv2d(7, 9, 32, 32 * 4 + 5, 3, 3);
    depsep.op = Operator::depsep;
    check(depsep, knob(&Schedule::k_strip, 2));
    check(depsep, knob(&Schedule::k_vectors, 3));
}
