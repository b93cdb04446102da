// Memory for measurements: how much there is, and emptying the caches.
#pragma once

#include "runtime/aligned.h"

#include <cstdint>
#include <vector>

namespace sepal {

// Bytes that can be allocated without swapping: MemAvailable of /proc/meminfo; 0 when it cannot be read.
int64_t available_memory();

// Empties the caches of what a kernel reads and writes.
class Evictor {
public:
    // sweep_bytes: at least twice all last-level cache that the threads reach, for each of `threads` threads its share.
    Evictor(int64_t sweep_bytes, int threads);
    // Tensors that are flushed by address; not owned. Null and empty ones are ignored.
    void add(const AlignedBytes &tensor);
    void evict();

private:
    std::vector<AlignedFloats> sweep_;  // one for each thread
    std::vector<const AlignedBytes *> tensors_;
};

}  // namespace sepal
