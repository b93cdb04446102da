// The one clock of all measurements.
#pragma once

#include <chrono>

namespace sepal {

// Seconds since an arbitrary start; never runs backwards. Resolution: some tens of nanoseconds.
inline double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace sepal
