// `sepal records` and --tuning: exit codes, messages, files.
#include "cli.h"
#include "tools/npy.h"
#include "tools/tuning/database.h"
#include "tuning_fixtures.h"

#include <nlohmann/json.hpp>

using namespace sepal;
using Catch::Contains;

namespace {

std::string line(const TuningRecord &r) { return to_json_line(r) + "\n"; }

// A record of this machine, for a kernel that it runs.
TuningRecord of_this_machine(double ms, int64_t trial) {
    TuningRecord r = made_up_record(small_problem(), Isa::x64, ms, trial);
    r.machine = fingerprint(detect_machine());
    return r;
}

}  // namespace

TEST_CASE("records list and best show what there is, and tell damaged lines", "[cli][records]") {
    const TemporaryFolder folder;
    TuningRecord crashed = made_up_record(small_problem(), Isa::avx2, 1, 3);
    crashed.verdict = Verdict::crashed;
    crashed.error = "killed by SIGSEGV";
    crashed.samples_ms.clear();
    const std::string file = folder.write("t.jsonl", line(made_up_record(small_problem(), Isa::avx2, 2, 1)) + "garbage\n" +
                                                         line(made_up_record(small_problem(), Isa::avx2, 1, 2)) + line(crashed) + line(of_this_machine(4, 9)));
    const Ran list = run("records list " + file);
    CHECK(list.code == 0);
    CHECK_THAT(list.err, Contains("sepal: warning: ") && Contains("t.jsonl:2: ") && Contains("skipped"));
    CHECK_THAT(list.out, Contains("4 records") && Contains("killed by SIGSEGV") && Contains("made-up CPU") && Contains("this one") && Contains("vl8"));
    const Ran best = run("records best " + file);
    CHECK(best.code == 0);
    CHECK_THAT(best.out, Contains("another: made-up CPU") && Contains("this one"));
    const nlohmann::json rows = nlohmann::json::parse(run("records best --json " + file).out).at("best");
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].at("isa") == "x64");
    CHECK(rows[0].at("from_elsewhere") == false);
    CHECK(rows[1].at("from_elsewhere") == true);
    CHECK(rows[1].at("record").at("trial") == 2);
    CHECK(rows[1].at("median_ms") == 1.0);

    check_bad_input(run("records"), {"subcommand"});
    check_bad_input(run("records list"), {"files"});
    check_bad_input(run("records list " + folder.path("absent.jsonl")), {"absent.jsonl", "No such file"});
    check_bad_input(run("records list --name nonesuch " + folder.write("good.jsonl", line(crashed))), {"nonesuch"});
    const Ran empty = run("records best " + folder.write("bad.jsonl", "garbage\n"));
    CHECK(empty.code == 2);
    CHECK_THAT(empty.err, Contains("bad.jsonl:1: ") && Contains("no record that can be read"));
}

TEST_CASE("records merge gives the same bytes whatever the order, and loses nothing", "[cli][records]") {
    const TemporaryFolder folder;
    const std::string a = folder.write("a.jsonl", line(made_up_record(small_problem(), Isa::avx2, 2, 1)) + line(made_up_record(small_problem(), Isa::x64, 1, 2)));
    const std::string b = folder.write("b.jsonl", line(made_up_record(small_problem(), Isa::avx2, 5, 3)) + line(made_up_record(small_problem(), Isa::avx2, 2, 1)));
    const std::string bad = folder.write("bad.jsonl", "garbage\n" + line(made_up_record(small_problem(), Isa::avx2, 7, 4)));
    CHECK(run(fmt::format("records merge -o {} {} {} {}", folder.path("1"), a, b, bad)).code == 0);
    const Ran other = run(fmt::format("records merge {} {} {} -o {}", bad, b, a, folder.path("2")));
    CHECK(other.code == 0);
    CHECK_THAT(other.err, Contains("bad.jsonl:1: "));
    CHECK(bytes_of(folder.path("1")) == bytes_of(folder.path("2")));
    CHECK(read_tuning_records(folder.path("1")).records.size() == 4);
    // Into one of its own inputs, unless that would lose a line.
    CHECK(run(fmt::format("records merge -o {0} {0} {1}", a, b)).code == 0);
    CHECK(read_tuning_records(a).records.size() == 3);
    const std::string before = bytes_of(bad);
    const Ran refused = run(fmt::format("records merge -o {0} {0} {1}", bad, b));
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains("would be lost"));
    CHECK(bytes_of(bad) == before);

    check_bad_input(run("records merge " + a), {"--output"});
    check_bad_input(run(fmt::format("records merge -o /dev/full {}", a)), {"/dev/full", "cannot be written"});
    const std::vector<std::string> files = folder.files();
    check_bad_input(run(fmt::format("records merge -o {} {} {}", folder.path("m"), a, b), "ulimit -f 1; trap '' XFSZ;"), {"cannot be written"});
    CHECK(folder.files() == files);
    const TuningLog writer(a);
    check_bad_input(run(fmt::format("records merge -o {} {}", a, b)), {"a.jsonl", "another process"});
    check_bad_input(run(fmt::format("records prune {}", a)), {"a.jsonl", "another process"});
}

