// The bench library on fixed inputs: statistics, roofline, choice of variants, machine files, reports; and the runner on kernels
// written here, one of which is wrong.
#include "bench/candidates.h"
#include "bench/machine.h"
#include "bench/report.h"
#include "bench/roofline.h"
#include "bench/runner.h"
#include "bench/statistics.h"
#include "bench/threads.h"
#include "tools/files.h"

#include "catch.h"
#include "support.h"
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

using namespace sepal;
using Catch::Matchers::Contains;
using nlohmann::ordered_json;

namespace {

// Peaks in round numbers; two thread counts.
Machine example_machine() {
    Machine m;
    m.cpu = "Example CPU";
    m.isa = Isa::avx2;
    m.features = {"avx2", "fma"};
    m.logical_cpus = 4;
    m.clock_ghz = 3.5;
    m.caches = {{"L1", 32 << 10, 1}, {"L2", 1 << 20, 1}, {"L3", 16 << 20, 4}};
    for (int threads : {1, 2}) {
        m.fma.push_back({Isa::x64, threads, 25.0 * threads, 0.5});
        m.fma.push_back({Isa::avx2, threads, 100.0 * threads, 0.25});
        const auto add = [&](const char *level, int64_t capacity, double read) {
            Bandwidth b;
            b.level = level;
            b.threads = threads;
            b.capacity_bytes = capacity;
            b.working_set_bytes = capacity ? capacity / 2 : 64 << 20;
            b.read = {read, 1};
            b.write = {read / 2, 2};
            b.copy = {read * 0.75, 3};
            m.bandwidth.push_back(b);
        };
        add("L1", (32 << 10) * threads, 200.0 * threads);
        add("L2", (1 << 20) * threads, 100.0 * threads);
        add("L3", 16 << 20, 50.0 * threads);
        add("dram", 0, 20);
        m.bandwidth.back().copy_streaming = {25, 1};
    }
    return m;
}

Variant variant(const char *name, Operator op, Isa isa, const char *scheduler, const char *suite, KernelFunction kernel,
                KernelFunction packer = nullptr) {
    Variant v;
    v.name = name;
    v.op = op;
    v.isa = isa;
    v.scheduler = scheduler;
    v.suite = suite;
    v.kernel = kernel;
    v.filter_layout.kind = FilterLayout::Kind::panels;
    v.packer = packer;
    v.error = kernel ? "" : "the scheduler gave up";
    return v;
}

ConvProblem pointwise_problem(int64_t pixels, int64_t c, int64_t k) {
    ConvProblem p;
    p.name = "example";
    p.op = Operator::pointwise;
    p.h = 1;
    p.w = pixels;
    p.c = c;
    p.k = k;
    p.pad_mode = PadMode::valid;
    return p;
}

Candidate candidate(const ConvProblem &p, const Variant &v) {
    Candidate c;
    c.problem = p;
    c.suite = "suite";
    c.name = v.name;
    c.variant = &v;
    c.reproduce = "sepal bench --name example";
    return c;
}

// What a report is made of, without measuring: 2 MFLOP in 0.05 ms.
Result example_result(const Variant &v, CacheState cache) {
    Result r;
    r.candidate = candidate(pointwise_problem(100, 100, 100), v);
    r.candidate.published = R"([{"source": "a, \"b\"", "machine": "m", "per_second": 7}])";
    r.threads = 1;
    r.cache = cache;
    r.check = "passed";
    r.milliseconds = summarise({0.04, 0.05, 0.06});
    r.flops = 2e6;
    r.bytes = 120000;
    r.fma_gflops = 80;
    r.isa_gflops = 160;
    r.copy_ms = 0.02;
    r.streaming_copy_ms = cache == CacheState::cold ? 0.0125 : 0;
    r.roofline_ms = 0.025;
    r.bound = "fma";
    r.speedup = 1;
    r.packed.layout = "panels32";
    r.packed.bytes = 51200;
    r.packed.seconds = 2e-5;
    return r;
}

// The field `pointer` of a good machine file set to `value`.
std::string damaged(const std::string &pointer, const ordered_json &value) {
    ordered_json j = to_json(example_machine());
    j[ordered_json::json_pointer(pointer)] = value;
    return j.dump();
}

}  // namespace

