// What the heuristics that derive knobs share.
#pragma once

#include "runtime/ceil_div.h"
#include "runtime/isa.h"

#include <cstdint>

namespace sepal {

// Gives a knob that is free (0) its value.
inline void set(int &knob, int64_t value) {
    if (knob == 0) knob = int(value);
}

// Whether there are kernels with streaming stores.
inline bool has_streaming_stores(Isa isa) { return !is_gpu(isa) && family(isa) == CpuFamily::x86; }

}  // namespace sepal
