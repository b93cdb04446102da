// The `sepal` command: exit codes, messages, files.
#include "catch.h"
#include "cli.h"
#include "tools/npy.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <thread>

using namespace sepal;

namespace {

// A problem of every operator with all its tensors as files.
struct Files {
    TemporaryFolder folder;
    Tensors tensors;
    std::string problems;

    explicit Files(const ConvProblem &p) : tensors(make_exact_tensors(p, check_seed)) {
        problems = folder.write("p.json", "{\"problems\": [" + to_json(p) + "]}");
        write("x.npy", p.input_shape(), tensors.input, p.dtype);
        std::vector<int64_t> shape = {p.r, p.s, p.c, p.multiplier};
        if (p.op == Operator::conv2d) shape = {p.k, p.r, p.s, p.c / p.groups};
        if (p.op == Operator::pointwise) shape = {p.k, p.c};
        write("w.npy", shape, tensors.filter);
        if (p.op == Operator::depsep) write("pw.npy", {p.k, p.c * p.multiplier}, tensors.pointwise_filter);
        if (p.mid.bias) write("mb.npy", {p.c * p.multiplier}, tensors.mid_bias);
        if (p.out.bias) write("b.npy", {p.out_channels()}, tensors.bias);
        if (p.residual) write("s.npy", p.output_shape(), tensors.skip, p.dtype);
    }
    void write(const std::string &file, const std::vector<int64_t> &shape, const std::vector<float> &values, DType dtype = DType::f32) const {
        const AlignedArray elements(dtype, values);
        write_npy(folder.path(file), shape, elements.data(), dtype);
    }
    std::string command() const {
        const ConvProblem &p = tensors.problem;
        std::string out =
            fmt::format("run --problems {0} --input {1}/x.npy --filter {1}/w.npy --output {1}/y.npy", problems, folder.path("."));
        if (p.op == Operator::depsep) out += fmt::format(" --pointwise-filter {}", folder.path("pw.npy"));
        if (p.mid.bias) out += fmt::format(" --mid-bias {}", folder.path("mb.npy"));
        if (p.out.bias) out += fmt::format(" --bias {}", folder.path("b.npy"));
        if (p.residual) out += fmt::format(" --skip {}", folder.path("s.npy"));
        return out;
    }
    std::vector<float> output() const {
        const ConvProblem &p = tensors.problem;
        return read_npy(folder.path("y.npy"), p.output_shape(), "output", p.dtype);
    }
};

ConvProblem problem(Operator op) {
    ConvProblem p;
    p.name = std::string("a ") + std::string(name(op));
    p.op = op;
    p.n = 2;
    p.h = 6;
    p.w = 7;
    p.c = 10;
    if (op != Operator::depthwise) p.k = 6;
    if (op == Operator::pointwise)
        p.pad_mode = PadMode::valid;
    else
        p.r = p.s = 3, p.stride_w = 2;
    if (op == Operator::conv2d) p.groups = 2;
    if (op == Operator::depthwise || op == Operator::depsep) p.multiplier = 2;
    if (op == Operator::depsep) p.mid = {true, Activation::relu};
    p.out = {true, Activation::relu6};
    return p;
}

ConvProblem half_problem(Operator op) {
    ConvProblem p = problem(op);
    p.dtype = DType::f16;
    return p;
}

std::string reference_of(Operator op) { return fmt::format("{}_f32_nhwc_x64_reference", name(op)); }

}  // namespace

TEST_CASE("help and usage", "[cli]") {
    CHECK(run("--help").code == 0);
    CHECK(run("--help").out.find("check") != std::string::npos);
    for (const char *command : {"list", "check", "run", "bench", "peak"}) CHECK(run(std::string(command) + " --help").code == 0);
    check_bad_input(run(""), {"sub-command"});
    check_bad_input(run("frobnicate"), {"frobnicate"});
    check_bad_input(run("list --frobnicate"), {"--frobnicate"});
    check_bad_input(run("check --threads 0"), {"--threads"});
    check_bad_input(run("check --threads two"), {"--threads", "two"});
    check_bad_input(run("check --suite microbenchmark --problems x.json"), {"--suite", "--problems"});
    check_bad_input(run("run"), {"--problems"});
}

