// FilterLayout: in which order a kernel reads its filter.
#pragma once

#include "problem.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sepal {

// Extents of a packed filter, innermost first. Panels of output channels follow each other as a kernel streams them; the last one of a
// group is filled up with zeros.
struct PackedExtents {
    int64_t panel = 0, c = 0, points = 0, panels = 0, groups = 0;  // points: taps of the filter, or of it as transformed
    int64_t elements() const { return panel * c * points * panels * groups; }
    int64_t padded_k() const { return panel * panels; }  // of a group
};

// Of the filter that a kernel sums over channels: that of conv2d and pointwise, the pointwise one of depsep. (The depthwise filter of
// depsep is read as it is given.)
struct FilterLayout {
    enum class Kind {
        as_given,  // as the problem has it: depthwise
        panels,    // [groups][panels][r * s][c][panel]
        winograd,  // [panels][n * n][c][panel]: G g G^T of each 3 x 3 filter g, n = tile + 2, the column's index first (winograd.h)
        // [panels][r * s][c / 32][panel / 16][half 2][lane 32][word 4][2]: what a lane of a warp multiplies by, f16 (generators/tensor_core_stages.h).
        // Lane 4 g + i holds channels 32 step + 8 i + 4 half + 2 (word / 2) and the next of output channel 64 (tile / 4) + 8 g + 2 (tile % 4) +
        // word % 2 of the panel. Channels are filled up with zeros.
        lanes,
    };
    static constexpr int64_t lanes_step = 32, lanes_tile = 16;  // input channels of a step, output channels of a tile
    Kind kind = Kind::as_given;
    int64_t panel = 0;  // output channels in a panel; 0: one panel of all output channels of a group
    int tile = 0;       // winograd: outputs of a tile in each direction

    // "as_given", "one_panel", "panels32", "winograd4_panels32", "lanes128"; different layouts have different texts.
    std::string text() const;
    // Requires a problem with such a filter; for a winograd layout one that winograd_takes().
    PackedExtents extents(const ConvProblem &problem) const;
};

// Names of the kinds, as in tables of kernels.
std::string_view name(FilterLayout::Kind kind);
std::optional<FilterLayout::Kind> filter_kind_from_name(std::string_view text);

inline bool operator==(const FilterLayout &a, const FilterLayout &b) { return a.kind == b.kind && a.panel == b.panel && a.tile == b.tile; }
inline bool operator!=(const FilterLayout &a, const FilterLayout &b) { return !(a == b); }

}  // namespace sepal
