// Trials in processes of their own, sessions of them, and the `sepal tune` command.
#include "catch.h"
#include "cli.h"
#include "tools/tuning/session.h"
#include "tools/tuning/standing.h"
#include "tuning_fixtures.h"

#include "bench/timer.h"

#include <fmt/format.h>

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

using namespace sepal;

namespace {

ConvProblem pointwise() {
    ConvProblem p;
    p.name = "a pointwise";
    p.op = Operator::pointwise;
    p.h = p.w = 14;
    p.c = p.k = 32;
    return p;
}

TrialRequest request(size_t schedules = 1) {
    TrialRequest r;
    r.problem = pointwise();
    r.isa = Isa::avx2;
    r.schedules.assign(schedules, derive({}, Operator::pointwise, Isa::avx2, r.problem));
    r.stop_score = 12.5;
    return r;
}

constexpr const char *compiled = "echo '{\"event\":\"compiled\"}'\n";
constexpr const char *good_timing = R"({"verdict":"ok","error":"","samples_ms":[2.0,1.0,3.0]})";

// What a trial program written in bash makes of a request.
TrialAnswer run_script(const std::string &script, const TrialLimits &limits = {20, 20}, size_t schedules = 1, std::function<bool()> stop = {}) {
    const TemporaryFolder folder;
    return TrialRunner({"/bin/bash", folder.write("trial", script)}, std::move(stop)).run(request(schedules), limits);
}

void check_failed(const TrialAnswer &answer, Verdict verdict, const std::string &part) {
    for (const Timing &t : answer.timings) {
        INFO(t.error);
        CHECK(t.verdict == verdict);
        CHECK(t.samples_ms.empty());
        CHECK(t.error.find(part) != std::string::npos);
        CHECK(t.error.find('\n') == std::string::npos);
    }
}

// A trial program whose machine likes tiles of 6 pixels; `at_tile` is what it does on one of $q pixels before.
std::string machine_script(const std::string &at_tile = "") {
    return std::string("read -r request\n") + compiled +
           R"(out=; for q in $(grep -o '"q_tile":[0-9]*' <<<"$request" | cut -d: -f2); do
)" + at_tile + "\n" +
           R"(d=$((q > 6 ? q - 6 : 6 - q)); ms=$((10 + d)).5
out+="${out:+,}{\"verdict\":\"ok\",\"error\":\"\",\"samples_ms\":[$ms,$ms,$ms]}"; done
echo "{\"timings\":[$out],\"fma_gflops\":${fma:-100}}"
)";
}

struct Played {
    std::vector<TuneOutcome> outcomes;
    std::vector<TuningRecord> records;
    std::vector<std::string> tried;  // in order
};

// A session on the database with the trial program.
Played play(const std::string &database, const std::string &script, int64_t trials, const std::function<bool()> &stop = [] { return false; },
            const Shard &shard = {}) {
    const TemporaryFolder folder;
    const TrialRunner runner({"/bin/bash", folder.write("trial", script)}, stop);
    const Machine machine = detect_machine();
    Display display(machine);
    TuneOptions options;
    options.tasks = {{pointwise(), Isa::avx2}};
    options.trials = trials;
    options.shard = shard;
    options.commit = "test";
    TuningLog log(database);
    Played played;
    played.outcomes = tune(options, {machine, runner, [&](const TuningRecord &r) { log.append(r); }, stop, display}, read_tuning_records(database).records);
    const TuningDatabase after = read_tuning_records(database);
    CHECK(after.complaints.empty());
    played.records = after.records;
    for (const TuningRecord &r : played.records)
        if (is_trial(r)) played.tried.push_back(key(r.schedule));
    return played;
}

}  // namespace

