// sepal-fuzz [--executions N] [--seed N]: what users' files are read by, on mutated files: problem files, .npy arrays, tuning
// records. Each is read, or refused with one sentence; anything else, a crash, an exception of another kind or two lines, is a
// failure, which names the execution: the same seed makes the same files. A file that failed once is kept in tests/fuzz_seeds, which all runs begin
// with, and which are mutated beside the ones that are made here.
#include "tools/bad_input.h"
#include "tools/files.h"
#include "tools/npy.h"
#include "tools/problem_file.h"
#include "tools/tuning/database.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>

using namespace sepal;

namespace {

enum class Kind { problems, npy, records };
constexpr const char *kind_names[] = {"problems", "npy", "records"};

struct Seed {
    Kind kind;
    std::string bytes;
};

using Random = std::mt19937_64;

// Parts that parsers look for, and numbers that hurt.
constexpr const char *tokens[] = {"{", "}", "[", "]", "\"", ":", ",", "null", "true", "false", "-1", "0", "1e999", "-0", "2147483647", "2147483648", "9223372036854775807",
                                  "18446744073709551616", "1e-320", "NaN", "\\u0000", "\\ud800", "\xff\xfe", "\"op\"", "\"problems\"", "\"stride\": [1, 1, 1]", "\"pad\": \"same\"",
                                  "'descr': '<f4'", "'fortran_order': True", "(1, 2", "3,)", "\x93NUMPY", "\n", "\\n", "/*", "[[[[[[[[[[[[[[[[[["};

std::string mutated(const std::string &from, const std::string &other, Random &random) {
    std::string text = from;
    const auto at = [&](size_t size) { return size ? size_t(random() % size) : 0; };
    for (uint64_t changes = 1 + random() % 4; changes > 0; changes--)
        switch (random() % 8) {
        case 0:
            if (!text.empty()) text[at(text.size())] = char(random());
            break;
        case 1:
            if (!text.empty()) text[at(text.size())] ^= char(1 << (random() % 8));
            break;
        case 2: text.insert(at(text.size() + 1), tokens[random() % std::size(tokens)]); break;
        case 3: text.erase(at(text.size() + 1), random() % 16); break;
        case 4: text.resize(at(text.size() + 1)); break;
        case 5: {  // a number
            const size_t digit = text.find_first_of("0123456789", at(text.size()));
            if (digit != std::string::npos) text.replace(digit, text.find_first_not_of("0123456789.", digit) - digit, tokens[10 + random() % 10]);
            break;
        }
        case 6: {  // a part of it twice
            const size_t begin = at(text.size());
            text.insert(at(text.size() + 1), text.substr(begin, random() % 64));
            break;
        }
        default: text.replace(at(text.size() + 1), random() % 32, other.substr(at(other.size()), random() % 32));
        }
    return text;
}

bool one_sentence(const std::string &text) { return !text.empty() && text.find('\n') == std::string::npos; }

// What is wrong with how the bytes were taken, or empty; `taken`: they were read.
std::string read(const Seed &seed, const std::string &path, bool &taken) {
    try {
        switch (seed.kind) {
        case Kind::problems: {
            const ProblemSet set = parse_problem_set(seed.bytes, "fuzz.json");
            for (const ConvProblem &p : set.problems) {
                if (!p.validate().empty()) return "a problem that makes no sense was read: " + p.validate();
                if (p.p() < 1 || p.q() < 1 || p.flops() < 0) return "a problem without outputs was read: " + p.key();
                const ConvProblem back = parse_problem_set(fmt::format("{{\"problems\": [{}]}}", to_json(p)), "back.json").problems.at(0);
                if (back.key() != p.key() || back.name != p.name) return fmt::format("{} was written and read as {}", p.key(), back.key());
            }
            break;
        }
        case Kind::npy: {
            write_file(path, {seed.bytes});
            (void)read_npy(path, {2, 3, 4}, "the input", DType::f32);
            break;
        }
        case Kind::records: {
            const TuningDatabase database = parse_tuning_records(seed.bytes, "fuzz.jsonl");
            for (const std::string &complaint : database.complaints)
                if (!one_sentence(complaint)) return "a complaint is not one sentence: " + complaint;
            for (const TuningRecord &r : database.records)
                if (!r.problem.validate().empty()) return "a record of a problem that makes no sense was read";
            if (database.records.empty()) return "";
            break;
        }
        }
        taken = true;
    } catch (const BadInput &e) {
        if (!one_sentence(e.what())) return std::string("what it says is not one sentence: ") + e.what();
    } catch (const std::exception &e) {
        return std::string("an exception that is no bad input: ") + e.what();
    }
    return "";
}

std::vector<Seed> made_seeds() {
    std::vector<Seed> seeds;
    for (const std::string &suite : suite_names()) {
        std::string text;
        const ProblemSet set = load_suite(suite);
        for (size_t i = 0; i < set.problems.size() && i < 3; i++) text += (i ? ", " : "") + to_json(set.problems[i]);
        seeds.push_back({Kind::problems, "{\"problems\": [" + text + "]}"});
    }
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }";
    header.resize(117, ' ');
    header += '\n';
    std::string npy("\x93NUMPY\x01\x00\x76\x00", 10);
    npy += header + std::string(2 * 3 * 4 * 4, '\0');
    seeds.push_back({Kind::npy, npy});
    return seeds;
}

}  // namespace

