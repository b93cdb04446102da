// TuningRecords: their lines, their files, and which is the best.
#include "catch.h"
#include "support.h"
#include "tools/files.h"
#include "tools/tuning/best.h"
#include "tools/tuning/database.h"
#include "tuning_fixtures.h"

#include <fmt/format.h>

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <limits>

using namespace sepal;
using Catch::Contains;

namespace {

TuningRecord example(int64_t trial = 0, double ms = 2) { return made_up_record(small_problem(), Isa::avx2, ms, trial); }

TuningRecord failed(Verdict verdict, const std::string &error) {
    TuningRecord r = example(3);
    r.verdict = verdict;
    r.error = error;
    r.samples_ms.clear();
    r.fma_gflops = 0;
    return r;
}

std::string replaced(std::string text, const std::string &from, const std::string &to) {
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

std::vector<int64_t> trials(const std::vector<TuningRecord> &records) {
    std::vector<int64_t> out;
    for (const TuningRecord &r : records) out.push_back(r.trial);
    return out;
}

// No file may grow beyond so many bytes while this lives: what a full disk does to a writer.
struct FullDisk {
    rlimit before;
    void (*handler)(int);
    explicit FullDisk(rlim_t bytes) {
        handler = std::signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before);
        const rlimit limit = {bytes, before.rlim_max};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    ~FullDisk() {
        setrlimit(RLIMIT_FSIZE, &before);
        std::signal(SIGXFSZ, handler);
    }
};

}  // namespace

TEST_CASE("a record's line reads back as the same record", "[tuning]") {
    std::vector<TuningRecord> records = {example(), example(17, 1.0 / 3)};
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::depsep})
        for (uint32_t seed = 1, found = 0; found < 5; seed++) {
            const ConvProblem p = random_problem(seed);
            if (p.op != op || p.c < lanes_f32(Isa::avx512)) continue;
            records.push_back(made_up_record(p, Isa::avx512, 0.1 * seed, seed));
            found++;
        }
    records.push_back(failed(Verdict::crashed, "killed by \"SIGSEGV\"\n\ttwice"));
    records.push_back(failed(Verdict::disturbed, why_disturbed(small_problem(), {}, 2, 0.05)));
    records.push_back(failed(Verdict::timed_out, ""));
    records.back().problem.name.clear();
    records.back().seed = std::numeric_limits<uint32_t>::max();
    for (const TuningRecord &r : records) {
        const std::string line = to_json_line(r);
        INFO(line);
        CHECK(line.find('\n') == std::string::npos);
        const TuningRecord back = tuning_record_from_json(line, "f:1");
        CHECK(to_json_line(back) == line);
        CHECK(back.problem.key() == r.problem.key());
        CHECK(back.problem.name == r.problem.name);
        CHECK(back.isa == r.isa);
        CHECK(back.verdict == r.verdict);
        CHECK(back.error == r.error);
        CHECK(back.samples_ms == r.samples_ms);
        CHECK(back.fma_gflops == r.fma_gflops);
        CHECK(back.machine.key() == r.machine.key());
        CHECK(back.machine.logical_cpus == r.machine.logical_cpus);
        CHECK(back.seed == r.seed);
        CHECK(back.trial == r.trial);
        for (const Knob &knob : knobs) CHECK(back.schedule.*knob.member == r.schedule.*knob.member);
    }
    CHECK(example().median_ms() == 2);
    CHECK(example().pct_fma_peak() == Approx(100 * 2.0 * 64 * 32 * 32 / 2e-3 / 100e9));
    CHECK(failed(Verdict::wrong, "x").median_ms() == 0);
    TuningRecord bytes = failed(Verdict::crashed, "\xff\xfe");
    CHECK(tuning_record_from_json(to_json_line(bytes), "f:1").error == "\xEF\xBF\xBD\xEF\xBF\xBD");  // U+FFFD, the replacement character
}

TEST_CASE("a knob that an older record does not have is derived beside the others", "[tuning]") {
    TuningRecord r = example();
    r.schedule.q_tile = 3;
    const std::string line = to_json_line(r);
    Schedule without = r.schedule;
    without.p_strip = 0;
    const int derived = derive(without, r.problem.op, r.isa, r.problem).p_strip;
    REQUIRE(derived > 0);
    const TuningRecord back = tuning_record_from_json(replaced(line, fmt::format("\"p_strip\":{},", r.schedule.p_strip), ""), "f:1");
    CHECK(back.schedule.p_strip == derived);
    CHECK(back.schedule.q_tile == 3);
    // A knob that is there stays, also at 0.
    r.schedule.c_block = 0;
    CHECK(tuning_record_from_json(to_json_line(r), "f:1").schedule.c_block == 0);
}