TEST_CASE("a request and an answer survive the way to another process", "[tune]") {
    const TrialRequest sent = request(2), got = trial_request_from_json(to_json(sent));
    CHECK(got.problem.key() == sent.problem.key());
    CHECK(got.isa == sent.isa);
    CHECK(got.stop_score == sent.stop_score);
    REQUIRE(got.schedules.size() == 2);
    CHECK(key(got.schedules[1]) == key(sent.schedules[1]));
    const TrialAnswer answer = run_script(fmt::format("{}echo '{{\"timings\":[{}],\"fma_gflops\":80.5}}'; sleep 100", compiled, good_timing));
    CHECK(answer.timings[0].verdict == Verdict::ok);
    CHECK(answer.timings[0].samples_ms == std::vector<double>{2, 1, 3});
    CHECK(answer.fma_gflops == 80.5);
    CHECK(bad_input([] { trial_request_from_json("{\"problem\": 1}"); }).find("trial") == 0);
}

TEST_CASE("a trial that crashes, ends, stalls or talks nonsense is a verdict", "[tune]") {
    check_failed(run_script("echo 'what went wrong' >&2; kill -SEGV $$"), Verdict::crashed, "killed by signal 11 (Segmentation fault); its last words: what went wrong");
    check_failed(run_script("exit 3"), Verdict::crashed, "ended with status 3");
    check_failed(run_script(compiled), Verdict::crashed, "ended with status 0");
    check_failed(run_script(""), Verdict::crashed, "ended with status 0");
    check_failed(run_script("read -r request; exec <&- >&-; sleep 100"), Verdict::crashed, "closed its end of the line");
    check_failed(run_script("sleep 100", {0.3, 20}), Verdict::timed_out, "compiling it took longer than 0.3 s");
    check_failed(run_script(std::string(compiled) + "sleep 100", {20, 0.3}), Verdict::timed_out, "checking and timing it took longer than 0.3 s");
    check_failed(run_script("yes"), Verdict::crashed, "not understood: y");
    for (const char *answer : {"nonsense", "{}", "{\"timings\":[],\"fma_gflops\":1}", "{\"timings\":[{\"verdict\":\"ok\",\"error\":\"\",\"samples_ms\":[]}],\"fma_gflops\":1}",
                               "{\"timings\":[{\"verdict\":\"fine\",\"error\":\"\",\"samples_ms\":[1]}],\"fma_gflops\":1}",
                               "{\"timings\":[{\"verdict\":\"ok\",\"error\":\"\",\"samples_ms\":[1]}],\"fma_gflops\":0}"})
        check_failed(run_script(fmt::format("{}echo '{}'", compiled, answer)), Verdict::crashed, "not understood");
    check_failed(run_script(fmt::format("{}echo '{{\"timings\":[{{\"verdict\":\"wrong\",\"error\":\"element 3 is 7\",\"samples_ms\":[]}}],\"fma_gflops\":0}}'", compiled)),
                 Verdict::wrong, "element 3 is 7");
    CHECK(bad_input([] { TrialRunner({"/nonexistent/trial"}, {}).run(request(), {5, 5}); }).find("\"/nonexistent/trial\" cannot be started: No such file") != std::string::npos);
}

TEST_CASE("a trial takes all that it started with it", "[tune]") {
    const TemporaryFolder folder;
    const std::string alive = folder.path("alive");
    // A grandchild that would write the file two seconds later.
    check_failed(run_script(fmt::format("(sleep 2; touch {}) & sleep 100", shell_quote(alive)), {0.3, 1}), Verdict::timed_out, "compiling");
    check_failed(run_script(fmt::format("(sleep 2; touch {}) & kill -SEGV $$", shell_quote(alive)), {5, 5}), Verdict::crashed, "");
    const double begin = now();
    while (now() - begin < 2.5 && !std::filesystem::exists(alive)) std::system("sleep 0.1");
    CHECK(!std::filesystem::exists(alive));
}

TEST_CASE("a trial can be given up", "[tune]") {
    const double begin = now();
    CHECK(run_script("sleep 100", {50, 50}, 1, [&] { return now() - begin > 0.2; }).interrupted);
    CHECK(now() - begin < 5);
}

