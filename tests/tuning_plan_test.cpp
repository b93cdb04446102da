// What the build and the commands make of TuningRecords.
#include "catch.h"
#include "support.h"
#include "tools/compile/plan_kernels.h"
#include "tools/tuning/database.h"
#include "tuning_fixtures.h"

#include <fmt/format.h>

#include <algorithm>

using namespace sepal;
using Catch::Contains;

namespace {

constexpr const char *suite = "microbenchmark";

// A table of one tuned and one hand row for the suite's problems of the operator.
std::string table(const TemporaryFolder &folder, Operator op, const std::string &tuned_extra = "") {
    const auto row = [&](const char *scheduler, const std::string &extra) {
        return fmt::format(R"({{"op": "{}", "isa": ["avx512", "avx2"], "scheduler": "{}", "suite": "{}"{}}})", name(op), scheduler, suite, extra);
    };
    return folder.write("variants.json", R"({"variants": [)" + row("tuned", tuned_extra) + ", " + row("hand", "") + "]}");
}

std::vector<ConvProblem> problems_of(Operator op) {
    std::vector<ConvProblem> out;
    for (const ConvProblem &p : load_suite(suite).problems)
        if (p.op == op) out.push_back(p);
    REQUIRE(!out.empty());
    return out;
}

std::vector<KernelSpec> tuned_of(const std::vector<KernelSpec> &specs) {
    std::vector<KernelSpec> out;
    std::copy_if(specs.begin(), specs.end(), std::back_inserter(out), [](const KernelSpec &s) { return s.scheduler == "tuned"; });
    return out;
}

}  // namespace

TEST_CASE("a tuned row makes a kernel for each problem and ISA that has a record, before the hand row", "[tuning]") {
    const TemporaryFolder folder;
    const std::vector<Isa> isas = {Isa::avx512, Isa::avx2};
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep}) {
        const std::string path = table(folder, op);
        const ConvProblem p = problems_of(op).front();
        INFO(p.key());
        const size_t hand_kernels = plan_kernels(path, isas).size();
        CHECK(hand_kernels > 0);

        TuningRecord slow = made_up_record(p, Isa::avx2, 3, 1), best = made_up_record(p, Isa::avx2, 2, 2), pair = made_up_record(p, Isa::avx2, 1, 3);
        best.schedule.q_tile = 2;
        best.schedule.q_strip = 4;
        best.schedule.c_block = 0;
        best.machine = made_up_machine("a CPU that is not the build's");
        pair.threads = 2;
        const std::vector<KernelSpec> specs = plan_kernels(path, isas, {slow, best, pair});
        REQUIRE(specs.size() == hand_kernels + 1);
        CHECK(tuned_of(specs).size() == 1);
        const KernelSpec &tuned = specs.front();
        CHECK(tuned.scheduler == "tuned");
        CHECK(tuned.isa == Isa::avx2);
        CHECK(tuned.suite == suite);
        CHECK(tuned.tuned_threads == 1);
        CHECK(specs.back().tuned_threads == 0);
        CHECK(tuned.name.find(fmt::format("{}_f32_nhwc_avx2_tuned_vl8_", name(op))) == 0);
        CHECK(tuned.name.find("_tq2") != std::string::npos);
        for (const Knob &knob : knobs) CHECK(tuned.generator_params.at(std::string(knob.name)) == std::to_string(best.schedule.*knob.member));
        CHECK(tuned.filter_layout.panel == panel(best.schedule, op));
        for (const Condition &c : tuned.when) CHECK(c.holds(p));
        // Exactly its problem: not another batch size, nor, for pointwise, another image.
        ConvProblem batch = p;
        batch.n += 1;
        CHECK(std::any_of(tuned.when.begin(), tuned.when.end(), [&](const Condition &c) { return !c.holds(batch); }));
        // What the table holds of it.
        const KernelSpec back = kernel_spec_from_json(to_json(tuned));
        CHECK(to_json(back) == to_json(tuned));
    }
}

