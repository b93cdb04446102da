#include "tools/checker.h"

#include "runtime/aligned.h"
#include "runtime/half.h"

#include <algorithm>
#include <limits>

namespace sepal {

CheckResult check_variant(const Variant &variant, Tensors &tensors, double max_macs) {
    std::fill(tensors.output.begin(), tensors.output.end(), std::numeric_limits<float>::quiet_NaN());
    Status status;
    const DType dtype = tensors.problem.dtype;
    const std::unique_ptr<Plan> plan = Plan::create(tensors.problem, variant, tensors.weights(), status);
    // A variant that asks for no alignment gets none beyond the allocator's.
    const bool as_they_are = dtype == DType::f32, in_place = as_they_are && variant.output_alignment == 0;
    AlignedArray input, output;
    if (!as_they_are) input = AlignedArray(dtype, tensors.input);
    if (!in_place) output = AlignedArray(dtype, tensors.output);
    void *const to = in_place ? tensors.output.data() : output.data();
    if (plan) status = plan->run(as_they_are ? tensors.input.data() : input.data(), to);
    load_elements(output.data(), dtype, output.size(), tensors.output.data());
    if (!status.ok()) return {false, 0, 0, status.message};
    return check_output(tensors, to, max_macs, variant.rel_error(tensors.problem));
}

}  // namespace sepal