TEST_CASE("list names every variant, the suites, and the variant a problem gets", "[cli]") {
    const Ran table = run("list");
    CHECK(table.code == 0);
    for (const Variant &v : Registry::builtin()) CHECK(table.out.find(v.name) != std::string::npos);
    const nlohmann::json all = nlohmann::json::parse(run("list --json").out);
    CHECK(all.at("variants").size() == Registry::builtin().size());
    for (const auto &row : all.at("variants"))
        CHECK(row.at("filter_layout") == Registry::builtin().find(row.at("name").get<std::string>())->filter_layout.text());
    CHECK(table.out.find("  panels32  ") != std::string::npos);
    CHECK(run("list --suites").out.find("channel_sweep") != std::string::npos);
    const nlohmann::json chosen = nlohmann::json::parse(run("list --suite microbenchmark --json").out).at("problems");
    const ProblemSet set = load_suite("microbenchmark");
    REQUIRE(chosen.size() == set.problems.size());
    for (size_t i = 0; i < chosen.size(); i++)
        CHECK(chosen[i].at("chosen") == Registry::builtin().select(set.problems[i], Cpu::detect(), 1)->name);
    check_bad_input(run("list --threads 0"), {"--threads"});
    check_bad_input(run("list --variants 'nonesuch*'"), {"nonesuch*"});
    check_bad_input(run("list --suite nonesuch"), {"nonesuch", "microbenchmark"});
    check_bad_input(run("list --suite microbenchmark --name nonesuch"), {"microbenchmark", "nonesuch", "depsep.b1"});
}

TEST_CASE("standard output that cannot be written is an error", "[cli]") {
    const TemporaryFolder folder;
    const std::string script = fmt::format("{} list >/dev/full 2>{}", shell_quote(SEPAL_COMMAND), shell_quote(folder.path("err")));
    const int status = std::system(script.c_str());
    CHECK(WEXITSTATUS(status) == 2);
    CHECK(bytes_of(folder.path("err")).find("sepal: ") == 0);
}

TEST_CASE("check passes and says what it compared; a lesser ISA makes the others visible skips", "[cli]") {
    const Ran one = run("check --variants pointwise_f32_nhwc_x64_reference --name 'edge.pointwise.1?' --threads 2");
    CHECK(one.code == 0);
    CHECK(one.out.find("pass  pointwise_f32_nhwc_x64_reference: 10 of 10 problems") != std::string::npos);
    CHECK(one.out.find("1 variants: 1 passed, 0 failed, 0 skipped") != std::string::npos);
    const Ran masked = run("check --variants 'pointwise*' --name 'edge.pointwise.1?'", "SEPAL_MAX_ISA=x64");
    CHECK(masked.code == 0);
    for (const Variant &v : Registry::builtin())
        if (v.op == Operator::pointwise && v.isa != Isa::x64 && !is_gpu(v.isa) && v.kernel)
            CHECK(masked.out.find(fmt::format("skip  {}: needs {}, this CPU runs up to x64", v.name, name(v.isa))) != std::string::npos);
    check_bad_input(run("check", "SEPAL_MAX_ISA=mmx"), {"SEPAL_MAX_ISA", "mmx", "x64, avx2, avx512"});
    check_bad_input(run("check --variants 'nonesuch*'"), {"--variants", "nonesuch*"});
    check_bad_input(run("check --name 'nonesuch*'"), {"--name", "nonesuch*"});
    check_bad_input(run("check --suite nonesuch"), {"nonesuch"});
}

TEST_CASE("a device that is not there, or does not run what was asked for, is refused", "[cli]") {
    for (const char *device : {"gpu", "cuda:x", "opencl:-1", "cpu:0"}) check_bad_input(run(fmt::format("list --device {}", device)), {"--device", device, "opencl:INDEX"});
    const Files files(problem(Operator::conv2d));
    const std::string commands[] = {"list", "check", files.command(), "bench --problems " + files.problems};
    for (const std::string &command : commands) {
        check_bad_input(run(command + " --device opencl", "OCL_ICD_VENDORS=/nonexistent"), {"--device opencl: ", "OpenCL"});
        check_bad_input(run(command + " --device opencl:99"), {"--device opencl:99: ", "OpenCL"});
        // One that cannot be there, for no library has that name; else there may be an NVIDIA driver.
        check_bad_input(run(command + " --device cuda:99"), {"--device cuda:99: "});
    }
    CHECK(!std::filesystem::exists(files.folder.path("y.npy")));
    for (const char *option : {"--peers all", "--machine m.json", "--csv x.csv", "--seconds 3"})
        check_bad_input(run(fmt::format("bench --suite microbenchmark --device cuda:emulated {}", option)), {std::string(option).substr(0, std::string(option).find(' ')), "leave it out with --device cuda:emulated"});
    check_bad_input(run("peak --device cuda:99"), {"--device cuda:99: "});
    for (const char *device : {"cuda:emulated", "opencl"}) check_bad_input(run(fmt::format("peak --device {}", device)), {device, "allowed: cpu, cuda and cuda:INDEX"});
    check_bad_input(run("check --device cuda:emulated --variants 'conv2d*reference'"), {"conv2d*reference", "cpu", "cuda"});
    check_bad_input(run(files.command() + " --device cuda:emulated --variant " + reference_of(Operator::conv2d)), {reference_of(Operator::conv2d), "cpu", "cuda"});
    check_bad_input(run(files.command() + " --device cuda:emulated --tuning x.jsonl"), {"--tuning", "cuda:emulated"});
    for (const Variant &v : Registry::builtin()) {
        if (!is_gpu(v.isa) || v.op != Operator::conv2d || *v.suite) continue;
        const std::string its(name(backend(v.isa)));
        check_bad_input(run(fmt::format("check --variants {}", v.name)), {v.name, its, "cpu"});
        check_bad_input(run(fmt::format("bench --suite microbenchmark --variants {}", v.name)), {v.name, its, "cpu"});
    }
}

