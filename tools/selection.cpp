#include "tools/selection.h"

#include <fmt/format.h>

#include <fnmatch.h>

#include <algorithm>

namespace sepal {

bool matches(const std::string &glob, const std::string &text) { return fnmatch(glob.c_str(), text.c_str(), 0) == 0; }

bool names_a_variant(const Registry &registry, const std::string &glob) {
    return std::any_of(registry.begin(), registry.end(), [&](const Variant &v) { return matches(glob, v.name); });
}

std::vector<const Variant *> variants_matching(const Registry &registry, const std::string &glob) {
    std::vector<const Variant *> out;
    for (const Variant &v : registry)
        if (matches(glob, v.name)) out.push_back(&v);
    if (out.empty())
        throw BadInput(fmt::format("--variants \"{}\" matches none of the {} variants; `sepal list` names them", glob, registry.size()));
    return out;
}

std::vector<const Variant *> variants_matching(const Registry &registry, const std::string &glob, const Processor &processor, size_t &others) {
    std::vector<const Variant *> out;
    const std::vector<const Variant *> all = variants_matching(registry, glob);
    for (const Variant *v : all)
        if (backend(v->isa) == processor.backend()) out.push_back(v);
    others = all.size() - out.size();
    if (out.empty())
        throw BadInput(fmt::format("--variants \"{}\" matches variants for another device only: {} {}", glob, all.front()->name, why_not_runnable(*all.front(), processor)));
    return out;
}

ProblemSet problems_matching(const std::string &file, const std::string &suite, const std::string &glob) {
    const ProblemSet all = file.empty() ? load_suite(suite) : load_problem_file(file);
    ProblemSet some = all;
    some.problems.clear();
    some.published.clear();
    some.occurs.clear();
    std::string names;
    for (size_t i = 0; i < all.problems.size(); i++) {
        names += (names.empty() ? "" : ", ") + all.problems[i].name;
        if (!matches(glob, all.problems[i].name)) continue;
        some.problems.push_back(all.problems[i]);
        some.published.push_back(all.published[i]);
        some.occurs.push_back(all.occurs[i]);
    }
    if (names.size() > 400) names = names.substr(0, 400) + "...";
    if (some.problems.empty())
        throw BadInput(
            fmt::format("{}: --name \"{}\" matches no problem; allowed: {}", file.empty() ? "suite " + suite : file, glob, names));
    return some;
}

std::string why_none(const ConvProblem &problem, const Registry &registry, const Processor &processor) {
    const auto has = [&](const auto &wanted) {
        return std::any_of(registry.begin(), registry.end(), [&](const Variant &v) { return processor.runs(v.isa) && wanted(v); });
    };
    const std::string_view of = processor.backend() == Backend::cpu ? "CPU" : name(processor.backend());
    if (!has([&](const Variant &v) { return v.dtype == problem.dtype; })) return fmt::format("no {} kernel takes {}", of, name(problem.dtype));
    if (!has([&](const Variant &v) { return v.layout == problem.layout; })) return fmt::format("no {} kernel takes {}", of, name(problem.layout));
    if (problem.residual && !has([](const Variant &v) { return v.residual; })) return fmt::format("no {} kernel adds a residual", of);
    return "no variant takes it";
}

std::string why_not_runnable(const Variant &variant, const Processor &processor) {
    if (const Backend its = backend(variant.isa); its != processor.backend()) return fmt::format("runs on --device {}, not on {}", name(its), name(processor.backend()));
    if (!variant.kernel) return fmt::format("not built: {}", variant.error);
    if (!processor.runs(variant.isa)) return fmt::format("needs {}, this CPU runs up to {}", name(variant.isa), name(processor.best));
    return {};
}

std::string shell_quote(const std::string &text) {
    std::string out = "'";
    for (char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
    return out + "'";
}

std::string check_command(const Variant &variant, const ConvProblem &problem, int threads, const std::string &device) {
    const std::string on = is_gpu(variant.isa) ? fmt::format(" --device {}", device.empty() ? name(backend(variant.isa)) : device) : "";
    return fmt::format("sepal check{} --variants {} --threads {} --problems <(echo {})", on, variant.name, threads,
                       shell_quote("{\"problems\": [" + to_json(problem) + "]}"));
}

}  // namespace sepal