TEST_CASE("a record that is disturbed or has knobs that are not valid makes a sentence, and the next best one the kernel", "[tuning]") {
    const TemporaryFolder folder;
    const std::string path = table(folder, Operator::pointwise);
    const ConvProblem p = problems_of(Operator::pointwise).front();
    TuningRecord wide = made_up_record(p, Isa::avx512, 100, 5), uneven = made_up_record(p, Isa::avx512, 200, 6);
    TuningRecord valid = made_up_record(p, Isa::avx512, 300, 7), disturbed = made_up_record(p, Isa::avx512, 1, 8);
    wide.schedule.q_tile = wide.schedule.q_strip = 40;
    uneven.schedule.q_strip += 1;
    valid.schedule.q_tile = valid.schedule.q_strip = 3;
    const auto read = [](const std::vector<TuningRecord> &records) {
        std::string text;
        for (const TuningRecord &r : records) text += to_json_line(r) + "\n";
        return parse_tuning_records(text, "t.jsonl");
    };
    const TuningDatabase some = read({wide, uneven, disturbed, valid}), none = read({wide, uneven, disturbed});
    REQUIRE(some.complaints.size() == 3);
    CHECK(some.complaints == none.complaints);
    CHECK_THAT(some.complaints[0], Contains("t.jsonl:1: knob \"q_tile\" is 40") && Contains("allowed: 32, as many as avx512 has"));
    CHECK_THAT(some.complaints[1], Contains("t.jsonl:2: knob \"q_strip\" is ") && Contains("allowed: a multiple of q_tile"));
    CHECK_THAT(some.complaints[2], Contains("t.jsonl:3: the time is ") && Contains("% of the FMA peak"));
    const std::vector<KernelSpec> tuned = tuned_of(plan_kernels(path, {Isa::avx512}, some.records));
    REQUIRE(tuned.size() == 1);
    CHECK(tuned[0].generator_params.at("q_tile") == "3");
    CHECK(tuned_of(plan_kernels(path, {Isa::avx512}, none.records)).empty());
    // So it is in process.
    Cpu cpu;
    cpu.best = Isa::avx512;
    std::string why_not;
    CHECK(specialise_for(p, cpu, why_not, some.records)->generator_params.at("q_tile") == "3");
    CHECK(specialise_for(p, cpu, why_not, none.records)->scheduler == "hand");
}

TEST_CASE("a tuned row names a suite and sets no knobs", "[tuning]") {
    const TemporaryFolder folder;
    const std::string no_suite = folder.write("t.json", R"({"variants": [{"op": "conv2d", "isa": ["avx2"], "scheduler": "tuned"}]})");
    CHECK_THAT(bad_input([&] { plan_kernels(no_suite, {Isa::avx2}); }), Contains("t.json: variant 0") && Contains("\"suite\""));
    const std::string set = table(folder, Operator::conv2d, R"(, "knobs": {"q_tile": 3})");
    CHECK_THAT(bad_input([&] { plan_kernels(set, {Isa::avx2}); }), Contains("variant 0") && Contains("\"knobs\""));
}

TEST_CASE("a kernel made in process takes the knobs of a record that speaks for the problem", "[tuning]") {
    const ConvProblem p = small_problem();
    Cpu cpu;
    cpu.best = Isa::avx2;
    TuningRecord r = made_up_record(p, Isa::avx2, 2, 4);
    r.schedule.q_tile = 3;
    std::string why_not;
    CHECK(specialise_for(p, cpu, why_not)->scheduler == "hand");
    const std::optional<KernelSpec> tuned = specialise_for(p, cpu, why_not, {r});
    REQUIRE(tuned);
    CHECK(tuned->scheduler == "tuned");
    CHECK(tuned->generator_params.at("q_tile") == "3");
    CHECK(tuned->tuned_threads == 1);
    CHECK(specialise_for(p, cpu, why_not, {r}, 2)->scheduler == "hand");  // two threads are another record's
    TuningRecord pair = r;
    pair.threads = 2;
    CHECK(specialise_for(p, cpu, why_not, {r, pair}, 2)->tuned_threads == 2);
    ConvProblem other = p;
    other.h = 9;
    CHECK(specialise_for(other, cpu, why_not, {r})->scheduler == "hand");
    TuningRecord lesser = made_up_record(p, Isa::x64, 2, 4);
    CHECK(specialise_for(p, cpu, why_not, {lesser})->isa == Isa::avx2);  // the better ISA without a record before a lesser one with it
    CHECK(why_not.empty());
}

