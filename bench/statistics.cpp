#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace sepal {

Statistics summarise(std::vector<double> samples) {
    if (samples.empty()) throw std::invalid_argument("no samples to summarise");
    std::sort(samples.begin(), samples.end());
    const auto quantile = [&](double q) {
        const double position = q * double(samples.size() - 1);
        const size_t below = size_t(std::floor(position));
        const size_t above = std::min(below + 1, samples.size() - 1);
        return samples[below] + (position - double(below)) * (samples[above] - samples[below]);
    };
    Statistics s;
    s.median = quantile(0.5);
    s.min = samples.front();
    s.max = samples.back();
    s.spread_pct = s.median > 0 ? 100 * (quantile(0.75) - quantile(0.25)) / s.median : 0;
    s.count = int(samples.size());
    return s;
}

}  // namespace sepal
