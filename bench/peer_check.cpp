#include "peer_check.h"

#include "runtime/half.h"

#include <algorithm>
#include <limits>

namespace sepal {
double peer_memory(const ConvProblem &p) {
    const double tensors = 2 * (double(p.input_elements()) + double(p.output_elements())) + double(p.mid_elements());
    const double filters = 3 * double(p.filter_elements() + p.pointwise_filter_elements());
    const double library = 300e6;
    return sizeof(float) * (tensors + filters) + library;
}

PeerCheck check_peer(Peer &peer, const Tensors &tensors, const PeerFiles &files, AlignedArray &output) {
    PeerCheck result;
    const auto skip = [&](const std::string &why) {
        result.check = "skipped: " + why;
        return result;
    };
    // An element that is not written stays NaN and fails the check.
    output.fill(std::numeric_limits<float>::quiet_NaN());
    if (output.dtype() == DType::f32) {
        result.prepared = peer.prepare(tensors.problem, files, static_cast<float *>(output.data()));
    } else {
        AlignedFloats values(output.size());
        std::fill_n(values.data(), values.size(), std::numeric_limits<float>::quiet_NaN());
        result.prepared = peer.prepare(tensors.problem, files, values.data());
        store_elements(values.data(), values.size(), output.dtype(), output.data());
    }
    if (!result.prepared.why_not.empty()) return skip(result.prepared.why_not);
    const double max_macs = 2.5e8;  // of the comparison: it is made for each of many peers
    const CheckResult compared = check_output(tensors, output.data(), max_macs, result.prepared.winograd ? winograd_tolerance : 0);
    result.relative_error = compared.rel_error;
    result.message = compared.message;
    result.check = compared.passed ? "passed" : "failed";
    if (!compared.passed) return result;
    std::string why_not;
    const std::optional<double> seconds = peer.seconds(1, false, why_not);
    if (!seconds) return skip(why_not);
    result.run_seconds = *seconds;
    return result;
}

}  // namespace sepal
