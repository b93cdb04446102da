// Every variant for GPUs against the reference: by OpenCL, where there is a device, and by a CUDA driver that executes PTX on the CPU.
#include "catch.h"
#include "fake_cuda.h"
#include "support.h"
#include "tools/device_option.h"

#include <CLI/CLI.hpp>
#include <HalideRuntime.h>
#include <fmt/format.h>

#include <optional>

using namespace sepal;

namespace {

constexpr int threads = 2;            // of packing
constexpr double small_flops = 4e6;   // of problems for the emulator

Device open(const std::string &text) {
    CLI::App app;
    DeviceOption option;
    option.add_to(app);
    std::vector<std::string> words = {text, "--device"};  // CLI11 takes them from the back
    app.parse(words);
    return option.open();
}

// Nothing, and told, where there is no such device.
std::optional<Device> open_or_skip(const std::string &text, Isa isa) {
    try {
        return open(text);
    } catch (const BadInput &e) {
        fmt::print("[SKIP] every {} variant: {}\n", name(isa), e.what());
        return std::nullopt;
    }
}

// Of the problems of each variant one in `stride`, and of those the small ones only where that is asked for.
void check_edge_grid(const std::optional<Device> &device, Isa isa, Operator op, size_t stride, bool small_only) {
    if (!device) return;
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
        int64_t of_variant = 0;
        for (size_t i = 0; i < problems.size(); i += stride) {
            const ConvProblem &p = problems[i];
            if (small_only && p.flops() > small_flops) continue;
            Tensors t = make_exact_tensors(p, check_seed);
            const CheckResult result = check_variant(v, *device, t, 1e8);
            CHECK(report(result.passed, v, p, result.message, check_command(v, p, threads, device->option)));
            of_variant++;
        }
        if (of_variant == 0) fmt::print("[SKIP] {}: its problems take the emulator too long\n", v.name);
        checked += of_variant;
    }
    fmt::print("{} {} problems checked on {}\n", checked, name(op), device->text());
    CHECK(checked > 0);
}

void check_on_opencl(Operator op) { check_edge_grid(open_or_skip("opencl", Isa::opencl), Isa::opencl, op, 1, false); }
void check_on_emulator(Operator op) { check_edge_grid(open("cuda:emulated"), Isa::sm80, op, 11, true); }

}  // namespace

TEST_CASE("every variant equals the reference around every tile edge: opencl, conv2d", "[opencl][conv2d]") { check_on_opencl(Operator::conv2d); }
TEST_CASE("every variant equals the reference around every tile edge: opencl, depthwise", "[opencl][depthwise]") { check_on_opencl(Operator::depthwise); }
TEST_CASE("every variant equals the reference around every tile edge: opencl, pointwise", "[opencl][pointwise]") { check_on_opencl(Operator::pointwise); }
TEST_CASE("every variant equals the reference around every tile edge: opencl, depsep", "[opencl][depsep]") { check_on_opencl(Operator::depsep); }

TEST_CASE("every variant equals the reference around tile edges: sm80, conv2d", "[sm80][conv2d]") { check_on_emulator(Operator::conv2d); }
TEST_CASE("every variant equals the reference around tile edges: sm80, depthwise", "[sm80][depthwise]") { check_on_emulator(Operator::depthwise); }
TEST_CASE("every variant equals the reference around tile edges: sm80, pointwise", "[sm80][pointwise]") { check_on_emulator(Operator::pointwise); }
TEST_CASE("every variant equals the reference around tile edges: sm80, depsep", "[sm80][depsep]") { check_on_emulator(Operator::depsep); }

TEST_CASE("what is written outside an output on a GPU is found", "[guards]") {
    const std::optional<Device> device = open_or_skip("opencl", Isa::opencl);
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
    use.fake.version = 11070;
    use_cuda_driver(fake_cuda_symbol);
    CHECK(bad_input([] { (void)open("cuda"); }).find("--device cuda: the NVIDIA driver is too old: it is of CUDA 11.7") == 0);
    use.fake.devices = 0;
    use.fake.version = 12040;
    use_cuda_driver(fake_cuda_symbol);
    CHECK(bad_input([] { (void)open("cuda"); }) == "--device cuda: the NVIDIA driver finds no GPU");
}

TEST_CASE("variants of another backend, and of a type that a device has not, do not run on it", "[device]") {
    const UseFakeCuda use;
    const Device cpu, cuda = open("cuda");
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
