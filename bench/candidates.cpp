#include "candidates.h"

#include <algorithm>
#include <iterator>

namespace sepal {
namespace {

bool is_hand(const Variant &v) { return v.is_hand_scheduled(); }
bool is_specialised(const Variant &v) { return v.suite[0] != '\0'; }

}  // namespace

const Variant *specialised_hand(const ConvProblem &problem, const Registry &registry, const Processor &processor, int threads) {
    return registry.select(problem, processor, threads, [](const Variant &v) { return is_hand(v) && is_specialised(v); });
}

const Variant *first_hand(const ConvProblem &problem, const Registry &registry, const Processor &processor, int threads) {
    return registry.select(problem, processor, threads, is_hand);
}

std::vector<const Variant *> choose_variants(const ConvProblem &problem, const Registry &registry, const Processor &processor, int threads,
                                             const std::function<bool(const std::string &name)> &wanted) {
    std::vector<const Variant *> chosen, taking;
    for (const Variant &v : registry)
        if (backend(v.isa) == processor.backend() && v.refuses(problem).empty()) taking.push_back(&v);
    if (wanted) {
        std::copy_if(taking.begin(), taking.end(), std::back_inserter(chosen), [&](const Variant *v) { return wanted(v->name); });
        return chosen;
    }
    Isa best = processor.backend() == Backend::cpu ? Isa::x64 : processor.best;
    for (const Variant *v : taking)
        if (!v->is_reference() && v->is_for(threads) && processor.runs(v->isa) && int(v->isa) > int(best)) best = v->isa;
    const Variant *any_shape =
        registry.select(problem, processor, threads, [&](const Variant &v) { return is_hand(v) && !is_specialised(v) && v.isa == best; });
    for (const Variant *v : taking) {
        if (v->is_reference() || v->isa != best || !v->is_for(threads)) continue;
        // Autoscheduled kernels were scheduled for one image; on more they only take longer.
        if (!is_hand(*v) && problem.n > 1) continue;
        if (!is_hand(*v) || is_specialised(*v) || v == any_shape) chosen.push_back(v);
    }
    // Of a type that has no such schedule.
    if (const Variant *reference = chosen.empty() ? registry.select(problem, processor, threads) : nullptr) chosen.push_back(reference);
    return chosen;
}

}  // namespace sepal
