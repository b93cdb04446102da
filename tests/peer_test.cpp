// Peers: the line protocol and what becomes of peers that answer right, wrong, late, not at all, or end in the middle. They are played by
// scripts written here, which need a python3 with nothing but its standard library.
#include "bench/peer_check.h"
#include "bench/report.h"
#include "bench/runner.h"
#include "bench/threads.h"
#include "peer_actor.h"
#include "support.h"
#include "tools/problem_file.h"

#include "catch.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

using namespace sepal;
using Catch::Matchers::Contains;

namespace {

// A pointwise convolution in plain Python behind the protocol of bench/peers/serve.py. The name that it is started with says what it does
// wrong; "oneDNN" does nothing wrong.
const char *const actor = R"py(
import os, sys, time
name, threads = sys.argv[1], int(sys.argv[2])
if name == "PyTorch":
    say(cannot="not installed: No module named 'torch'")
    sys.exit(0)
if name == "MNN":
    time.sleep(60)
say(ok=True, version="1.2.3")
timed = 0
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "prepare":
        folder, p, tensor = load(request)
        x, w, b = tensor("input"), tensor("filter"), tensor("bias")
        c, k = p["c"], p["k"]
        y = array.array("f")
        for pixel in range(p["n"] * p["h"] * p["w"]):
            for o in range(k):
                y.append(sum(x[pixel * c + i] * w[o * c + i] for i in range(c)) + b[o])
        if name == "XNNPACK":
            y[5] += 1
        if name == "OpenVINO":
            say(cannot="it has no such operator")
            continue
        if name == "TensorFlow":
            y.pop()
        if name == "ncnn":
            y[len(y) - 1] += 1e-4 * max(map(abs, y))
        open(f"{folder}/{name}.f32", "wb").write(y.tobytes())
        say(ok=True, configuration="plain", winograd=name == "ncnn")
    elif request["do"] == "time":
        timed += 1
        if name == "ONNXRuntime" and timed > 4:
            print("out of luck", file=sys.stderr, flush=True)
            os.abort()
        say(ok=True, seconds=0.002)
    elif request["do"] == "release":
        say(ok=True)
    else:
        break
)py";

ConvProblem example() {
    ConvProblem p;
    p.name = "example";
    p.op = Operator::pointwise;
    p.h = 3;
    p.w = 4;
    p.c = 8;
    p.k = 6;
    p.pad_mode = PadMode::valid;
    p.out.bias = true;
    return p;
}

Machine machine() {
    Machine m;
    m.caches = {{"L1", 32 << 10, 1}, {"L2", 1 << 20, 1}};
    return m;
}

struct Stage {
    TemporaryFolder folder;
    PeerTools tools;
    explicit Stage(const char *script = actor) {
        tools.python = "python3";
        tools.script = folder.write("actor.py", std::string(peer_actor_prelude) + script);
        tools.start_seconds = 20;
    }
};

}  // namespace

TEST_CASE("peers: names", "[peer]") {
    CHECK(parse_peers("all") == peer_names());
    CHECK(parse_peers("ALL") == peer_names());
    CHECK(parse_peers("mnn,onednn,MNN") == std::vector<std::string>{"oneDNN", "MNN"});
    CHECK_THAT(bad_input([] { parse_peers("oneDNN,cuDNN"); }), Contains("\"cuDNN\" is unknown; allowed: all, or some of oneDNN, XNNPACK"));
    CHECK_THAT(bad_input([] { parse_peers("oneDNN,"); }), Contains("peer \"\" is unknown"));
    CHECK(parse_peers("all", gpu_peer_names()) == gpu_peer_names());
    CHECK(parse_peers("pytorch-tf32", gpu_peer_names()) == std::vector<std::string>{"PyTorch-TF32"});
    CHECK_THAT(bad_input([] { parse_peers("oneDNN", gpu_peer_names()); }), Contains("\"oneDNN\" is unknown on a GPU; allowed: all, or some of PyTorch, PyTorch-TF32"));
    CHECK_THAT(bad_input([] { find_peer_tools("/nonexistent/python3"); }), Contains("--peers-python") && Contains("/nonexistent/python3"));
}

