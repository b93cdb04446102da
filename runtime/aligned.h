// Arrays of floats for kernels and measurements.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace sepal {

// `elements` f32 aligned to a cache line of 64 bytes (so that a vector or a packed panel never straddles one), or to 2 MiB and
// advised to be backed by huge pages. Contents undefined until written. Owns its memory and can be moved, not copied; throws
// std::bad_alloc.
class AlignedFloats {
public:
    AlignedFloats() = default;
    explicit AlignedFloats(int64_t elements, bool huge_pages = false);
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
