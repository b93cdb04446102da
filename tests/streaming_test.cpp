// Streaming stores: the edit of Halide's IR alone, what becomes of it in kernels, who gets such kernels, and what is said where LLVM is missing.
#include "catch.h"
#include "passes/hot_loop.h"
#include "passes/streaming_stores.h"
#include "runtime/aligned.h"
#include "schedules/schedule_check.h"
#include "schedules/search_space.h"
#include "support.h"
#include "tools/compile/build_module.h"
#include "tools/compile/in_process.h"
#include "tools/compile/llc.h"
#include "tools/compile/plan_kernels.h"
#include "tools/program.h"

#include <Halide.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <set>
#include <sstream>

using namespace sepal;
using Catch::Contains;

namespace {

// The IR of out(x, y) = 2 * twice(x, y), in parallel over y, where twice is stored by vectors, too. Any width when `width` is 0.
std::string halide_ir(int width, bool aligned, bool vectors = true) {
    Halide::ImageParam in(Halide::Float(32), 2, "in");
    Halide::Var x("x"), y("y");
    Halide::Func twice("twice"), out("out");
    twice(x, y) = in(x, y) + in(x, y);
    out(x, y) = twice(x, y) * 2.0f;
    if (vectors) out.vectorize(x, 16, Halide::TailStrategy::GuardWithIf);
    out.parallel(y);
    twice.compute_at(out, y).store_in(Halide::MemoryType::Heap).vectorize(x, 16);
    Halide::OutputImageParam buffer = out.output_buffer();
    if (width > 0) buffer.dim(0).set_bounds(0, width).dim(1).set_min(0).set_stride(width);
    if (aligned) buffer.set_host_alignment(streaming_alignment);
    const TemporaryFolder folder;
    const Halide::Target target("x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41-no_runtime");
    out.compile_to_llvm_assembly(folder.path("out.ll"), {in}, "doubling", target);
    return bytes_of(folder.path("out.ll")) + "; the output is " + out.name() + "\n";
}

std::string output_of(const std::string &ir) {
    const std::string before = "; the output is ";
    const size_t at = ir.rfind(before) + before.size();
    return ir.substr(at, ir.find('\n', at) - at);
}

std::vector<std::string> lines_of(const std::string &text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

std::string refused(const std::string &ir, const std::string &func) {
    try {
        stream_stores(ir, func);
    } catch (const std::runtime_error &e) {
        return e.what();
    }
    return "";
}

// Sets SEPAL_LLC for as long as it lives.
struct Llc {
    std::string before;
    explicit Llc(const std::string &path) {
        if (const char *old = std::getenv("SEPAL_LLC")) before = old;
        setenv("SEPAL_LLC", path.c_str(), 1);
    }
    ~Llc() { before.empty() ? unsetenv("SEPAL_LLC") : setenv("SEPAL_LLC", before.c_str(), 1); }
};

// Whether kernels with streaming stores can be made here; says once, visibly, why the tests that need them are skipped.
bool can_stream() {
    const std::string why = why_no_llc();
    static bool told = false;
    if (!why.empty() && !told) fmt::print("[SKIP] kernels with streaming stores: {}\n", why);
    told = true;
    return why.empty();
}

ConvProblem problem(Operator op, int64_t h, int64_t w, int64_t c, int64_t k = 0, int64_t taps = 3) {
    ConvProblem p;
    p.name = "streamed";
    p.op = op;
    p.h = h, p.w = w, p.c = c, p.k = k;
    p.r = p.s = op == Operator::pointwise ? 1 : taps;
    p.out = {true, Activation::relu};
    return p;
}

ConvProblem with(ConvProblem p, int64_t stride, int64_t dilation, int64_t multiplier = 1, int64_t groups = 1, int64_t n = 1) {
    p.stride_h = p.stride_w = stride;
    p.dilation_h = p.dilation_w = dilation;
    p.multiplier = multiplier;
    p.groups = groups;
    p.n = n;
    return p;
}

Schedule knob(int Schedule::*member, int value, Schedule s = {}) {
    s.*member = value;
    return s;
}

// Without the condition by which only outputs that leave the caches get such a kernel.
KernelSpec streaming_spec(const ConvProblem &p, Isa isa, Schedule set) {
    set.streaming = 2;
    KernelSpec spec = specialise(p, isa, "hand", set);
    const auto too_small = [](const Condition &c) { return c.field == Field::pixels && c.value > 10000; };
    REQUIRE(std::count_if(spec.when.begin(), spec.when.end(), too_small) == 1);
    spec.when.erase(std::remove_if(spec.when.begin(), spec.when.end(), too_small), spec.when.end());
    return spec;
}

void check(const ConvProblem &p, const Schedule &set = {}) {
    for (Isa isa : cpu_isas) {
        if (!Cpu::detect().runs(isa)) {
            static std::set<Isa> told;
            if (told.insert(isa).second) fmt::print("[SKIP] streaming kernels of {}: this CPU cannot run them\n", name(isa));
            continue;
        }
        INFO(p.key() << " " << name(isa) << " " << knobs_text(set));
        set_num_threads(2);
        const auto kernel = compile_in_process(streaming_spec(p, isa, set));
        REQUIRE(kernel->variant().refuses(p) == "");
        CHECK(kernel->variant().output_alignment == 64);
        Tensors tensors = make_exact_tensors(p, check_seed);
        const CheckResult result = check_variant(kernel->variant(), tensors);
        CHECK(result.passed);
        CHECK(result.message == "");
    }
}

}  // namespace

TEST_CASE("stores to the named Func are marked, no others, and each function that has them ends with a fence", "[streaming]") {
    const std::string ir = halide_ir(64, true), output = output_of(ir);
    const StreamedIr streamed = stream_stores(ir, output);
    const std::vector<std::string> before = lines_of(ir), after = lines_of(streamed.text);
    const auto count = [](const std::vector<std::string> &lines, const std::string &part) {
        return std::count_if(lines.begin(), lines.end(), [&](const std::string &line) { return has(line, part); });
    };
    CHECK(streamed.stores > 0);
    CHECK(count(after, ", !nontemporal !") == streamed.stores);
    CHECK(count(before, "store <16 x float>") > streamed.stores);  // those of `twice`
    std::smatch tag, node;
    for (const std::string &line : after) {
        if (!has(line, "!nontemporal")) continue;
        REQUIRE(std::regex_search(line, tag, std::regex("!tbaa !([0-9]+)")));
        REQUIRE(std::regex_search(ir, node, std::regex("\n!" + tag.str(1) + " = !\\{!([0-9]+),")));
        CHECK(has(ir, "\n!" + node.str(1) + " = !{!\"" + output));
    }
    int fences = 0;
    for (size_t begin = 0; begin < after.size(); begin++) {
        if (after[begin].compare(0, 7, "define ") != 0) continue;
        const size_t end = size_t(std::find(after.begin() + long(begin), after.end(), "}") - after.begin());
        const bool streams = count({after.begin() + long(begin), after.begin() + long(end)}, "!nontemporal !") > 0;
        for (size_t i = begin; i < end; i++) {
            if (after[i].compare(0, 6, "  ret ") != 0) continue;
            CHECK(has(after[i - 1], "call void @llvm.x86.sse.sfence()") == streams);
            fences += streams;
        }
    }
    CHECK(fences > 0);
    CHECK(count(after, "call void @llvm.x86.sse.sfence()") == fences);
    // Nothing else differs.
    std::string stripped = std::regex_replace(streamed.text, std::regex(", !nontemporal ![0-9]+"), "");
    stripped = std::regex_replace(stripped, std::regex("  call void @llvm.x86.sse.sfence\\(\\)\n"), "");
    CHECK(stripped.compare(0, ir.size(), ir) == 0);
}

TEST_CASE("stores that could not stream are refused, each with its reason", "[streaming]") {
    const std::string unaligned = halide_ir(64, false), masked = halide_ir(0, true), scalar = halide_ir(64, true, false), good = halide_ir(64, true);
    CHECK_THAT(refused(unaligned, output_of(unaligned)), Contains("cannot stream") && Contains("one of 64 bytes is aligned to 4"));
    CHECK_THAT(refused(masked, output_of(masked)), Contains("cannot stream") && (Contains("masked") || Contains("aligned to")));
    CHECK_THAT(refused(scalar, output_of(scalar)), Contains("cannot stream"));
    CHECK_THAT(refused(good, "nonesuch"), Contains("stores to \"nonesuch\" cannot stream: there are none"));
    CHECK(refused(good, output_of(good)) == "");
}

TEST_CASE("streaming kernels compute what others do: tails of rows and panels, strides, dilation, multiplier, groups, batches", "[streaming]") {
    if (!can_stream()) return;
    for (int64_t w : {1, 5, 30}) check(problem(Operator::depthwise, 9, w, 32));
    check(with(problem(Operator::depthwise, 11, 13, 48, 0, 5), 2, 1, 1, 1, 2));
    check(with(problem(Operator::depthwise, 11, 13, 16, 0, 7), 1, 2, 2));
    for (int64_t k : {16, 80, 144}) check(problem(Operator::pointwise, 3, 19, 24, k));
    check(problem(Operator::pointwise, 5, 40, 24, 80), knob(&Schedule::k_vectors, 4));  // the last panel is one vector of four
    for (int64_t k : {32, 80}) check(problem(Operator::depsep, 7, 30, 20, k));
    check(with(problem(Operator::depsep, 8, 17, 24, 64), 2, 1, 1, 1, 2));
    for (int64_t w : {7, 25}) check(problem(Operator::conv2d, 6, w, 12, 48));
    check(with(problem(Operator::conv2d, 6, 17, 12, 64), 1, 1, 1, 2));
    check(with(problem(Operator::conv2d, 9, 14, 3, 32), 2, 1));
    check(problem(Operator::conv2d, 6, 17, 32, 16), knob(&Schedule::c_block, 16));
    for (int64_t k : {32, 48}) check(problem(Operator::conv2d, 9, 13, 16, k), knob(&Schedule::winograd, 4));
    check(problem(Operator::pointwise, 3, 50, 48, 80), knob(&Schedule::panel_ahead, 2));  // by way of two edits
    for (ConvProblem p : {problem(Operator::pointwise, 3, 19, 24, 80), problem(Operator::depsep, 7, 30, 20, 80), problem(Operator::conv2d, 6, 25, 12, 48)}) {
        p.residual = true;
        check(p);
    }
}

TEST_CASE("registers saved in the loop with most multiply-adds are counted, of innermost loops only", "[streaming]") {
    const std::string outer = ".LBB0_1:\n\tvmovups\t%zmm9, (%rsp)\n";
    const std::string hot = ".LBB0_2:    # the inner loop\n\tvfmadd231ps\t%zmm0, %zmm1, %zmm2\n\tvmovups\t%zmm2, 64(%rsp)     # 64-byte Spill\n"
                            "\tvmovaps\t%ymm3, 128(%rsp)\n\tvmovups\t128(%rsp), %ymm4\n\tvfmadd213ps\t(%rax), %zmm1, %zmm3\n\tjne\t.LBB0_2\n";
    const std::string cold = ".LBB0_3:\n\tvfmadd231ps\t%zmm0, %zmm1, %zmm2\n\tvmovups\t%zmm5, (%rsp)\n\tjne\t.LBB0_3\n";
    CHECK(hot_loop_spills(outer + hot + cold + "\tjne\t.LBB0_1\n") == 2);
    CHECK(hot_loop_spills(cold + "\tjmp\t.LBB0_9\n.LBB0_9:\n") == 1);
    CHECK(hot_loop_spills("f:\n\tvmovups\t%zmm2, 64(%rsp)\n\tretq\n") == 0);
}

TEST_CASE("by Winograd's algorithm, too, a streaming kernel keeps its accumulators in registers", "[streaming]") {
    if (const std::string why = why_no_llc(); !why.empty()) {
        fmt::print("[SKIP] {}\n", why);
        return;
    }
    ConvProblem p = problem(Operator::conv2d, 56, 56, 64, 64);
    const KernelSpec spec = specialise(p, Isa::avx512, "hand", knob(&Schedule::winograd, 4, knob(&Schedule::streaming, 2)));
    const TemporaryFolder folder;
    const Halide::Module module = build_module(spec, kernel_target(Isa::avx512));
    module.compile({{Halide::OutputFileType::llvm_assembly, folder.path("kernel.ll")}});
    CHECK(hot_loop_spills(compile_ir(bytes_of(folder.path("kernel.ll")))) <= 4);  // from the bottom up it would be some 30
}

TEST_CASE("an output that is not aligned to whole lines is refused with the alignment found and needed", "[streaming]") {
    if (!can_stream()) return;
    const ConvProblem p = problem(Operator::depthwise, 5, 6, 16);
    const auto kernel = compile_in_process(streaming_spec(p, Isa::x64, {}));
    const Tensors t = make_exact_tensors(p, check_seed);
    Status status;
    const auto plan = Plan::create(p, kernel->variant(), t.weights(), status);
    REQUIRE(status.ok());
    AlignedFloats output(p.output_elements() + 16);
    CHECK(plan->run(t.input.data(), output.data()).ok());
    CHECK(plan->run(t.input.data(), output.data() + 16).ok());
    const Status refused = plan->run(t.input.data(), output.data() + 4);
    CHECK(refused.code == Status::Code::invalid_argument);
    CHECK(refused.message == fmt::format("the output is aligned to 16 bytes; variant {}, whose stores bypass the caches, needs 64", kernel->variant().name));
}

TEST_CASE("streaming rows make kernels for those problems that they pay for, and none of these takes a small output", "[streaming]") {
    const TemporaryFolder folder;
    const auto plan = [&](const std::string &row) { return plan_kernels(folder.write("t.json", "{\"variants\": [" + row + "]}"), {Isa::avx512}); };
    const auto specs = plan(R"({"op": "depthwise", "isa": ["avx512"], "scheduler": "hand", "suite": "depthwise_levels", "knobs": {"streaming": 2}})");
    std::set<std::string> wanted;
    for (const ConvProblem &p : load_suite("depthwise_levels").problems)
        if (4 * p.output_elements() > 16 << 20) wanted.insert(specialise(p, Isa::avx512, "hand", knob(&Schedule::streaming, 2)).name);
    REQUIRE(!wanted.empty());
    CHECK(specs.size() == wanted.size());
    for (const KernelSpec &spec : specs) {
        CHECK(wanted.count(spec.name) == 1);
        CHECK(spec.name.find("_nt2_") != std::string::npos);
        CHECK(spec.output_alignment == 64);
        CHECK(to_json(kernel_spec_from_json(to_json(spec))) == to_json(spec));
    }
    // Of one shape and more or fewer images: 16 MiB are 32 images of this one.
    const auto images = [](int64_t n) { return with(problem(Operator::depthwise, 64, 64, 32), 1, 1, 1, 1, n); };
    const KernelSpec spec = specialise(images(40), Isa::avx512, "hand", knob(&Schedule::streaming, 2));
    const auto takes = [&](int64_t n) {
        const ConvProblem p = images(n);
        return std::all_of(spec.when.begin(), spec.when.end(), [&](const Condition &c) { return c.holds(p); });
    };
    CHECK(takes(33));
    CHECK_FALSE(takes(32));
    CHECK_THAT(bad_input([&] { plan(R"({"op": "depthwise", "isa": ["avx512"], "scheduler": "hand", "knobs": {"streaming": 2}})"); }),
               Contains("t.json: variant 0: knob \"streaming\" is 2; allowed without \"suite\": 1"));
}

TEST_CASE("streaming needs whole vectors of channels, and is derived for nothing", "[streaming]") {
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep}) {
        const ConvProblem whole = problem(op, 300, 300, 48, 48), cut = problem(op, 300, 300, 52, 52);
        CHECK(streaming_pays(whole, Isa::avx512));
        CHECK_FALSE(streaming_pays(cut, Isa::avx512));
        CHECK_FALSE(streaming_pays(problem(op, 100, 100, 48, 48), Isa::avx512));
        CHECK(derive({}, op, Isa::avx512, whole).streaming == 1);
        CHECK(why_not_valid(derive(knob(&Schedule::streaming, 2), op, Isa::avx512, whole), whole, Isa::avx512) == "");
        CHECK_THAT(why_not_valid(derive(knob(&Schedule::streaming, 2), op, Isa::avx512, cut), cut, Isa::avx512),
                   Contains("knob \"streaming\" is 2; allowed for the problem: 1, since its 52 output channels are no whole vectors of 16"));
        CHECK_THAT(why_not_valid(derive(knob(&Schedule::streaming, 3), op, Isa::avx512, whole), whole, Isa::avx512), Contains("\"streaming\" is 3"));
    }
}