TEST_CASE("statistics: median, minimum, spread", "[bench]") {
    const Statistics odd = summarise({5, 1, 4, 2, 3});
    CHECK(odd.median == 3);
    CHECK(odd.min == 1);
    CHECK(odd.max == 5);
    CHECK(odd.count == 5);
    CHECK(odd.spread_pct == Approx(100 * (4.0 - 2.0) / 3));  // quartiles are samples
    const Statistics even = summarise({10, 20, 30, 40});
    CHECK(even.median == 25);
    CHECK(even.spread_pct == Approx(100 * (32.5 - 17.5) / 25));  // quartiles lie between samples
    CHECK(summarise({7}).spread_pct == 0);
    CHECK(summarise({1, 1, 1, 1, 1000}).median == 1);
    CHECK_THROWS_AS(summarise({}), std::invalid_argument);
}

TEST_CASE("roofline: which roof, of which memory", "[bench]") {
    const Machine m = example_machine();
    SECTION("compute bound") {
        const auto r = roofline(m, 1, 100, 1e9, 1e6, CacheState::warm);  // 10 ms against 1 MB of L2 (100 GB/s): 10 us
        REQUIRE(r);
        CHECK(r->bound == "fma");
        CHECK(r->level == "L2");
        CHECK(r->seconds == Approx(0.01));
    }
    SECTION("memory bound: the smallest cache that holds the bytes, at its highest bandwidth") {
        const std::pair<double, const char *> cases[] = {{32 << 10, "L1"}, {(32 << 10) + 1, "L2"}, {1 << 20, "L2"}, {(1 << 20) + 1, "L3"},
                                                         {16 << 20, "L3"}, {(16 << 20) + 1, "dram"}};
        for (const auto &[bytes, level] : cases) {
            const auto r = roofline(m, 1, 100, 1, bytes, CacheState::warm);
            REQUIRE(r);
            CHECK(r->bound == level);
            CHECK(r->seconds == Approx(bytes / (m.level(level, 1)->highest() * 1e9)));
        }
        CHECK(m.level("dram", 1)->highest() == 25);  // the streaming copy is the fastest
    }
    SECTION("cold data come from dram") {
        const auto r = roofline(m, 1, 100, 1, 1000, CacheState::cold);
        REQUIRE(r);
        CHECK(r->bound == "dram");
        CHECK(r->seconds == Approx(1000 / 25e9));
    }
    SECTION("two threads have two L2 caches") {
        CHECK(roofline(m, 2, 100, 1, 2 << 20, CacheState::warm)->level == "L2");
        CHECK(roofline(m, 1, 100, 1, 2 << 20, CacheState::warm)->level == "L3");
    }
    SECTION("no peaks, no roofline") {
        CHECK_FALSE(roofline(m, 3, 100, 1, 1, CacheState::warm));
        CHECK_FALSE(roofline(m, 1, 0, 1, 1, CacheState::warm));
        CHECK_FALSE(roofline(Machine(), 1, 100, 1, 1, CacheState::cold));
    }
}

TEST_CASE("machine: JSON round trip", "[bench]") {
    const Machine m = example_machine();
    const std::string text = to_json(m).dump(2);
    const Machine back = machine_from_json(text, "m.json");
    CHECK(to_json(back).dump(2) == text);
    CHECK(back.peak(Isa::avx2, 2)->gflops == 200);
    CHECK(back.level("L2", 2)->capacity_bytes == 2 << 20);
    CHECK(back.level("dram", 1)->copy_streaming.gbps == 25);
    CHECK(back.measured(2));
    CHECK_FALSE(back.measured(4));
    CHECK(back.peak(Isa::avx512, 1) == nullptr);
}

TEST_CASE("machine: corrupt files are told in one sentence with file and field", "[bench]") {
    const std::string good = to_json(example_machine()).dump();
    const std::pair<std::string, std::string> cases[] = {
        {good.substr(0, good.size() / 2), "not valid JSON"},
        {"", "not valid JSON"},
        {"[1]", "the file is [1]; allowed: an object"},
        {"{}", "field \"format\" is missing"},
        {damaged("/format", 999), "field \"format\" is 999; allowed: 1"},
        {damaged("/isa", "neon"), "field \"isa\" is \"neon\"; allowed: x64, avx2, avx512"},
        {damaged("/fma/1/gflops", "fast"), "field \"fma[1].gflops\" is \"fast\""},
        {damaged("/fma/0/threads", 0), "field \"fma[0].threads\" is 0; allowed: an integer of 1 or more"},
        {damaged("/fma", 3), "field \"fma\" is 3; allowed: a list"},
        {damaged("/bandwidth/2/copy/gbps", -1), "field \"bandwidth[2].copy.gbps\" is -1"},
        {damaged("/bandwidth/0/read", nullptr), "field \"bandwidth[0].read\" is null; allowed: an object"},
        {damaged("/caches/0/bytes", 1.5), "field \"caches[0].bytes\" is 1.5"},
        {damaged("/features/0", 1), "entry of field \"features\""}};
    for (const auto &[text, expected] : cases) {
        INFO(text);
        CHECK_THROWS_WITH(machine_from_json(text, "m.json"), Contains("m.json: ") && Contains(expected) && !Contains("\n"));
    }
    CHECK_THROWS_WITH(load_machine("/nonexistent/m.json"), Contains("/nonexistent/m.json"));
}