TEST_CASE("what is wrong with a line is one sentence that names the place and the field", "[tuning]") {
    TuningRecord whole = example();
    whole.schedule.k_vectors = 2;
    whole.schedule.q_tile = 6;
    whole.schedule.q_strip = 12;
    const std::string good = to_json_line(whole);
    struct Damage {
        const char *from, *to;
        std::vector<std::string> said;
    };
    const Damage damages[] = {
        {"\"format\":1", "\"format\":2", {"\"format\" is 2", "allowed: 1"}},
        {"\"format\":1,", "", {"\"format\"", "missing"}},
        {"\"isa\":\"avx2\"", "\"isa\":\"mmx\"", {"\"isa\"", "mmx", "x64, avx2, avx512"}},
        {"\"isa\":\"avx2\",", "", {"\"isa\"", "missing"}},
        {"\"threads\":1", "\"threads\":0", {"\"threads\" is 0", "1 to"}},
        {"\"threads\":1", "\"threads\":1.5", {"\"threads\" is 1.5"}},
        {"\"h\":8", "\"h\":-8", {"\"small\"", "\"h\"", "-8"}},
        {"\"op\":\"pointwise\"", "\"op\":\"fft\"", {"\"op\"", "fft", "conv2d"}},
        {"\"q_tile\":", "\"q_tail\":", {"knobs.q_tail", "unknown", "q_tile"}},
        {"\"lanes\":8", "\"lanes\":0", {"\"lanes\" is 0", "pointwise: 1 to 64"}},
        {"\"lanes\":8", "\"lanes\":6", {"\"lanes\" is 6", "a power of two"}},
        {"\"q_tile\":6", "\"q_tile\":12", {"\"q_tile\" is 12", "vector registers", "16, as many as avx2 has"}},
        {"\"q_strip\":12", "\"q_strip\":13", {"\"q_strip\" is 13", "multiple of q_tile, which is 6"}},
        {"\"w\":8,\"c\"", "\"w\":0,\"c\"", {"\"w\""}},
        {"\"lanes\":8", "\"lanes\":99999999999999999999", {"knobs.lanes", "allowed"}},
        {"\"c_block\":0", "\"c_block\":65537", {"knobs.c_block", "65537", "65536"}},
        {"\"verdict\":\"ok\"", "\"verdict\":\"fine\"", {"\"verdict\"", "fine", "timed_out"}},
        {"\"verdict\":\"ok\"", "\"verdict\":\"wrong\"", {"\"samples_ms\"", "empty list"}},
        {"\"error\":\"\"", "\"error\":\"oh\"", {"\"error\"", "oh", "ok"}},
        {"[2.0,", "[-2.0,", {"\"samples_ms\"", "-2.0", "above 0"}},
        {"[2.0,", "[0,", {"\"samples_ms\"", "0", "above 0"}},
        {"[2.0,", "[1e999,", {"JSON"}},
        {"[2.0,", "[null,", {"\"samples_ms\"", "null"}},
        {"\"fma_gflops\":100.0", "\"fma_gflops\":0", {"\"fma_gflops\" is 0"}},
        {"\"fma_gflops\":100.0", "\"fma_gflops\":0.05", {"131.1 % of the FMA peak", "0.05 GFLOP/s", "up to 105 %", "slowed the probe down"}},
        {"\"cpu\":\"made-up CPU\"", "\"cpu\":\"\"", {"machine.cpu", "not empty"}},
        {"\"bytes\":32768", "\"bytes\":\"32K\"", {"machine.caches.bytes", "32K"}},
        {"\"seed\":7", "\"seed\":4294967296", {"\"seed\"", "4294967295"}},
        {"\"trial\":0", "\"trial\":-1", {"\"trial\" is -1"}},
        {"\"trial\":0", "\"trial\":0,\"trial\":1", {"\"trial\"", "twice"}},
        {"\"commit\"", "\"comet\"", {"comet", "unknown"}},
        {"\"halide\":", "\"halide\":[]}", {"not valid JSON"}},
    };
    for (const Damage &d : damages) {
        const std::string said = bad_input([&] { tuning_record_from_json(replaced(good, d.from, d.to), "some.jsonl:12"); });
        INFO(said);
        CHECK(said.find("some.jsonl:12: ") == 0);
        for (const std::string &part : d.said) CHECK_THAT(said, Contains(part));
    }
    // What was tried in vain may be anything.
    TuningRecord refused = failed(Verdict::refused, "more accumulators than registers");
    refused.schedule.q_tile = 99;
    CHECK(tuning_record_from_json(to_json_line(refused), "f:1").schedule.q_tile == 99);
    for (size_t length : {size_t(0), size_t(1), good.size() / 2, good.size() - 1})
        CHECK_THAT(bad_input([&] { tuning_record_from_json(good.substr(0, length), "f:3"); }), Contains("f:3: "));
    for (const char *text : {"null", "[]", "17", "\"x\"", "{}", "\xff"})
        CHECK_THAT(bad_input([&] { tuning_record_from_json(text, "f:3"); }), Contains("f:3: "));
}

