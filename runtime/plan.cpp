#include "plan.h"

#include "aligned.h"
#include "kernel_error.h"
#include "winograd.h"

#include <HalideRuntime.h>
#include <fmt/format.h>

#include <cstring>
#include <new>
#include <vector>

namespace sepal {
namespace {

void on_kernel_error(void *, const char *message) { record_kernel_error(message); }

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// A dense buffer descriptor; extents innermost first.
struct Descriptor {
    halide_buffer_t buffer = {};
    halide_dimension_t dims[6] = {};
};

void describe(Descriptor &d, float *host, std::initializer_list<int64_t> extents) {
    int64_t stride = 1;
    int i = 0;
    for (int64_t extent : extents) {
        d.dims[i++] = halide_dimension_t(0, int32_t(extent), int32_t(stride));
        stride *= extent;
    }
    d.buffer = {};
    d.buffer.host = reinterpret_cast<uint8_t *>(host);
    d.buffer.type = halide_type_of<float>();
    d.buffer.dimensions = int32_t(extents.size());
    d.buffer.dim = d.dims;
}

// [groups * k, r * s, c] -> [groups][panels][r * s][c][panel], the last panel of a group filled up with zeros: the order in
// which a kernel streams it.
AlignedFloats pack_filter(const float *filter, int64_t groups, int64_t k, int64_t taps, int64_t c, int64_t panel) {
    const int64_t panels = (k + panel - 1) / panel;
    AlignedFloats packed = AlignedFloats::zeros(groups * panels * taps * c * panel);
    for (int64_t g = 0; g < groups; g++)
        for (int64_t ki = 0; ki < k; ki++) {
            const float *from = filter + (g * k + ki) * taps * c;
            float *to = packed.data() + ((g * panels + ki / panel) * taps * c) * panel + ki % panel;
            for (int64_t i = 0; i < taps * c; i++) to[i * panel] = from[i];
        }
    return packed;
}

// [groups * k] -> [groups][k rounded up to whole panels], zeros where there is no bias.
AlignedFloats pack_bias(const float *bias, int64_t groups, int64_t k, int64_t panel) {
    const int64_t padded = round_up(k, panel);
    AlignedFloats packed = AlignedFloats::zeros(groups * padded);
    for (int64_t g = 0; bias && g < groups; g++) std::memcpy(packed.data() + g * padded, bias + g * k, size_t(k) * sizeof(float));
    return packed;
}

AlignedFloats copy(const float *from, int64_t elements) {
    AlignedFloats to = AlignedFloats::zeros(elements);
    if (from) std::memcpy(to.data(), from, size_t(elements) * sizeof(float));
    return to;
}

}  // namespace

void set_num_threads(int threads) { halide_set_num_threads(threads); }

struct Plan::Contents {
    ConvProblem problem;
    const Variant *variant = nullptr;
    // Buffers in argument order, the input first and the output last; the inner ones own packed memory.
    std::vector<AlignedFloats> packed;
    std::vector<Descriptor> constants;
    int64_t packed_bytes = 0;
    std::vector<int32_t> scalars;

