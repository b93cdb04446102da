// What the heuristics that derive knobs share.
#pragma once

#include "runtime/ceil_div.h"

#include <cstdint>

namespace sepal {

// Gives a knob that is free (0) its value.
inline void set(int &knob, int64_t value) {
    if (knob == 0) knob = int(value);
}

}  // namespace sepal
