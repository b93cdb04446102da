#include "aligned.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace sepal {

AlignedFloats::AlignedFloats(int64_t elements, bool huge_pages) : elements_(elements) {
    const size_t alignment = huge_pages ? size_t(2) << 20 : 64;
    const size_t bytes = (size_t(std::max<int64_t>(elements, 1)) * sizeof(float) + alignment - 1) / alignment * alignment;
    data_.reset(static_cast<float *>(std::aligned_alloc(alignment, bytes)));
    if (!data_) throw std::bad_alloc();
    if (huge_pages) (void)madvise(data_.get(), bytes, MADV_HUGEPAGE);  // advice: where refused, small pages serve
}

AlignedFloats AlignedFloats::zeros(int64_t elements) {
    AlignedFloats out(elements);
    std::fill_n(out.data(), elements, 0.f);
    return out;
}

}  // namespace sepal