TEST_CASE("bench in the emulator calculates instead of measuring", "[cli]") {
    if (const Ran listed = run("list --device cuda:emulated"); listed.out.find("sm80") == std::string::npos) {
        fmt::print("[SKIP] bench in the emulator: no sm80 kernels were built\n");
        return;
    }
    const Files files(problem(Operator::depsep));
    const auto at = [&](const char *file) { return files.folder.path(file); };
    const Ran bench = run(fmt::format("bench --device cuda:emulated --problems {} --variants 'depsep_f32_nhwc_sm80_hand_tk1_cv1' --json {} --html {}", files.problems, at("r.json"), at("r.html")));
    INFO(bench.out << bench.err);
    REQUIRE(bench.code == 0);
    CHECK(bench.out.find("calculated, not measured on a GPU") != std::string::npos);
    CHECK(bench.out.find("depsep_f32_nhwc_sm80_hand_tk1_cv1 on ") != std::string::npos);
    CHECK(bench.out.find("GFLOP/s") == std::string::npos);
    const nlohmann::json report = nlohmann::json::parse(bytes_of(at("r.json")));
    CHECK(report.at("calculated") == true);
    CHECK(report.at("device") == "cuda:emulated");
    REQUIRE(report.at("static_reports").size() == 1);
    const nlohmann::json &of = report.at("static_reports")[0];
    CHECK(of.at("check") == "passed");
    CHECK(of.at("emulated_smaller") == false);
    REQUIRE(of.at("kernels").size() == 1);
    const nlohmann::json &kernel = of.at("kernels")[0];
    CHECK(kernel.at("counts").at("f32_fma") > 0);
    CHECK(kernel.at("bounds").size() == 2);
    CHECK(kernel.at("unfused_bytes") > 0);
    CHECK(kernel.at("fused_bytes") > 0);
    CHECK((kernel.at("architectures").size() > 0) == kernel.at("why_no_architectures").is_null());
    CHECK(bytes_of(at("r.html")).find("Calculated, not measured on a GPU") != std::string::npos);
    check_bad_input(run(fmt::format("bench --device cuda:emulated --problems {} --variants 'conv2d*sm80*'", files.problems)), {"--variants", "matches no variant"});
}

TEST_CASE("check, run and bench on an OpenCL device", "[cli]") {
    if (const Ran listed = run("list --device opencl"); listed.code == 2) {
        fmt::print("[SKIP] the command on OpenCL: {}", listed.err);
        return;
    }
    const Ran checked = run("check --device opencl --variants 'pointwise_f32_nhwc_opencl_hand*' --name 'edge.pointwise.1?'");
    INFO(checked.err);
    CHECK(checked.code == 0);
    CHECK(checked.out.find("pass  pointwise_f32_nhwc_opencl_hand") != std::string::npos);
    CHECK(checked.out.find(" outputs compared, on OpenCL device 0 (") != std::string::npos);

    const Files files(problem(Operator::depsep));
    for (const char *variant : {"", " --variant depsep_f32_nhwc_opencl_hand_tk1_cv1"}) {
        const Ran ran = run(files.command() + " --device opencl" + variant);
        INFO(ran.err);
        REQUIRE(ran.code == 0);
        CHECK(ran.out.find("by depsep_f32_nhwc_opencl_hand") != std::string::npos);
        CHECK(check_output(files.tensors, files.output().data()).message == "");
        std::filesystem::remove(files.folder.path("y.npy"));
    }

    const auto at = [&](const char *file) { return files.folder.path(file); };
    const Ran bench = run(fmt::format("bench --device opencl --problems {} --seconds 0.1 --json {} --csv {} --html {}", files.problems, at("r.json"), at("r.csv"), at("r.html")));
    INFO(bench.err);
    REQUIRE(bench.code == 0);
    CHECK(bench.out.find("No peaks, ") != std::string::npos);
    CHECK(bench.out.find("TFLOP/s") != std::string::npos);
    const nlohmann::json report = nlohmann::json::parse(bytes_of(at("r.json")));
    CHECK(report.at("machine").at("gpu").at("device") == "opencl");
    CHECK(report.at("machine").at("gpu").at("peaks").is_null());
    std::set<std::string> names;
    for (const auto &row : report.at("results")) {
        names.insert(row.at("variant").get<std::string>());
        CHECK(row.at("check") == "passed");
        CHECK(row.at("device") == "opencl");
        CHECK(row.at("median_ms") > 0);
        CHECK(row.at("latency_ms") > 0);
        CHECK(row.at("pct_fma_peak").is_null());
        CHECK(row.at("pct_roofline").is_null());
        CHECK(row.at("in_graph") == (row.at("cache") == "warm" ? nlohmann::json(false) : nlohmann::json()));
        CHECK(row.at("reproduce").get<std::string>().find(" --device opencl ") != std::string::npos);
    }
    CHECK(names.size() == 3);  // the one compiled in process, one for any shape, and the unfused pair
    CHECK(names.count("unfused") == 1);
    CHECK(bytes_of(at("r.csv")).find(",device,") != std::string::npos);
    CHECK(bytes_of(at("r.html")).find("--device opencl") != std::string::npos);
    check_bad_input(run(fmt::format("bench --device opencl --problems {} --peers all", files.problems)), {"--peers", "opencl"});
    check_bad_input(run(fmt::format("bench --device opencl --problems {} --machine m.json", files.problems)), {"--machine", "opencl"});
}