    void add_constant(AlignedFloats memory, std::initializer_list<int64_t> extents) {
        int64_t elements = 1;
        for (int64_t e : extents) elements *= e;
        packed_bytes += elements * int64_t(sizeof(float));
        constants.emplace_back();
        describe(constants.back(), memory.data(), extents);
        packed.push_back(std::move(memory));
    }
    void bind(const Weights &weights);
    void describe_input(Descriptor &d, const float *host) const;
    void describe_output(Descriptor &d, float *host) const;
};

// The kernels' arguments, in this order (extents innermost first; generators/conv_generator.h declares the same):
//   conv2d     input (c, g, w, h, n), filter (panel, c, s, r, panels, g), bias (k, g),               geometry, activation, output (k, g, q, p, n)
//              by Winograd's algorithm: filter (panel, c, n, n, panels), see transform_winograd_filter()
//   depthwise  input (c, w, h, n),    filter (k, s, r),  bias (k),                  geometry, multiplier, activation, output (k, q, p, n)
//   pointwise  input (c, pixels),     filter (panel, c, panels), bias (k),                                activation, output (k, pixels)
//   depsep     input (c, w, h, n),    filter (k, s, r),  mid_bias (k), pointwise_filter (panel, k, panels), bias (k),
//                                                              geometry, multiplier, mid_activation, activation, output (k, q, p, n)
// where geometry is stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left (int32). Biases are zero where the
// problem has none; those of panelled filters are filled up to whole panels.
void Plan::Contents::bind(const Weights &weights) {
    const ConvProblem &p = problem;
    const auto panel_for = [&](int64_t k) { return variant->panel ? variant->panel : k; };
    const auto panels_for = [&](int64_t k) { return (k + panel_for(k) - 1) / panel_for(k); };
    constants.reserve(4);
    switch (p.op) {
    case Operator::conv2d: {
        const int64_t k = p.k / p.groups, c = p.c / p.groups, panel = panel_for(k);
        if (const int m = variant->winograd; m > 1) {
            AlignedFloats transformed = AlignedFloats::zeros(winograd_filter_elements(m, k, c, panel));
            transform_winograd_filter(m, weights.filter, k, c, panel, transformed.data());
            const int64_t points = winograd_matrices(m).n;
            add_constant(std::move(transformed), {panel, c, points, points, panels_for(k)});
        } else {
            add_constant(pack_filter(weights.filter, p.groups, k, p.r * p.s, c, panel), {panel, c, p.s, p.r, panels_for(k), p.groups});
        }
        add_constant(pack_bias(p.out.bias ? weights.bias : nullptr, p.groups, k, panel), {round_up(k, panel), p.groups});
        break;
    }
    case Operator::pointwise:
        add_constant(pack_filter(weights.filter, 1, p.k, 1, p.c, panel_for(p.k)), {panel_for(p.k), p.c, panels_for(p.k)});
        add_constant(pack_bias(p.out.bias ? weights.bias : nullptr, 1, p.k, panel_for(p.k)), {round_up(p.k, panel_for(p.k))});
        break;
    case Operator::depthwise:
    case Operator::depsep: {
        const Epilogue &first = p.op == Operator::depsep ? p.mid : p.out;
        const float *first_bias = p.op == Operator::depsep ? weights.mid_bias : weights.bias;
        const int64_t mid = p.mid_channels();
        add_constant(copy(weights.filter, p.filter_elements()), {mid, p.s, p.r});
        add_constant(copy(first.bias ? first_bias : nullptr, mid), {mid});
        if (p.op == Operator::depsep) {
            add_constant(pack_filter(weights.pointwise_filter, 1, p.k, 1, mid, panel_for(p.k)), {panel_for(p.k), mid, panels_for(p.k)});
            add_constant(pack_bias(p.out.bias ? weights.bias : nullptr, 1, p.k, panel_for(p.k)), {round_up(p.k, panel_for(p.k))});
        }
        break;
    }
    }
    if (p.op != Operator::pointwise) {
        const Padding z = p.pad();
        for (int64_t v : {p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, z.top, z.left}) scalars.push_back(int32_t(v));
    }
    if (p.op == Operator::depthwise || p.op == Operator::depsep) scalars.push_back(int32_t(p.multiplier));
    if (p.op == Operator::depsep) scalars.push_back(int32_t(p.mid.activation));
    scalars.push_back(int32_t(p.out.activation));
}

void Plan::Contents::describe_input(Descriptor &d, const float *host) const {
    const ConvProblem &p = problem;
    float *data = const_cast<float *>(host);  // halide_buffer_t has no const form; kernels only read it
    if (p.op == Operator::conv2d)
        describe(d, data, {p.c / p.groups, p.groups, p.w, p.h, p.n});
    else if (p.op == Operator::pointwise)
        describe(d, data, {p.c, p.n * p.h * p.w});
    else
        describe(d, data, {p.c, p.w, p.h, p.n});
}

void Plan::Contents::describe_output(Descriptor &d, float *host) const {
    const ConvProblem &p = problem;
    if (p.op == Operator::conv2d)
        describe(d, host, {p.k / p.groups, p.groups, p.q(), p.p(), p.n});
    else if (p.op == Operator::pointwise)
        describe(d, host, {p.k, p.n * p.h * p.w});
    else
        describe(d, host, {p.out_channels(), p.q(), p.p(), p.n});
}

Plan::Plan(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
Plan::~Plan() = default;
const ConvProblem &Plan::problem() const { return contents_->problem; }
const Variant &Plan::variant() const { return *contents_->variant; }
int64_t Plan::packed_bytes() const { return contents_->packed_bytes; }

std::unique_ptr<Plan> Plan::create(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status) {
    const auto fail = [&](Status::Code code, std::string message) {
        status = {code, std::move(message)};
        return nullptr;
    };
    status = {};
    if (std::string why = problem.validate(); !why.empty()) return fail(Status::Code::invalid_argument, "problem: " + why);
    if (!variant.kernel) return fail(Status::Code::unsupported, fmt::format("variant {} was not built: {}", variant.name, variant.error));
    if (std::string why = variant.refuses(problem); !why.empty())
        return fail(Status::Code::unsupported, fmt::format("variant {} {}", variant.name, why));
    const bool depsep = problem.op == Operator::depsep;
    const char *missing = !weights.filter                              ? "filter"
                          : depsep && !weights.pointwise_filter        ? "pointwise_filter"
                          : problem.mid.bias && !weights.mid_bias      ? "mid_bias"
                          : problem.out.bias && !weights.bias          ? "bias"
                                                                       : nullptr;
    if (missing) return fail(Status::Code::invalid_argument, fmt::format("the problem has a {}, but the pointer to it is null", missing));
    try {
        static const bool handler_set = [] {
            halide_set_error_handler(on_kernel_error);
            return true;
        }();
        (void)handler_set;
        auto contents = std::make_unique<Contents>();
        contents->problem = problem;
        contents->variant = &variant;
        contents->bind(weights);
        return std::unique_ptr<Plan>(new Plan(std::move(contents)));
    } catch (const std::bad_alloc &) {
        return fail(Status::Code::out_of_memory, "not enough memory to pack the filters");
    }
}

Status Plan::run(const float *input, float *output) const {
    if (!input || !output) return {Status::Code::invalid_argument, fmt::format("the pointer to the {} is null", input ? "output" : "input")};
    if (const Variant &v = *contents_->variant; v.output_alignment > 0 && reinterpret_cast<uintptr_t>(output) % uintptr_t(v.output_alignment) != 0) {
        const uintptr_t address = reinterpret_cast<uintptr_t>(output);
        return {Status::Code::invalid_argument, fmt::format("the output is aligned to {} bytes; variant {}, whose stores bypass the caches, needs {}",
                                                            address & -address, v.name, v.output_alignment)};
    }
    Descriptor in, out;
    contents_->describe_input(in, input);
    contents_->describe_output(out, output);
    void *argv[16];
    int argc = 0;
    argv[argc++] = &in.buffer;
    // Kernels do not write to the descriptors (no bounds query is made: every host pointer is set), so threads may share them.
    for (const Descriptor &d : contents_->constants) argv[argc++] = const_cast<halide_buffer_t *>(&d.buffer);
    for (const int32_t &s : contents_->scalars) argv[argc++] = const_cast<int32_t *>(&s);
    argv[argc++] = &out.buffer;
    take_kernel_error();  // of an earlier failure that nobody asked about
    if (const int rc = contents_->variant->kernel(argv); rc != 0) {
        const std::string why = take_kernel_error();
        return {Status::Code::kernel_failed,
                fmt::format("kernel {} failed: {}", contents_->variant->name, why.empty() ? fmt::format("error code {}", rc) : why)};
    }
    return {};
}

}  // namespace sepal
