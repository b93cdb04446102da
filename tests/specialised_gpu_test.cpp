// Kernels for GPUs that are specialised to a problem, by knobs that the table does not set: compiled in process and compared with the reference, by the
// CUDA kernels' own PTX on the CPU, and by OpenCL where there is a device.
#include "bench/gpu/emulator/emulator.h"
#include "catch.h"
#include "runtime/gpu/cuda_driver.h"
#include "runtime/plan.h"
#include "support.h"
#include "tools/checker.h"
#include "tools/compile/in_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

using namespace sepal;

namespace {

ConvProblem problem(Operator op, int64_t h, int64_t w, int64_t c, int64_t k, int64_t r = 3, int64_t s = 3) {
    ConvProblem p;
    p.name = "specialised";
    p.op = op;
    p.h = h, p.w = w, p.c = c;
    if (op != Operator::depthwise) p.k = k;
    if (op != Operator::pointwise)
        p.r = r, p.s = s;
    else
        p.pad_mode = PadMode::valid;
    p.out = {true, Activation::relu};
    return p;
}

ConvProblem strided(ConvProblem p, int64_t stride, int64_t dilation = 1) {
    p.stride_h = p.stride_w = stride;
    p.dilation_h = p.dilation_w = dilation;
    return p;
}

// As "q_lanes" 2 and whatever else the text names.
GpuSchedule knobs_of(const std::vector<std::pair<const char *, int>> &set) {
    GpuSchedule s;
    for (const auto &[name, value] : set) {
        const auto knob = std::find_if(std::begin(gpu_knobs), std::end(gpu_knobs), [name = std::string_view(name)](const GpuKnob &k) { return k.name == name; });
        REQUIRE(knob != std::end(gpu_knobs));
        s.*knob->member = value;
    }
    return s;
}

std::optional<ChosenDevice> open(Isa isa) {
    ChosenDevice device;
    Status status;
    device.emulated = isa == Isa::sm80;
    device.option = device.emulated ? "cuda:emulated" : "opencl";
    if (device.emulated) use_cuda_driver(emulated_cuda_symbol);
    device.gpu = GpuDevice::open(backend(isa), 0, status);
    if (device.gpu) return device;
    static bool told = false;
    if (!told) fmt::print("[SKIP] specialised kernels of opencl: {}\n", status.message);
    told = true;
    return std::nullopt;
}

// Of the emulator, one launch.
KernelCounts check(const ConvProblem &p, const std::vector<std::pair<const char *, int>> &set) {
    KernelCounts counts;
    set_num_threads(2);
    for (Isa isa : {Isa::sm80, Isa::opencl}) {
        const std::optional<ChosenDevice> device = open(isa);
        if (!device) continue;
        const GpuSchedule knobs = knobs_of(set);
        REQUIRE(why_not_valid(derive_gpu(knobs, p.op, p), p.op, p) == "");
        const KernelSpec spec = specialise_on_gpu(p, isa, knobs);
        INFO(p.key() << " " << spec.name);
        const auto kernel = compile_in_process(spec, "sm_90");
        Tensors tensors = make_exact_tensors(p, check_seed);
        take_emulated_launches();
        const CheckResult result = check_variant(kernel->variant(), *device, tensors, 1e8);
        CHECK(result.message == "");
        CHECK(result.passed);
        if (isa != Isa::sm80) continue;
        const std::vector<KernelCounts> launches = take_emulated_launches();
        REQUIRE(launches.size() == 1);
        counts = launches[0];
    }
    return counts;
}

}  // namespace