TEST_CASE("the command in a failure's message runs", "[cli]") {
    const Variant &v = *Registry::builtin().find(reference_of(Operator::depsep));
    ConvProblem p = problem(Operator::depsep);
    p.name = "it's \"quoted\"";
    std::string command = check_command(v, p, 2);
    REQUIRE(command.compare(0, 6, "sepal ") == 0);
    const Ran ran = run(command.substr(6));
    INFO(ran.err);
    CHECK(ran.code == 0);
    CHECK(ran.out.find("1 of 1 problems") != std::string::npos);
}

TEST_CASE("run computes a problem of every operator from .npy arrays", "[cli]") {
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep})
        for (Layout layout : {Layout::nhwc, Layout::nchw}) {
            ConvProblem p = problem(op);
            p.layout = layout;
            const Files files(p);
            // In process or specialised, and a named variant.
            for (const std::string &variant : {std::string(), fmt::format(" --variant {}_f32_{}_x64_reference", name(op), name(layout))}) {
                const Ran ran = run(files.command() + variant);
                INFO(ran.err);
                REQUIRE(ran.code == 0);
                CHECK(ran.out.find(fmt::format("{}_f32_{}", name(op), name(layout))) != std::string::npos);
                CHECK(check_output(files.tensors, files.output().data()).message == "");
                std::filesystem::remove(files.folder.path("y.npy"));
            }
        }
}

TEST_CASE("what takes NHWC only says so of a problem in NCHW", "[cli]") {
    ConvProblem p = problem(Operator::conv2d);
    p.layout = Layout::nchw;
    const Files files(p);
    check_bad_input(run(files.command() + " --variant " + reference_of(p.op)), {"takes nhwc, the problem is nchw"});
    check_bad_input(run("tune --trials 1 --problems " + files.problems), {"has nothing to tune", "the schedules for nhwc, not those for nchw"});
}

TEST_CASE("run, list, check and bench take problems with a residual", "[cli]") {
    for (Operator op : {Operator::conv2d, Operator::pointwise, Operator::depsep})
        for (DType dtype : {DType::f32, DType::f16}) {
            ConvProblem p = problem(op);
            p.dtype = dtype;
            p.residual = true;
            const Files files(p);
            std::vector<std::string> ways = {"", fmt::format(" --variant {}_{}_nhwc_x64_reference_res1", name(op), name(dtype))};
            if (op == Operator::pointwise) ways.push_back(" --device cuda:emulated");
            for (const std::string &variant : ways) {
                const Ran ran = run(files.command() + variant);
                INFO(ran.err);
                REQUIRE(ran.code == 0);
                CHECK(ran.out.find("_res1") != std::string::npos);
                CHECK(check_output(files.tensors, AlignedArray(dtype, files.output()).data()).message == "");
                std::filesystem::remove(files.folder.path("y.npy"));
            }
        }
    ConvProblem p = problem(Operator::depsep);
    p.c = 32, p.k = 40, p.multiplier = 1;
    p.residual = true;
    const Files files(p);
    const std::string problems = " --problems " + files.problems;
    const Ran list = run("list" + problems);
    CHECK_THAT(list.out, Catch::Contains(" residual") && Catch::Contains("_res1") && Catch::Contains("adds no residual, the problem has one"));
    const Ran checked = run("check" + problems);
    INFO(checked.out);
    CHECK(checked.code == 0);
    CHECK_THAT(checked.out, Catch::Contains("_hand_res1: 1 of 1 problems"));
    const TemporaryFolder folder;
    const Ran bench = run("bench --seconds 0.05 --peers oneDNN" + problems + " --json " + folder.path("r.json"), made_up_peaks(folder) + " SEPAL_MAX_ISA=x64");
    INFO(bench.out << bench.err);
    CHECK(bench.code == 0);
    CHECK_THAT(bench.out, Catch::Contains("peers are measured without a residual, the problem has one"));
    std::set<std::string> passed;
    const nlohmann::json report = nlohmann::json::parse(bytes_of(folder.path("r.json")));
    for (const auto &row : report.at("results"))
        if (row.at("check") == "passed") passed.insert(row.at("variant").get<std::string>());
    CHECK(passed.size() >= 3);  // the one compiled in process, one for any shape, and the unfused pair
    CHECK(passed.count("unfused") == 1);

    const std::string good = files.command(), without = good.substr(0, good.find(" --skip"));
    check_bad_input(run(without), {"--skip is missing", "\"a depsep\" has a skip tensor of shape (2, 6, 4, 40)"});
    check_bad_input(run(without + " --skip " + files.folder.path("x.npy")), {"x.npy", "(2, 6, 7, 32)", "(2, 6, 4, 40)", "skip tensor"});
    check_bad_input(run(good + " --variant " + reference_of(Operator::depsep)), {"adds no residual, the problem has one"});
    const Files plain(problem(Operator::depsep));
    check_bad_input(run(plain.command() + " --skip " + plain.folder.path("x.npy")), {"has no skip tensor; leave --skip out"});
    for (const Files *f : {&files, &plain}) CHECK(!std::filesystem::exists(f->folder.path("y.npy")));
}

