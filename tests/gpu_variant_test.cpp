// Every variant for GPUs against the reference: by OpenCL, where there is a device, and by a CUDA driver that executes PTX on the CPU; devices by
// their names; the runner for GPUs.
#include "bench/gpu/gpu_runner.h"
#include "bench/report.h"
#include "catch.h"
#include "fake_cuda.h"
#include "support.h"
#include "tools/device_option.h"

#include <CLI/CLI.hpp>
#include <HalideRuntime.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

using namespace sepal;

namespace {

constexpr int threads = 2;          // of packing
constexpr double most_flops = 5e8;  // of problems of autoscheduled kernels on the emulator: larger ones take it minutes

ChosenDevice open(const std::string &text) {
    CLI::App app;
    DeviceOption option;
    option.add_to(app);
    std::vector<std::string> words = {text, "--device"};  // CLI11 takes them from the back
    app.parse(words);
    return option.open();
}

// Nothing, and told, where there is no such device.
std::optional<ChosenDevice> open_or_skip(const std::string &text, Isa isa) {
    try {
        return open(text);
    } catch (const BadInput &e) {
        fmt::print("[SKIP] every {} variant: {}\n", name(isa), e.what());
        return std::nullopt;
    }
}

void check_edge_grid(const std::optional<ChosenDevice> &device, Isa isa, Operator op) {
    if (!device) return;
    if (std::none_of(Registry::builtin().begin(), Registry::builtin().end(), [&](const Variant &v) { return v.isa == isa; })) {
        fmt::print("[SKIP] every {} variant: none is compiled in (SEPAL_ISAS)\n", name(isa));
        return;
    }
    set_num_threads(threads);
    int64_t checked = 0;
    for (const Variant &v : Registry::builtin()) {
        if (v.isa != isa || v.op != op) continue;
        if (const std::string why_not = device->why_not_runnable(v); !why_not.empty()) {
            fmt::print("[SKIP] {}: {}\n", v.name, why_not);
            continue;
        }
        const std::vector<ConvProblem> problems = problems_to_check(v);
        INFO(v.name);
        CHECK(!problems.empty());
        for (const ConvProblem &p : problems) {
            const std::string command = check_command(v, p, threads, device->option);
            if (device->emulated && !v.is_hand_scheduled() && p.flops() > most_flops) {
                fmt::print("[SKIP] {} on {}, which takes the emulator minutes: {}\n", v.name, p.name, command);
                continue;
            }
            Tensors t = make_exact_tensors(p, check_seed);
            const CheckResult result = check_variant(v, *device, t, 1e8);
            CHECK(report(result.passed, v, p, result.message, command));
            checked++;
        }
    }
    fmt::print("{} {} problems checked on {}\n", checked, name(op), device->text());
    CHECK(checked > 0);
}

void check_on_opencl(Operator op) { check_edge_grid(open_or_skip("opencl", Isa::opencl), Isa::opencl, op); }
void check_on_emulator(Operator op) { check_edge_grid(open("cuda:emulated"), Isa::sm80, op); }

}  // namespace

TEST_CASE("every variant equals the reference around every tile edge: opencl, conv2d", "[opencl][conv2d]") { check_on_opencl(Operator::conv2d); }
TEST_CASE("every variant equals the reference around every tile edge: opencl, depthwise", "[opencl][depthwise]") { check_on_opencl(Operator::depthwise); }
TEST_CASE("every variant equals the reference around every tile edge: opencl, pointwise", "[opencl][pointwise]") { check_on_opencl(Operator::pointwise); }
TEST_CASE("every variant equals the reference around every tile edge: opencl, depsep", "[opencl][depsep]") { check_on_opencl(Operator::depsep); }

TEST_CASE("every variant equals the reference around every tile edge: sm80, conv2d", "[sm80][conv2d]") { check_on_emulator(Operator::conv2d); }
TEST_CASE("every variant equals the reference around every tile edge: sm80, depthwise", "[sm80][depthwise]") { check_on_emulator(Operator::depthwise); }
TEST_CASE("every variant equals the reference around every tile edge: sm80, pointwise", "[sm80][pointwise]") { check_on_emulator(Operator::pointwise); }
TEST_CASE("every variant equals the reference around every tile edge: sm80, depsep", "[sm80][depsep]") { check_on_emulator(Operator::depsep); }

