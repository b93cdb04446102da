// Peaks of a GPU: their kernels as ptxas makes them, what they compute and count in the emulator; NVML; libraries beside Sepal on a GPU.
#include "bench/gpu/emulator/emulator.h"
#include "bench/gpu/gpu_runner.h"
#include "bench/gpu/nvml.h"
#include "bench/gpu/peak_kernels.h"
#include "bench/gpu/peaks.h"
#include "bench/gpu/sass.h"
#include "bench/peer.h"
#include "catch.h"
#include "peer_actor.h"
#include "runtime/gpu/cuda_driver.h"
#include "tools/bad_input.h"
#include "tools/compile/cuda_toolkit.h"
#include "tools/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <random>

using namespace sepal;
using Catch::Matchers::Contains;

namespace {

// A small device of the emulator, made the driver's.
class Emulated {
public:
    explicit Emulated(int multiprocessors = 2, EmulatedDevice d = {}) {
        d.multiprocessors = multiprocessors;
        d.l2_bytes = 1 << 20;
        configure_emulator(d);
        use_cuda_driver(emulated_cuda_symbol);
        Status status;
        device = GpuDevice::open(Backend::cuda, 0, status);
        REQUIRE(status.message == "");
        (void)take_emulated_launches();
        (void)take_emulator_faults();
    }
    ~Emulated() {
        device.reset();
        use_cuda_driver(nullptr);
    }
    std::shared_ptr<GpuDevice> device;
};

KernelCounts run(const PeakLaunch &launch) {
    (void)take_emulated_launches();
    REQUIRE(launch.queue().message == "");
    CHECK(take_emulator_faults() == std::vector<std::string>{});
    const std::vector<KernelCounts> launches = take_emulated_launches();
    REQUIRE(launches.size() == 1);
    CHECK(launches[0].kernel == launch.kernel);
    CHECK(launches[0].threads == uint64_t(launch.blocks) * launch.threads);
    return launches[0];
}

std::vector<uint32_t> random_words(size_t count) {
    std::mt19937 random(7);
    std::vector<uint32_t> words(count);
    for (uint32_t &w : words) w = uint32_t(random());
    return words;
}

std::vector<uint32_t> downloaded(const GpuArray &array) {
    std::vector<uint32_t> words(size_t(array.bytes() / 4));
    REQUIRE(array.download(words.data(), array.bytes()).message == "");
    return words;
}

// An NVML that knows one GPU.
struct FakeNvml {
    int init = 0, opened = 0;
    unsigned clock = 1980, power = 300000;
    bool power_known = true;
    unsigned long long throttle = 0x1;
    int states = 0;
} fake;

void *fake_nvml_symbol(const char *name) {
    const auto is = [&](const char *other) { return std::strcmp(name, other) == 0; };
    const auto address = [](auto function) { return reinterpret_cast<void *>(+function); };
    if (is("nvmlInit_v2")) return address([]() -> int { return fake.opened++, fake.init; });
    if (is("nvmlShutdown")) return address([]() -> int { return fake.opened--, 0; });
    if (is("nvmlErrorString")) return address([](int result) -> const char * { return result == 9 ? "Driver Not Loaded" : "Not Found"; });
    if (is("nvmlDeviceGetHandleByPciBusId_v2"))
        return address([](const char *id, void **device) -> int {
            *device = &fake;
            return std::strcmp(id, "0000:01:00.0") ? 6 : 0;
        });
    if (is("nvmlSystemGetDriverVersion")) return address([](char *text, unsigned) -> int { return std::strcpy(text, "580.1"), 0; });
    if (is("nvmlDeviceGetClockInfo")) return address([](void *, int which, unsigned *mhz) -> int { return fake.states += which == 1, *mhz = which == 1 ? fake.clock : 2619, 0; });
    if (is("nvmlDeviceGetPowerUsage")) return address([](void *, unsigned *mw) -> int { return *mw = fake.power, fake.power_known ? 0 : 3; });
    if (is("nvmlDeviceGetUtilizationRates"))
        return address([](void *, unsigned *rates) -> int { return rates[0] = 97, rates[1] = 42, 0; });
    if (is("nvmlDeviceGetCurrentClocksThrottleReasons")) return address([](void *, unsigned long long *bits) -> int { return *bits = fake.throttle, 0; });
    return nullptr;  // as of a version that has none of the others
}

struct UseFakeNvml {
    UseFakeNvml() {
        fake = {};
        use_nvml(fake_nvml_symbol);
    }
    ~UseFakeNvml() { use_nvml(nullptr); }
};

}  // namespace

