#include "tools/checker.h"

#include "runtime/aligned.h"

#include <algorithm>
#include <limits>

namespace sepal {

CheckResult check_variant(const Variant &variant, Tensors &tensors, double max_macs) {
    std::fill(tensors.output.begin(), tensors.output.end(), std::numeric_limits<float>::quiet_NaN());
    Status status;
    const std::unique_ptr<Plan> plan = Plan::create(tensors.problem, variant, tensors.weights(), status);
    // A variant that asks for no alignment gets none beyond the allocator's.
    AlignedFloats aligned(variant.output_alignment > 0 ? int64_t(tensors.output.size()) : 0);
    float *const output = variant.output_alignment > 0 ? aligned.data() : tensors.output.data();
    std::copy(tensors.output.begin(), tensors.output.begin() + aligned.size(), aligned.data());
    if (plan) status = plan->run(tensors.input.data(), output);
    std::copy(aligned.data(), aligned.data() + aligned.size(), tensors.output.begin());
    if (!status.ok()) return {false, 0, 0, status.message};
    return check_output(tensors, tensors.output.data(), max_macs, variant.rel_error(tensors.problem));
}

}  // namespace sepal
