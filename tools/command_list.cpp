// sepal list: the table of variants, the suites, and which variant a problem would get.
#include "tools/command.h"
#include "tools/device_option.h"
#include "tools/selection.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace sepal {
namespace {

using json = nlohmann::ordered_json;

struct Options {
    bool suites = false, as_json = false;
    std::string variants = "*", problems, suite, name = "*";
    int threads = 1;
    DeviceOption device;
};

std::string tuned_for(const Variant &v) { return fmt::format("tuned for {} thread{}", v.tuned_threads, v.tuned_threads == 1 ? "" : "s"); }

std::string conditions(const Variant &v) {
    std::string out;
    for (int i = 0; i < v.when_count; i++) out += (i ? ", " : "") + v.when[i].text();
    return (out.empty() ? "any" : out) + (v.tuned_threads ? "; " + tuned_for(v) : "");
}

json variant_json(const Variant &v, const ChosenDevice &device) {
    json when = json::array();
    for (int i = 0; i < v.when_count; i++) when.push_back(v.when[i].text());
    const std::string why_not = device.why_not_runnable(v);
    return {{"name", v.name},
            {"op", name(v.op)},
            {"dtype", name(v.dtype)},
            {"layout", name(v.layout)},
            {"isa", name(v.isa)},
            {"scheduler", v.scheduler},
            {"suite", v.suite},
            {"tuned_threads", v.tuned_threads},
            {"filter_layout", v.filter_layout.text()},
            {"when", when},
            {"built", v.kernel != nullptr},
            {"error", v.error},
            {"runnable", why_not.empty()},
            {"why_not", why_not},
            {"code_bytes", v.code_bytes}};
}

void print_variants(const std::vector<const Variant *> &variants, const ChosenDevice &device) {
    size_t width = 8;
    for (const Variant *v : variants) width = std::max(width, std::string_view(v->name).size());
    constexpr const char *columns = "{:<{}}  {:<6}  {:>8}  {:<8}  {:<18}  {}\n";
    fmt::print(columns, "variant", width, "isa", "size", "runnable", "reads filters as", "takes");
    for (const Variant *v : variants) {
        const std::string why_not = device.why_not_runnable(*v);
        fmt::print(columns, v->name, width, name(v->isa),
                   v->kernel ? fmt::format("{:.1f} KiB", double(v->code_bytes) / 1024) : "-", why_not.empty() ? "yes" : "no",
                   v->filter_layout.text(), conditions(*v) + (why_not.empty() ? "" : "; " + why_not));
    }
    fmt::print("{} variants, in order of preference; those that run on {} are runnable\n", variants.size(), device.text());
}

void print_suites(bool as_json) {
    json all = json::array();
    for (const std::string &suite : suite_names()) {
        const ProblemSet set = load_suite(suite);
        json problems = json::array();
        if (!as_json) fmt::print("{}: {}\n  {}\n", suite, set.title, set.description);
        for (const ConvProblem &p : set.problems) {
            if (!as_json) fmt::print("    {:<14} {}  {:.3g} GFLOP\n", p.name, p.key(), p.flops() / 1e9);
            problems.push_back({{"name", p.name}, {"key", p.key()}, {"flops", p.flops()}});
        }
        all.push_back({{"suite", suite}, {"title", set.title}, {"description", set.description}, {"problems", problems}});
    }
    if (as_json) fmt::print("{}\n", json{{"suites", all}}.dump(2));
}

// For each problem the variant that it gets, and of the others of its operator why not.
void print_choices(const Options &o, const std::vector<const Variant *> &variants, const ChosenDevice &device) {
    json all = json::array();
    for (const ConvProblem &p : problems_matching(o.problems, o.suite, o.name).problems) {
        const Variant *chosen = Registry::builtin().select(p, device.processor(), o.threads);
        json takers = json::array(), refusers = json::array();
        if (!o.as_json) fmt::print("{}: {}\n  chosen   {}\n", p.name, p.key(), chosen ? chosen->name : "none: " + why_none(p, Registry::builtin(), device.processor()));
        for (const Variant *v : variants) {
            if (v->op != p.op || v == chosen) continue;
            std::string why = v->refuses(p);
            if (why.empty()) why = device.why_not_runnable(*v);
            if (why.empty() && !v->is_for(o.threads)) why = tuned_for(*v);
            if (why.empty())
                takers.push_back(v->name);
            else
                refusers.push_back({{"variant", v->name}, {"why", why}});
            if (!o.as_json) fmt::print("  {:<8} {}{}\n", why.empty() ? "takes it" : "no", v->name, why.empty() ? "" : ": " + why);
        }
        all.push_back(
            {{"problem", p.name}, {"key", p.key()}, {"chosen", chosen ? json(chosen->name) : json()}, {"also", takers}, {"not", refusers}});
    }
    if (o.as_json) fmt::print("{}\n", json{{"device", device.option}, {"isa", name(device.processor().best)}, {"threads", o.threads}, {"problems", all}}.dump(2));
}

void list(const Options &o) {
    const ChosenDevice device = o.device.open();
    if (o.suites) return print_suites(o.as_json);
    const std::vector<const Variant *> variants = variants_matching(Registry::builtin(), o.variants);
    if (!o.problems.empty() || !o.suite.empty()) return print_choices(o, variants, device);
    if (!o.as_json) return print_variants(variants, device);
    json all = json::array();
    for (const Variant *v : variants) all.push_back(variant_json(*v, device));
    fmt::print("{}\n", json{{"device", device.option}, {"isa", name(device.processor().best)}, {"variants", all}}.dump(2));
}

}  // namespace

void add_list_command(CLI::App &app, int &exit_code) {
    auto options = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("list", "The variants that are compiled in, the suites, and which variant a problem gets");
    auto *suites = command->add_flag("--suites", options->suites, "List the suites and their problems instead");
    command->add_option("--variants", options->variants, "Only variants whose names match this pattern");
    auto *file = command->add_option("--problems", options->problems, "Show which variants take the problems of this file");
    auto *suite = command->add_option("--suite", options->suite, "Show which variants take the problems of this suite");
    command->add_option("--name", options->name, "Only problems whose names match this pattern");
    command->add_option("--threads", options->threads, "Show which variants take them on so many threads")->check(CLI::Range(1, 1024))->capture_default_str();
    options->device.add_to(*command);
    command->add_flag("--json", options->as_json, "Print JSON");
    file->excludes(suite)->excludes(suites);
    suite->excludes(suites);
    command->callback([options, &exit_code] {
        list(*options);
        exit_code = exit_ok;
    });
}

}  // namespace sepal