TEST_CASE("damaged lines of a file are told with their number and cost themselves only", "[tuning]") {
    const TemporaryFolder folder;
    const std::string one = to_json_line(example(1)), two = to_json_line(example(2)), three = to_json_line(example(3));
    TuningRecord older = example(4);
    older.halide = "19.0.0";
    const std::string path = folder.write("t.jsonl", one + "\nnonsense\n" + replaced(two, "\"format\":1", "\"format\":9") + "\n" + to_json_line(older) +
                                                         "\n\n" + two + "\r\n" + three.substr(0, 200));
    const TuningDatabase database = read_tuning_records(path);
    CHECK(trials(database.records) == std::vector<int64_t>{1, 2});
    REQUIRE(database.complaints.size() == 5);
    const std::pair<int, const char *> expected[] = {{2, "JSON"}, {3, "\"format\" is 9"}, {4, "\"halide\" is \"19.0.0\""}, {5, "empty"}, {7, "JSON"}};
    for (size_t i = 0; i < 5; i++) {
        CHECK_THAT(database.complaints[i], Contains(fmt::format("t.jsonl:{}: ", expected[i].first)) && Contains(expected[i].second));
        CHECK(database.complaints[i].find('\n') == std::string::npos);
    }
    // A last line that lacks nothing but its newline is whole.
    CHECK(trials(read_tuning_records(folder.write("u.jsonl", one + "\n" + two)).records) == std::vector<int64_t>{1, 2});
    CHECK(read_tuning_records(folder.write("empty.jsonl", "")).records.empty());
    CHECK_THAT(bad_input([&] { read_tuning_records(folder.path("absent.jsonl")); }), Contains("absent.jsonl") && Contains("No such file"));
    const TuningDatabase long_line = read_tuning_records(folder.write("long.jsonl", std::string(2 << 20, ' ') + "\n" + one + "\n"));
    CHECK(trials(long_line.records) == std::vector<int64_t>{1});
    REQUIRE(long_line.complaints.size() == 1);
    CHECK_THAT(long_line.complaints[0], Contains("long.jsonl:1: ") && Contains("2097152 bytes"));
}

TEST_CASE("a log appends; a line that a killed writer left unfinished damages itself only", "[tuning]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("t.jsonl");
    TuningLog(path).append(example(1));
    const std::string first = bytes_of(path);
    CHECK(first == to_json_line(example(1)) + "\n");
    folder.write("t.jsonl", first + to_json_line(example(2)).substr(0, 99));
    {
        TuningLog log(path);
        CHECK(bytes_of(path).size() == first.size() + 99);  // looking changes nothing
        log.append(example(3));
        log.append(failed(Verdict::crashed, "killed by SIGSEGV"));
    }
    CHECK(bytes_of(path).compare(0, first.size(), first) == 0);
    const TuningDatabase database = read_tuning_records(path);
    CHECK(database.records.size() == 3);
    CHECK(trials(database.records) == std::vector<int64_t>{1, 3, 3});
    REQUIRE(database.complaints.size() == 1);
    CHECK_THAT(database.complaints[0], Contains("t.jsonl:2: "));
}

