#include "scratch.h"

#include "winograd.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace sepal {
namespace {

// Outputs of a strip, at most, of kernels for any shape (schedules/tiling.cpp and nchw_tiling.cpp without a problem).
constexpr double strip_columns = 32, strip_rows = 16;
// Values that those by Winograd's algorithm keep of a channel: 36 of each of at most 28 tiles, and the sums of some output channels.
constexpr double winograd_values = 36 * 32;
// The innermost extent is rounded up by less than this: rows begin at different sets of a cache.
constexpr double alignment = 64;

}  // namespace

double most_scratch_bytes(const ConvProblem &p) {
    const auto [stride_h, stride_w, dilation_h, dilation_w, top, left] = p.geometry();
    const double columns = strip_columns * double(stride_w) + double(dilation_w * p.s), rows = strip_rows * double(stride_h) + double(dilation_h * p.r);
    const bool nchw = p.layout == Layout::nchw;  // pixels are innermost, else channels
    const auto read_by_strip = [&](int64_t channels) {
        return nchw ? double(channels) * (columns + alignment) * rows : (double(channels) + alignment) * columns * rows;
    };
    const auto middle = [&](int64_t channels) { return (double(channels) + alignment) * (strip_columns + alignment) * strip_rows; };
    double elements = 0;
    switch (p.op) {
    case Operator::conv2d:
        elements = read_by_strip(p.c / p.groups);
        if (winograd_takes(p)) elements = std::max(elements, winograd_values * (double(p.c) + alignment));
        break;
    case Operator::pointwise: elements = middle(p.c); break;
    case Operator::depthwise: elements = nchw ? read_by_strip(1) : 0; break;  // a channel at a time, or none
    case Operator::depsep: elements = std::max(middle(p.mid_channels()), nchw ? read_by_strip(1) : 0); break;
    }
    return 4 * elements;
}

std::string why_too_much_scratch(const ConvProblem &problem) {
    constexpr double limit = std::numeric_limits<int32_t>::max();
    const double bytes = most_scratch_bytes(problem);
    if (bytes <= limit) return {};
    return fmt::format("has outputs or filter taps so far apart, or so many channels, that the scratch memory of a strip of outputs may be {:.0f} bytes; allowed: {:.0f}",
                       bytes, limit);
}

}  // namespace sepal