int main(int argc, char **argv) try {
    CLI::App app{"Readers of users' files on mutated files"};
    int64_t executions = 100000;
    uint64_t seed = 1;
    std::string folder, records;
    app.add_option("--executions", executions, "How many files")->capture_default_str();
    app.add_option("--seed", seed)->capture_default_str();
    app.add_option("--seeds", folder, "The folder of files to begin with: KIND.*, of kind problems, npy or records")->required();
    app.add_option("--records", records, "A file of tuning records to begin with")->required();
    CLI11_PARSE(app, argc, argv);

    std::vector<Seed> seeds = made_seeds();
    const std::string lines = read_file(records);
    for (size_t begin = 0, count = 0; begin < lines.size() && count < 20; count++) {
        const size_t end = std::min(lines.find('\n', begin), lines.size() - 1) + 1;
        seeds.push_back({Kind::records, lines.substr(begin, end - begin)});
        begin = end;
    }
    for (const auto &entry : std::filesystem::directory_iterator(folder))
        for (Kind kind : {Kind::problems, Kind::npy, Kind::records})
            if (entry.path().filename().string().rfind(kind_names[int(kind)], 0) == 0) seeds.push_back({kind, read_file(entry.path().string())});

    const ScratchFolder scratch("sepal-fuzz", "no temporary folder can be made");
    const std::string path = scratch.path() + "/fuzz.npy";
    int64_t failures = 0, taken_of[3] = {}, of[3] = {};
    Random random(seed);
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < executions; i++) {
        Seed tried = size_t(i) < seeds.size() ? seeds[size_t(i)] : seeds[random() % seeds.size()];
        if (size_t(i) >= seeds.size()) tried.bytes = mutated(tried.bytes, seeds[random() % seeds.size()].bytes, random);
        bool taken = false;
        const std::string wrong = read(tried, path, taken);
        of[int(tried.kind)]++;
        taken_of[int(tried.kind)] += taken;
        if (wrong.empty()) continue;
        const std::string kept = fmt::format("{}.{}.{}", kind_names[int(tried.kind)], seed, i);
        write_file(kept, {tried.bytes});
        fmt::print("FAILED: execution {} of seed {}, kept as {}: {}\n", i, seed, kept, wrong);
        if (++failures == 10) break;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (Kind kind : {Kind::problems, Kind::npy, Kind::records})
        fmt::print("{}: {} files, {} of them read\n", kind_names[int(kind)], of[int(kind)], taken_of[int(kind)]);
    fmt::print("{} executions in {:.1f} s, {} failed\n", executions, seconds, failures);
    return failures ? 1 : 0;
} catch (const std::exception &e) {
    fmt::print(stderr, "sepal-fuzz: {}\n", e.what());
    return 2;
}