TEST_CASE("machine: the kept file", "[bench]") {
    const TemporaryFolder folder;
    std::string why;
    const std::string path = folder.path("a/b/machine.json");
    REQUIRE(store_machine(example_machine(), path, why));
    CHECK(load_machine(path).cpu == "Example CPU");
    CHECK_FALSE(store_machine(example_machine(), path + "/below-a-file.json", why));
    CHECK_THAT(why, Contains("below-a-file.json"));
    CHECK_FALSE(store_machine(example_machine(), "", why));
}

TEST_CASE("outputs are tried before a run and leave no trace", "[bench]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("out.json");
    CHECK_NOTHROW(check_writable(path));
    CHECK(std::filesystem::is_empty(folder.path(".")));
    write_file(path, {"old"});
    CHECK_NOTHROW(check_writable(path));
    CHECK(read_file(path) == "old");
    CHECK_THROWS_AS(check_writable(folder.path(".")), BadInput);
    CHECK_THROWS_WITH(check_writable(folder.path("missing/out.json")), Contains("/missing/out.json") && Contains("cannot be written"));
    CHECK_THROWS_AS(check_writable(""), BadInput);
}

TEST_CASE("lists of CPUs", "[bench]") {
    CHECK(parse_cpu_list("0-3,8") == std::vector<int>{0, 1, 2, 3, 8});
    CHECK(parse_cpu_list("5\n") == std::vector<int>{5});
    CHECK(parse_cpu_list("").empty());
    CHECK_FALSE(allowed_cpus().empty());
}

TEST_CASE("the variants that are compared by default", "[bench]") {
    const auto nothing = [](void **) { return 0; };
    const auto pw = Operator::pointwise;
    Variant rows[] = {variant("special_512", pw, Isa::avx512, "hand", "s", nothing), variant("special_2", pw, Isa::avx2, "hand", "s", nothing),
                      variant("other_shape", pw, Isa::avx2, "hand", "s", nothing),   variant("any_2", pw, Isa::avx2, "hand", "", nothing),
                      variant("any_2_b", pw, Isa::avx2, "hand", "", nothing),        variant("auto_2", pw, Isa::avx2, "adams2019", "s", nothing),
                      variant("broken_2", pw, Isa::avx2, "li2018", "s", nullptr),    variant("any_64", pw, Isa::x64, "hand", "", nothing),
                      variant("reference", pw, Isa::x64, "reference", "", nothing),  variant("deep", Operator::depthwise, Isa::avx2, "hand", "", nothing),
                      variant("tuned_2", pw, Isa::avx2, "tuned", "s", nothing)};
    rows[2].when[0] = {Field::c, Condition::Relation::equal, 99};
    rows[2].when_count = 1;
    rows[10].tuned_threads = 2;
    const Registry registry(rows, std::size(rows));
    const ConvProblem p = pointwise_problem(10, 8, 8);
    const auto names = [&](Isa best, const std::function<bool(const std::string &)> &wanted, int threads = 1) {
        std::string all;
        for (const Variant *v : choose_variants(p, registry, Cpu{best}, threads, wanted)) all += std::string(v->name) + " ";
        return all;
    };
    CHECK(names(Isa::avx2, {}) == "special_2 any_2 auto_2 broken_2 ");
    CHECK(names(Isa::avx2, {}, 2) == "special_2 any_2 auto_2 broken_2 tuned_2 ");
    CHECK(names(Isa::avx2, [](const std::string &n) { return n == "tuned_2"; }) == "tuned_2 ");  // asked for by name
    CHECK(names(Isa::x64, {}) == "any_64 ");
    CHECK(names(Isa::avx2, [](const std::string &n) { return n.find("any") == 0; }) == "any_2 any_2_b any_64 ");
    CHECK(names(Isa::avx2, [](const std::string &n) { return n == "deep" || n == "other_shape"; }).empty());
    CHECK(std::string(specialised_hand(p, registry, Cpu{Isa::avx512}, 1)->name) == "special_512");
    CHECK(std::string(specialised_hand(p, registry, Cpu{Isa::avx2}, 1)->name) == "special_2");
    CHECK(specialised_hand(p, registry, Cpu{Isa::x64}, 1) == nullptr);
    CHECK(std::string(first_hand(p, registry, Cpu{Isa::x64}, 1)->name) == "any_64");
    // Of a type without a hand-written schedule the reference.
    for (Variant &row : rows) row.dtype = DType::f16;
    rows[8].dtype = DType::f32;
    CHECK(names(Isa::avx2, {}) == "reference ");
    // On a GPU its own only, also of those that are asked for by name.
    for (Variant &row : rows) row.dtype = DType::f32;
    rows[7].isa = Isa::sm80;
    const auto on_gpu = [&](Backend backend, const std::function<bool(const std::string &)> &wanted) { return choose_variants(p, registry, Processor(backend), 1, wanted); };
    CHECK(on_gpu(Backend::cuda, {}) == std::vector<const Variant *>{&rows[7]});
    CHECK(on_gpu(Backend::cuda, [](const std::string &n) { return n.find("any") == 0; }) == std::vector<const Variant *>{&rows[7]});
    CHECK(on_gpu(Backend::opencl, {}).empty());
    CHECK(names(Isa::avx2, [](const std::string &n) { return n.find("any") == 0; }) == "any_2 any_2_b ");
}