TEST_CASE("peers: a process of lines", "[peer]") {
    LineProcess echo({"python3", "-u", "-c", "import os\nprint(sorted(os.sched_getaffinity(0)))\nwhile True: print(input()[::-1])"}, {allowed_cpus().front()});
    CHECK(echo.ask("", 20) == fmt::format("[{}]", allowed_cpus().front()));
    CHECK(echo.ask("abc", 20) == "cba");
    echo.suspend();
    CHECK(echo.ask("def", 20) == "fed");
    CHECK(echo.error().empty());
    LineProcess quits({"python3", "-c", "import sys; sys.exit('no reason')"}, allowed_cpus());
    CHECK_FALSE(quits.ask("", 20));
    CHECK(quits.error() == "ended with status 1; its last words: no reason");
    CHECK_FALSE(quits.ask("again", 20));
    LineProcess hangs({"python3", "-c", "import time; time.sleep(60)"}, allowed_cpus());
    CHECK_FALSE(hangs.ask("", 0.1));
    CHECK_THAT(hangs.error(), Contains("gave no answer in 0.1 s"));
    CHECK_THROWS_WITH(LineProcess({"/nonexistent/program"}, allowed_cpus()), Contains("/nonexistent/program") && Contains("No such file"));
}

TEST_CASE("peers: right ones are timed, all others are told and the rest goes on", "[peer]") {
    Stage stage;
    std::vector<std::unique_ptr<Peer>> peers;
    std::vector<Candidate> candidates;
    for (const std::string &name : peer_names()) {
        PeerTools tools = stage.tools;
        if (name == "MNN") tools.start_seconds = 0.2;
        peers.push_back(std::make_unique<Peer>(name, tools, 1));
        Candidate c;
        c.problem = example();
        c.name = name;
        c.peer = peers.back().get();
        candidates.push_back(c);
    }
    Candidate own;
    own.problem = example();
    own.name = "own";
    own.variant = Registry::builtin().select(own.problem, Cpu{Isa::x64}, 1);
    candidates.push_back(own);
    RunnerOptions options;
    options.seconds = 0.01;
    options.cpu = Cpu{Isa::x64};
    for (int again = 0; again < 2; again++) {  // what ended is started again
        const std::vector<Result> results = run_candidates(candidates, machine(), options);
        REQUIRE(results.size() == 2 * candidates.size());
        const auto of = [&](const std::string &name) {
            for (const Result &r : results)
                if (r.candidate.name == name && r.cache == CacheState::warm) return r;
            throw std::logic_error(name);
        };
        const Result right = of("oneDNN");
        CHECK(right.check == "passed");
        CHECK(right.timed());
        CHECK(right.milliseconds.median == Approx(2));
        CHECK(right.milliseconds.count >= least_warm_samples);
        CHECK(right.times_best_peer == Approx(1));
        CHECK(of("own").check == "passed");
        CHECK(of("own").times_best_sepal == 1);
        CHECK(of("own").times_best_peer == Approx(of("own").milliseconds.median / 2));
        CHECK(right.times_best_sepal == Approx(2 / of("own").milliseconds.median));
        CHECK(right.peer_version == "1.2.3");
        CHECK(right.provider() == "oneDNN");
        CHECK(of("XNNPACK").check == "failed");
        CHECK_THAT(of("XNNPACK").check_message, Contains("k=5] is"));
        CHECK_FALSE(of("XNNPACK").timed());
        CHECK_THAT(of("ONNXRuntime").check, Contains("skipped: ONNXRuntime was killed by signal 6") && Contains("its last words: out of luck") && Contains("was timed"));
        CHECK_FALSE(of("ONNXRuntime").timed());
        CHECK(of("OpenVINO").check == "skipped: OpenVINO: it has no such operator");
        CHECK(of("PyTorch").check == "skipped: PyTorch: not installed: No module named 'torch'");
        CHECK_THAT(of("TensorFlow").check, Contains("fewer than the 72 elements"));
        CHECK(of("ncnn").check == "passed");
        CHECK(of("ncnn").winograd);
        CHECK(of("ncnn").relative_error == Approx(1e-4).epsilon(0.05));
        CHECK_THAT(of("MNN").check, Contains("gave no answer in 0.2 s"));
        for (const Result &r : results)
            if (r.candidate.peer && r.cache == CacheState::cold) {
                CHECK_FALSE(r.timed());
                CHECK_THAT(r.check, Contains("skipped: ") || Contains("failed"));
            }

        const std::string block = table_block(results);
        CHECK_THAT(block, Contains("1.2.3, plain") && Contains("best peer") && Contains("x Sepal)") && Contains("Winograd, relative error 1.0e-04") && Contains("skipped: PyTorch: not installed"));
        const nlohmann::ordered_json j = to_json(right);
        CHECK(j["provider"] == "oneDNN");
        CHECK(j["isa"].is_null());
        CHECK(j["times_best_peer"] == Approx(1));
        CHECK(to_json(of("XNNPACK"))["times_best_sepal"].is_null());
        CHECK(j["winograd"] == false);
    }
}