TEST_CASE("run computes an f16 problem of every operator from a float16 input, to a float16 output", "[cli]") {
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep}) {
        const Files files(half_problem(op));
        const std::string variant = fmt::format("{}_f16_nhwc_x64_reference", name(op)), packed = files.folder.path("w.packed");
        const Ran ran = run(files.command() + " --save-packed " + packed);
        INFO(ran.err);
        REQUIRE(ran.code == 0);
        CHECK(ran.out.find(" by " + variant) != std::string::npos);
        CHECK(ran.err == fmt::format("sepal: problem \"{}\": the hand-written schedules for CPUs are for f32, not f16; variant {} runs instead\n",
                                     files.tensors.problem.name, variant));
        const std::vector<float> output = files.output();
        CHECK(check_output(files.tensors, AlignedArray(DType::f16, output).data()).message == "");
        CHECK(bytes_of(files.folder.path("y.npy")).find("'descr': '<f2'") != std::string::npos);
        std::filesystem::remove(files.folder.path("y.npy"));
        REQUIRE(run(fmt::format("run --problems {0} --input {1}/x.npy --output {1}/y.npy --packed {2}", files.problems, files.folder.path("."), packed)).code == 0);
        CHECK(files.output() == output);
    }
    // Nothing is converted in silence.
    const Files files(half_problem(Operator::pointwise));
    files.write("floats.npy", {2, 6, 7, 10}, files.tensors.input);
    const std::string common = fmt::format("run --problems {0} --filter {1}/w.npy --bias {1}/b.npy --output {1}/y.npy --input ", files.problems, files.folder.path("."));
    check_bad_input(run(common + files.folder.path("floats.npy")), {"floats.npy: has dtype '<f4'; the input of problem \"a pointwise\" must be '<f2' (little-endian float16)"});
    check_bad_input(run(files.command() + " --variant " + reference_of(Operator::pointwise)), {"takes f32, the problem is f16"});
    CHECK(!std::filesystem::exists(files.folder.path("y.npy")));
}

TEST_CASE("list, check and bench take f16 problems", "[cli]") {
    const Files files(half_problem(Operator::pointwise));
    const std::string problems = " --problems " + files.problems, variant = "pointwise_f16_nhwc_x64_reference";
    const Ran list = run("list" + problems);
    CHECK_THAT(list.out, Catch::Contains(" f16 nhwc ") && Catch::Contains("chosen   " + variant) && Catch::Contains("takes f32, the problem is f16"));
    const Ran check = run("check" + problems);
    CHECK(check.code == 0);
    CHECK_THAT(check.out, Catch::Contains("pass  " + variant + ": 1 of 1 problems"));
    const Ran bench = run("bench --seconds 0.05 --peers oneDNN" + problems, made_up_peaks(files.folder) + " SEPAL_MAX_ISA=x64");
    INFO(bench.err);
    CHECK(bench.code == 0);
    CHECK_THAT(bench.out, Catch::Contains(" f16 nhwc ") && Catch::Contains(variant) &&
                              Catch::Contains("cannot be compiled in process: the hand-written schedules for CPUs are for f32, not f16") &&
                              Catch::Contains("peers are measured on f32, the problem is f16"));
    CHECK(bench.out.find("failed") == std::string::npos);
    check_bad_input(run("tune --trials 1 --db " + files.folder.path("t.jsonl") + problems),
                    {"\"a pointwise\" has nothing to tune: the hand-written schedules for CPUs are for f32, not f16"});
    CHECK(!std::filesystem::exists(files.folder.path("t.jsonl")));
}