TEST_CASE("a log refuses a record that could not be read back, and writes nothing", "[tuning]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("t.jsonl");
    TuningLog log(path);
    TuningRecord bad = example();
    bad.samples_ms[1] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THAT(bad_input([&] { log.append(bad); }), Contains("t.jsonl") && Contains("samples_ms"));
    bad = example();
    bad.threads = 0;
    CHECK_THAT(bad_input([&] { log.append(bad); }), Contains("threads"));
    CHECK(bytes_of(path).empty());
}

TEST_CASE("one writer at a time; a file that is replaced meanwhile is not written into the void", "[tuning]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("t.jsonl");
    {
        TuningLog log(path);
        log.append(example(1));
        CHECK_THAT(bad_input([&] { TuningLog second(path); }), Contains("t.jsonl") && Contains("another process"));
        CHECK_THAT(bad_input([&] { write_tuning_file(path, [] { return std::vector<std::string>{"x"}; }); }), Contains("another process"));
        log.append(example(2));
    }
    CHECK(trials(read_tuning_records(path).records) == std::vector<int64_t>{1, 2});
    write_tuning_file(path, [&] {
        CHECK_THAT(bad_input([&] { TuningLog second(path); }), Contains("another process"));
        return canonical_lines({example(5)});
    });
    TuningLog(path).append(example(6));
    CHECK(trials(read_tuning_records(path).records) == std::vector<int64_t>{5, 6});
    write_tuning_file(folder.path("new.jsonl"), [] { return canonical_lines({example(9)}); });
    CHECK(trials(read_tuning_records(folder.path("new.jsonl")).records) == std::vector<int64_t>{9});
    CHECK(folder.files() == std::vector<std::string>{"new.jsonl", "t.jsonl"});
}

TEST_CASE("a full disk leaves every record that was there, and nothing of the one that was not", "[tuning]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("t.jsonl");
    TuningLog log(path);
    log.append(example(1));
    const std::string before = bytes_of(path);
    for (size_t room : {size_t(0), size_t(1), size_t(300)}) {
        const FullDisk full(before.size() + room);
        CHECK_THAT(bad_input([&] { log.append(example(2)); }), Contains("t.jsonl: cannot be written: ") && Contains("records before are kept"));
        CHECK_THAT(bad_input([&] { write_tuning_file(folder.path("m.jsonl"), [] { return canonical_lines({example(1), example(2)}); }); }),
                   Contains("m.jsonl: cannot be written: "));
    }
    CHECK(bytes_of(path) == before);
    CHECK(folder.files() == std::vector<std::string>{"t.jsonl"});
    log.append(example(2));
    CHECK(trials(read_tuning_records(path).records) == std::vector<int64_t>{1, 2});
    for (const char *place : {"/dev/full", "/dev/null"}) CHECK_THAT(bad_input([&] { TuningLog at(place); }), Contains(place) && Contains("regular file"));
    CHECK_THAT(bad_input([&] { TuningLog at(folder.path("absent/t.jsonl")); }), Contains("absent/t.jsonl: cannot be written"));
    CHECK_THAT(bad_input([&] { TuningLog at(folder.path(".")); }), Contains("cannot be written"));
}

TEST_CASE("a record speaks for exactly its problem and ISA", "[tuning]") {
    const TuningRecord r = example();
    ConvProblem p = small_problem();
    p.name = "another name";
    CHECK(is_for(r, p, Isa::avx2));
    CHECK_FALSE(is_for(r, p, Isa::avx512));
    for (int64_t ConvProblem::*member : {&ConvProblem::n, &ConvProblem::h, &ConvProblem::w, &ConvProblem::c, &ConvProblem::k}) {
        ConvProblem other = p;
        other.*member += 1;
        CHECK_FALSE(is_for(r, other, Isa::avx2));
    }
    ConvProblem other = p;
    other.out.bias = true;
    CHECK_FALSE(is_for(r, other, Isa::avx2));
    other = p;
    other.out.activation = Activation::relu;
    CHECK_FALSE(is_for(r, other, Isa::avx2));
}