TEST_CASE("a plan has the packers of its kernels, each once", "[tuning]") {
    const TemporaryFolder folder;
    const std::string path = folder.write("t.json", R"({"variants": [
        {"op": "conv2d", "isa": ["avx512", "avx2"], "scheduler": "hand", "suite": "microbenchmark", "knobs": {"winograd": 6}},
        {"op": "conv2d", "isa": ["avx2"], "scheduler": "hand"},
        {"op": "depsep", "isa": ["avx2"], "scheduler": "hand"},
        {"op": "depthwise", "isa": ["x64"], "scheduler": "hand"}]})");
    const std::vector<FunctionSpec> packers = packers_for(plan_kernels(path, {Isa::avx512, Isa::avx2, Isa::x64}));
    std::vector<std::string> names;
    for (const FunctionSpec &packer : packers) {
        names.push_back(packer.name);
        CHECK(to_json(function_spec_from_json(to_json(packer))) == to_json(packer));
    }
    CHECK(names == std::vector<std::string>{"pack_f32_avx2_panels", "pack_f32_avx2_winograd6", "pack_f32_avx512_winograd6"});
    CHECK(packers[1].generator_params.at("winograd") == "6");
}

TEST_CASE("a row names its types, f32 where it names none", "[tuning]") {
    const TemporaryFolder folder;
    const auto plan = [&](const std::string &row) { return plan_kernels(folder.write("t.json", R"({"variants": [)" + row + "]}"), {Isa::x64}); };
    const std::vector<KernelSpec> both = plan(R"({"op": "conv2d", "dtype": ["f32", "f16"], "isa": ["x64"], "scheduler": "reference"})");
    REQUIRE(both.size() == 2);
    CHECK(to_json(both[0]) == to_json(plan(R"({"op": "conv2d", "isa": ["x64"], "scheduler": "reference"})").at(0)));
    CHECK(both[0].generator_params.count("dtype") == 0);
    CHECK(both[1].name == "conv2d_f16_nhwc_x64_reference");
    CHECK(both[1].dtype == DType::f16);
    CHECK(both[1].generator_params.at("dtype") == "float16");
    CHECK(to_json(kernel_spec_from_json(to_json(both[1]))) == to_json(both[1]));
    const std::vector<FunctionSpec> packers = packers_for(both);
    REQUIRE(packers.size() == 2);
    CHECK(packers[0].name == "pack_f16_x64_panels");
    CHECK(packers[0].generator_params.at("dtype") == "float16");
    CHECK(packers[1].name == "pack_f32_x64_panels");

    const auto refused = [&](const std::string &row, const std::string &part) { CHECK_THAT(bad_input([&] { plan(row); }), Contains("t.json: variant 0") && Contains(part)); };
    refused(R"({"op": "conv2d", "dtype": "f16", "isa": ["x64"], "scheduler": "reference"})", "\"dtype\" is to be a list of f32, f16");
    refused(R"({"op": "conv2d", "dtype": [], "isa": ["x64"], "scheduler": "reference"})", "\"dtype\" is to be a list of f32, f16");
    refused(R"({"op": "conv2d", "dtype": ["f8"], "isa": ["x64"], "scheduler": "reference"})", "\"dtype\" holds \"f8\"; allowed: f32, f16");
    refused(R"({"op": "conv2d", "dtype": ["f16"], "isa": ["x64"], "scheduler": "hand"})",
            "\"f16\" with scheduler \"hand\", but the hand-written schedules for CPUs are for f32, not f16");
    ConvProblem p = small_problem();
    p.dtype = DType::f16;
    std::string why_not;
    CHECK(!specialise_for(p, Cpu(), why_not));
    CHECK(why_not == "the hand-written schedules for CPUs are for f32, not f16");
}

