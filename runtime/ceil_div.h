// Division that rounds up.
#pragma once

#include <cstdint>

namespace sepal {

// The units of `b` that hold `a` elements; neither is negative, b is not 0.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace sepal
