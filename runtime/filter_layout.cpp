#include "filter_layout.h"

#include "ceil_div.h"
#include "winograd.h"

#include <fmt/format.h>

namespace sepal {

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
