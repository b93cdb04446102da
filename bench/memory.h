// Memory for measurements: aligned arrays, how much there is, and emptying the caches.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace sepal {

// `elements` f32 aligned to 64 bytes (so that a vector never straddles a cache line), or to 2 MiB and advised to be backed by
// huge pages. Contents undefined until written. Owns its memory; throws std::bad_alloc.
class AlignedFloats {
public:
    AlignedFloats() = default;
    explicit AlignedFloats(int64_t elements, bool huge_pages = false);
    float *data() { return data_.get(); }
    const float *data() const { return data_.get(); }
    int64_t size() const { return elements_; }
    int64_t bytes() const { return elements_ * int64_t(sizeof(float)); }

private:
    struct Free {
        void operator()(float *p) const { std::free(p); }
    };
    std::unique_ptr<float[], Free> data_;
    int64_t elements_ = 0;
};

// Bytes that can be allocated without swapping: MemAvailable of /proc/meminfo; 0 when it cannot be read.
int64_t available_memory();

// Empties the caches of what a kernel reads and writes.
class Evictor {
public:
    // sweep_bytes: at least twice all last-level cache that the threads reach, for each of `threads` threads its share.
    Evictor(int64_t sweep_bytes, int threads);
    // Tensors that are flushed by address; not owned. Null and empty ones are ignored.
    void add(const AlignedFloats &tensor);
    void evict();

private:
    std::vector<AlignedFloats> sweep_;  // one for each thread
    std::vector<const AlignedFloats *> tensors_;
};

}  // namespace sepal