TEST_CASE("a file of candidates makes kernels for a problem; those of the project suit its suites", "[tuning]") {
    const TemporaryFolder folder;
    ConvProblem p = small_problem();
    p.op = Operator::conv2d;
    p.h = p.w = 224, p.c = p.k = 128, p.r = p.s = 3;
    const auto plan = [&](const std::string &rows, const ConvProblem &problem, Isa isa) { return plan_candidates(folder.write("c.json", R"({"variants": [)" + rows + "]}"), problem, isa); };
    const std::string rows = R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "hand", "knobs": {"q_lanes": 2, "c_block": 16}},
                                {"op": "conv2d", "isa": ["sm80"], "scheduler": "hand", "knobs": {"q_lanes": 2, "c_block": 16}},
                                {"op": "pointwise", "isa": ["sm80"], "scheduler": "hand", "knobs": {"q_lanes": 2}},
                                {"op": "conv2d", "dtype": ["f16"], "isa": ["sm80"], "scheduler": "hand", "knobs": {"tensor_cores": 2, "c_unroll": 4}},
                                {"op": "conv2d", "isa": ["avx2"], "scheduler": "hand", "knobs": {"q_tile": 5}})";
    const std::vector<KernelSpec> gpu = plan(rows, p, Isa::sm80);
    REQUIRE(gpu.size() == 1);
    CHECK(gpu[0].name.find("conv2d_f32_nhwc_sm80_hand_cb16_ql2_h224_") == 0);
    CHECK(gpu[0].generator_params.at("c_block") == "16");
    const std::vector<KernelSpec> cpu = plan(rows, p, Isa::avx2);
    REQUIRE(cpu.size() == 1);
    CHECK(cpu[0].generator_params.at("q_tile") == "5");
    ConvProblem half = p;
    half.dtype = DType::f16;
    REQUIRE(plan(rows, half, Isa::sm80).size() == 1);
    CHECK(plan(rows, half, Isa::sm80)[0].generator == "conv2d_mma");

    const auto refused = [&](const std::string &row, const std::string &part) {
        CHECK_THAT(bad_input([&] { plan(R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "hand"},)" + row, p, Isa::sm80); }), Contains("c.json: variant 1: ") && Contains(part));
    };
    refused(R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "hand", "suite": "microbenchmark"})", "has \"suite\"; a candidate is for every problem that is measured");
    refused(R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "hand", "when": {"groups": 1}})", "has \"when\"");
    refused(R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "li2018"})", "field \"scheduler\" is \"li2018\"; allowed for a candidate: hand");
    refused(R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "hand", "knobs": {"qq": 2}})", "unknown knob \"qq\"");
    refused(R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "hand", "knobs": {"q_lanes": 2, "c_block": 24}})", "knob \"c_block\" is 24; allowed with staging 2: what divides 128 channels");
    refused(R"({"op": "conv2d", "isa": ["sm80"], "scheduler": "hand", "knobs": {"tensor_cores": 2}})", "knob \"tensor_cores\" is for");
    const auto not_on_tensor_cores = [&](const std::string &knob, const std::string &part) {
        ConvProblem depsep = half;
        depsep.op = Operator::depsep;
        const std::string row = R"({"op": "depsep", "dtype": ["f16"], "isa": ["sm80"], "scheduler": "hand", "knobs": {"tensor_cores": 2, )" + knob + "}}";
        CHECK_THAT(bad_input([&] { plan(row, depsep, Isa::sm80); }), Contains("c.json: variant 0: ") && Contains(part));
    };
    not_on_tensor_cores(R"("mid_channels": 3)", "knob \"mid_channels\" is 3; allowed on tensor cores: 4 and 8");
    not_on_tensor_cores(R"("k_tiles": 6)", "knob \"k_tiles\" is 6; allowed on tensor cores: multiples of 4 up to 16");
    not_on_tensor_cores(R"("half_sums": 3)", "knob \"half_sums\" is 3; allowed on tensor cores: 1 and 2");
    not_on_tensor_cores(R"("mid_q_tile": 5)", "knob \"mid_q_tile\" is 5; allowed on tensor cores: what cuts a block's 16 columns evenly");
    not_on_tensor_cores(R"("m_warps": 64)", "knobs \"k_warps\" and \"m_warps\" make blocks of 2048 threads; allowed: up to 1024");
    CHECK_THAT(bad_input([&] { plan_candidates(folder.path("none.json"), p, Isa::sm80); }), Contains("none.json") && Contains("cannot be read"));

    size_t planned = 0;
    for (const char *suite : {"microbenchmark", "microbenchmark_f16"})
        for (const ConvProblem &problem : load_suite(suite).problems) planned += plan_candidates(SEPAL_GPU_CANDIDATES, problem, Isa::sm80).size();
    CHECK(planned > 30);
}