TEST_CASE("run refuses what does not fit and leaves no output", "[cli]") {
    const Files files(problem(Operator::depsep));
    const auto at = [&](const char *file) { return files.folder.path(file); };
    const std::string good = files.command();
    const auto without = [&](const std::string &option) {
        const size_t begin = good.find(" --" + option), end = good.find(" --", begin + 1);
        return good.substr(0, begin) + (end == std::string::npos ? "" : good.substr(end));
    };
    check_bad_input(run(without("mid-bias")), {"--mid-bias", "a depsep", "(20,)"});
    check_bad_input(run(without("pointwise-filter")), {"--pointwise-filter", "(6, 20)"});
    check_bad_input(run(without("bias")), {"--bias", "(6,)"});
    check_bad_input(run(without("input")), {"--input"});
    check_bad_input(run(good + " --name nonesuch"), {"p.json", "nonesuch", "a depsep"});
    check_bad_input(run(good + " --variant nonesuch"), {"--variant", "nonesuch"});
    check_bad_input(run(good + " --variant " + reference_of(Operator::conv2d)), {"conv2d", "depsep"});
    check_bad_input(run(without("problems") + " --problems " + at("absent.json")), {"absent.json", "No such file"});
    check_bad_input(run(without("filter") + " --filter " + at("x.npy")), {"x.npy", "(2, 6, 7, 10)", "(3, 3, 10, 2)", "filter"});
    check_bad_input(run(without("input") + " --input " + at("p.json")), {"p.json", ".npy"});
    check_bad_input(run(without("output") + " --output " + at("absent/y.npy")), {"absent/y.npy", "cannot be written"});
    check_bad_input(run(without("output") + " --output " + at(".")), {"cannot be written"});
    files.folder.write("short.npy", bytes_of(at("x.npy")).substr(0, 1000));
    check_bad_input(run(without("input") + " --input " + at("short.npy")), {"short.npy", "truncated"});
    CHECK(!std::filesystem::exists(at("y.npy")));

    // A disk that is full: no file may grow beyond 1 KiB.
    const std::vector<std::string> before = files.folder.files();
    check_bad_input(run(good + " --variant " + reference_of(Operator::depsep), "ulimit -f 1; trap '' XFSZ;"),
                    {"y.npy", "cannot be written"});
    CHECK(files.folder.files() == before);

    // A bias for a problem that has none.
    ConvProblem plain = problem(Operator::pointwise);
    plain.out = {};
    const Files no_bias(plain);
    check_bad_input(run(no_bias.command() + " --bias " + at("b.npy")), {"has no bias", "--bias"});
    check_bad_input(run(no_bias.command() + " --pointwise-filter " + at("pw.npy")), {"has no pointwise_filter"});
    CHECK(!std::filesystem::exists(no_bias.folder.path("y.npy")));
}

TEST_CASE("run keeps packed filters and takes them again, for another batch size too", "[cli]") {
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep}) {
        const Files files(problem(op));
        const std::string packed = files.folder.path("w.packed"), reference = " --variant " + reference_of(op);
        const Ran saved = run(files.command() + reference + " --save-packed " + packed);
        INFO(saved.err);
        REQUIRE(saved.code == 0);
        const char *layout = op == Operator::depthwise ? "as_given of depthwise" : "one_panel of ";
        CHECK_THAT(saved.out, Catch::Contains(packed + ": " + layout) && Catch::Contains("packed in "));
        const std::vector<float> wanted = files.output();
        std::filesystem::remove(files.folder.path("y.npy"));

        const std::string common = fmt::format("run --problems {0} --input {1}/x.npy --output {1}/y.npy", files.problems, files.folder.path("."));
        REQUIRE(run(common + reference + " --packed " + packed).code == 0);
        CHECK(files.output() == wanted);

        ConvProblem one = files.tensors.problem;
        one.n = 1;
        std::vector<float> image = files.tensors.input;
        image.resize(size_t(one.input_elements()));
        files.write("x1.npy", {one.n, one.h, one.w, one.c}, image);
        const std::string problems = files.folder.write("p1.json", "{\"problems\": [" + to_json(one) + "]}");
        REQUIRE(run(fmt::format("run --problems {0} --input {1}/x1.npy --output {1}/y1.npy --packed {2}{3}", problems, files.folder.path("."),
                                packed, reference)).code == 0);
        const std::vector<float> found = read_npy(files.folder.path("y1.npy"), {1, one.p(), one.q(), one.out_channels()}, "output");
        CHECK(std::equal(found.begin(), found.end(), wanted.begin()));
    }
}