TEST_CASE("records prune keeps the best and drops failures and what cannot be read", "[cli][records]") {
    const TemporaryFolder folder;
    std::string text = "garbage\n";
    for (int trial = 1; trial <= 6; trial++) text += line(made_up_record(small_problem(), Isa::avx2, trial, trial));
    const std::string file = folder.write("t.jsonl", text);
    CHECK(run(fmt::format("records prune --keep 1 -o {} {}", folder.path("one"), file)).code == 0);
    CHECK(bytes_of(file) == text);
    CHECK(bytes_of(folder.path("one")) == line(made_up_record(small_problem(), Isa::avx2, 1, 1)));
    const Ran pruned = run("records prune " + file);
    CHECK(pruned.code == 0);
    CHECK_THAT(pruned.out, Contains("3 of 6 records kept"));
    CHECK_THAT(pruned.err, Contains("t.jsonl:1: "));
    CHECK(read_tuning_records(file).records.size() == 3);
    check_bad_input(run("records prune --keep 0 " + file), {"--keep"});
    check_bad_input(run("records prune " + folder.path("absent.jsonl")), {"absent.jsonl"});
    CHECK(folder.files() == std::vector<std::string>{"one", "t.jsonl"});
}

TEST_CASE("records whose FMA peak was disturbed are told and passed over, and pruned", "[cli][records]") {
    const TemporaryFolder folder;
    TuningRecord disturbed = of_this_machine(2, 2), marked = of_this_machine(3, 3);
    disturbed.fma_gflops = 0.05;
    marked.verdict = Verdict::disturbed;
    marked.error = why_disturbed(disturbed.problem, {}, 2, 0.05);
    marked.samples_ms.clear();
    const std::string file = folder.write("t.jsonl", line(of_this_machine(4, 1)) + line(disturbed) + line(marked));
    const Ran list = run("records list " + file), best = run("records best " + file);
    for (const Ran &ran : {list, best})
        CHECK_THAT(ran.err, Contains("t.jsonl:2: the time is 131.1 % of the FMA peak") && Contains("the line is skipped"));
    CHECK_THAT(list.out, Contains("  disturbed  ") && Contains("this one: the time is 131.1 % of the FMA peak") && Contains("2 records"));
    CHECK(best.code == 0);
    CHECK(nlohmann::json::parse(run("records best --json " + file).out).at("best").at(0).at("record").at("trial") == 1);
    CHECK_THAT(run("records prune " + file).out, Contains("1 of 2 records kept, 1 lines dropped"));
    CHECK(bytes_of(file) == line(of_this_machine(4, 1)));
}