TEST_CASE("a session finds the best schedule, compares it in turns, and records every trial", "[tune]") {
    const TemporaryFolder folder;
    const Played played = play(folder.path("db"), machine_script(), 30);
    REQUIRE(played.outcomes.size() == 1);
    const TuneOutcome &outcome = played.outcomes[0];
    CHECK(outcome.trials == 30);
    CHECK(outcome.failed == 0);
    REQUIRE(outcome.best);
    CHECK(std::abs(outcome.best->schedule.q_tile - 6) <= 1);
    CHECK(outcome.gain() >= 1);
    CHECK(outcome.confirmed);
    CHECK(played.tried.size() == 30);
    CHECK(std::set<std::string>(played.tried.begin(), played.tried.end()).size() == 30);
    CHECK(played.tried[0] == key(SearchSpace(pointwise(), Isa::avx2, {}).hand()));
    for (const TuningRecord &r : played.records) {
        CHECK(r.problem.key() == pointwise().key());
        CHECK(r.commit == "test");
        CHECK(r.halide == halide_version());
    }
}

TEST_CASE("a session that was ended goes on where it was, with the same candidates", "[tune]") {
    const TemporaryFolder folder;
    const std::vector<std::string> whole = play(folder.path("whole"), machine_script(), 16).tried;
    const Played first = play(folder.path("parts"), machine_script(), 5);
    CHECK(first.tried.size() == 5);
    int asked = 0;
    const Played interrupted = play(folder.path("parts"), machine_script(), 16, [&] { return ++asked > 12; });
    CHECK(interrupted.tried.size() > 5);
    CHECK(interrupted.tried.size() < 16);
    const Played rest = play(folder.path("parts"), machine_script(), 16);
    CHECK(rest.tried == whole);
    CHECK(play(folder.path("parts"), machine_script(), 16).records.size() == rest.records.size());
}

TEST_CASE("candidates that crash or are wrong are recorded and cost themselves only", "[tune]") {
    const TemporaryFolder folder;
    const std::string wrong = R"({"timings":[{"verdict":"wrong","error":"element 3 is 7","samples_ms":[]}],"fma_gflops":0})";
    const std::map<int, Verdict> fate = {{5, Verdict::crashed}, {4, Verdict::wrong}};
    const Played played = play(folder.path("db"), machine_script("case $q in 5) kill -SEGV $$;; 4) echo '" + wrong + "'; exit;; esac"), 30);
    std::map<Verdict, int> seen;
    for (const TuningRecord &r : played.records) {
        const auto expected = fate.find(r.schedule.q_tile);
        CHECK(r.verdict == (expected == fate.end() ? Verdict::ok : expected->second));
        CHECK(r.error.empty() == (r.verdict == Verdict::ok));
        seen[r.verdict]++;
    }
    for (const auto &[tile, verdict] : fate) CHECK(seen[verdict] > 0);
    CHECK(played.outcomes[0].failed == seen[Verdict::crashed] + seen[Verdict::wrong]);
    CHECK(played.outcomes[0].trials == 30);
    CHECK(fate.count(played.outcomes[0].best->schedule.q_tile) == 0);
}

TEST_CASE("a trial that was disturbed gives no time and is tried again", "[tune]") {
    const TemporaryFolder folder;
    // Once on one schedule, which is the hand schedule, and once on two.
    const std::string script = machine_script(fmt::format("mkdir {}.$(grep -o q_tile <<<\"$request\" | wc -l) 2>/dev/null && fma=0.01", folder.path("done")));
    const Played played = play(folder.path("db"), script, 12);
    std::vector<TuningRecord> disturbed;
    for (const TuningRecord &r : played.records)
        if (r.verdict == Verdict::disturbed) disturbed.push_back(r);
    REQUIRE(disturbed.size() == 2);
    for (const TuningRecord &r : disturbed) {
        CHECK(r.error.find("% of the FMA peak, probed beside it at 0.01 GFLOP/s") != std::string::npos);
        CHECK(std::count(played.tried.begin(), played.tried.end(), key(r.schedule)) == 2);
    }
    CHECK(played.records[0].verdict == Verdict::disturbed);
    CHECK(played.records[1].proposed_by == "heuristic");
    CHECK(played.records[1].verdict == Verdict::ok);
    // Nothing is known of the other one of a pair, either.
    for (const TuningRecord &r : played.records) CHECK((r.verdict == Verdict::disturbed || r.trial != disturbed[1].trial));
    CHECK(played.outcomes[0].trials == 12);
    CHECK(played.outcomes[0].failed == 2);
    CHECK(played.outcomes[0].confirmed);
}