TEST_CASE("peers: without an interpreter, with answers that make no sense, and the files of a problem", "[peer]") {
    const Tensors tensors = make_exact_tensors(example(), 1);
    AlignedArray output(DType::f32, tensors.problem.output_elements());
    std::string folder;
    {
        const PeerFiles files(tensors);
        folder = files.folder();
        CHECK(std::filesystem::file_size(folder + "/input.f32") == 3 * 4 * 8 * 4);
        Stage stage;
        PeerTools missing = stage.tools;
        missing.python = "/nonexistent/python3";
        Peer absent("ncnn", missing, 1);
        CHECK(check_peer(absent, tensors, files, output).check ==
              "skipped: ncnn: not installed: there is no /nonexistent/python3; tools/peers.sh ncnn makes it");
        for (const char *script : {"print('hello', flush=True); input()", "print('[1]', flush=True); input()", "print('{\"ok\": 1}', flush=True); input()"}) {
            Stage other(script);
            Peer confused("ncnn", other.tools, 1);
            CHECK_THAT(check_peer(confused, tensors, files, output).check, Contains("skipped: ncnn gave an answer that makes no sense while it started"));
        }
    }
    CHECK_FALSE(std::filesystem::exists(folder));
}

// The libraries themselves, those that are installed, on problems with everything that a problem can have.
TEST_CASE("peers: the real ones agree with the reference", "[peer]") {
    const PeerTools tools = find_peer_tools("");
    const ProblemSet set = parse_problem_set(R"({"problems": [
        {"name": "conv", "op": "conv2d", "n": 2, "h": 11, "w": 10, "c": 16, "k": 32, "r": 3, "s": 3, "stride": 2, "bias": true, "activation": "relu6"},
        {"name": "groups", "op": "conv2d", "h": 9, "w": 9, "c": 16, "k": 32, "r": 3, "s": 3, "groups": 2, "pad": "valid"},
        {"name": "odd", "op": "conv2d", "h": 13, "w": 11, "c": 3, "k": 5, "r": 5, "s": 3, "pad": [2, 0, 1, 3], "stride": [1, 2], "bias": true},
        {"name": "dilated", "op": "conv2d", "h": 12, "w": 12, "c": 8, "k": 8, "r": 3, "s": 3, "dilation": 2, "activation": "hardswish"},
        {"name": "depthwise", "op": "depthwise", "h": 10, "w": 10, "c": 8, "r": 5, "s": 5, "multiplier": 2, "bias": true, "activation": "relu"},
        {"name": "pointwise", "op": "pointwise", "n": 2, "h": 5, "w": 7, "c": 24, "k": 40, "activation": "hardswish"},
        {"name": "depsep", "op": "depsep", "h": 14, "w": 14, "c": 32, "k": 48, "r": 3, "s": 3, "stride": 2, "mid_bias": true, "mid_activation": "relu6",
         "bias": true, "activation": "relu"},
        {"name": "planes", "op": "conv2d", "n": 2, "h": 11, "w": 10, "c": 16, "k": 32, "r": 3, "s": 3, "stride": 2, "bias": true, "layout": "nchw"},
        {"name": "pair of planes", "op": "depsep", "h": 9, "w": 14, "c": 32, "k": 48, "r": 3, "s": 3, "layout": "nchw"}]})", "test");
    for (const std::string &name : peer_names()) {
        Peer peer(name, tools, 1);
        for (const ConvProblem &problem : set.problems) {
            const Tensors tensors = make_exact_tensors(problem, 1);
            AlignedArray output(DType::f32, problem.output_elements());
            const PeerFiles files(tensors);
            const PeerCheck result = check_peer(peer, tensors, files, output);
            INFO(name << " on " << problem.name << ": " << result.check << " " << result.message);
            CHECK(result.check != "failed");
            if (result.check == "passed") {
                std::string why_not;
                const std::optional<double> seconds = peer.seconds(3, true, why_not);
                CHECK(why_not.empty());
                CHECK((seconds && *seconds > 0 && *seconds < 1));
            } else {
                fmt::print("[SKIP] {} on {}: {}\n", name, problem.name, result.check);
            }
            if (result.check.find("not installed") != std::string::npos) break;
        }
    }
}