TEST_CASE("the best record is the quickest relative to the peak beside it, of this machine before others", "[tuning]") {
    const MachineFingerprint here = made_up_machine("made-up CPU"), there = made_up_machine("another CPU"), nowhere = made_up_machine("third CPU");
    // Trial 1: 2 ms at 100 GFLOP/s. 2: 3 ms while the clock was half: better. 3, 4: as good as 2. 5: elsewhere, the best of all.
    std::vector<TuningRecord> records = {example(1, 2), example(2, 3), example(3, 3), example(4, 3), example(5, 1)};
    for (size_t i : {1, 2, 3}) records[i].fma_gflops = 50;
    records[4].machine = there;
    records.push_back(failed(Verdict::wrong, "differs"));
    records.push_back(example(6, 0.1));
    records.back().threads = 2;
    records.push_back(made_up_record(small_problem(), Isa::x64, 0.1, 7));
    ConvProblem p = small_problem();
    p.n = 2;
    records.push_back(made_up_record(p, Isa::avx2, 0.1, 8));

    const std::vector<std::string> lines = {to_json_line(records[1]), to_json_line(records[2]), to_json_line(records[3])};
    const std::string tie = *std::min_element(lines.begin(), lines.end());
    std::sort(records.begin(), records.end(), [](const TuningRecord &a, const TuningRecord &b) { return a.trial < b.trial; });
    for (int rotation = 0; rotation < int(records.size()); rotation++) {
        std::rotate(records.begin(), records.begin() + 1, records.end());
        if (rotation % 2) std::reverse(records.begin(), records.end());
        const auto best = [&](const MachineFingerprint &machine, int threads = 1, Isa isa = Isa::avx2) {
            bool elsewhere = true;
            const TuningRecord *r = best_record(records, small_problem(), isa, threads, machine, &elsewhere);
            REQUIRE(r);
            return std::make_pair(r, elsewhere);
        };
        CHECK(to_json_line(*best(here).first) == tie);
        CHECK_FALSE(best(here).second);
        CHECK(best(there).first->trial == 5);
        CHECK_FALSE(best(there).second);
        CHECK(best(nowhere).first->trial == 5);
        CHECK(best(nowhere).second);
        CHECK(best({}).first->trial == 5);
        CHECK(best(here, 2).first->trial == 6);
        CHECK(best(here, 1, Isa::x64).first->trial == 7);
        const std::vector<BestRecord> all = best_records(records, here);
        REQUIRE(all.size() == 4);
        CHECK(to_json_line(*all[1].record) == tie);  // after x64, before two threads, before n = 2
        CHECK(all[0].record->trial == 7);
        CHECK(all[2].record->trial == 6);
        CHECK(all[3].record->trial == 8);
    }
    bool elsewhere = true;
    CHECK(best_record(records, small_problem(), Isa::avx512, 1, here, &elsewhere) == nullptr);
    CHECK_FALSE(elsewhere);
    CHECK(best_record({failed(Verdict::wrong, "x")}, small_problem(), Isa::avx2, 1, here) == nullptr);

    // The same model with other caches or features is another machine.
    MachineFingerprint other = here;
    other.caches[1].bytes *= 2;
    CHECK(other.key() != here.key());
    other = here;
    other.features.push_back("avx512f");
    CHECK(other.key() != here.key());
    other = here;
    other.logical_cpus = 64;
    CHECK(other.key() == here.key());
}

TEST_CASE("merged lines do not depend on the order of records, and hold each once", "[tuning]") {
    std::vector<TuningRecord> records = {example(1), example(2), failed(Verdict::refused, "no"), example(1)};
    const std::vector<std::string> lines = canonical_lines(records);
    CHECK(lines.size() == 3);
    CHECK(std::is_sorted(lines.begin(), lines.end()));
    std::sort(records.begin(), records.end(), [](const TuningRecord &a, const TuningRecord &b) { return a.trial < b.trial; });
    const auto less = [](const TuningRecord &a, const TuningRecord &b) { return to_json_line(a) < to_json_line(b); };
    std::sort(records.begin(), records.end(), less);
    int orders = 0;
    do {
        CHECK(canonical_lines(records) == lines);
        orders++;
    } while (std::next_permutation(records.begin(), records.end(), less));
    CHECK(orders == 12);
}