TEST_CASE("the peaks' kernels compile without a spill, and their loops are multiply-adds", "[peaks]") {
    if (const std::string why = why_no_ptxas(); !why.empty()) {
        fmt::print("[SKIP] machine code of the peaks' kernels: {}\n", why);
        return;
    }
    struct Expected {
        const char *kernel, *math;
        int in_loop;       // of the loop's instructions
        int most_registers;
    };
    const Expected kernels[] = {{"sepal_peak_f32_fma", "FFMA", 128, 32}, {"sepal_peak_f16_fma", "HFMA2", 128, 32}, {"sepal_peak_f16_mma", "HMMA", 32, 128},
                                {"sepal_peak_copy", nullptr, 0, 32},     {"sepal_peak_read", nullptr, 0, 32},      {"sepal_peak_empty", nullptr, 0, 32}};
    for (const std::string arch : {"sm_80", "sm_86", "sm_89", "sm_90"}) {
        const std::vector<std::string> known = ptxas_architectures();
        if (std::find(known.begin(), known.end(), arch) == known.end()) {
            fmt::print("[SKIP] machine code of the peaks' kernels for {}: ptxas does not know it\n", arch);
            continue;
        }
        const Cubin cubin = assemble_ptx(peak_kernels_ptx(), arch);
        CHECK(cubin.warnings == std::vector<std::string>{});
        const std::string why = why_no_nvdisasm();
        const std::string sass = why.empty() ? disassemble(cubin) : "";
        if (!why.empty()) fmt::print("[SKIP] loops of the peaks' kernels: {}\n", why);
        for (const Expected &k : kernels) {
            INFO(k.kernel << " for " << arch);
            const KernelResources &r = cubin.resources(k.kernel);
            CHECK(r.spill_store_bytes + r.spill_load_bytes + r.stack_bytes == 0);
            // More would leave fewer warps on a multiprocessor than the budgets say.
            CHECK(r.registers <= k.most_registers);
            if (sass.empty()) continue;
            const SassMix mix = read_sass(sass, k.kernel);
            if (k.math) {
                CHECK(mix.in_loop);
                // ptxas may unroll the loop once more.
                const int math = mix.hot_loop.math.count(k.math) ? mix.hot_loop.math.at(k.math) : 0;
                CHECK(math >= k.in_loop);
                CHECK(math % k.in_loop == 0);
                CHECK(mix.hot_loop.math_instructions() == math);
                CHECK(mix.hot_loop.instructions - math <= 4);  // counting and branch
                CHECK(mix.hot_loop.accumulator_moves == 0);
            }
            const auto wide = [&](const char *what) {
                const auto found = mix.kernel.accesses.find(what);
                return found == mix.kernel.accesses.end() || !found->second.count(16) ? 0 : found->second.at(16);
            };
            if (std::string(k.kernel) == "sepal_peak_copy") CHECK((wide("LDG") == 4 && wide("STG") == 4));
            if (std::string(k.kernel) == "sepal_peak_read") CHECK((wide("LDG") >= 4 && wide("LDG") % 4 == 0));
        }
    }
}

TEST_CASE("the arithmetic of peaks is done, and is as much as its rate counts", "[peaks]") {
    Emulated gpu;
    Status status;
    const auto kernels = PeakKernels::load(gpu.device, status);
    REQUIRE(status.message == "");
    using Make = PeakLaunch (PeakKernels::*)(int, Status &) const;
    for (const Make make : {&PeakKernels::f32_fma, &PeakKernels::f16_fma, &PeakKernels::f16_mma})
        for (const int trips : {1, 3}) {
            const PeakLaunch launch = ((*kernels).*make)(trips, status);
            REQUIRE(status.message == "");
            INFO(launch.kernel << ", " << trips << " trips");
            // Before it has run, and after a run of another number of trips, its results are wrong.
            CHECK_THAT(launch.check().message, Contains(launch.kernel) && Contains("thread 0 of block 0 has 0x0"));
            const KernelCounts counts = run(launch);
            CHECK(launch.check().message == "");
            CHECK(2 * double(counts.f32_fma + counts.f16_fma + counts.mma_multiply_adds) == launch.flops);
            CHECK(counts.local_loads.requests + counts.local_stores.requests == 0);
            std::vector<uint32_t> results = downloaded(*launch.out);
            results.back() ^= 1;
            REQUIRE(launch.out->upload(results.data(), launch.out->bytes()).message == "");
            CHECK(launch.check().code == Status::Code::kernel_failed);
        }
    // With as many trips as a measurement makes, in one multiprocessor.
    Emulated small(1);
    const auto again = PeakKernels::load(small.device, status);
    const PeakLaunch mma = again->f16_mma(PeakKernels::most_trips, status), half = again->f16_fma(PeakKernels::most_trips / 4, status);
    for (const PeakLaunch *l : {&mma, &half}) {
        (void)run(*l);
        CHECK(l->check().message == "");
    }
}