TEST_CASE("report: JSON fields", "[bench]") {
    const Variant v = variant("pw", Operator::pointwise, Isa::avx2, "hand", "", [](void **) { return 0; });
    const ordered_json j = to_json(example_result(v, CacheState::cold));
    // The stable interface, in its order.
    const std::vector<std::string> stable = {"suite", "problem", "variant", "provider", "threads", "cache", "median_ms", "min_ms", "spread_pct",
                                             "gflops", "gbps", "pct_fma_peak", "pct_roofline", "bound", "check"};
    std::vector<std::string> keys;
    for (const auto &[key, value] : j.items()) keys.push_back(key);
    REQUIRE(keys.size() > stable.size());
    CHECK(std::vector<std::string>(keys.begin(), keys.begin() + long(stable.size())) == stable);
    CHECK(j["suite"] == "suite");
    CHECK(j["problem"] == "example");
    CHECK(j["variant"] == "pw");
    CHECK(j["provider"] == "sepal");
    CHECK(j["cache"] == "cold");
    CHECK(j["median_ms"] == Approx(0.05));
    CHECK(j["min_ms"] == Approx(0.04));
    CHECK(j["gflops"] == Approx(40));         // 2 MFLOP / 0.05 ms
    CHECK(j["gbps"] == Approx(2.4));          // 120 kB / 0.05 ms
    CHECK(j["pct_fma_peak"] == Approx(50));   // of 80
    CHECK(j["pct_isa_peak"] == Approx(25));   // of 160
    CHECK(j["pct_roofline"] == Approx(50));   // 0.025 / 0.05
    CHECK(j["times_copy"] == Approx(2.5));
    CHECK(j["streaming_copy_ms"] == Approx(0.0125));
    CHECK(j["times_streaming_copy"] == Approx(4));
    CHECK(to_json(example_result(v, CacheState::warm))["times_streaming_copy"].is_null());
    CHECK(j["problems_per_s"] == Approx(20000));
    CHECK(j["bound"] == "fma");
    CHECK(j["check"] == "passed");
    CHECK(j["reproduce"] == "sepal bench --name example");
    CHECK(j["published"][0]["per_second"] == 7);
    CHECK(j["filter_layout"] == "panels32");
    CHECK(j["packed_bytes"] == 51200);
    CHECK(j["pack_ms"] == Approx(0.02));

    Result skipped = example_result(v, CacheState::warm);
    skipped.check = "skipped: no reason";
    skipped.milliseconds = {};
    const ordered_json s = to_json(skipped);
    CHECK(s["check"] == "skipped: no reason");
    for (const char *key : {"median_ms", "gflops", "gbps", "pct_fma_peak", "pct_roofline", "speedup", "times_copy"}) CHECK(s[key].is_null());

    Result unpacked = example_result(v, CacheState::warm);
    unpacked.packed = {};
    for (const char *key : {"filter_layout", "packed_bytes", "pack_ms"}) CHECK(to_json(unpacked)[key].is_null());

    Result no_roof = example_result(v, CacheState::warm);
    no_roof.roofline_ms = 0;
    CHECK(to_json(no_roof)["bound"].is_null());
    CHECK(to_json(no_roof)["pct_roofline"].is_null());

    const ordered_json whole = report_json(to_json(example_machine()), {example_result(v, CacheState::warm), skipped}, {"sepal bench", "2026-01-01", "t", "d"});
    CHECK(whole["machine"]["cpu"] == "Example CPU");
    CHECK(whole["results"].size() == 2);
    CHECK(whole["conventions"]["flops"] == flop_convention);
    CHECK(ordered_json::parse(whole.dump()) == whole);  // no NaN or infinity got in
}

