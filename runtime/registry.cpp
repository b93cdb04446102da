#include "registry.h"

#include "gpu/tensor_core_views.h"
#include "scratch.h"
#include "winograd.h"

#include <fmt/format.h>

#include <algorithm>

namespace sepal {
namespace {

struct FieldName {
    std::string_view name, token;
};

constexpr FieldName fields[field_count] = {
    {"n", "n"}, {"h", "h"}, {"w", "w"}, {"c", "c"}, {"k", "k"}, {"r", "r"}, {"s", "s"}, {"stride_h", "sh"},
    {"stride_w", "sw"}, {"dilation_h", "dh"}, {"dilation_w", "dw"}, {"pad_top", "pt"}, {"pad_left", "pl"},
    {"pad_bottom", "pb"}, {"pad_right", "pr"}, {"groups", "g"}, {"multiplier", "m"}, {"mid_activation", "ma"},
    {"activation", "a"}, {"residual", "res"}, {"pixels", "px"}};

}  // namespace

std::string_view name(Field field) { return fields[int(field)].name; }
std::string_view token(Field field) { return fields[int(field)].token; }

std::optional<Field> field_from_name(std::string_view text) {
    for (int i = 0; i < field_count; i++)
        if (fields[i].name == text) return Field(i);
    return std::nullopt;
}

int64_t value(const ConvProblem &p, Field field) {
    switch (field) {
    case Field::n: return p.n;
    case Field::h: return p.h;
    case Field::w: return p.w;
    case Field::c: return p.c;
    case Field::k: return p.out_channels();
    case Field::r: return p.r;
    case Field::s: return p.s;
    case Field::stride_h: return p.stride_h;
    case Field::stride_w: return p.stride_w;
    case Field::dilation_h: return p.dilation_h;
    case Field::dilation_w: return p.dilation_w;
    case Field::pad_top: return p.pad().top;
    case Field::pad_left: return p.pad().left;
    case Field::pad_bottom: return p.pad().bottom;
    case Field::pad_right: return p.pad().right;
    case Field::groups: return p.groups;
    case Field::multiplier: return p.multiplier;
    case Field::mid_activation: return int64_t(p.mid.activation);
    case Field::activation: return int64_t(p.out.activation);
    case Field::residual: return p.residual;
    case Field::pixels: return p.pixels();
    }
    return 0;
}

bool Condition::holds(const ConvProblem &problem) const {
    const int64_t v = sepal::value(problem, field);
    switch (relation) {
    case Relation::equal: return v == value;
    case Relation::at_least: return v >= value;
    case Relation::multiple_of: return v % value == 0;
    case Relation::at_most: return v <= value;
    }
    return false;
}

std::string Condition::text() const {
    const char *const relations[] = {"=", ">=", "in multiples of", "<="};
    return fmt::format("{} {} {}", sepal::name(field), relations[int(relation)], value);
}

std::string Variant::refuses(const ConvProblem &problem) const {
    if (problem.op != op) return fmt::format("is a {} kernel, the problem is {}", sepal::name(op), sepal::name(problem.op));
    if (problem.dtype != dtype) return fmt::format("takes {}, the problem is {}", sepal::name(dtype), sepal::name(problem.dtype));
    if (problem.layout != layout) return fmt::format("takes {}, the problem is {}", sepal::name(layout), sepal::name(problem.layout));
    if (problem.residual && !residual) return "adds no residual, the problem has one";
    if (residual && !problem.residual) return "adds a residual, the problem has none";
    for (int i = 0; i < when_count; i++)
        if (!when[i].holds(problem))
            return fmt::format("needs {}, the problem has {}", when[i].text(), sepal::value(problem, when[i].field));
    if (is_winograd() && !winograd_takes(problem))
        return fmt::format("is by Winograd's algorithm, which needs a 3 x 3 filter with stride, dilation and groups of 1, the problem is {}", problem.key());
    if (rel_error(problem) > problem.max_rel_error)
        return fmt::format("has a relative error of {:.2g} on {} channels, the problem allows {:.2g}", rel_error(problem), problem.c, problem.max_rel_error);
    if (is_hand_scheduled() && !is_gpu(isa))
        if (const std::string why = why_too_much_scratch(problem); !why.empty()) return "cannot take the problem, which " + why;
    return {};
}

double Variant::rel_error(const ConvProblem &problem) const {
    if (is_winograd()) return winograd_rel_error(filter_layout.tile, problem.c);
    const auto halves = [](const KnobValue &k) { return std::string_view(k.knob) == half_sums_token && k.value > 1; };
    return std::any_of(knobs.begin(), knobs.end(), halves) ? half_sums_rel_error(problem) : 0;
}

bool Variant::takes_strides() const {
    if (is_gpu(isa) || !(is_hand_scheduled() || is_reference())) return false;
    for (int i = 0; i < when_count; i++) {
        const Field f = when[i].field;
        if (when[i].relation == Condition::Relation::equal && (f == Field::h || f == Field::w || f == Field::c || f == Field::k)) return false;
    }
    return true;
}

const Variant *Registry::find(std::string_view name) const {
    for (const Variant &v : *this)
        if (name == v.name) return &v;
    return nullptr;
}

const Variant *Registry::select(const ConvProblem &problem, const Processor &processor, int threads, const std::function<bool(const Variant &)> &wanted) const {
    for (const Variant &v : *this)
        if (v.kernel && processor.runs(v.isa) && v.is_for(threads) && v.refuses(problem).empty() && (!wanted || wanted(v))) return &v;
    return nullptr;
}

}  // namespace sepal