TEST_CASE("in process it is taken where it pays and can be compiled; a tuning session looks at both there", "[streaming]") {
    const ConvProblem large = problem(Operator::pointwise, 300, 300, 8, 48), small = problem(Operator::pointwise, 30, 30, 8, 48);
    Cpu cpu;
    cpu.best = Isa::avx512;
    std::string why_not;
    const auto alignment = [&](const ConvProblem &p, bool streaming) { return specialise_for(p, cpu, why_not, {}, 1, {}, streaming)->output_alignment; };
    CHECK(alignment(large, true) == 64);
    CHECK(alignment(large, false) == 0);
    CHECK(alignment(small, true) == 0);
    const auto looks_at_both = [](const ConvProblem &p, bool streaming) {
        CoreBudget budget;
        budget.streaming = streaming;
        const SearchSpace space(p, Isa::avx512, budget);
        return std::any_of(space.axes().begin(), space.axes().end(), [](const Axis &a) { return a.knob.member == &Schedule::streaming; });
    };
    CHECK(looks_at_both(large, true));
    CHECK_FALSE(looks_at_both(large, false));
    CHECK_FALSE(looks_at_both(small, true));
    // The model knows that plain stores read what they overwrite.
    Schedule s = derive({}, large.op, Isa::avx512, large);
    const double plain = predict(s, large, Isa::avx512, {}).cycles;
    CHECK(predict(knob(&Schedule::streaming, 2, s), large, Isa::avx512, {}).cycles < plain);
}

