#include "tools/checker.h"

#include <algorithm>
#include <limits>

namespace sepal {

CheckResult check_variant(const Variant &variant, Tensors &tensors, double max_macs) {
    std::fill(tensors.output.begin(), tensors.output.end(), std::numeric_limits<float>::quiet_NaN());
    Status status;
    const std::unique_ptr<Plan> plan = Plan::create(tensors.problem, variant, tensors.weights(), status);
    if (plan) status = plan->run(tensors.input.data(), tensors.output.data());
    if (!status.ok()) return {false, 0, 0, status.message};
    return check_output(tensors, tensors.output.data(), max_macs, variant.rel_error(tensors.problem));
}

}  // namespace sepal
