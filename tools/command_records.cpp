// sepal records: shows, merges, verifies and thins out files of TuningRecords.
#include "bench/progress.h"
#include "tools/command.h"
#include "tools/selection.h"
#include "tools/tuning/best.h"
#include "tools/tuning/database.h"
#include "tools/tuning/knob_source.h"
#include "tools/tuning/verify.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <filesystem>
#include <memory>

namespace sepal {
namespace {

using json = nlohmann::ordered_json;

struct Options {
    std::vector<std::string> files;
    std::string name = "*", output;
    bool as_json = false;
    int keep = 3;
    double seconds = 1.5;
};

// The records of all files whose problems' names match; damaged lines are told. Throws BadInput when there is none.
std::vector<TuningRecord> read_records(const Options &o) {
    TuningDatabase database = read_tuning_files(o.files);
    print_warnings(database.complaints);
    std::vector<TuningRecord> &records = database.records;
    if (records.empty()) throw BadInput(fmt::format("{}: holds no record that can be read", fmt::join(o.files, ", ")));
    records.erase(std::remove_if(records.begin(), records.end(), [&](const TuningRecord &r) { return !matches(o.name, r.problem.name); }),
                  records.end());
    if (records.empty()) throw BadInput(fmt::format("--name \"{}\" matches the problem of no record", o.name));
    return std::move(database.records);
}

// The name, or what the problem is when it has none.
std::string problem_text(const TuningRecord &r) { return r.problem.name.empty() ? r.problem.key() : r.problem.name; }

std::string machine_text(const TuningRecord &r, const std::string &this_machine) {
    return r.machine.key() == this_machine ? "this one" : r.machine.cpu;
}

size_t problem_width(const std::vector<std::string> &names) {
    size_t width = 7;
    for (const std::string &text : names) width = std::max(width, text.size());
    return width;
}

std::string times(const TuningRecord &r) {
    return r.verdict == Verdict::ok ? fmt::format("{:>11.4g} {:>6.1f}", r.median_ms(), r.pct_fma_peak()) : fmt::format("{:>11} {:>6}", "-", "-");
}

void print_legend() { fmt::print("% FMA: of the FMA peak of the ISA, probed between the samples, with as many threads; knobs by their tokens\n"); }

void list(const Options &o) {
    const std::vector<TuningRecord> records = read_records(o);
    const std::string here = fingerprint(detect_machine()).key();
    std::vector<std::string> names;
    for (const TuningRecord &r : records) names.push_back(problem_text(r));
    const size_t width = problem_width(names);
    print_legend();
    fmt::print("{:<{}}  {:<6} {:>7} {:>6} {:>11} {:>6}  {:<9}  {:<40}  {}\n", "problem", width, "isa", "threads", "trial", "median ms", "% FMA", "verdict",
               "knobs", "machine");
    for (size_t i = 0; i < records.size(); i++) {
        const TuningRecord &r = records[i];
        fmt::print("{:<{}}  {:<6} {:>7} {:>6} {}  {:<9}  {:<40}  {}{}\n", names[i], width, name(r.isa), r.threads, r.trial, times(r), name(r.verdict),
                   knobs_text(r.schedule), machine_text(r, here), r.error.empty() ? "" : ": " + r.error);
    }
    fmt::print("{} records\n", records.size());
}

json best_json(const BestRecord &best) {
    const TuningRecord &r = *best.record;
    return {{"problem", r.problem.name}, {"key", r.problem.key()}, {"isa", name(r.isa)}, {"threads", r.threads},
            {"knobs", knobs_text(r.schedule)}, {"median_ms", r.median_ms()}, {"pct_fma_peak", r.pct_fma_peak()},
            {"from_elsewhere", best.from_elsewhere}, {"machine", r.machine.cpu}, {"record", json::parse(to_json_line(r))}};
}

void best(const Options &o) {
    const std::vector<TuningRecord> records = read_records(o);
    const std::vector<BestRecord> all = best_records(records, fingerprint(detect_machine()));
    if (o.as_json) {
        json rows = json::array();
        for (const BestRecord &b : all) rows.push_back(best_json(b));
        fmt::print("{}\n", json{{"best", rows}}.dump(2));
        return;
    }
    std::vector<std::string> names;
    for (const BestRecord &b : all) names.push_back(problem_text(*b.record));
    const size_t width = problem_width(names);
    print_legend();
    fmt::print("{:<{}}  {:<6} {:>7} {:>6} {:>11} {:>6}  {:<40}  {}\n", "problem", width, "isa", "threads", "trial", "median ms", "% FMA", "knobs",
               "machine");
    for (size_t i = 0; i < all.size(); i++) {
        const TuningRecord &r = *all[i].record;
        fmt::print("{:<{}}  {:<6} {:>7} {:>6} {}  {:<40}  {}\n", names[i], width, name(r.isa), r.threads, r.trial, times(r), knobs_text(r.schedule),
                   all[i].from_elsewhere ? "another: " + r.machine.cpu : "this one");
    }
    if (all.empty()) fmt::print("none of the {} records is ok\n", records.size());
}

void merge(const Options &o) {
    write_tuning_file(o.output, [&] {
        const TuningDatabase database = read_tuning_files(o.files);
        print_warnings(database.complaints);
        for (const std::string &file : o.files) {
            std::error_code ignored;
            if (!database.complaints.empty() && std::filesystem::equivalent(file, o.output, ignored))
                throw BadInput(fmt::format("-o {}: is one of the files that are merged, and lines that cannot be read would be lost from it; give "
                                           "another file", o.output));
        }
        const std::vector<std::string> lines = canonical_lines(database.records);
        fmt::print("{}: {} records of {} files, {} of them twice or more often, {} lines skipped\n", o.output, lines.size(), o.files.size(),
                   database.records.size() - lines.size(), database.complaints.size());
        return lines;
    });
}

void prune(const Options &o) {
    // What is read is locked until it is replaced: see write_tuning_file().
    const auto thin_out = [&](const std::vector<std::string> &files, const std::string &output) {
        write_tuning_file(output, [&] {
            const TuningDatabase database = read_tuning_files(files);
            print_warnings(database.complaints);
            const std::vector<std::string> lines = canonical_lines(keep_best(database.records, o.keep));
            fmt::print("{}: {} of {} records kept, {} lines dropped that cannot be read\n", output, lines.size(), database.records.size(),
                       database.complaints.size());
            return lines;
        });
    };
    if (!o.output.empty()) return thin_out(o.files, o.output);
    for (const std::string &file : o.files) {
        if (!std::filesystem::exists(file)) throw BadInput(fmt::format("{}: cannot be read: there is no such file", file));
        thin_out({file}, file);
    }
}

int verify(const Options &o) {
    if (!(o.seconds > 0 && o.seconds <= 3600)) throw BadInput(fmt::format("--seconds is {}; allowed: more than 0, up to 3600", o.seconds));
    const std::vector<TuningRecord> records = read_records(o);
    const std::vector<BestRecord> all = best_records(records, fingerprint(detect_machine()));
    if (all.empty()) throw BadInput(fmt::format("none of the {} records is ok, so there is nothing to verify", records.size()));
    std::vector<std::string> names;
    for (const BestRecord &b : all) names.push_back(problem_text(*b.record));
    const size_t width = problem_width(names);
    fmt::print("% FMA: of the FMA peak of the ISA with as many threads, probed between the samples; gain: by how much the heuristic's knobs take\n"
               "longer, measured now, interleaved; a record holds unless it is slower than it states or than the heuristic by more than the margin\n"
               "{:<{}}  {:<6} {:>7} {:>12} {:>9} {:>8} {:>8}  {}\n", "problem", width, "isa", "threads", "% FMA stated", "% FMA now", "gain", "margin",
               "verdict");
    int held = 0, broken = 0, skipped = 0;
    Progress progress(0);
    for (size_t i = 0; i < all.size(); i++) {
        std::fflush(stdout);
        const Verification v = verify_record(all[i], o.seconds, [&](const std::string &what) { progress.show(names[i] + ": " + what, 0); });
        progress.clear();
        (!v.skipped.empty() ? skipped : v.broken.empty() ? held : broken)++;
        const auto number = [&](double value, const char *unit) { return v.now_pct > 0 ? fmt::format("{:.1f}{}", value, unit) : std::string("-"); };
        const TuningRecord &r = *all[i].record;
        fmt::print("{:<{}}  {:<6} {:>7} {:>12.1f} {:>9} {:>8} {:>8}  {}{}\n", names[i], width, name(r.isa), r.threads, v.stated_pct, number(v.now_pct, ""),
                   v.gain_pct ? number(*v.gain_pct, " %") : "-", number(v.margin_pct, " %"),
                   !v.skipped.empty() ? "skipped: " + v.skipped : v.broken.empty() ? "holds" : "NO LONGER HOLDS: " + v.broken,
                   v.best.from_elsewhere ? fmt::format(" (record of another machine, {})", r.machine.cpu) : "");
    }
    fmt::print("{} hold, {} no longer, {} skipped\n", held, broken, skipped);
    if (held + broken == 0) throw BadInput(fmt::format("none of the {} best records can be rerun here, for the reasons above", all.size()));
    return broken ? exit_check_failed : exit_ok;
}

}  // namespace

void add_records_command(CLI::App &app, int &exit_code) {
    CLI::App *command = app.add_subcommand("records", "Show, merge, verify and thin out files of tuning records");
    command->require_subcommand(1);
    const auto add = [&](const char *verb, const char *description, const std::function<int(const Options &)> &action) {
        auto o = std::make_shared<Options>();
        CLI::App *sub = command->add_subcommand(verb, description);
        sub->add_option("files", o->files, "Files of records (JSON lines)")->required();
        sub->callback([o, action, &exit_code] { exit_code = action(*o); });
        return std::make_pair(sub, o);
    };
    const auto done = [](void (*action)(const Options &)) {
        return [action](const Options &o) {
            action(o);
            return exit_ok;
        };
    };
    const char *name_help = "Only records of problems whose names match this pattern";
    const auto [list_command, list_options] = add("list", "All records", done(list));
    list_command->add_option("--name", list_options->name, name_help);
    const auto [best_command, best_options] = add("best", "The best record of each problem, ISA and thread count", done(best));
    best_command->add_option("--name", best_options->name, name_help);
    best_command->add_flag("--json", best_options->as_json, "Print JSON");
    const auto [merge_command, merge_options] = add("merge", "One file of all records, sorted, each once", done(merge));
    merge_command->add_option("-o,--output", merge_options->output, "The file to write")->required();
    const auto [verify_command, verify_options] = add("verify", "Rerun the best record of each problem, ISA and thread count on this machine", verify);
    verify_command->add_option("--name", verify_options->name, name_help);
    verify_command->add_option("--seconds", verify_options->seconds, "Time to spend on each kernel")->capture_default_str();
    const auto [prune_command, prune_options] =
        add("prune", "Keep the best records of each problem, ISA, thread count and machine only", done(prune));
    prune_command->add_option("-o,--output", prune_options->output, "The file to write; default: each file is replaced");
    prune_command->add_option("--keep", prune_options->keep, "Records to keep of each")->check(CLI::Range(1, 1000000))->capture_default_str();
}

}  // namespace sepal
