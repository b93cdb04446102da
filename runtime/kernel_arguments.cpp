#include "kernel_arguments.h"

#include "gpu/tensor_core_views.h"

#include <utility>

namespace sepal {

KernelArguments::KernelArguments(const ConvProblem &p, const Variant &variant, const TensorStrides &strides) : constants(packed_tensors(p, variant.filter_layout)) {
    if (variant.is_on_tensor_cores()) {
        TensorCoreArguments on_lanes = tensor_core_arguments(p, {variant.filter_layout.panel, variant.block_pixels, variant.block_two_rows});
        input = std::move(on_lanes.input), skip = std::move(on_lanes.skip), output = std::move(on_lanes.output);
        constant_views = std::move(on_lanes.constants), scalars = std::move(on_lanes.scalars);
        return;
    }
    const auto view = [&](std::initializer_list<ViewDimension> dimensions) { return ArgumentView{element_of(p.dtype), dimensions}; };
    const auto [from, to] = resolved(strides, p);
    const int64_t c = p.c / p.groups, k = p.k / p.groups;  // of a group
    switch (p.op) {
    case Operator::conv2d:
        input = view({{c, from.c}, {p.groups, c * from.c}, {p.w, from.w}, {p.h, from.h}, {p.n, from.n}});
        output = view({{k, to.c}, {p.groups, k * to.c}, {p.q(), to.w}, {p.p(), to.h}, {p.n, to.n}});
        break;
    case Operator::pointwise:
        if (p.layout == Layout::nchw) {
            input = view({{p.c, from.c}, {p.h * p.w, from.w}, {p.n, from.n}});
            output = view({{p.k, to.c}, {p.h * p.w, to.w}, {p.n, to.n}});
            break;
        }
        input = view({{p.c, from.c}, {p.n * p.h * p.w, from.w}});
        output = view({{p.k, to.c}, {p.n * p.h * p.w, to.w}});
        break;
    case Operator::depthwise:
    case Operator::depsep:
        input = view({{p.c, from.c}, {p.w, from.w}, {p.h, from.h}, {p.n, from.n}});
        output = view({{p.out_channels(), to.c}, {p.q(), to.w}, {p.p(), to.h}, {p.n, to.n}});
        break;
    }
    if (p.residual) skip = output;
    for (const PackedTensor &t : constants)
        constant_views.push_back(ArgumentView::dense(element_of(t.dtype), std::vector<int64_t>(t.extents.begin(), t.extents.begin() + ptrdiff_t(t.dimensions))));
    if (p.op != Operator::pointwise)
        for (int64_t v : p.geometry()) scalars.push_back(int32_t(v));
    if (p.op == Operator::depthwise || p.op == Operator::depsep) scalars.push_back(int32_t(p.multiplier));
    if (p.op == Operator::depsep) scalars.push_back(int32_t(p.mid.activation));
    scalars.push_back(int32_t(p.out.activation));
}

std::array<void *, KernelArguments::max_arguments> KernelArguments::vector(Descriptor &in, const std::deque<Descriptor> &constants, Descriptor *skip,
                                                                     Descriptor &out) const {
    std::array<void *, max_arguments> argv = {};
    size_t argc = 0;
    argv[argc++] = &in.buffer;
    for (const Descriptor &d : constants) argv[argc++] = const_cast<halide_buffer_t *>(&d.buffer);
    for (const int32_t &s : scalars) argv[argc++] = const_cast<int32_t *>(&s);
    if (skip) argv[argc++] = &skip->buffer;
    argv[argc++] = &out.buffer;
    return argv;
}

std::string why_not_skip(bool is_given, const ConvProblem &problem) {
    if (is_given == problem.residual) return {};
    return is_given ? "a skip tensor is given, but the problem has no residual; leave it out" : "the pointer to the skip tensor is null, but the problem has a residual";
}

}  // namespace sepal