TEST_CASE("report: CSV", "[bench]") {
    const Variant v = variant("pw", Operator::pointwise, Isa::avx2, "hand", "", [](void **) { return 0; });
    Result r = example_result(v, CacheState::warm);
    r.check_message = "said \"no\", twice";
    const std::string csv = report_csv({r, r});
    CHECK(csv.find("suite,problem,variant,provider,threads,cache,median_ms,min_ms,spread_pct,gflops,gbps,pct_fma_peak,pct_roofline,bound,check,") == 0);
    CHECK(csv.find("\r\nsuite,example,pw,sepal,1,warm,0.05,0.04,") != std::string::npos);
    CHECK(csv.find("\"said \"\"no\"\", twice\"") != std::string::npos);
    CHECK(std::count(csv.begin(), csv.end(), '\n') == 3);
    CHECK(report_csv({}).empty());
}

TEST_CASE("report: lines on stdout", "[bench]") {
    const Variant v = variant("pw", Operator::pointwise, Isa::avx2, "hand", "", [](void **) { return 0; });
    const std::string block = table_block({example_result(v, CacheState::warm), example_result(v, CacheState::cold)});
    CHECK_THAT(block, Contains("example: pointwise") && Contains("warm") && Contains("cold") && Contains("20000") && Contains("50.0") && Contains("fma") &&
                          Contains("published: m") && Contains("per_second 7"));
    Result failed = example_result(v, CacheState::warm);
    failed.milliseconds = {};
    failed.check = "failed";
    failed.check_message = "at [0, 0, 0, 0]";
    const std::string told = "[panels32: 51.20 kB packed in 0.020 ms]";  // once
    CHECK(block.find(told) != std::string::npos);
    CHECK(block.find(told) == block.rfind(told));
    CHECK_THAT(table_block({failed}), Contains("FAILED: at [0, 0, 0, 0]") && Contains("reproduce: sepal bench --name example"));
    CHECK_THAT(machine_table(example_machine(), 1), Contains("Example CPU") && Contains("100") && !Contains("2 threads"));
    CHECK_THAT(machine_table(example_machine(), 1), !Contains("not idle"));
    Machine noisy = example_machine();
    noisy.fma[1].spread_pct = 40;
    CHECK_THAT(machine_table(noisy, 1), Contains("spread by 40 %") && Contains("not idle"));
    CHECK(duration(12.2) == "13 s");
    CHECK(duration(200) == "3 min 20 s");
    CHECK(duration(3725) == "1 h 02 min");
}

namespace {

// Pointwise convolution in Halide's calling convention: input (c, pixels), filter (panel = k, c, 1), bias (k), activation, output
// (k, pixels). The buffers' extents are read as halide_buffer_t lays them out.
struct BufferView {
    uint64_t device;
    const void *device_interface;
    float *host;
    uint64_t flags;
    uint32_t type;
    int32_t dimensions;
    struct Dim {
        int32_t min, extent, stride;
        uint32_t flags;
    } *dim;
};

// filter (c, 1, k, 1), packed (panel = k, c, 1, 1, 1)
int pack_one_panel(void **argv) {
    const auto *filter = static_cast<BufferView *>(argv[0]), *packed = static_cast<BufferView *>(argv[1]);
    const int c = filter->dim[0].extent, k = filter->dim[2].extent;
    for (int o = 0; o < k; o++)
        for (int i = 0; i < c; i++) packed->host[i * k + o] = filter->host[o * c + i];
    return 0;
}

int pointwise_kernel(void **argv, float error) {
    const auto *in = static_cast<BufferView *>(argv[0]), *filter = static_cast<BufferView *>(argv[1]), *out = static_cast<BufferView *>(argv[4]);
    const int c = in->dim[0].extent, pixels = in->dim[1].extent, k = out->dim[0].extent;
    for (int p = 0; p < pixels; p++)
        for (int o = 0; o < k; o++) {
            float sum = p == pixels - 1 ? error : 0;
            for (int i = 0; i < c; i++) sum += in->host[p * c + i] * filter->host[i * k + o];
            out->host[p * k + o] = sum;
        }
    return 0;
}

}  // namespace