TEST_CASE("conv2d by pairs of threads, its input copied once for all taps: tails, strides, dilation, groups, filters", "[gpu_specialised]") {
    for (const auto &[p, groups] : std::vector<std::pair<ConvProblem, int>>{{problem(Operator::conv2d, 13, 17, 32, 32), 1},
                                                                       {strided(problem(Operator::conv2d, 19, 23, 32, 72), 2), 1},
                                                                       {problem(Operator::conv2d, 20, 21, 16, 40, 5, 3), 1},
                                                                       {strided(problem(Operator::conv2d, 12, 18, 24, 128, 7, 7), 2), 1},
                                                                       {strided(problem(Operator::conv2d, 20, 33, 48, 64), 1, 2), 1},
                                                                       {problem(Operator::conv2d, 11, 18, 32, 64), 2},
                                                                       {problem(Operator::conv2d, 9, 40, 64, 136, 1, 1), 1}}) {
        ConvProblem grouped = p;
        grouped.groups = groups;
        check(grouped, {{"q_lanes", 2}});
    }
    check(problem(Operator::conv2d, 12, 18, 24, 128), {{"q_lanes", 2}, {"staging", 1}});
    check(problem(Operator::conv2d, 12, 36, 32, 128), {{"q_lanes", 2}, {"c_block", 16}, {"p_threads", 8}, {"c_unroll", 16}, {"q_tile", 4}});
}

TEST_CASE("pointwise by pairs of threads: tails of pixels and of output channels", "[gpu_specialised]") {
    check(problem(Operator::pointwise, 13, 17, 32, 36), {{"q_lanes", 2}});
    check(problem(Operator::pointwise, 5, 7, 40, 128), {{"q_lanes", 2}});
    check(problem(Operator::pointwise, 31, 9, 64, 260), {{"q_lanes", 2}, {"c_block", 64}, {"q_threads", 16}});
}

TEST_CASE("depsep by pairs of threads, whose depthwise half computes tiles of pixels", "[gpu_specialised]") {
    check(problem(Operator::depsep, 13, 17, 32, 32), {{"q_lanes", 2}});
    check(strided(problem(Operator::depsep, 15, 22, 32, 72), 2), {{"q_lanes", 2}});
    check(strided(problem(Operator::depsep, 20, 33, 48, 136, 5, 5), 1, 2), {{"q_lanes", 2}});
    check(problem(Operator::depsep, 12, 40, 64, 64), {{"q_lanes", 2}, {"mid_q_tile", 2}, {"mid_p_tile", 1}});
    check(problem(Operator::depsep, 12, 40, 64, 64), {{"q_lanes", 1}, {"p_threads", 2}, {"mid_q_tile", 2}, {"mid_p_tile", 2}});
}

TEST_CASE("loading ahead changes no result", "[gpu_specialised]") {
    check(problem(Operator::conv2d, 13, 17, 64, 72), {{"q_lanes", 2}, {"c_block", 16}, {"load_ahead", 2}});
    check(problem(Operator::conv2d, 13, 17, 32, 40, 1, 3), {{"q_lanes", 2}, {"c_block", 16}, {"load_ahead", 2}});
    check(problem(Operator::conv2d, 13, 17, 32, 40, 3, 1), {{"q_lanes", 2}, {"c_block", 16}, {"load_ahead", 2}});
    check(problem(Operator::conv2d, 13, 17, 64, 72), {{"q_lanes", 1}, {"load_ahead", 2}});
    check(problem(Operator::pointwise, 13, 17, 64, 136), {{"q_lanes", 2}, {"c_block", 16}, {"load_ahead", 2}});
    check(problem(Operator::depsep, 13, 17, 64, 40), {{"q_lanes", 2}, {"c_block", 16}, {"load_ahead", 2}});
}

TEST_CASE("pairs of threads take shared memory one pass for 8 FMAs, and wait twice for 2048", "[gpu_specialised]") {
    const ConvProblem p = problem(Operator::conv2d, 16, 32, 128, 128);
    const KernelCounts pairs = check(p, {{"q_lanes", 2}}), single = check(p, {{"q_lanes", 1}});
    const uint64_t fmas = p.p() * p.q() * p.k * p.c * p.r * p.s / 32;  // of warps
    CHECK(pairs.f32_fma == 32 * fmas);
    CHECK(pairs.shared_loads.wavefronts == fmas / 8);
    CHECK(single.shared_loads.wavefronts == fmas / 4);
    CHECK(pairs.shared_stores.conflicts() == 1);
    // Before and after each of 36 blocks of the filter, after 4 of the input before it, and once at the beginning and the end.
    CHECK(pairs.barriers == pairs.warps * (2 * 36 + 2 * 4 + 2));
    CHECK(2 * pairs.global_loads.sectors < single.global_loads.sectors);
    // What depsep's depthwise half reads for 2 x 2 pixels: 16 of the input and 9 of the filter, in place of 4 x (9 + 9).
    const ConvProblem d = problem(Operator::depsep, 16, 32, 128, 128);
    CHECK(3 * check(d, {{"q_lanes", 2}}).global_loads.sectors < 2 * check(d, {{"q_lanes", 1}}).global_loads.sectors);
}