TEST_CASE("a residual is a kernel of its own: of a row's condition, or of a problem", "[tuning]") {
    const TemporaryFolder folder;
    const auto plan = [&](const std::string &row) {
        return plan_kernels(folder.write("t.json", R"({"variants": [)" + row + "]}"), {Isa::avx2, Isa::sm80});
    };
    const KernelSpec any = plan(R"({"op": "conv2d", "isa": ["avx2"], "scheduler": "hand", "when": {"residual": 1}})").at(0);
    CHECK(any.name == "conv2d_f32_nhwc_avx2_hand_res1");
    CHECK(any.residual);
    CHECK(any.generator_params.at("residual") == "1");
    CHECK(to_json(kernel_spec_from_json(to_json(any))) == to_json(any));
    const KernelSpec plain = plan(R"({"op": "conv2d", "isa": ["avx2"], "scheduler": "hand"})").at(0);
    CHECK(!plain.residual);
    CHECK(plain.generator_params.count("residual") == 0);

    const auto refused = [&](const std::string &rest, const std::string &part) {
        CHECK_THAT(bad_input([&] { plan("{" + rest + R"(, "scheduler": "hand"})"); }), Contains("t.json: variant 0") && Contains(part));
    };
    refused(R"("op": "conv2d", "isa": ["avx2"], "when": {"residual": 0})", "condition \"residual\" is 0; allowed: 1");
    refused(R"("op": "conv2d", "isa": ["avx2"], "when": {"residual": ">= 1"})", "condition \"residual\" is \">= 1\"; allowed: 1");
    refused(R"("op": "depthwise", "isa": ["avx2"], "when": {"residual": 1})", "condition \"residual\" is for conv2d, pointwise and depsep");

    ConvProblem p = small_problem();
    const KernelSpec without = specialise(p, Isa::avx2, "hand");
    p.residual = true;
    const KernelSpec with = specialise(p, Isa::avx2, "hand");
    CHECK(with.name == without.name + "_res1");
    CHECK(with.residual);
    std::string why_not;
    CHECK(specialise_for(p, Processor(Backend::cuda), why_not)->residual);
}

TEST_CASE("a row names its layouts, nhwc where it names none", "[tuning]") {
    const TemporaryFolder folder;
    const auto plan = [&](const std::string &row) {
        return plan_kernels(folder.write("t.json", R"({"variants": [)" + row + "]}"), {Isa::x64, Isa::avx512, Isa::sm80});
    };
    const std::vector<KernelSpec> both = plan(R"({"op": "conv2d", "layout": ["nhwc", "nchw"], "isa": ["x64"], "scheduler": "reference"})");
    REQUIRE(both.size() == 2);
    CHECK(both[0].generator_params.count("layout") == 0);
    CHECK(both[1].name == "conv2d_f32_nchw_x64_reference");
    CHECK(both[1].layout == Layout::nchw);
    CHECK(both[1].generator_params.at("layout") == "nchw");
    CHECK(to_json(kernel_spec_from_json(to_json(both[1]))) == to_json(both[1]));
    const KernelSpec hand = plan(R"({"op": "conv2d", "layout": ["nchw"], "isa": ["avx512"], "scheduler": "hand", "knobs": {"k_tile": 7}})").at(0);
    CHECK(hand.name == "conv2d_f32_nchw_avx512_hand_tk7");
    CHECK(hand.filter_layout.text() == "panels7");
    for (const KernelSpec &spec : plan(R"({"op": "depsep", "layout": ["nchw"], "isa": ["avx512"], "scheduler": "hand", "suite": "microbenchmark_nchw", "knobs": {"streaming": 2}})"))
        CHECK((spec.output_alignment == 64 && spec.layout == Layout::nchw));

    const auto refused = [&](const std::string &row, const std::string &part) { CHECK_THAT(bad_input([&] { plan(row); }), Contains("t.json: variant 0") && Contains(part)); };
    refused(R"({"op": "conv2d", "layout": "nchw", "isa": ["x64"], "scheduler": "reference"})", "\"layout\" is to be a list of nhwc, nchw");
    refused(R"({"op": "conv2d", "layout": ["nwhc"], "isa": ["x64"], "scheduler": "reference"})", "\"layout\" holds \"nwhc\"; allowed: nhwc, nchw");
    refused(R"({"op": "conv2d", "layout": ["nchw"], "isa": ["sm80"], "scheduler": "hand"})", "\"layout\" holds \"nchw\", for which there are schedules hand, of f32 on CPUs, and reference");
    refused(R"({"op": "conv2d", "layout": ["nchw"], "isa": ["avx512"], "scheduler": "hand", "knobs": {"q_tile": 20}})", "knob \"q_tile\" is 20; allowed with nchw: whole vectors");
    refused(R"({"op": "conv2d", "layout": ["nchw"], "isa": ["avx512"], "scheduler": "hand", "knobs": {"q_tile": 64, "k_tile": 8}})", "takes 37 vector registers");
    refused(R"({"op": "depthwise", "layout": ["nchw"], "isa": ["x64"], "scheduler": "hand", "knobs": {"staging": 1}})", "knob \"staging\" is 1; allowed for depthwise with nchw and x64: 2 to 2");
    refused(R"({"op": "conv2d", "layout": ["nchw"], "isa": ["avx512"], "scheduler": "hand", "knobs": {"winograd": 4}})", "unknown knob \"winograd\"");
    refused(R"({"op": "conv2d", "layout": ["nchw"], "isa": ["avx512"], "scheduler": "hand", "knobs": {"streaming": 2}})", "knob \"streaming\" is 2");
    ConvProblem p = small_problem();
    p.layout = Layout::nchw;
    std::string why_not;
    for (Backend backend : {Backend::cuda, Backend::opencl}) {
        CHECK(!specialise_for(p, Processor(backend), why_not));
        CHECK(why_not == "kernels for GPUs are for nhwc, not nchw");
    }
}

