#include "filter_layout.h"

#include "ceil_div.h"
#include "winograd.h"

#include <fmt/format.h>

#include <iterator>

namespace sepal {
namespace {

constexpr std::string_view kind_names[] = {"as_given", "panels", "winograd", "lanes"};  // in the order of FilterLayout::Kind

}  // namespace

std::string_view name(FilterLayout::Kind kind) { return kind_names[int(kind)]; }

std::optional<FilterLayout::Kind> filter_kind_from_name(std::string_view text) {
    for (size_t i = 0; i < std::size(kind_names); i++)
        if (kind_names[i] == text) return FilterLayout::Kind(i);
    return std::nullopt;
}

std::string FilterLayout::text() const {
    if (kind == Kind::as_given) return "as_given";
    if (kind == Kind::lanes) return fmt::format("lanes{}", panel);
    const std::string panels = panel ? fmt::format("panels{}", panel) : "one_panel";
    return kind == Kind::winograd ? fmt::format("winograd{}_{}", tile, panels) : panels;
}

PackedExtents FilterLayout::extents(const ConvProblem &p) const {
    const int64_t k = p.k / p.groups;
    PackedExtents e;
    e.panel = panel ? panel : k;
    e.c = p.summed_channels();
    if (kind == Kind::lanes) e.c = ceil_div(e.c, lanes_step) * lanes_step;
    e.points = p.op == Operator::conv2d ? p.r * p.s : 1;
    if (kind == Kind::winograd) e.points = winograd_points(tile) * winograd_points(tile);
    e.panels = ceil_div(k, e.panel);
    e.groups = p.groups;
    return e;
}

}  // namespace sepal