TEST_CASE("an LLVM that is missing, too old or broken is one clear sentence, and the kernel is not built", "[streaming]") {
    const TemporaryFolder folder;
    const auto script = [&](const char *file, const std::string &text) {
        const std::string path = folder.write(file, "#!/bin/sh\n" + text);
        chmod(path.c_str(), 0755);
        return path;
    };
    const std::string version = "[ \"$1\" = --version ] && echo 'LLVM version 22.1.8' && exit 0\n";
    const std::string absent = folder.path("absent"), old = script("old", "echo 'LLVM version 14.0.6'\n");
    const std::string other = script("other", "echo hello; exit 3\n");
    const std::string failing = script("failing", version + "echo 'error: no' >&2; exit 7\n"), idle = script("idle", version + "exit 0\n");
    const auto sentence = [&](const std::string &llc) {
        const Llc set(llc);
        try {
            compile_ir("");
        } catch (const std::runtime_error &e) {
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(sentence(absent) == "streaming stores need llc of LLVM 21 or newer, and " + absent + " cannot be run: No such file or directory");
    CHECK(sentence(old) == "streaming stores need llc of LLVM 21 or newer, and " + old + " is of LLVM 14");
    CHECK_THAT(sentence(other), Contains(other + " is none") && Contains("ends with status 3 and prints \"hello\""));
    CHECK(sentence(failing) == failing + " failed on Halide's code with status 7: error: no");
    CHECK(sentence(idle) == idle + " ended well on Halide's code but wrote no assembly");

    const KernelSpec spec = streaming_spec(problem(Operator::depthwise, 5, 6, 16), Isa::x64, {});
    for (const std::string &llc : {absent, old, failing, idle}) {
        INFO(llc);
        const Llc set(llc);
        std::string printed;
        CHECK(run_program({SEPAL_COMPILE, "kernel", folder.write("spec.json", to_json(spec)), folder.path("")}, printed) == 0);
        CHECK(printed == spec.name + ": not built: " + sentence(llc) + "\n");
        CHECK(nlohmann::json::parse(bytes_of(folder.path(spec.name + ".built.json"))).at("error") == sentence(llc));
    }
}
