#include "packed_filters.h"

#include "statistics.h"

#include <vector>

namespace sepal {

std::shared_ptr<const PackedWeights> PackedFilters::pack(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status) {
    constexpr size_t most_times = 5;
    constexpr double enough_seconds = 0.2;  // of very large filters there are fewer
    std::shared_ptr<const PackedWeights> packed;
    std::vector<double> times;
    double spent = 0;
    while (times.size() < most_times && (times.empty() || spent < enough_seconds)) {
        packed.reset();  // no two at a time
        packed = PackedWeights::pack(problem, variant, weights, status);
        if (!packed) return nullptr;
        times.push_back(packed->pack_seconds());
        spent += times.back();
    }
    layout += (layout.empty() ? "" : " + ") + packed->layout().text();
    bytes += packed->bytes();
    seconds += summarise(times).median;
    return packed;
}

}  // namespace sepal