TEST_CASE("the memory of peaks is read and written, as much as the rates count", "[peaks]") {
    Emulated gpu;
    Status status;
    const auto kernels = PeakKernels::load(gpu.device, status);
    REQUIRE(status.message == "");
    const int64_t bytes = 48 * PeakKernels::piece_bytes;
    const PeakLaunch copy = kernels->copy(bytes, status);
    REQUIRE(status.message == "");
    CHECK_THAT(copy.check().message, Contains("sepal_peak_read") && Contains("of what sepal_peak_copy has copied"));
    const std::vector<uint32_t> words = random_words(size_t(bytes / 4));
    const std::vector<uint32_t> filled = downloaded(*copy.in);
    REQUIRE(copy.in->upload(words.data(), bytes).message == "");
    KernelCounts counts = run(copy);
    CHECK(downloaded(*copy.out) == words);
    CHECK(copy.check().code == Status::Code::kernel_failed);  // not what a measurement copies
    REQUIRE(copy.in->upload(filled.data(), bytes).message == "");
    (void)run(copy);
    CHECK(copy.check().message == "");
    CHECK(double(counts.global_loads.bytes) == copy.bytes_read);
    CHECK(double(counts.global_stores.bytes) == copy.bytes_written);
    CHECK(32 * double(counts.global_loads.unique_sectors) == copy.bytes_read);
    CHECK(counts.global_loads.useful() == 1);

    // 16 blocks: 48 pieces in 3 trips, and 20 pieces that they share out unevenly.
    for (const int64_t pieces : {48, 20, 3}) {
        INFO(pieces << " pieces");
        const int passes = pieces == 48 ? 1 : 8;
        const PeakLaunch read = kernels->read(pieces * PeakKernels::piece_bytes, passes, status);
        REQUIRE(status.message == "");
        CHECK(read.check().code == Status::Code::kernel_failed);
        counts = run(read);
        CHECK(read.check().message == "");
        CHECK(double(counts.global_loads.bytes) == read.bytes_read);
        CHECK(read.bytes_read <= double(pieces * PeakKernels::piece_bytes * passes));
        CHECK(read.bytes_read > double(pieces * PeakKernels::piece_bytes * passes - 16 * PeakKernels::piece_bytes));
        CHECK(32 * counts.global_loads.unique_sectors == uint64_t(pieces * PeakKernels::piece_bytes));  // all of the footprint
        if (pieces != 48) continue;
        const std::vector<uint32_t> other = random_words(size_t(read.in->bytes() / 4));
        REQUIRE(read.in->upload(other.data(), read.in->bytes()).message == "");
        (void)run(read);
        uint32_t sum = 0, right = 0;
        for (uint32_t w : downloaded(*read.out)) sum += w;
        for (uint32_t w : other) right += w;
        CHECK(sum == right);
    }
    CHECK(run(kernels->empty()).all_warp_instructions() == 1);
}