TEST_CASE("what is written outside an output on a GPU is found", "[guards]") {
    const std::optional<ChosenDevice> device = open_or_skip("opencl", Isa::opencl);
    if (!device) return;
    ConvProblem p;
    p.name = "guards";
    p.op = Operator::pointwise;
    p.h = p.w = 4, p.c = 32, p.k = 32, p.pad_mode = PadMode::valid;
    const Variant *const v = Registry::builtin().select(p, device->processor(), 1);
    REQUIRE(v);
    Tensors t = make_exact_tensors(p, check_seed);
    REQUIRE(check_variant(*v, *device, t).message == "");
    // A kernel that takes the image for one of a pixel more.
    t.input.resize(t.input.size() + size_t(p.c), 1.f);
    static KernelFunction kernel = nullptr;
    kernel = v->kernel;
    Variant beyond = *v;
    beyond.kernel = [](void **argv) {
        for (void *buffer : {argv[0], argv[4]}) static_cast<halide_buffer_t *>(buffer)->dim[1].extent = 17;
        return kernel(argv);
    };
    const CheckResult result = check_variant(beyond, *device, t);
    INFO(result.message);
    CHECK_FALSE(result.passed);
    CHECK(result.message == "0 bytes before the output and 128 bytes behind it were written");
}

TEST_CASE("devices are named", "[device]") {
    const auto is = [](const std::string &text, Backend backend, int index, bool emulated) {
        const DeviceName named = parse_device(text);
        CHECK(named.backend == backend);
        CHECK(named.index == index);
        CHECK(named.emulated == emulated);
    };
    is("cpu", Backend::cpu, 0, false);
    is("cuda", Backend::cuda, 0, false);
    is("cuda:3", Backend::cuda, 3, false);
    is("opencl", Backend::opencl, 0, false);
    is("opencl:12", Backend::opencl, 12, false);
    is("cuda:emulated", Backend::cuda, 0, true);
    for (const char *text : {"", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:99999999999", "opencl:emulated", "CUDA", "cuda:1:2"}) {
        const std::string why = bad_input([&] { (void)parse_device(text); });
        CHECK(why.find(fmt::format("--device is \"{}\"; allowed: cpu, cuda, opencl, ", text)) == 0);
    }
}

TEST_CASE("a CUDA device that cannot be had is bad input that says why", "[device]") {
    UseFakeCuda use;
    CHECK(open("cuda:1").text() == "CUDA device 1 (Fake GPU)");
    CHECK(open("cuda:1").processor().best == Isa::sm80);
    CHECK(bad_input([] { (void)open("cuda:7"); }) == "--device cuda:7: CUDA device 7 does not exist; there are 2: 0 to 1");
    use.fake.compute_capability = 75;
    CHECK(bad_input([] { (void)open("cuda"); }) ==
          "--device cuda: CUDA device 0 (Fake GPU) is too old: its compute capability is 7.5, and the kernels need 8.0 or later");
    use.fake.version = 10020;
    use_cuda_driver(fake_cuda_symbol);
    CHECK(bad_input([] { (void)open("cuda"); }).find("--device cuda: the NVIDIA driver is too old: it is of CUDA 10.2, ") == 0);
    use.fake.devices = 0;
    use.fake.version = 12040;
    use_cuda_driver(fake_cuda_symbol);
    CHECK(bad_input([] { (void)open("cuda"); }) == "--device cuda: the NVIDIA driver finds no GPU");
}

TEST_CASE("variants of another backend, and of a type that a device has not, do not run on it", "[device]") {
    const UseFakeCuda use;
    const ChosenDevice cpu, cuda = open("cuda");
    Variant v;
    v.kernel = [](void **) { return 0; };
    v.isa = Isa::sm80;
    CHECK(cuda.why_not_runnable(v) == "");
    CHECK(cpu.why_not_runnable(v) == "runs on --device cuda, not on cpu");
    v.isa = Isa::opencl;
    CHECK(cuda.why_not_runnable(v) == "runs on --device opencl, not on cuda");
    v.isa = Isa::x64;
    CHECK(cpu.why_not_runnable(v) == "");
    CHECK(cuda.why_not_runnable(v) == "runs on --device cpu, not on cuda");
    v.kernel = nullptr;
    v.error = "the reason";
    CHECK(cpu.why_not_runnable(v) == "not built: the reason");
}

TEST_CASE("a GPU's roofline is of the arithmetic of the type, and of L2 or the memory", "[gpu_bench]") {
    GpuMachine machine;
    CHECK(!machine.roofline(DType::f32, 1e9, 1e6, CacheState::warm));
    machine.info.l2_bytes = 50 << 20;
    machine.peaks = GpuPeaks{};
    machine.peaks->f32_gflops = 60000;
    machine.peaks->tensor_f16_gflops = 800000;
    machine.peaks->dram_gbs = 3000;
    machine.peaks->l2_read_gbs = 6000;
    const auto bound = [&](DType dtype, double flops, double bytes, CacheState state, double seconds) {
        const std::optional<Roofline> roof = machine.roofline(dtype, flops, bytes, state);
        REQUIRE(roof);
        CHECK(roof->seconds == Approx(seconds));
        return roof->bound;
    };
    CHECK(bound(DType::f32, 1e9, 6e6, CacheState::warm, 1e9 / 60e12) == "fma");
    CHECK(bound(DType::f16, 1e9, 30e6, CacheState::warm, 30e6 / 6e12) == "L2");
    CHECK(bound(DType::f16, 1e9, 30e6, CacheState::cold, 30e6 / 3e12) == "dram");
    CHECK(bound(DType::f16, 1e9, 60e6, CacheState::warm, 60e6 / 3e12) == "dram");  // more than L2 holds
    CHECK(bound(DType::f16, 1e12, 30e6, CacheState::cold, 1e12 / 800e12) == "fma");
    CHECK(gpu_machine_text(machine).find("f32 60 TFLOP/s") != std::string::npos);
    CHECK(to_json(machine).at("gpu").at("peaks").at("dram_gbs") == 3000);
    CHECK(to_json(machine).at("bandwidth").size() == 2);
    machine.peaks.reset();
    machine.why_no_peaks = "the reason";
    CHECK(gpu_machine_text(machine).find("the reason") != std::string::npos);
    CHECK(to_json(machine).at("gpu").at("peaks").is_null());
}

TEST_CASE("candidates on a GPU are checked, then timed; a wrong one is never timed", "[gpu_bench]") {
    const std::optional<ChosenDevice> device = open_or_skip("opencl", Isa::opencl);
    if (!device) return;
    ConvProblem p;
    p.name = "small";
    p.op = Operator::depsep;
    p.h = p.w = 9, p.c = 8, p.k = 12, p.r = p.s = 3;
    p.mid = {true, Activation::relu};
    const auto first = [&](const ConvProblem &problem) {
        const Variant *v = Registry::builtin().select(problem, device->processor(), 1);
        REQUIRE(v);
        return v;
    };
    Variant wrong = *first(p), unbuilt = wrong;
    wrong.kernel = [](void **) { return 0; };
    unbuilt.kernel = nullptr;
    unbuilt.error = "the reason";
    std::vector<Candidate> candidates(4);
    for (Candidate &c : candidates) c.problem = p;
    candidates[0].variant = first(p);
    candidates[1].variant = &wrong;
    candidates[2].variant = &unbuilt;
    candidates[3].variant = first(p.depthwise_half());
    candidates[3].second = first(p.pointwise_half());
    RunnerOptions options;
    options.seconds = 0.01;
    GpuMachine machine = describe_gpu(*device->gpu, "opencl:0");
    const std::vector<Result> results = run_candidates_on_gpu(candidates, machine, device->gpu, options);
    REQUIRE(results.size() == 8);
    for (size_t i : {0, 1, 6, 7}) {
        INFO(results[i].check_message);
        CHECK(results[i].check == "passed");
        REQUIRE(results[i].timed());
        CHECK(results[i].milliseconds.count >= (i % 2 ? least_cold_samples : least_warm_samples));
        CHECK(results[i].milliseconds.median > 0);
        CHECK(results[i].latency_ms > 0);
        CHECK(results[i].why_no_graph == "OpenCL has no graphs");
        CHECK(results[i].device == "opencl:0");
        CHECK(results[i].roofline_ms == 0);
        CHECK(to_json(results[i]).at("pct_fma_peak").is_null());
    }
    CHECK(results[6].bytes == p.unfused_bytes());
    CHECK(results[2].check == "failed");
    CHECK_FALSE(results[2].timed());
    CHECK(results[2].check_message != "");
    CHECK(results[4].check == fmt::format("skipped: {} was not built: the reason", unbuilt.name));
    const std::string table = table_header(true) + table_block(results);
    CHECK(table.find("TFLOP/s") != std::string::npos);
    CHECK(table.find("inf") == std::string::npos);

    machine.info.memory_bytes = 1000;
    CHECK(run_candidates_on_gpu(candidates, machine, device->gpu, options).front().check.find("skipped: needs ") == 0);
}
