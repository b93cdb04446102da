#include "plan.h"

#include "kernel_call.h"

#include <fmt/format.h>

#include <deque>
#include <new>
#include <vector>

namespace sepal {

void set_num_threads(int threads) { halide_set_num_threads(threads); }

struct Plan::Contents {
    ConvProblem problem;
    const Variant *variant = nullptr;
    std::shared_ptr<const PackedWeights> weights;
    std::deque<Descriptor> constants;  // of the weights, in argument order
    std::vector<int32_t> scalars;

    void bind();
    void describe_input(Descriptor &d, const void *host) const;
    void describe_output(Descriptor &d, void *host) const;
};

// The kernels' arguments, in this order (extents innermost first; generators/conv_generator.h declares the same):
//   conv2d     input (c, g, w, h, n), filter (panel, c, s, r, panels, g), bias (k, g),               geometry, activation, output (k, g, q, p, n)
//              by Winograd's algorithm: filter (panel, c, n, n, panels), see FilterLayout
//   depthwise  input (c, w, h, n),    filter (k, s, r),  bias (k),                  geometry, multiplier, activation, output (k, q, p, n)
//   pointwise  input (c, pixels),     filter (panel, c, panels), bias (k),                                activation, output (k, pixels)
//   depsep     input (c, w, h, n),    filter (k, s, r),  mid_bias (k), pointwise_filter (panel, k, panels), bias (k),
//                                                              geometry, multiplier, mid_activation, activation, output (k, q, p, n)
// where geometry is stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left (int32). Input, filters and output are of the problem's
// type, biases f32. Biases are zero where the problem has none; those of panelled filters are filled up to whole panels.
void Plan::Contents::bind() {
    const ConvProblem &p = problem;
    for (const PackedTensor &t : packed_tensors(p, variant->filter_layout)) {
        constants.emplace_back();
        constants.back().describe(weights->at(t), t.dtype, t.extents.data(), t.dimensions);
    }
    if (p.op != Operator::pointwise) {
        const Padding z = p.pad();
        for (int64_t v : {p.stride_h, p.stride_w, p.dilation_h, p.dilation_w, z.top, z.left}) scalars.push_back(int32_t(v));
    }
    if (p.op == Operator::depthwise || p.op == Operator::depsep) scalars.push_back(int32_t(p.multiplier));
    if (p.op == Operator::depsep) scalars.push_back(int32_t(p.mid.activation));
    scalars.push_back(int32_t(p.out.activation));
}

void Plan::Contents::describe_input(Descriptor &d, const void *host) const {
    const ConvProblem &p = problem;
    if (p.op == Operator::conv2d)
        d.describe(host, p.dtype, {p.c / p.groups, p.groups, p.w, p.h, p.n});
    else if (p.op == Operator::pointwise)
        d.describe(host, p.dtype, {p.c, p.n * p.h * p.w});
    else
        d.describe(host, p.dtype, {p.c, p.w, p.h, p.n});
}

void Plan::Contents::describe_output(Descriptor &d, void *host) const {
    const ConvProblem &p = problem;
    if (p.op == Operator::conv2d)
        d.describe(host, p.dtype, {p.k / p.groups, p.groups, p.q(), p.p(), p.n});
    else if (p.op == Operator::pointwise)
        d.describe(host, p.dtype, {p.k, p.n * p.h * p.w});
    else
        d.describe(host, p.dtype, {p.out_channels(), p.q(), p.p(), p.n});
}

Plan::Plan(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
Plan::~Plan() = default;
const ConvProblem &Plan::problem() const { return contents_->problem; }
const Variant &Plan::variant() const { return *contents_->variant; }
const PackedWeights &Plan::weights() const { return *contents_->weights; }

std::unique_ptr<Plan> Plan::create(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status) {
    std::shared_ptr<const PackedWeights> packed = PackedWeights::pack(problem, variant, weights, status);
    return packed ? create(problem, variant, std::move(packed), status) : nullptr;
}

std::unique_ptr<Plan> Plan::create(const ConvProblem &problem, const Variant &variant, std::shared_ptr<const PackedWeights> weights, Status &status) {
    const auto fail = [&](Status::Code code, std::string message) {
        status = {code, std::move(message)};
        return nullptr;
    };
    status = check_plan(problem, variant);
    if (!status.ok()) return nullptr;
    if (!weights) return fail(Status::Code::invalid_argument, "the pointer to the packed weights is null");
    if (std::string why = why_not_packed_for(weights->layout().text(), weights->weights_key(), problem, variant); !why.empty())
        return fail(Status::Code::invalid_argument, std::move(why));
    try {
        auto contents = std::make_unique<Contents>();
        contents->problem = problem;
        contents->variant = &variant;
        contents->weights = std::move(weights);
        contents->bind();
        return std::unique_ptr<Plan>(new Plan(std::move(contents)));
    } catch (const std::bad_alloc &) {
        return fail(Status::Code::out_of_memory, "not enough memory for a plan");
    }
}

Status Plan::run(const void *input, void *output) const {
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
    return call_generated(contents_->variant->kernel, argv, "kernel", contents_->variant->name);
}

}  // namespace sepal