TEST_CASE("run refuses packed filters that do not fit, and leaves no output", "[cli]") {
    const Files files(problem(Operator::conv2d));
    const auto at = [&](const char *file) { return files.folder.path(file); };
    const std::string reference = " --variant " + reference_of(Operator::conv2d), packed = at("w.packed");
    const std::string common = fmt::format("run --problems {0} --input {1}/x.npy --output {1}/y.npy", files.problems, files.folder.path("."));
    REQUIRE(run(files.command() + reference + " --save-packed " + packed).code == 0);
    std::filesystem::remove(at("y.npy"));

    // The variant that it gets by default, compiled in process, reads whole vectors; nothing else runs in its place.
    check_bad_input(run(common + " --packed " + packed), {"w.packed", "in layout one_panel", "reads panels", "conv2d_f32_nhwc"});
    ConvProblem other = files.tensors.problem;
    other.k += 2;
    const std::string problems = files.folder.write("p2.json", "{\"problems\": [" + to_json(other) + "]}");
    check_bad_input(run(fmt::format("run --problems {0} --input {1}/x.npy --output {1}/y.npy --packed {2}{3}", problems,
                                    files.folder.path("."), packed, reference)),
                    {"w.packed", files.tensors.problem.weights_key(), other.weights_key()});
    const std::string bytes = bytes_of(packed);
    files.folder.write("short.packed", bytes.substr(0, bytes.size() - 4));
    check_bad_input(run(common + reference + " --packed " + at("short.packed")), {"short.packed", "truncated"});
    check_bad_input(run(common + reference + " --packed " + at("x.npy")), {"x.npy", "no file of packed weights"});
    check_bad_input(run(common + reference + " --packed " + at("absent")), {"absent", "No such file"});
    check_bad_input(run(common + reference + " --packed " + packed + " --filter " + at("w.npy")), {"--packed", "--filter"});
    check_bad_input(run(common + reference + " --packed " + packed + " --save-packed " + at("z")), {"--packed", "--save-packed"});
    check_bad_input(run(common + reference), {"--filter is missing", "(6, 3, 3, 5)"});
    check_bad_input(run(files.command() + reference + " --save-packed " + at("./y.npy")), {"--output and --save-packed name the same file"});
    check_bad_input(run(files.command() + reference + " --save-packed " + at("absent/w")), {"absent/w", "cannot be written"});
    CHECK(!std::filesystem::exists(at("y.npy")));

    const std::vector<std::string> before = files.folder.files();  // a disk that is full
    check_bad_input(run(files.command() + reference + " --save-packed " + at("w.packed"), "ulimit -f 1; trap '' XFSZ;"),
                    {"w.packed", "cannot be written"});
    CHECK(files.folder.files() == before);
    CHECK(bytes_of(packed) == bytes);
}

TEST_CASE("a malformed problem file is one sentence and exit code 2 for every command that reads one", "[cli]") {
    const TemporaryFolder folder;
    const std::string bad =
        folder.write("bad.json", R"({"problems": [{"name": "x", "op": "conv2d", "h": -1, "w": 2, "c": 3, "k": 4, "r": 1, "s": 1}]})");
    for (const char *command : {"list", "check", "bench"})
        check_bad_input(run(fmt::format("{} --problems {}", command, bad)), {"bad.json", "problems[0]", "\"x\"", "\"h\"", "-1"});
    check_bad_input(run(fmt::format("run --problems {} --input a --filter b --output {}", bad, folder.path("y.npy"))),
                    {"bad.json", "\"h\""});
    CHECK(folder.files() == std::vector<std::string>{"bad.json"});
}

TEST_CASE("bench measures what --variants names, kernels that it compiles in process among them", "[cli]") {
    const TemporaryFolder folder;
    ConvProblem p = problem(Operator::pointwise);
    p.c = p.k = 32;
    const std::string problems = folder.write("p.json", "{\"problems\": [" + to_json(p) + "]}");
    const auto names = [&](const std::string &glob) {
        const std::string json = folder.path("b.json");
        const Ran ran = run(fmt::format("bench --problems {} --seconds 0.01 --json {} --variants '{}'", problems, json, glob), made_up_peaks(folder));
        INFO(ran.err);
        REQUIRE(ran.code == 0);
        std::set<std::string> found;
        const nlohmann::json report = nlohmann::json::parse(bytes_of(json));
        for (const auto &row : report.at("results")) found.insert(row.at("variant").get<std::string>());
        return found;
    };
    const std::set<std::string> hand = names("*_hand*");
    CHECK(hand.count("pointwise_f32_nhwc_x64_hand") == 1);
    CHECK(hand.count("pointwise_f32_nhwc_x64_hand_c32_k32_a2") == 1);
    CHECK(names("*_reference") == std::set<std::string>{reference_of(Operator::pointwise)});
}