TEST_CASE("a schedule that lost in turns is not the best, however quick it was alone", "[tuning]") {
    TuningRecord lucky = example(1, 1), incumbent = example(2, 2), challenger = example(2, 3), untested = example(3, 1.5);
    incumbent.schedule.q_strip *= 2;
    incumbent.proposed_by = by_incumbent;
    untested.schedule.q_strip *= 3;
    const MachineFingerprint here = lucky.machine;
    std::vector<TuningRecord> records = {lucky, untested, challenger, incumbent};
    for (size_t rotation = 0; rotation < records.size(); rotation++) {
        std::rotate(records.begin(), records.begin() + 1, records.end());
        const TuningRecord *best = best_record(records, small_problem(), Isa::avx2, 1, here);
        REQUIRE(best);
        CHECK(best->proposed_by == by_incumbent);
        const std::vector<TuningRecord> kept = keep_best(records, 5);
        REQUIRE(kept.size() == 1);
        CHECK(kept[0].proposed_by == by_incumbent);
    }
    // Everybody lost once: whoever won counts, the untested one does not.
    TuningRecord again = example(4, 4), beaten = example(4, 5);
    again.proposed_by = by_incumbent;
    beaten.schedule = incumbent.schedule;
    CHECK(best_record({lucky, untested, challenger, incumbent, again, beaten}, small_problem(), Isa::avx2, 1, here)->trial == 1);
    // But for the hand schedule, which needs no search: it was timed, and nobody beat it without losing to another.
    TuningRecord hand = example(5, 9);
    hand.schedule.q_strip *= 4;
    hand.proposed_by = by_heuristic;
    CHECK(best_record({lucky, untested, challenger, incumbent, again, beaten, hand}, small_problem(), Isa::avx2, 1, here)->trial == 5);
    CHECK(best_record({lucky, untested, hand}, small_problem(), Isa::avx2, 1, here)->trial == 5);
    CHECK(best_record({lucky, untested, challenger, incumbent, hand}, small_problem(), Isa::avx2, 1, here)->proposed_by == by_incumbent);
    // The same records from two machines decide nothing about each other.
    records = {lucky, untested, challenger, incumbent};
    records[3].machine = made_up_machine("another CPU");
    CHECK(best_record(records, small_problem(), Isa::avx2, 1, here)->trial == 1);
}

TEST_CASE("a time is disturbed when it is more than the FMA peak and its noise allow", "[tuning]") {
    const ConvProblem p = small_problem();
    const double ms_at_peak = p.flops() / 100e6;
    CHECK(why_disturbed(p, {}, ms_at_peak / 1.049, 100).empty());
    CHECK_THAT(why_disturbed(p, {}, ms_at_peak / 1.781, 100), Contains("178.1 % of the FMA peak") && Contains("100 GFLOP/s"));
    // So a clock that is half as fast for a while disturbs nothing.
    CHECK(why_disturbed(p, {}, 2 * ms_at_peak, 50).empty());
    // Multiply-adds that a kernel does not do take no time: by Winograd's algorithm, and on padding.
    ConvProblem conv;
    conv.h = conv.w = 16, conv.c = conv.k = 64, conv.r = conv.s = 3;
    const double conv_at_peak = conv.flops() / 100e6, inside = 46.0 * 46 / (48 * 48);
    CHECK(conv.flops_inside() == Approx(conv.flops() * inside));
    CHECK(why_disturbed(conv, {}, conv_at_peak * inside / 1.049, 100).empty());
    CHECK_THAT(why_disturbed(conv, {}, conv_at_peak * inside / 1.051, 100), Contains("up to 114.3 %"));
    Schedule tiles;
    tiles.winograd = 4;
    CHECK(why_disturbed(conv, tiles, conv_at_peak / 4.19, 100).empty());
    CHECK_THAT(why_disturbed(conv, tiles, conv_at_peak / 4.21, 100), Contains("421.0 % of the FMA peak") && Contains("up to 420 %"));
}

TEST_CASE("of each problem, ISA, thread count and machine the best are kept", "[tuning]") {
    std::vector<TuningRecord> records;
    for (int trial = 1; trial <= 5; trial++) records.push_back(example(trial, 10 - trial));
    records.push_back(example(5, 5));  // once more
    records.push_back(failed(Verdict::crashed, "x"));
    records.push_back(example(6, 100));
    records.back().machine = made_up_machine("another CPU");
    records.push_back(example(7, 100));
    records.back().threads = 2;
    std::vector<int64_t> kept = trials(keep_best(records, 2));
    std::sort(kept.begin(), kept.end());
    CHECK(kept == std::vector<int64_t>{4, 5, 6, 7});
    kept = trials(keep_best(records, 100));
    CHECK(kept.size() == 7);
    CHECK(keep_best({}, 3).empty());
}