TEST_CASE("a comparison in turns decides, not luck when alone", "[tune]") {
    const ConvProblem p = pointwise();
    const Schedule hand = derive({}, p.op, Isa::avx2, p);
    Schedule other = hand;
    other.q_tile = 3;
    const auto record = [&](const Schedule &s, int64_t trial, double ms, double gflops, const char *by) {
        TuningRecord r;
        r.problem = p;
        r.isa = Isa::avx2;
        r.schedule = s;
        r.samples_ms = {ms, ms, 3 * ms};
        r.fma_gflops = gflops;
        r.trial = trial;
        r.proposed_by = by;
        return r;
    };
    Standing standing(hand);
    CHECK(standing.best() == nullptr);
    standing.add(record(hand, 0, 10, 100, "heuristic"));
    CHECK(key(standing.best()->schedule) == key(hand));
    CHECK(standing.confirmed());
    standing.add(record(other, 1, 5, 100, "model"));  // looks better, but was not compared
    CHECK(key(standing.best()->schedule) == key(hand));
    standing.add(record(other, 2, 9, 101, "neighbour"));
    standing.add(record(hand, 2, 10, 101, by_incumbent));
    CHECK(key(standing.best()->schedule) == key(other));
    CHECK(!standing.confirmed());  // it won once; the end of the session asks again
    standing.add(record(other, 2, 20, 50, by_incumbent));  // as timed with another challenger, whose record is lost
    CHECK(time_ratio(*standing.hand_and_best().first, *standing.hand_and_best().second) == Approx(10.0 / 9));
    CHECK(standing.trials() == 3);
    standing.add(record(hand, 3, 8, 102, by_confirmation));
    standing.add(record(other, 3, 9, 102, by_incumbent));
    CHECK(key(standing.best()->schedule) == key(hand));  // each has lost once: what needs no search is the answer
    CHECK(key(best_record(standing.records(), p, Isa::avx2, 1, {})->schedule) == key(hand));
    CHECK(standing.trials() == 3);
    CHECK(standing.next_trial() == 4);
    // In turns it is the samples side by side that count, whatever came over both for a while.
    TuningRecord a = record(hand, 4, 1, 100, "model"), b = a;
    a.samples_ms = {1, 9, 2.9, 3};
    b.samples_ms = {1.1, 10, 3, 2};
    CHECK(time_ratio(a, b) < 1);
    CHECK(score(a) > score(b));
}

TEST_CASE("tune: bad input is one sentence", "[tune_command]") {
    const TemporaryFolder folder;
    const std::string file = folder.write("p.json", "{\"problems\": [" + to_json(pointwise()) + "]}"), db = folder.path("t.jsonl");
    const std::string good = fmt::format("tune --problems {} --db {} --trials 1", file, db);
    check_bad_input(run("tune"), {"--suite", "--problems"});
    check_bad_input(run(good + " --shard 5/4"), {"--shard", "5/4", "1 <= K <= N"});
    check_bad_input(run(good + " --shard 0/4"), {"--shard", "0/4"});
    check_bad_input(run(good + " --shard 1/4x"), {"--shard", "1/4x"});
    check_bad_input(run(good + " --isa mmx"), {"--isa", "mmx", "avx512"});
    check_bad_input(run(good + " --isa avx512", "SEPAL_MAX_ISA=x64"), {"--isa", "avx512", "x64"});
    check_bad_input(run(fmt::format("tune --problems {} --trials 0 --db {}", file, db)), {"--trials", "0"});
    check_bad_input(run(fmt::format("tune --problems {} --minutes 0 --db {}", file, db)), {"--minutes", "0"});
    check_bad_input(run(good + " --minutes 3"), {"--minutes", "--trials"});
    check_bad_input(run(good + " --threads 0"), {"--threads", "0"});
    check_bad_input(run(good + " --name nonesuch"), {"nonesuch", "a pointwise"});
    check_bad_input(run(fmt::format("tune --problems {} --trials 1 --db {}/absent/t.jsonl", file, folder.path("."))), {"absent/t.jsonl"});
    CHECK(!std::filesystem::exists(db));
    folder.write("t.jsonl", "");
    check_bad_input(run(good, "flock " + db), {"t.jsonl"});
    CHECK(bytes_of(db).empty());
}

