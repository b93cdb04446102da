// Arrays for kernels and measurements.
#pragma once

#include "execution.h"
#include "platform.h"
#include "problem.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace sepal {

// Memory aligned to a cache line of 64 bytes, so that a vector or a packed panel never straddles one. Arrays of huge_page_threshold bytes
// and more are aligned to 2 MiB and advised to be backed by huge pages, which spares misses of the TLB; NumPy does the same from the same
// size on, so that arrays of peers measured beside are treated alike. Contents undefined until written. Owns its memory and can be moved,
// not copied; throws std::bad_alloc.
class AlignedBytes {
public:
    AlignedBytes() = default;
    explicit AlignedBytes(int64_t bytes);
    // From the caller's allocator, which it is released to; as above where that is not set.
    AlignedBytes(int64_t bytes, const Allocator &allocator);
    // The caller's memory, which outlives the object.
    static AlignedBytes wrap(void *memory, int64_t bytes);
    static constexpr int64_t huge_page_threshold = 4 << 20;
    static AlignedBytes zeros(int64_t bytes);
    void *data() { return data_.get(); }
    const void *data() const { return data_.get(); }
    int64_t bytes() const { return bytes_; }

private:
    struct Release {
        void *context;
        void (*release)(void *context, void *memory);  // null: release_aligned()
        void operator()(void *memory) const { release ? release(context, memory) : release_aligned(memory); }
    };
    std::unique_ptr<void, Release> data_{nullptr, Release{nullptr, nullptr}};
    int64_t bytes_ = 0;
};

// `elements` f32.
class AlignedFloats : public AlignedBytes {
public:
    AlignedFloats() = default;
    explicit AlignedFloats(int64_t elements) : AlignedBytes(elements * int64_t(sizeof(float))) {}
    float *data() { return static_cast<float *>(AlignedBytes::data()); }
    const float *data() const { return static_cast<const float *>(AlignedBytes::data()); }
    int64_t size() const { return bytes() / int64_t(sizeof(float)); }
};

// The elements of a tensor, of a problem's type.
class AlignedArray : public AlignedBytes {
public:
    AlignedArray() = default;
    AlignedArray(DType dtype, int64_t elements) : AlignedBytes(elements * size_in_bytes(dtype)), dtype_(dtype) {}
    // The values, each rounded to the type.
    AlignedArray(DType dtype, const std::vector<float> &values);
    DType dtype() const { return dtype_; }
    int64_t size() const { return bytes() / size_in_bytes(dtype_); }
    void fill(float value);
    std::vector<float> values() const;

private:
    DType dtype_ = DType::f32;
};

}  // namespace sepal