TEST_CASE("bench measures candidates, and keeps what it has after each problem", "[cli]") {
    const TemporaryFolder folder;
    ConvProblem p = problem(Operator::pointwise);
    p.c = p.k = 32;
    ConvProblem second = p;
    second.name = "a second", second.h = 9;
    const std::string problems = folder.write("p.json", "{\"problems\": [" + to_json(p) + ", " + to_json(second) + "]}"), json = folder.path("b.json");
    const std::string rows = folder.write("c.json", R"({"variants": [{"op": "pointwise", "isa": ["sm80"], "scheduler": "hand", "knobs": {"q_tile": 4}},
                                                                     {"op": "pointwise", "isa": ["sm80"], "scheduler": "hand", "knobs": {"q_lanes": 2, "k_threads": 4}}]})");
    const std::string command = fmt::format("bench --device cuda:emulated --problems {} --variants '*_tq4_*' --candidates ", problems);
    std::future<Ran> measuring = std::async(std::launch::async, [&] {
        return run(fmt::format("bench --device cuda:emulated --problems {} --variants '*_[gt]*_c32_k32_*' --json {} --candidates {}", problems, json, rows));
    });
    std::optional<nlohmann::json> kept;
    for (int tries = 0; tries < 6000 && !kept; tries++) {
        if (std::filesystem::exists(json)) kept = nlohmann::json::parse(bytes_of(json));
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const Ran measured = measuring.get();
    INFO(measured.out << measured.err);
    REQUIRE(measured.code == 0);
    REQUIRE(kept);
    CHECK(kept->at("complete") == false);
    CHECK(kept->at("static_reports").size() == 2);
    const nlohmann::json whole = nlohmann::json::parse(bytes_of(json));
    CHECK(whole.at("complete") == true);
    REQUIRE(whole.at("static_reports").size() == 4);
    for (const nlohmann::json &r : whole.at("static_reports")) CHECK(r.at("check") == "passed");
    CHECK(whole.at("static_reports")[0].at("variant") == "pointwise_f32_nhwc_sm80_hand_tq4_c32_k32_a2");
    CHECK(whole.at("static_reports")[1].at("variant") == "pointwise_f32_nhwc_sm80_hand_gk4_ql2_c32_k32_a2");
    check_bad_input(run(command + folder.path("none.json")), {"none.json", "cannot be read"});
    check_bad_input(run(command + folder.write("d.json", R"({"variants": [{"op": "pointwise", "isa": ["sm80"], "scheduler": "hand", "knobs": {"staging": 2}}]})")),
                    {"d.json: variant 0", "knob \"staging\" is 2; allowed but for conv2d: 1"});
}

TEST_CASE("without LLVM, kernels compiled in process do without streaming stores, which is told once", "[cli]") {
    const TemporaryFolder folder;
    ConvProblem p = problem(Operator::pointwise);
    p.n = 1, p.h = p.w = 300, p.c = 1, p.k = 48;
    ConvProblem q = p;
    q.name = "another";
    q.h = 301;
    const std::string problems = folder.write("p.json", "{\"problems\": [" + to_json(p) + ", " + to_json(q) + "]}"), absent = folder.path("absent");
    const Ran ran = run(fmt::format("bench --problems {} --seconds 0.01 --variants '*_hand*'", problems),
                        "SEPAL_LLC=" + shell_quote(absent) + " " + made_up_peaks(folder));
    INFO(ran.err);
    CHECK(ran.code == 0);
    const std::string warning = "sepal: warning: streaming stores need llc of LLVM 21 or newer, and " + absent +
                                " cannot be run: No such file or directory; kernels compiled in process do without them, and take longer\n";
    const size_t at = ran.err.find(warning);
    CHECK(at != std::string::npos);
    CHECK(ran.err.find("streaming stores", at + warning.size()) == std::string::npos);
    CHECK(ran.out.find("x64_hand_c1_k48_a2") != std::string::npos);  // compiled in process, for both
    CHECK(ran.out.find("_nt2_") == std::string::npos);
}

TEST_CASE("a peer that fails in the middle is a skip; a signal to end leaves no temporary file, neither of Sepal nor of a peer", "[cli]") {
    const TemporaryFolder folder, temporary;
    const std::string script = folder.write("peer.py", R"(import json, os, signal, sys, tempfile, time
def say(**answer): print(json.dumps(answer), flush=True)
say(ok=True, version="1")
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "prepare":
        tempfile.mkdtemp()
        if sys.argv[1] == "ncnn": os.abort()
        os.kill(os.getppid(), int(os.environ["END_BY"]))
        time.sleep(60)
)");
    const std::string problems = folder.write("p.json", "{\"problems\": [" + to_json(problem(Operator::pointwise)) + "]}");
    const std::string environment = fmt::format("{} TMPDIR={} SEPAL_PEERS_PYTHON=python3 SEPAL_PEERS_SCRIPT={}", made_up_peaks(folder),
                                                shell_quote(temporary.path(".")), shell_quote(script));
    const std::string bench = fmt::format("bench --problems {} --seconds 0.01 --peers ", problems);
    const Ran aborted = run(bench + "ncnn", environment);
    INFO(aborted.err);
    CHECK(aborted.code == 0);
    CHECK(aborted.out.find("skipped: ncnn was killed by signal 6 (Aborted) while it prepared the problem") != std::string::npos);
    CHECK(temporary.files().empty());
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
        const Ran ended = run(bench + "oneDNN", fmt::format("{} END_BY={} env --default-signal=INT,TERM,HUP", environment, signal));
        CHECK(ended.code == 128 + signal);
        CHECK(temporary.files().empty());
    }
    check_bad_input(run(bench + "oneDNN", environment + " TMPDIR=/nonexistent"), {"TMPDIR=/nonexistent", "No such file"});
}
