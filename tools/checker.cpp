#include "tools/checker.h"

#include "bench/gpu/emulator/emulator.h"
#include "runtime/aligned.h"
#include "runtime/gpu/gpu_plan.h"
#include "runtime/half.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace sepal {

CheckResult check_variant(const Variant &variant, Tensors &tensors, double max_macs) {
    std::fill(tensors.output.begin(), tensors.output.end(), std::numeric_limits<float>::quiet_NaN());
    Status status;
    const DType dtype = tensors.problem.dtype;
    const std::unique_ptr<Plan> plan = Plan::create(tensors.problem, variant, tensors.weights(), status);
    // A variant that asks for no alignment gets none beyond the allocator's.
    const bool as_they_are = dtype == DType::f32, in_place = as_they_are && variant.output_alignment == 0;
    AlignedArray input, skip, output;
    if (!as_they_are) input = AlignedArray(dtype, tensors.input), skip = AlignedArray(dtype, tensors.skip);
    if (!in_place) output = AlignedArray(dtype, tensors.output);
    void *const to = in_place ? tensors.output.data() : output.data();
    const auto given = [&](const std::vector<float> &values, const AlignedArray &of_dtype) {
        return as_they_are ? static_cast<const void *>(values.data()) : of_dtype.data();
    };
    if (plan) status = plan->run(given(tensors.input, input), to, tensors.problem.residual ? given(tensors.skip, skip) : nullptr);
    load_elements(output.data(), dtype, output.size(), tensors.output.data());
    if (!status.ok()) return {false, 0, 0, status.message};
    return check_output(tensors, to, max_macs, variant.rel_error(tensors.problem));
}

namespace {

constexpr int64_t guard_bytes = GpuArray::part_alignment;

// How many bytes from `begin` to `end` a kernel has written.
int64_t written(const uint8_t *begin, const uint8_t *end) {
    return std::count_if(begin, end, [](uint8_t byte) { return byte != unwritten_byte; });
}

// Runs the variant and downloads its output with `guard` bytes on either side of it.
Status run_on_gpu(const Variant &variant, const std::shared_ptr<GpuDevice> &gpu, const Tensors &tensors, int64_t guard, std::vector<uint8_t> &downloaded) {
    const ConvProblem &p = tensors.problem;
    const AlignedArray values(p.dtype, tensors.input);
    const int64_t output_bytes = p.output_elements() * size_in_bytes(p.dtype);
    Status status;
    const std::unique_ptr<GpuPlan> plan = GpuPlan::create(p, variant, tensors.weights(), gpu, status);
    if (!plan) return status;
    GpuArray input = GpuArray::allocate(gpu, values.bytes(), status);
    if (status.ok()) status = input.upload(values.data(), values.bytes());
    if (!status.ok()) return status;
    const AlignedArray added(p.dtype, tensors.skip);
    GpuArray skip = p.residual ? GpuArray::allocate(gpu, added.bytes(), status) : GpuArray();
    if (status.ok() && p.residual) status = skip.upload(added.data(), added.bytes());
    if (!status.ok()) return status;
    GpuArray around = GpuArray::allocate(gpu, output_bytes + 2 * guard, status);
    if (status.ok()) status = around.fill(unwritten_byte);
    if (!status.ok()) return status;
    GpuArray output = GpuArray::part(around, guard, output_bytes, status);
    if (status.ok()) status = plan->run(input, output, p.residual ? &skip : nullptr);
    if (status.ok()) status = gpu->synchronize();
    downloaded.resize(size_t(around.bytes()));
    return status.ok() ? around.download(downloaded.data(), around.bytes()) : status;
}

}  // namespace

CheckResult check_variant(const Variant &variant, const ChosenDevice &device, Tensors &tensors, double max_macs) {
    if (!device.gpu) return check_variant(variant, tensors, max_macs);
    const ConvProblem &p = tensors.problem;
    // The emulator checks every access: with guards, one to them would be within the allocation.
    const int64_t guard = device.emulated ? 0 : guard_bytes, elements = p.output_elements(), bytes = elements * size_in_bytes(p.dtype);
    std::vector<uint8_t> downloaded;
    if (device.emulated) (void)take_emulated_launches();
    const Status status = run_on_gpu(variant, device.gpu, tensors, guard, downloaded);
    std::string message = status.message;
    if (device.emulated) {
        for (const std::string &fault : take_emulator_faults()) message += (message.empty() ? "" : "; ") + fault;
    }
    if (!status.ok() || !message.empty()) return {false, 0, 0, message};
    const uint8_t *const output = downloaded.data() + guard;
    load_elements(output, p.dtype, elements, tensors.output.data());
    const int64_t before = written(downloaded.data(), output), behind = written(output + bytes, output + bytes + guard);
    if (before + behind > 0) return {false, 0, 0, fmt::format("{} bytes before the output and {} bytes behind it were written", before, behind)};
    return check_output(tensors, output, max_macs, variant.rel_error(p));
}

}  // namespace sepal
