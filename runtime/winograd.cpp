#include "winograd.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

namespace sepal {
namespace {

struct Algorithm {
    int m;
    std::vector<double> points;
    double error_of_a_channel;  // winograd_rel_error() of one channel
};

const std::vector<Algorithm> &algorithms() {
    static const std::vector<Algorithm> all = {
        {2, {0, 1, -1}, 1e-7},
        {4, {0, std::sqrt(0.5), -std::sqrt(0.5), std::sqrt(2.0), -std::sqrt(2.0)}, 4e-7},
        {6, {0, 1, -1, 2, -2, 0.5, -0.5}, 2.2e-6}};
    return all;
}

const Algorithm &algorithm(int m) {
    return *std::find_if(algorithms().begin(), algorithms().end(), [&](const Algorithm &a) { return a.m == m; });
}

WinogradMatrices make_matrices(const Algorithm &algorithm) {
    const std::vector<double> &x = algorithm.points;
    WinogradMatrices w;
    w.m = algorithm.m;
    w.n = winograd_points(w.m);
    const auto n = size_t(w.n), m = size_t(w.m), taps = size_t(winograd_taps);
    w.a_t.assign(m * n, 0);
    w.g.assign(n * taps, 0);
    w.b_t.assign(n * n, 0);
    for (size_t i = 0; i < n; i++) {
        const bool infinity = i + 1 == n;
        double f = 1;
        std::vector<double> product = {1};  // coefficients, the constant first
        for (size_t j = 0; j + 1 < n; j++) {
            if (j == i) continue;
            if (!infinity) f *= x[i] - x[j];
            product.push_back(0);
            for (size_t degree = product.size() - 1; degree > 0; degree--) product[degree] = product[degree - 1] - x[j] * product[degree];
            product[0] *= -x[j];
        }
        // As the f32 that kernels multiply by, so that coefficients that differ by this computation's rounding only are equal.
        for (size_t j = 0; j < product.size(); j++) w.b_t[i * n + j] = double(float(product[j]));
        for (size_t j = 0; j < m; j++) w.a_t[j * n + i] = infinity ? double(j + 1 == m) : double(float(std::pow(x[i], double(j))));
        for (size_t j = 0; j < taps; j++) w.g[i * taps + j] = infinity ? double(j + 1 == taps) : std::pow(x[i], double(j)) / f;
    }
    return w;
}

}  // namespace

bool is_winograd_tile(int m) {
    return std::find(std::begin(winograd_tiles), std::end(winograd_tiles), m) != std::end(winograd_tiles);
}

bool winograd_takes(const ConvProblem &p) {
    return p.op == Operator::conv2d && p.r == winograd_taps && p.s == winograd_taps && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
           p.dilation_w == 1 && p.groups == 1;
}

const WinogradMatrices &winograd_matrices(int m) {
    static const std::map<int, WinogradMatrices> all = [] {
        std::map<int, WinogradMatrices> made;
        for (const Algorithm &a : algorithms()) made[a.m] = make_matrices(a);
        return made;
    }();
    return all.at(m);
}

double winograd_rel_error(int m, int64_t c) { return algorithm(m).error_of_a_channel * std::sqrt(double(std::max<int64_t>(c, 16))); }

}  // namespace sepal