TEST_CASE("all peaks of the emulated device are measured, written and read again", "[peaks]") {
    Emulated gpu;
    GpuPeakOptions options;
    options.samples = 3;
    options.trips = 2;
    options.launches = 1;
    options.dram_bytes = 1 << 20;
    options.l2_sample_bytes = 2e6;
    options.warm_up_seconds = 0;
    std::vector<std::string> told;
    options.progress = [&](const std::string &what) { told.push_back(what); };
    Status status;
    const GpuPeaks peaks = measure_gpu_peaks(gpu.device, options, status);
    REQUIRE(status.message == "");
    CHECK(take_emulator_faults() == std::vector<std::string>{});
    CHECK(told.size() == 7);
    CHECK(peaks.device.name == gpu.device->info().name);
    for (const double value : {peaks.f32_gflops, peaks.f16_gflops, peaks.tensor_f16_gflops, peaks.dram_gbs, peaks.dram_read_gbs, peaks.l2_read_gbs, peaks.launch_us,
                               peaks.latency_us})
        CHECK(value > 0);
    CHECK(peaks.graph_launch_us == 0);  // the emulator has no graphs
    CHECK(peaks.dram_bytes == 1 << 20);
    CHECK(peaks.l2_bytes == 1 << 19);
    CHECK(peaks.figures.size() == 8);
    CHECK_FALSE(peaks.sm_clock_mhz);
    CHECK_THAT(peaks.why_no_nvml, Contains("does not tell its PCI address: the CUDA driver has no function cuDeviceGetPCIBusId"));
    const std::string table = gpu_peaks_table(peaks);
    CHECK_THAT(table, Contains("f16 mma.sync, sums in f32") && Contains("clocks and power were not watched: ") && Contains("2 multiprocessors"));

    const nlohmann::ordered_json j = to_json(peaks);
    CHECK(j["peaks"]["sm_clock_mhz"].is_null());
    CHECK(j["figures"][0]["samples"] == 3);
    const GpuPeaks again = gpu_peaks_from_json(j.dump(), "peaks.json");
    CHECK(to_json(again)["peaks"] == j["peaks"]);
    CHECK(to_json(again)["device"] == j["device"]);
    const auto sentence = [&](const std::string &text) -> std::string {
        try {
            (void)gpu_peaks_from_json(text, "peaks.json");
        } catch (const BadInput &e) {
            return e.what();
        }
        return "nothing was thrown";
    };
    CHECK_THAT(sentence("[]"), Contains("peaks.json: this is no JSON object; allowed: a file that `sepal peak --device cuda --json` wrote"));
    CHECK_THAT(sentence("{}"), Contains("field \"format\" is not 1"));
    for (const char *name : {"f32_gflops", "l2_bytes"}) {
        nlohmann::ordered_json bad = j;
        bad["peaks"][name] = -1;
        CHECK_THAT(sentence(bad.dump()), Contains(fmt::format("\"{}\" of \"peaks\" is not a number of 0 or more", name)));
        bad["peaks"].erase(name);
        CHECK_THAT(sentence(bad.dump()), Contains(name));
    }
}

TEST_CASE("what keeps peaks from being measured is told", "[peaks]") {
    Status status;
    GpuPeakOptions options;
    options.trips = 1;
    options.samples = options.launches = 1;
    options.warm_up_seconds = 0;
    {
        EmulatedDevice d;
        d.module_error = 218;
        const Emulated gpu(1, d);
        (void)measure_gpu_peaks(gpu.device, options, status);
        CHECK_THAT(status.message, Contains("the kernels that peaks are measured with cannot be loaded on CUDA device 0") && Contains("CUDA_ERROR_INVALID_PTX"));
    }
    EmulatedDevice d;
    d.launch_error = 719;
    const Emulated gpu(1, d);
    (void)measure_gpu_peaks(gpu.device, options, status);
    CHECK_THAT(status.message, Contains("the peaks' kernel sepal_peak_f32_fma cannot be queued: ") && Contains("CUDA_ERROR_LAUNCH_FAILED"));
}

TEST_CASE("NVML is watched while something runs, and its absence is told", "[peaks]") {
    std::string why;
    {
        UseFakeNvml use;
        fake.init = 9;
        CHECK_FALSE(Nvml::open("0000:01:00.0", why));
        CHECK(why == "NVML cannot be started: Driver Not Loaded");
    }
    UseFakeNvml use;
    CHECK_FALSE(Nvml::open("0000:02:00.0", why));
    CHECK(why == "NVML does not know the GPU at 0000:02:00.0: Not Found");
    CHECK(fake.opened == 0);
    auto nvml = Nvml::open("0000:01:00.0", why);
    REQUIRE(nvml);
    CHECK(why == "");
    CHECK(nvml->driver() == "580.1");
    CHECK(nvml->state().memory_mhz == 2619.);
    CHECK_FALSE(nvml->state().temperature_c);
    fake.states = 0;
    fake.throttle = 0x4 | 0x1 | 0x40;
    const GpuWatched seen = GpuWatch(nvml).stop();
    CHECK(seen.samples >= 1);
    CHECK(seen.samples == fake.states);
    CHECK(seen.median.sm_mhz == 1980.);
    CHECK(seen.highest_power_w == 300.);
    CHECK(seen.median.gpu_pct == 97.);
    CHECK(seen.throttled == std::vector<std::string>{"power cap", "hardware thermal"});
    const nlohmann::ordered_json j = to_json(seen);
    CHECK(j["memory_pct"] == 42);
    CHECK(j["temperature_c"].is_null());
    fake.power_known = false;
    CHECK_FALSE(GpuWatch(nvml).stop().highest_power_w);
    CHECK(GpuWatch(nullptr).stop().samples == 0);
    nvml.reset();
    CHECK(fake.opened == 0);
}

