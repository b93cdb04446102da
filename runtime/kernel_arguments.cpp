#include "kernel_arguments.h"

namespace sepal {

KernelArguments::KernelArguments(const ConvProblem &p, const Variant &variant) : dtype(p.dtype), constants(packed_tensors(p, variant.filter_layout)) {
    switch (p.op) {
    case Operator::conv2d:
        input = {p.c / p.groups, p.groups, p.w, p.h, p.n};
        output = {p.k / p.groups, p.groups, p.q(), p.p(), p.n};
        break;
    case Operator::pointwise:
        input = {p.c, p.n * p.h * p.w};
        output = {p.k, p.n * p.h * p.w};
        break;
    case Operator::depthwise:
    case Operator::depsep:
        input = {p.c, p.w, p.h, p.n};
        output = {p.out_channels(), p.q(), p.p(), p.n};
        break;
    }
    if (p.op != Operator::pointwise) {
        const Padding z = p.pad();
        for (int64_t v : {p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, z.top, z.left}) scalars.push_back(int32_t(v));
    }
    if (p.op == Operator::depthwise || p.op == Operator::depsep) scalars.push_back(int32_t(p.multiplier));
    if (p.op == Operator::depsep) scalars.push_back(int32_t(p.mid.activation));
    scalars.push_back(int32_t(p.out.activation));
}

std::array<void *, 16> KernelArguments::vector(Descriptor &in, const std::deque<Descriptor> &constants, Descriptor &out) const {
    std::array<void *, 16> argv = {};
    size_t argc = 0;
    argv[argc++] = &in.buffer;
    for (const Descriptor &d : constants) argv[argc++] = const_cast<halide_buffer_t *>(&d.buffer);
    for (const int32_t &s : scalars) argv[argc++] = const_cast<int32_t *>(&s);
    argv[argc++] = &out.buffer;
    return argv;
}

}  // namespace sepal
