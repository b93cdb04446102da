// PackedFilters: what a report tells of the constants that a kernel, or an unfused pair, reads.
#pragma once

#include "runtime/packed_weights.h"

#include <cstdint>
#include <memory>
#include <string>

namespace sepal {

struct PackedFilters {
    std::string layout;   // FilterLayout::text(); of a pair both, with " + " between them; empty: nothing was packed here
    int64_t bytes = 0;    // filters and biases as packed
    double seconds = 0;   // that packing took: the median of a few times

    // Packs several times, adds what that took and returns the last; null, with `status` set, as PackedWeights::pack() says.
    std::shared_ptr<const PackedWeights> pack(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status);
};

}  // namespace sepal
