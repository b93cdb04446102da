#include "strides.h"

#include <fmt/format.h>

#include <limits>

namespace sepal {
namespace {

Strides resolve(const Strides &given, const Strides &dense) { return given == Strides{} ? dense : given; }

std::string why_not(const char *tensor, const Strides &s, int64_t n, int64_t h, int64_t w, int64_t c) {
    constexpr int64_t limit = std::numeric_limits<int32_t>::max();
    if (s.c != 1) return fmt::format("the {}'s stride of channels is {}; the channels of a pixel follow each other: 1", tensor, s.c);
    const struct {
        const char *name;
        int64_t stride, inner_stride, inner_extent;
    } outer[] = {{"pixels", s.w, 1, c}, {"rows", s.h, s.w, w}, {"images", s.n, s.h, h}};
    int64_t least = 1;  // elements that a step goes over
    for (const auto &o : outer) {
        if (o.stride < 0 || o.stride > limit) return fmt::format("the {}'s stride of {} is {}; allowed: 0 to {}", tensor, o.name, o.stride, limit);
        least += (o.inner_extent - 1) * o.inner_stride;  // both were found to be small
        if (o.stride < least)
            return fmt::format("the {}'s stride of {} is {} elements, but what it steps over has {}: elements would overlap", tensor, o.name, o.stride, least);
    }
    if ((n - 1) > (limit - 1) / s.n || (n - 1) * s.n > limit - least)
        return fmt::format("the {} spans 2147483648 elements or more; kernels index with 32 bits", tensor);
    return {};
}

}  // namespace

TensorStrides resolved(const TensorStrides &given, const ConvProblem &p) {
    return {resolve(given.input, p.input_strides()), resolve(given.output, p.output_strides())};
}

bool is_dense(const TensorStrides &given, const ConvProblem &p) {
    const TensorStrides s = resolved(given, p);
    return s.input == p.input_strides() && s.output == p.output_strides();
}

std::string why_not_strides(const TensorStrides &given, const ConvProblem &p) {
    if (p.layout != Layout::nhwc) return fmt::format("strides are given, which are for nhwc; a problem in {} has dense tensors", name(p.layout));
    const TensorStrides s = resolved(given, p);
    const std::string why = why_not("input", s.input, p.n, p.h, p.w, p.c);
    return why.empty() ? why_not("output", s.output, p.n, p.p(), p.q(), p.out_channels()) : why;
}

int64_t span(const Strides &s, int64_t n, int64_t h, int64_t w, int64_t c) { return (n - 1) * s.n + (h - 1) * s.h + (w - 1) * s.w + (c - 1) * s.c + 1; }

Calls calls_for(const ConvProblem &problem, const TensorStrides &given) {
    Calls calls{problem};
    if (problem.op != Operator::pointwise || is_dense(given, problem)) return calls;
    const TensorStrides s = resolved(given, problem);
    const auto rows_follow = [&](const Strides &t) { return problem.h == 1 || t.h == problem.w * t.w; };
    const auto images_follow = [&](const Strides &t) { return problem.n == 1 || t.n == problem.h * problem.w * t.w; };
    if (!rows_follow(s.input) || !rows_follow(s.output)) {
        calls.images = problem.n, calls.rows = problem.h;
        calls.problem.n = calls.problem.h = 1;
    } else if (!images_follow(s.input) || !images_follow(s.output)) {
        calls.images = problem.n;
        calls.problem.n = 1;
    }
    return calls;
}

}  // namespace sepal
