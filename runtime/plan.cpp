#include "plan.h"

#include "kernel_arguments.h"

#include <fmt/format.h>

#include <new>
#include <utility>

namespace sepal {
namespace {

// Empty where the skip tensor is one that a kernel may read while it writes the output.
std::string why_not_skip(const void *skip, const void *output, const ConvProblem &problem, const Strides &strides) {
    if (std::string why = why_not_skip(skip != nullptr, problem); !why.empty() || !skip) return why;
    const uintptr_t first = reinterpret_cast<uintptr_t>(skip), to = reinterpret_cast<uintptr_t>(output);
    const uintptr_t bytes = uintptr_t(span(strides, problem.n, problem.p(), problem.q(), problem.out_channels()) * size_in_bytes(problem.dtype));
    if (first >= to + bytes || to >= first + bytes) return "";
    return skip_overlaps;
}

// Whether a plan's calls can be made, whatever its weights.
Status check_call(const ConvProblem &problem, const Variant &variant, const TensorStrides &strides) {
    if (std::string why = problem.validate(); !why.empty()) return {Status::Code::invalid_argument, "problem: " + why};
    if (is_dense(strides, problem)) return check_plan(problem, variant);
    if (std::string why = why_not_strides(strides, problem); !why.empty()) return {Status::Code::invalid_argument, std::move(why)};
    if (!variant.takes_strides())
        return {Status::Code::unsupported, fmt::format("variant {} takes dense tensors only; those for any shape on CPUs take strides", variant.name)};
    return check_plan(calls_for(problem, strides).problem, variant);
}

}  // namespace

void set_num_threads(int threads) { halide_set_num_threads(threads); }

struct Plan::Contents {
    ConvProblem problem;
    const Variant *variant;
    std::shared_ptr<const PackedWeights> weights;
    TensorStrides strides;
    Calls calls;
    KernelArguments arguments;
    std::deque<Descriptor> constants;  // of the weights, in argument order

    Contents(const ConvProblem &p, const Variant &v, std::shared_ptr<const PackedWeights> w, const TensorStrides &s)
        : problem(p), variant(&v), weights(std::move(w)), strides(resolved(s, p)), calls(calls_for(p, s)),
          arguments(calls.problem, v, strides) {
        for (size_t i = 0; i < arguments.constants.size(); i++)
            constants.emplace_back().describe(weights->at(arguments.constants[i]), arguments.constant_views[i]);
    }

    Status call(const void *input, void *output, const void *skip) const {
        Descriptor in, out, added;
        in.describe(input, arguments.input);
        out.describe(output, arguments.output);
        if (skip) added.describe(skip, arguments.skip);
        return call_generated(variant->kernel, arguments.vector(in, constants, skip ? &added : nullptr, out).data(), "kernel", variant->name);
    }
};

Plan::Plan(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
Plan::~Plan() = default;
const ConvProblem &Plan::problem() const { return contents_->problem; }
const Variant &Plan::variant() const { return *contents_->variant; }
const PackedWeights &Plan::weights() const { return *contents_->weights; }

std::unique_ptr<Plan> Plan::create(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status, const TensorStrides &strides) {
    status = check_call(problem, variant, strides);
    if (!status.ok()) return nullptr;
    std::shared_ptr<const PackedWeights> packed = PackedWeights::pack(calls_for(problem, strides).problem, variant, weights, status);
    return packed ? create(problem, variant, std::move(packed), status, strides) : nullptr;
}

std::unique_ptr<Plan> Plan::create(const ConvProblem &problem, const Variant &variant, std::shared_ptr<const PackedWeights> weights, Status &status,
                                   const TensorStrides &strides) {
    const auto fail = [&](Status::Code code, std::string message) {
        status = {code, std::move(message)};
        return nullptr;
    };
    status = check_call(problem, variant, strides);
    if (!status.ok()) return nullptr;
    if (is_gpu(variant.isa))
        return fail(Status::Code::unsupported, fmt::format("variant {} runs on GPUs, by {}: a GpuPlan is needed for it, not a Plan", variant.name,
                                                           name(backend(variant.isa))));
    if (!weights) return fail(Status::Code::invalid_argument, "the pointer to the packed weights is null");
    if (std::string why = why_not_packed_for(weights->layout().text(), weights->weights_key(), problem, variant); !why.empty())
        return fail(Status::Code::invalid_argument, std::move(why));
    try {
        return std::unique_ptr<Plan>(new Plan(std::make_unique<Contents>(problem, variant, std::move(weights), strides)));
    } catch (const std::bad_alloc &) {
        return fail(Status::Code::out_of_memory, "not enough memory for a plan");
    }
}

Status Plan::run(const void *input, void *output, const void *skip, const Execution &execution) const {
    if (!input || !output) return {Status::Code::invalid_argument, fmt::format("the pointer to the {} is null", input ? "output" : "input")};
    if (const Variant &v = *contents_->variant; v.output_alignment > 0 && reinterpret_cast<uintptr_t>(output) % uintptr_t(v.output_alignment) != 0) {
        const uintptr_t address = reinterpret_cast<uintptr_t>(output);
        return {Status::Code::invalid_argument, fmt::format("the output is aligned to {} bytes; variant {}, whose stores bypass the caches, needs {}",
                                                            address & -address, v.name, v.output_alignment)};
    }
    if (std::string why = why_not_skip(skip, output, contents_->problem, contents_->strides.output); !why.empty())
        return {Status::Code::invalid_argument, std::move(why)};
    const UseExecution use(execution);
    const Calls &calls = contents_->calls;
    const auto [in, out] = contents_->strides;
    const int64_t element = size_in_bytes(contents_->problem.dtype);
    for (int64_t n = 0; n < calls.images; n++)
        for (int64_t y = 0; y < calls.rows; y++) {
            const int64_t from = (n * in.n + y * in.h) * element, to = (n * out.n + y * out.h) * element;
            Status status = contents_->call(static_cast<const char *>(input) + from, static_cast<char *>(output) + to,
                                            skip ? static_cast<const char *>(skip) + to : nullptr);
            if (!status.ok()) return status;
        }
    return {};
}

}  // namespace sepal
