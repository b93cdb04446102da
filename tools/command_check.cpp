// sepal check: every variant against the reference.
#include "tools/checker.h"
#include "tools/command.h"
#include "tools/device_option.h"
#include "tools/edge_grid.h"
#include "tools/selection.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <limits>
#include <optional>
#include <thread>

namespace sepal {
namespace {

struct Options {
    std::string suite, problems, name = "*", variants = "*";
    int threads = std::max(1, int(std::thread::hardware_concurrency()));
    bool full = false;
    DeviceOption device;
    bool own_problems() const { return suite.empty() && problems.empty(); }
};

struct Counts {
    int passed = 0, failed = 0, skipped = 0;
    int64_t problems = 0, compared = 0;
};

// Large tensors are kept for the next variant, which mostly is specialised to the same problem.
Tensors &tensors_for(const ConvProblem &problem) {
    static std::optional<Tensors> kept;
    if (!kept || kept->problem.key() != problem.key()) {
        kept.reset();
        kept = make_exact_tensors(problem, check_seed);
    }
    return *kept;
}

// One line for each variant, one more for each of its failures.
void check(const Variant &variant, const ChosenDevice &device, const std::vector<ConvProblem> &problems, const std::string &why_skipped, const Options &o,
           Counts &counts) {
    if (!why_skipped.empty()) {
        counts.skipped++;
        fmt::print("skip  {}: {}\n", variant.name, why_skipped);
        return;
    }
    int64_t failures = 0, compared = 0;
    double error = 0, allowed = 0;
    for (const ConvProblem &p : problems) {
        const CheckResult result = check_variant(variant, device, tensors_for(p), o.full ? std::numeric_limits<double>::infinity() : 1e9);
        compared += result.compared;
        error = std::max(error, result.rel_error);
        allowed = std::max(allowed, variant.rel_error(p));
        if (result.passed) continue;
        failures++;
        fmt::print("FAIL  {} on {} ({}): {}\n      {}\n", variant.name, p.name, p.key(), result.message,
                   check_command(variant, p, o.threads, device.option));
    }
    counts.problems += int64_t(problems.size());
    counts.compared += compared;
    failures ? counts.failed++ : counts.passed++;
    fmt::print("{}  {}: {} of {} problems, {} outputs compared{}\n", failures ? "FAIL" : "pass", variant.name,
               int64_t(problems.size()) - failures, problems.size(), compared,
               allowed > 0 ? fmt::format(", relative error up to {:.2g}, expected up to {:.2g}", error, allowed) : "");
    std::fflush(stdout);
}

int check_all(const Options &o) {
    const ChosenDevice device = o.device.open();
    size_t others = 0;
    const std::vector<const Variant *> variants = variants_matching(Registry::builtin(), o.variants, device.processor(), others);
    std::vector<ConvProblem> given;
    if (!o.own_problems()) given = problems_matching(o.problems, o.suite, o.name).problems;
    set_num_threads(o.threads);

    Counts counts;
    bool any_problem = false, any_taken = false;
    for (const Variant *v : variants) {
        std::vector<ConvProblem> taken;
        std::string refusal;
        for (const ConvProblem &p : o.own_problems() ? problems_to_check(*v, o.full) : given) {
            if (!matches(o.name, p.name)) continue;
            any_problem = true;
            if (std::string why = v->refuses(p); why.empty())
                taken.push_back(p);
            else
                refusal = fmt::format("{} (problem {})", why, p.name);
        }
        std::string why_skipped = device.why_not_runnable(*v);
        any_taken = any_taken || !taken.empty();
        if (why_skipped.empty() && taken.empty()) why_skipped = refusal.empty() ? "takes none of the problems" : refusal;
        check(*v, device, taken, why_skipped, o, counts);
    }
    if (!any_problem) throw BadInput(fmt::format("--name \"{}\" matches none of the problems that the variants are checked on", o.name));
    fmt::print("{} variants: {} passed, {} failed, {} skipped; {} problems, {} outputs compared, {}\n", variants.size(), counts.passed, counts.failed,
               counts.skipped, counts.problems, counts.compared, device.gpu ? "on " + device.text() : fmt::format("{} threads", o.threads));
    if (others > 0) fmt::print("{} more variants run on other devices; --device says on which to check\n", others);
    if (!any_taken) throw BadInput("none of these variants takes any of these problems, for the reasons above");
    return counts.failed ? exit_check_failed : exit_ok;
}

}  // namespace

void add_check_command(CLI::App &app, int &exit_code) {
    auto options = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("check", "Compare every variant with the double-precision reference");
    auto *suite =
        command->add_option("--suite", options->suite, "Check on the problems of this suite (default: shapes around every tile edge)");
    auto *file = command->add_option("--problems", options->problems, "Check on the problems of this file");
    command->add_option("--name", options->name, "Only problems whose names match this pattern");
    command->add_option("--variants", options->variants, "Only variants whose names match this pattern");
    command->add_option("--threads", options->threads, "Threads that the kernels use")->check(CLI::Range(1, 1024))->capture_default_str();
    command->add_flag("--full", options->full, "Compare every output element and take every problem of a specialised variant's suite");
    options->device.add_to(*command);
    suite->excludes(file);
    command->callback([options, &exit_code] { exit_code = check_all(*options); });
}

}  // namespace sepal
