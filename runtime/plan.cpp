#include "plan.h"

#include "kernel_arguments.h"

#include <fmt/format.h>

#include <new>
#include <utility>

namespace sepal {
namespace {

// Empty where the skip tensor is one that a kernel may read while it writes the output.
std::string why_not_skip(const void *skip, const void *output, const ConvProblem &problem, const ArgumentView &view) {
    if (!problem.residual) return skip ? "a skip tensor is given, but the problem has no residual; leave it out" : "";
    if (!skip) return "the pointer to the skip tensor is null, but the problem has a residual";
    const uintptr_t first = reinterpret_cast<uintptr_t>(skip), to = reinterpret_cast<uintptr_t>(output);
    const uintptr_t bytes = uintptr_t(view.elements() * size_in_bytes(problem.dtype));
    if (first >= to + bytes || to >= first + bytes) return "";
    return "the skip tensor overlaps the output; it has to be memory of its own, since kernels compute some pixels twice";
}

}  // namespace

void set_num_threads(int threads) { halide_set_num_threads(threads); }

struct Plan::Contents {
    ConvProblem problem;
    const Variant *variant;
    std::shared_ptr<const PackedWeights> weights;
    KernelArguments arguments;
    std::deque<Descriptor> constants;  // of the weights, in argument order

    Contents(const ConvProblem &p, const Variant &v, std::shared_ptr<const PackedWeights> w)
        : problem(p), variant(&v), weights(std::move(w)), arguments(p, v) {
        for (size_t i = 0; i < arguments.constants.size(); i++)
            constants.emplace_back().describe(weights->at(arguments.constants[i]), arguments.constant_views[i]);
    }
};

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
    if (is_gpu(variant.isa))
        return fail(Status::Code::unsupported, fmt::format("variant {} runs on GPUs, by {}: a GpuPlan is needed for it, not a Plan", variant.name,
                                                           name(backend(variant.isa))));
    if (!weights) return fail(Status::Code::invalid_argument, "the pointer to the packed weights is null");
    if (std::string why = why_not_packed_for(weights->layout().text(), weights->weights_key(), problem, variant); !why.empty())
        return fail(Status::Code::invalid_argument, std::move(why));
    try {
        return std::unique_ptr<Plan>(new Plan(std::make_unique<Contents>(problem, variant, std::move(weights))));
    } catch (const std::bad_alloc &) {
        return fail(Status::Code::out_of_memory, "not enough memory for a plan");
    }
}

Status Plan::run(const void *input, void *output, const void *skip) const {
    if (!input || !output) return {Status::Code::invalid_argument, fmt::format("the pointer to the {} is null", input ? "output" : "input")};
    if (const Variant &v = *contents_->variant; v.output_alignment > 0 && reinterpret_cast<uintptr_t>(output) % uintptr_t(v.output_alignment) != 0) {
        const uintptr_t address = reinterpret_cast<uintptr_t>(output);
        return {Status::Code::invalid_argument, fmt::format("the output is aligned to {} bytes; variant {}, whose stores bypass the caches, needs {}",
                                                            address & -address, v.name, v.output_alignment)};
    }
    const KernelArguments &arguments = contents_->arguments;
    if (std::string why = why_not_skip(skip, output, contents_->problem, arguments.skip); !why.empty())
        return {Status::Code::invalid_argument, std::move(why)};
    Descriptor in, out, added;
    in.describe(input, arguments.input);
    out.describe(output, arguments.output);
    if (skip) added.describe(skip, arguments.skip);
    return call_generated(contents_->variant->kernel, arguments.vector(in, contents_->constants, skip ? &added : nullptr, out).data(), "kernel",
                          contents_->variant->name);
}

}  // namespace sepal
