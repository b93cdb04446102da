#include "aligned.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace sepal {

AlignedFloats::AlignedFloats(int64_t elements) : elements_(elements) {
    const bool huge_pages = bytes() >= huge_page_threshold;
    const size_t alignment = huge_pages ? size_t(2) << 20 : 64;
    const size_t allocated = (size_t(std::max<int64_t>(elements, 1)) * sizeof(float) + alignment - 1) / alignment * alignment;
    data_.reset(static_cast<float *>(std::aligned_alloc(alignment, allocated)));
    if (!data_) throw std::bad_alloc();
    if (huge_pages) (void)madvise(data_.get(), allocated, MADV_HUGEPAGE);  // advice: where refused, small pages serve
}

AlignedFloats AlignedFloats::zeros(int64_t elements) {
    AlignedFloats out(elements);
    std::fill_n(out.data(), elements, 0.f);
    return out;
}

}  // namespace sepal