TEST_CASE("the records that are part of the program can all be read", "[tuning]") {
    CHECK(builtin_tuning().complaints == std::vector<std::string>());
}

TEST_CASE("kernels of a scheduler for a problem, in order of preference", "[tuning]") {
    std::string why_not;
    const auto names = [&](const ConvProblem &p, Isa isa, const std::string &scheduler, bool streaming = true) {
        std::vector<std::string> out;
        for (const KernelSpec &spec : specialised_kernels(p, isa, scheduler, streaming, why_not)) out.push_back(spec.name);
        CHECK(out.empty() == !why_not.empty());
        return out;
    };
    ConvProblem p = small_problem();
    p.h = p.w = 224, p.c = p.k = 128;
    const std::string plain = specialise(p, Isa::avx512, "hand").name;
    CHECK(names(p, Isa::avx512, "hand", false) == std::vector<std::string>{plain});
    CHECK(names(p, Isa::avx512, "hand").size() == 2);  // streaming stores pay
    CHECK(names(p, Isa::avx512, "hand").back() == plain);
    CHECK(names(p, Isa::avx512, "li2018") == std::vector<std::string>{specialise(p, Isa::avx512, "li2018").name});
    CHECK(names(p, Isa::sm80, "anderson2021") == std::vector<std::string>{specialise_on_gpu(p, Isa::sm80, {}, "anderson2021").name});
    CHECK(names(p, Isa::avx512, "anderson2021").empty());
    CHECK(why_not == "\"anderson2021\" is no scheduler for avx512; allowed: hand, tuned, reference, mullapudi2016, adams2019, li2018");
    CHECK(names(p, Isa::opencl, "adams2019").empty());
    CHECK(why_not == "\"adams2019\" is no scheduler for opencl; allowed: hand, mullapudi2016, li2018, anderson2021");
    // Layouts have schedules of their own.
    p.layout = Layout::nchw;
    const std::vector<KernelSpec> planes = specialised_kernels(p, Isa::avx2, "hand", false, why_not);
    REQUIRE(planes.size() == 1);
    CHECK(to_json(planes[0]) == to_json(specialise_nchw(p, Isa::avx2)));
    CHECK(names(p, Isa::avx2, "li2018").empty());
    CHECK(why_not == "li2018 schedules nhwc only, not nchw");
    p.layout = Layout::nhwc;
    p.dtype = DType::f16;
    CHECK(names(p, Isa::sm80, "hand") == std::vector<std::string>{specialise_on_tensor_cores(p, Isa::sm80).name});
    CHECK(names(p, Isa::opencl, "hand").empty());
    CHECK(why_not == "kernels for opencl are for f32, not f16");
    CHECK(names(p, Isa::avx2, "hand").empty());
    CHECK(why_not == "the hand-written schedules for CPUs are for f32, not f16");
}
