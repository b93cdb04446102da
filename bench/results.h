// From entries that were checked and timed to results.
#pragma once

#include "entry.h"
#include "runner.h"

#include <functional>

namespace sepal {

// Two results for each entry, warm and cold. `fill` is given those that are timed, with candidate, cache, check and what is known without times.
std::vector<Result> make_results(const std::vector<Entry> &entries, const std::function<void(Result &, const Entry &)> &fill);

Statistics in_milliseconds(std::vector<double> seconds);

}  // namespace sepal
