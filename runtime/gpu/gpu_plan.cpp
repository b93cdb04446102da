#include "gpu_plan.h"

#include "runtime/kernel_arguments.h"

#include <fmt/format.h>

#include <new>
#include <utility>
#include <vector>

namespace sepal {
namespace {

// Of the widest loads and stores of kernels; the drivers' own allocations have more.
constexpr uint64_t array_alignment = 16;

// A tensor on the device; Halide's runtime takes it as it is, for neither side is marked as changed.
void describe(Descriptor &d, const GpuArray &array, const ArgumentView &view) {
    d.describe(nullptr, view);
    d.buffer.device = array.memory().halide;
    d.buffer.device_interface = array.device()->halide_interface();
}

}  // namespace

struct GpuPlan::Contents {
    ConvProblem problem;
    const Variant *variant;
    std::shared_ptr<const GpuDevice> device;
    KernelArguments arguments;
    std::vector<GpuArray> weights;
    std::deque<Descriptor> constants;  // of them, in argument order

    Contents(const ConvProblem &p, const Variant &v, std::shared_ptr<const GpuDevice> d) : problem(p), variant(&v), device(std::move(d)), arguments(p, v) {}
    Status upload(const PackedWeights &packed);
    Status check(const char *what, const GpuArray &array, int64_t elements) const;
};

Status GpuPlan::Contents::upload(const PackedWeights &packed) {
    for (size_t i = 0; i < arguments.constants.size(); i++) {
        const PackedTensor &t = arguments.constants[i];
        Status status;
        GpuArray array = GpuArray::allocate(device, t.bytes(), status);
        if (status.ok()) status = array.upload(packed.at(t), t.bytes());
        if (!status.ok()) return {status.code, fmt::format("the weights of {}: {}", variant->name, status.message)};
        describe(constants.emplace_back(), array, arguments.constant_views[i]);
        weights.push_back(std::move(array));
    }
    return {};
}

Status GpuPlan::Contents::check(const char *what, const GpuArray &array, int64_t elements) const {
    const auto wrong = [](std::string message) { return Status{Status::Code::invalid_argument, std::move(message)}; };
    if (!array.device()) return wrong(fmt::format("the array of the {} is empty", what));
    if (array.device()->backend() != device->backend() || array.device()->native_context() != device->native_context())
        return wrong(fmt::format("the {} is memory of {}, the plan runs on {}{}", what, array.device()->text(), device->text(),
                                 array.device()->text() == device->text() ? " in another context" : ""));
    if (const int64_t bytes = elements * size_in_bytes(problem.dtype); array.bytes() < bytes)
        return wrong(fmt::format("the array of the {} has {} bytes, that of the problem needs {}", what, array.bytes(), bytes));
    if (const uint64_t address = array.memory().native; device->backend() == Backend::cuda && address % array_alignment != 0)
        return wrong(fmt::format("the {} is aligned to {} bytes; kernels of GPUs need {}", what, address & -address, array_alignment));
    return {};
}

GpuPlan::GpuPlan(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
GpuPlan::~GpuPlan() = default;
const ConvProblem &GpuPlan::problem() const { return contents_->problem; }
const Variant &GpuPlan::variant() const { return *contents_->variant; }
const std::shared_ptr<const GpuDevice> &GpuPlan::device() const { return contents_->device; }

std::unique_ptr<GpuPlan> GpuPlan::create(const ConvProblem &problem, const Variant &variant, const Weights &weights, std::shared_ptr<const GpuDevice> device,
                                         Status &status) {
    std::shared_ptr<const PackedWeights> packed = PackedWeights::pack(problem, variant, weights, status);
    return packed ? create(problem, variant, std::move(packed), std::move(device), status) : nullptr;
}

std::unique_ptr<GpuPlan> GpuPlan::create(const ConvProblem &problem, const Variant &variant, std::shared_ptr<const PackedWeights> weights,
                                         std::shared_ptr<const GpuDevice> device, Status &status) {
    const auto fail = [&](Status::Code code, std::string message) {
        status = {code, std::move(message)};
        return nullptr;
    };
    status = check_plan(problem, variant);
    if (!status.ok()) return nullptr;
    if (!is_gpu(variant.isa))
        return fail(Status::Code::unsupported, fmt::format("variant {} runs on CPUs ({}): a Plan is needed for it, not a GpuPlan", variant.name, name(variant.isa)));
    if (!device) return fail(Status::Code::invalid_argument, "the pointer to the GpuDevice is null");
    if (!device->runs(variant.isa))
        return fail(Status::Code::unsupported, fmt::format("variant {} is for {}; {} does not run it", variant.name, name(variant.isa), device->text()));
    if (problem.dtype == DType::f16 && !device->info().half_precision)
        return fail(Status::Code::unsupported, fmt::format("{} has no half precision, which {} needs", device->text(), name(problem.dtype)));
    if (!weights) return fail(Status::Code::invalid_argument, "the pointer to the packed weights is null");
    if (std::string why = why_not_packed_for(weights->layout().text(), weights->weights_key(), problem, variant); !why.empty())
        return fail(Status::Code::invalid_argument, std::move(why));
    try {
        auto contents = std::make_unique<Contents>(problem, variant, std::move(device));
        status = contents->upload(*weights);
        return status.ok() ? std::unique_ptr<GpuPlan>(new GpuPlan(std::move(contents))) : nullptr;
    } catch (const std::bad_alloc &) {
        return fail(Status::Code::out_of_memory, "not enough memory for a plan");
    }
}

Status GpuPlan::run(const GpuArray &input, GpuArray &output, const GpuArray *skip) const {
    if (Status status = contents_->check("input", input, contents_->problem.input_elements()); !status.ok()) return status;
    if (Status status = contents_->check("output", output, contents_->problem.output_elements()); !status.ok()) return status;
    if (std::string why = why_not_skip(skip != nullptr, contents_->problem); !why.empty()) return {Status::Code::invalid_argument, std::move(why)};
    if (skip)
        if (Status status = contents_->check("skip tensor", *skip, contents_->problem.output_elements()); !status.ok()) return status;
    if (skip && skip->memory().native == output.memory().native) return {Status::Code::invalid_argument, skip_overlaps};
    const KernelArguments &arguments = contents_->arguments;
    Descriptor in, added, out;
    describe(in, input, arguments.input);
    describe(out, output, arguments.output);
    if (skip) describe(added, *skip, arguments.skip);
    return contents_->device->call(contents_->variant->kernel, arguments.vector(in, contents_->constants, skip ? &added : nullptr, out).data(),
                                   contents_->variant->name);
}

}  // namespace sepal
