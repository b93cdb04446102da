#include "peer_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace sepal {
namespace {

// A problem with one output pixel: its input is the part that the pixel depends on, zeros of the padding included.
Tensors one_pixel(const Tensors &t) {
    Tensors one = t;
    ConvProblem &p = one.problem;
    p.n = 1;
    p.h = (t.problem.r - 1) * t.problem.dilation_h + 1;
    p.w = (t.problem.s - 1) * t.problem.dilation_w + 1;
    p.stride_h = p.stride_w = 1;
    p.pad_mode = PadMode::valid;
    one.input.assign(size_t(p.input_elements()), 0.0f);
    return one;
}

void fill_input(Tensors &one, const Tensors &t, int64_t n, int64_t row, int64_t column) {
    const ConvProblem &p = t.problem, &q = one.problem;
    const int64_t top = row * p.stride_h - p.pad().top, left = column * p.stride_w - p.pad().left;
    std::fill(one.input.begin(), one.input.end(), 0.0f);
    for (int64_t y = 0; y < q.h; y++)
        for (int64_t x = 0; x < q.w; x++) {
            if (top + y < 0 || top + y >= p.h || left + x < 0 || left + x >= p.w) continue;
            std::copy_n(&t.input[size_t(((n * p.h + top + y) * p.w + left + x) * p.c)], p.c, &one.input[size_t((y * q.w + x) * p.c)]);
        }
}

}  // namespace

double relative_error(const Tensors &t, const float *output, int pixels) {
    const ConvProblem &p = t.problem;
    Tensors one = one_pixel(t);
    std::vector<double> expected(size_t(one.problem.output_elements()));
    std::mt19937 draw(1);
    const auto below = [&](int64_t n) { return int64_t(draw() % uint64_t(n)); };
    double largest_error = 0, largest = 0;
    for (int i = 0; i < pixels; i++) {
        const bool corner = i < 8;
        const int64_t n = corner ? (i < 4 ? 0 : p.n - 1) : below(p.n);
        const int64_t row = corner ? (i & 1 ? p.p() - 1 : 0) : below(p.p()), column = corner ? (i & 2 ? p.q() - 1 : 0) : below(p.q());
        fill_input(one, t, n, row, column);
        reference(one, expected.data());
        const float *found = output + ((n * p.p() + row) * p.q() + column) * p.out_channels();
        for (size_t k = 0; k < expected.size(); k++) {
            const double error = std::abs(double(found[k]) - expected[k]);
            if (std::isnan(error)) return std::numeric_limits<double>::quiet_NaN();
            largest_error = std::max(largest_error, error);
            largest = std::max(largest, std::abs(expected[k]));
        }
    }
    return largest > 0 ? largest_error / largest : largest_error;
}

double peer_memory(const ConvProblem &p) {
    const double tensors = 2 * (double(p.input_elements()) + double(p.output_elements())) + double(p.mid_elements());
    const double filters = 3 * double(p.filter_elements() + p.pointwise_filter_elements());
    const double library = 300e6;
    return sizeof(float) * (tensors + filters) + library;
}

PeerCheck check_peer(Peer &peer, const Tensors &tensors, const PeerFiles &files, AlignedFloats &output) {
    PeerCheck result;
    const auto skip = [&](const std::string &why) {
        result.check = "skipped: " + why;
        return result;
    };
    // An element that is not written stays NaN and fails the check.
    std::fill_n(output.data(), output.size(), std::numeric_limits<float>::quiet_NaN());
    result.prepared = peer.prepare(tensors.problem, files, output.data());
    if (!result.prepared.why_not.empty()) return skip(result.prepared.why_not);
    const double max_macs = 2.5e8;  // of the comparison: it is made for each of many peers
    const CheckResult compared = check_output(tensors, output.data(), max_macs);
    bool passed = compared.passed;
    result.message = compared.message;
    if (!passed && result.prepared.winograd) {
        result.relative_error = relative_error(tensors, output.data());
        passed = result.relative_error <= winograd_tolerance;
        if (passed) result.message.clear();
    }
    result.check = passed ? "passed" : "failed";
    if (!passed) return result;
    std::string why_not;
    const std::optional<double> seconds = peer.seconds(1, false, why_not);
    if (!seconds) return skip(why_not);
    result.run_seconds = *seconds;
    return result;
}

}  // namespace sepal
