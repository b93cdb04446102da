// Arrays of floats for kernels and measurements.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace sepal {

// `elements` f32 aligned to a cache line of 64 bytes, so that a vector or a packed panel never straddles one. Arrays of
// huge_page_threshold bytes and more are aligned to 2 MiB and advised to be backed by huge pages, which spares misses of the
// TLB; NumPy does the same from the same size on, so that arrays of peers measured beside are treated alike. Contents
// undefined until written. Owns its memory and can be moved, not copied; throws std::bad_alloc.
class AlignedFloats {
public:
    AlignedFloats() = default;
    explicit AlignedFloats(int64_t elements);
    static constexpr int64_t huge_page_threshold = 4 << 20;
    static AlignedFloats zeros(int64_t elements);
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

}  // namespace sepal