TEST_CASE("what a problem on a GPU is scheduled by without knobs", "[gpu_specialised]") {
    const GpuSchedule large = derive_gpu({}, Operator::conv2d, problem(Operator::conv2d, 224, 224, 128, 128));
    CHECK(large.q_lanes == 2);
    CHECK(large.staging == 2);
    CHECK(block_channels(large) == 128);
    CHECK(derive_gpu({}, Operator::conv2d, problem(Operator::conv2d, 224, 224, 128, 128, 1, 1)).staging == 1);
    for (const ConvProblem &p : {problem(Operator::conv2d, 14, 14, 128, 128), problem(Operator::conv2d, 224, 224, 127, 128), problem(Operator::conv2d, 224, 224, 128, 127),
                                 problem(Operator::pointwise, 7, 7, 128, 128), problem(Operator::depsep, 224, 224, 4, 64)}) {
        INFO(p.key());
        const GpuSchedule s = derive_gpu({}, p.op, p);
        CHECK(s.q_lanes == 1);
        CHECK(s.staging == 1);
        CHECK(why_not_valid(s, p.op, p) == "");
    }
}

TEST_CASE("knobs that a schedule for GPUs cannot keep to are one sentence", "[gpu_specialised]") {
    const ConvProblem p = problem(Operator::conv2d, 56, 56, 96, 64);
    const auto why = [&](const std::vector<std::pair<const char *, int>> &set, const std::optional<ConvProblem> &of, Operator op = Operator::conv2d) {
        return why_not_valid(derive_gpu(knobs_of(set), op, of), op, of);
    };
    CHECK(why({}, p) == "");
    CHECK(why({}, std::nullopt) == "");
    CHECK(why({{"q_lanes", 2}, {"k_threads", 8}, {"p_threads", 128}}, p) == "knobs \"k_threads\", \"q_threads\" and \"p_threads\" make blocks of 2048 threads; allowed: up to 1024");
    CHECK(why({{"c_block", 30}}, p) == "knob \"c_block\" is 30; allowed: multiples of c_vector, 4");
    CHECK(why({{"c_unroll", 12}}, p) == "knob \"c_unroll\" is 12; allowed: multiples of c_vector, 4, that divide c_block, 32");
    CHECK(why({{"q_lanes", 2}, {"q_threads", 4}}, p) == "knob \"q_lanes\" is 2; allowed: 1, or q_threads, 4");
    CHECK(why({{"q_lanes", 2}, {"q_threads", 3}}, problem(Operator::pointwise, 56, 56, 96, 64), Operator::pointwise) ==
          "knob \"q_lanes\" is 2; allowed: 1, or q_threads, 3, or what divides it");
    CHECK(why({{"q_lanes", 2}, {"mid_p_tile", 3}}, problem(Operator::depsep, 56, 56, 96, 64), Operator::depsep).find("allowed: what divides a block's 14 columns and 8 rows") !=
          std::string::npos);
    CHECK(why({{"q_lanes", 2}, {"c_block", 28}}, p) == "knob \"c_block\" is 28; allowed with staging 2: what divides 96 channels");
    CHECK(why({{"q_lanes", 2}, {"q_threads", 2}}, std::nullopt) == "knob \"q_lanes\" is 2; allowed without a suite: 1, for it needs to know the channels");
    CHECK(why({{"q_lanes", 2}}, problem(Operator::depthwise, 56, 56, 96, 0), Operator::depthwise) == "knob \"q_lanes\" is 2; allowed for depthwise: 1");
    CHECK(why({{"staging", 2}}, problem(Operator::pointwise, 56, 56, 96, 64), Operator::pointwise) == "knob \"staging\" is 2; allowed but for conv2d: 1");
}
