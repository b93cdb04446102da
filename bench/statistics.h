// What a set of samples is condensed to.
#pragma once

#include <vector>

namespace sepal {

struct Statistics {
    double median = 0;
    double min = 0;
    double max = 0;
    double spread_pct = 0;  // 100 * (third quartile - first quartile) / median; 0 when the median is 0
    int count = 0;
};

// Quartiles are interpolated linearly between the sorted samples (type 7 of Hyndman and Fan, 1996: NumPy's default). The
// unit is that of the samples. Throws std::invalid_argument when there are none.
Statistics summarise(std::vector<double> samples);

}  // namespace sepal