TEST_CASE("records verify reruns the best and says what no longer holds", "[cli][records]") {
    const TemporaryFolder folder;
    const auto verify = [&](const std::vector<TuningRecord> &records, const std::string &before = "") {
        std::string text;
        for (const TuningRecord &r : records) text += line(r);
        return run("records verify --seconds 0.2 " + folder.write("t.jsonl", text), before);
    };
    // It states a time that any machine keeps, with the heuristic's own knobs.
    const Ran holds = verify({of_this_machine(1000, 1)});
    INFO(holds.out + holds.err);
    CHECK(holds.code == 0);
    CHECK_THAT(holds.out, Contains("holds") && Contains("1 hold, 0 no longer, 0 skipped"));
    // One channel of one pixel at a time is no match for all of the FMA peak, nor for the heuristic, by more than any noise.
    TuningRecord poor = of_this_machine(small_problem().flops() / 100e6, 1);
    poor.schedule.lanes = poor.schedule.k_vectors = poor.schedule.q_tile = poor.schedule.q_strip = 1;
    const Ran impossible = verify({poor});
    CHECK(impossible.code == 1);
    CHECK_THAT(impossible.out, Contains("NO LONGER HOLDS: ") && Contains("slower than it states") && Contains("0 hold, 1 no longer"));
    poor.samples_ms = of_this_machine(1000, 1).samples_ms;
    poor.problem.h = poor.problem.w = 32;
    poor.problem.c = poor.problem.k = 128;
    const Ran beaten = verify({poor});
    CHECK(beaten.code == 1);
    CHECK_THAT(beaten.out, Contains("slower than the heuristic's knobs"));
    const Ran foreign = verify({made_up_record(small_problem(), Isa::avx512, 1, 1)}, "SEPAL_MAX_ISA=x64");
    CHECK(foreign.code == 2);
    CHECK_THAT(foreign.out, Contains("skipped: needs avx512"));
    CHECK_THAT(foreign.err, Contains("none of the 1 best records"));
    TuningRecord uneven = of_this_machine(1000, 1);
    uneven.schedule.q_strip += 1;
    const Ran invalid = verify({uneven});
    CHECK(invalid.code == 2);
    CHECK_THAT(invalid.err, Contains("t.jsonl:1: knob \"q_strip\" is ") && Contains("a multiple of q_tile") && Contains("the line is skipped"));
    check_bad_input(run("records verify --seconds 0 " + folder.path("t.jsonl")), {"--seconds"});
}

TEST_CASE("--tuning takes the knobs of the file's record", "[cli][records]") {
    const TemporaryFolder folder;
    TuningRecord r = of_this_machine(1, 12);
    r.schedule.q_tile = r.schedule.q_strip = 3;
    TuningRecord quicker = r;  // but with knobs that no kernel is made with
    quicker.samples_ms = {0.1};
    quicker.schedule.q_tile = quicker.schedule.q_strip = 16;
    const std::string records = folder.write("t.jsonl", line(r) + "garbage\n" + line(quicker));
    const std::string problems = folder.write("p.json", "{\"problems\": [" + to_json(r.problem) + "]}");
    const Tensors tensors = make_exact_tensors(r.problem, check_seed);
    write_npy(folder.path("x.npy"), {1, 8, 8, 32}, tensors.input.data());
    write_npy(folder.path("w.npy"), {32, 32}, tensors.filter.data());
    const std::string command = fmt::format("run --threads 1 --problems {0} --input {1}/x.npy --filter {1}/w.npy --output {1}/y.npy", problems, folder.path("."));
    const Ran tuned = run(command + " --tuning " + records, "SEPAL_MAX_ISA=x64");
    INFO(tuned.err);
    REQUIRE(tuned.code == 0);
    CHECK_THAT(tuned.out, Contains("pointwise_f32_nhwc_x64_tuned_vl4_") && Contains("_tq3_"));
    CHECK_THAT(tuned.err, Contains("t.jsonl:2: ") && Contains("t.jsonl:3: knob \"q_tile\" is 16") && Contains("allowed: 16, as many as x64 has"));
    CHECK(check_output(tensors, read_npy(folder.path("y.npy"), {1, 8, 8, 32}, "output").data()).message == "");
    CHECK_THAT(run(command, "SEPAL_MAX_ISA=x64").out, Contains("_hand_"));
    check_bad_input(run(command + " --tuning " + folder.path("absent")), {"absent", "No such file"});

    const std::string bench = fmt::format("bench --problems {} --seconds 0.01 --json {}", problems, folder.path("b.json"));
    const std::string environment = made_up_peaks(folder);
    const Ran measured = run(bench + " --tuning " + records, environment);
    INFO(measured.err);
    REQUIRE(measured.code == 0);
    CHECK_THAT(measured.out, Contains("knobs are those of tuning trial 12, measured on this machine") && Contains("_tuned_vl4_"));
    const nlohmann::json rows = nlohmann::json::parse(bytes_of(folder.path("b.json"))).at("results");
    CHECK(rows.at(0).at("scheduler") == "tuned");
    CHECK(rows.at(0).at("check") == "passed");
    CHECK_THAT(rows.at(0).at("reproduce").get<std::string>(), Contains("--tuning "));
    CHECK(run(bench, environment).out.find("_tuned_") == std::string::npos);
}