TEST_CASE("tune: real trials are checked, timed and recorded; an interrupted session ends cleanly", "[tune_command]") {
    const TemporaryFolder folder;
    const std::string file = folder.write("p.json", "{\"problems\": [" + to_json(pointwise()) + "]}"), db = folder.path("t.jsonl");
    const Ran ran = run(fmt::format("tune --problems {} --db {} --trials 2 --isa x64", file, db));
    INFO(ran.err);
    CHECK(ran.code == 0);
    CHECK(ran.out.find("trial 0, heuristic") != std::string::npos);
    CHECK(ran.out.find("gain") != std::string::npos);
    const auto trials = [&] {
        const TuningDatabase database = read_tuning_records(db);
        CHECK(database.complaints.empty());
        return std::count_if(database.records.begin(), database.records.end(), is_trial);
    };
    CHECK(trials() == 2);
    int undisturbed = 0;
    for (const TuningRecord &r : read_tuning_records(db).records) {
        CHECK(r.isa == Isa::x64);
        if (r.verdict == Verdict::disturbed) continue;  // by what else the machine does
        undisturbed++;
        CHECK(r.verdict == Verdict::ok);
        CHECK(r.pct_fma_peak() > 1);
        CHECK(r.pct_fma_peak() < 110);
    }
    CHECK(undisturbed > 0);
    const Ran stopped = run(fmt::format("tune --problems {} --db {} --minutes 5 --isa x64", file, db), "timeout --preserve-status -s INT 6");
    CHECK(stopped.code == 130);
    CHECK(stopped.out.find("Interrupted") != std::string::npos);
    CHECK(trials() > 2);
}

TEST_CASE("tune: what cannot be read in its database is told and kept, and so is everything when the disk is full", "[tune_command]") {
    const TemporaryFolder folder;
    const std::string file = folder.write("p.json", "{\"problems\": [" + to_json(pointwise()) + "]}"), environment = made_up_peaks(folder);
    TuningRecord other = made_up_record(pointwise(), Isa::avx2, 1, 1), older = other;
    older.halide = "19.0.0";
    std::string format = to_json_line(other);
    format.replace(format.find("\"format\":1"), 10, "\"format\":9");
    std::string before = format + "\n" + to_json_line(older) + "\n" + to_json_line(other) + "\n";
    before += std::string(1023 - before.size() % 1024, ' ') + "\n";  // whole KiB, in which limits of a file's size are given
    const std::string db = folder.write("t.jsonl", before), command = fmt::format("tune --problems {} --db {} --trials 1", file, db);

    const Ran full = run(command, fmt::format("ulimit -f {}; trap '' XFSZ; {}", before.size() / 1024, environment));
    CHECK(full.code == 2);
    CHECK(full.err.find("sepal: " + db + ": cannot be written: File too large; the records before are kept\n") != std::string::npos);
    CHECK(bytes_of(db) == before);

    const Ran ran = run(command, environment);
    INFO(ran.err);
    CHECK(ran.code == 0);
    CHECK(ran.err.find("t.jsonl:1: field \"format\" is 9; allowed: 1") != std::string::npos);
    CHECK(ran.err.find("t.jsonl:2: field \"halide\" is \"19.0.0\"; allowed: ") != std::string::npos);
    CHECK(bytes_of(db).compare(0, before.size(), before) == 0);
    CHECK(read_tuning_records(db).records.size() == 2);
}