namespace {

// A pointwise convolution of f32 values without a bias, behind the protocol of bench/peers/serve.py, as long as it is started for a GPU.
const char *const actor = R"py(
import sys
name, threads, device = sys.argv[1:]
say(ok=True, version=device)
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "prepare":
        folder, p, tensor = load(request)
        x, w, c, k = tensor("input"), tensor("filter"), p["c"], p["k"]
        y = array.array("f", [sum(x[i * c + j] * w[o * c + j] for j in range(c)) for i in range(p["n"] * p["h"] * p["w"]) for o in range(k)])
        if name == "PyTorch-TF32":
            y[3] += 1
        open(f"{folder}/{name}.f32", "wb").write(y.tobytes())
        say(ok=True, configuration=p["dtype"], winograd=False)
    elif request["do"] == "time":
        say(ok=True, seconds=0.003 if request.get("cold") else 0.002)
    else:
        say(ok=True)
)py";

}  // namespace

TEST_CASE("libraries on a GPU are checked, and timed warm and cold", "[peaks]") {
    Emulated gpu;
    const ScratchFolder folder("sepal-test", "no temporary folder can be made");
    PeerTools tools;
    tools.python = "python3";
    tools.script = folder.path() + "/actor.py";
    write_file(tools.script, {peer_actor_prelude, actor});
    for (const DType dtype : {DType::f16, DType::f32}) {
        ConvProblem p;
        p.name = "example";
        p.op = Operator::pointwise;
        p.dtype = dtype;
        p.h = 3;
        p.w = 5;
        p.c = 8;
        p.k = 6;
        p.pad_mode = PadMode::valid;
        Peer right("PyTorch", tools, 1, "cuda:0"), wrong("PyTorch-TF32", tools, 1, "cuda:0");
        std::vector<Candidate> candidates(2);
        for (Candidate &c : candidates) c.problem = p;
        candidates[0].peer = &right;
        candidates[1].peer = &wrong;
        candidates[0].name = right.name();
        candidates[1].name = wrong.name();
        RunnerOptions options;
        options.seconds = 0.01;
        const std::vector<Result> results = run_candidates_on_gpu(candidates, describe_gpu(*gpu.device, "cuda"), gpu.device, options);
        REQUIRE(results.size() == 4);
        for (const Result &r : results) {
            INFO(r.candidate.name << ": " << r.check << " " << r.check_message);
            const bool is_right = r.candidate.peer == &right, warm = r.cache == CacheState::warm;
            CHECK(r.check == (is_right ? "passed" : "failed"));
            CHECK(r.timed() == is_right);
            if (!is_right) continue;
            CHECK(r.milliseconds.median == Approx(warm ? 2 : 3));
            CHECK(r.peer_version == "cuda:0");
            CHECK(r.peer_configuration == name(dtype));
            CHECK(r.latency_ms == 0);
            CHECK(r.cold_overhead_ms == 0);
        }
    }
}

TEST_CASE("peaks of this machine's GPU", "[.][real_gpu]") {
    use_cuda_driver(nullptr);
    if (const Status status = cuda_available(); !status.ok()) {
        fmt::print("[SKIP] peaks of a GPU: {}\n", status.message);
        return;
    }
    Status status;
    const auto device = GpuDevice::open(Backend::cuda, 0, status);
    REQUIRE(status.message == "");
    const GpuPeaks peaks = measure_gpu_peaks(device, {}, status);
    REQUIRE(status.message == "");
    fmt::print("{}", gpu_peaks_table(peaks));
    // What no GPU can be far from: twice as much for two at a time (1 to 4 of f32's on cards of several generations), and L2 above DRAM.
    CHECK(peaks.f16_gflops > 0.9 * peaks.f32_gflops);
    CHECK(peaks.tensor_f16_gflops > peaks.f32_gflops);
    CHECK(peaks.l2_read_gbs > peaks.dram_read_gbs);
    CHECK(peaks.dram_gbs < 1.2 * peaks.dram_read_gbs);
    CHECK(peaks.graph_launch_us < peaks.latency_us);
}