TEST_CASE("runner: right kernels are timed, wrong ones are told, the rest is skipped", "[bench]") {
    Variant right = variant("right", Operator::pointwise, Isa::x64, "hand", "", [](void **argv) { return pointwise_kernel(argv, 0); }, pack_one_panel);
    Variant wrong = variant("wrong", Operator::pointwise, Isa::x64, "hand", "", [](void **argv) { return pointwise_kernel(argv, 1); }, pack_one_panel);
    Variant broken = variant("broken", Operator::pointwise, Isa::x64, "hand", "", [](void **) { return -1; }, pack_one_panel);
    Variant unbuilt = variant("unbuilt", Operator::pointwise, Isa::x64, "li2018", "", nullptr);
    Variant foreign = variant("foreign", Operator::pointwise, Isa::avx512, "hand", "", [](void **) { return 0; }, pack_one_panel);
    Variant picky = right;
    picky.when[0] = {Field::c, Condition::Relation::at_least, 1000};
    picky.when_count = 1;
    const ConvProblem p = pointwise_problem(50, 8, 16);
    RunnerOptions options;
    options.seconds = 0.01;
    options.cpu = Cpu{Isa::x64};
    std::vector<Candidate> candidates;
    for (const Variant *v : {&wrong, &right, &broken, &unbuilt, &foreign, &picky}) candidates.push_back(candidate(p, *v));
    candidates.push_back(candidate(p, right));
    candidates.back().unavailable = "cannot be compiled";
    const std::vector<Result> results = run_candidates(candidates, example_machine(), options);

    REQUIRE(results.size() == 2 * candidates.size());
    for (size_t i = 0; i < results.size(); i++) {
        CHECK(results[i].cache == (i % 2 == 0 ? CacheState::warm : CacheState::cold));
        CHECK(results[i].timed() == (results[i].check == "passed"));
    }
    CHECK(results[0].check == "failed");
    CHECK_FALSE(results[0].check_message.empty());
    for (size_t i : {2, 3}) {
        const Result &r = results[i];
        CHECK(r.check == "passed");
        CHECK(r.milliseconds.count >= (r.cache == CacheState::warm ? least_warm_samples : least_cold_samples));
        CHECK(r.milliseconds.median > 0);
        CHECK(r.fma_gflops > 0);
        CHECK(r.copy_ms > 0);
        CHECK(r.roofline_ms > 0);
        CHECK(r.speedup == 1);  // the failed one before it is not the first
    }
    CHECK(results[2].batch > 1);  // a run takes microseconds
    CHECK(results[3].batch == 1);
    CHECK(results[2].packed.layout == "one_panel");
    CHECK(results[2].packed.bytes == 4 * (8 * 16 + 16));
    CHECK(results[2].packed.seconds > 0);
    CHECK(results[4].check == "failed");
    CHECK_THAT(results[6].check, Contains("skipped: ") && Contains("the scheduler gave up"));
    CHECK_THAT(results[8].check, Contains("skipped: ") && Contains("avx512"));
    CHECK_THAT(results[10].check, Contains("skipped: ") && Contains("c >= 1000"));
    CHECK(results[12].check == "skipped: cannot be compiled");
}

TEST_CASE("runner: a problem that does not fit in memory is skipped with the bytes", "[bench]") {
    Variant v = variant("right", Operator::pointwise, Isa::x64, "li2018", "", [](void **argv) { return pointwise_kernel(argv, 0); }, pack_one_panel);
    ConvProblem p = pointwise_problem(1, 1 << 30, 1);
    CHECK(memory_needed(p, example_machine()) > 8.0 * (1 << 30));
    p.n = 1 << 20;  // more than any machine has; the runner must not touch it
    const std::vector<Result> results = run_candidates({candidate(p, v)}, example_machine(), RunnerOptions());
    REQUIRE(results.size() == 2);
    CHECK_THAT(results[0].check, Contains("skipped: needs") && Contains("are available"));
}
