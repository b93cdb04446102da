#include "aligned.h"

#include "half.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace sepal {

AlignedBytes::AlignedBytes(int64_t bytes) : bytes_(bytes) {
    const bool huge_pages = bytes >= huge_page_threshold;
    const size_t alignment = huge_pages ? size_t(2) << 20 : 64;
    const size_t allocated = (size_t(std::max<int64_t>(bytes, 1)) + alignment - 1) / alignment * alignment;
    data_.reset(allocate_aligned(alignment, allocated));
    if (!data_) throw std::bad_alloc();
    if (huge_pages) advise_huge_pages(data_.get(), allocated);
}

AlignedBytes::AlignedBytes(int64_t bytes, const Allocator &allocator) : AlignedBytes() {
    if (!allocator.allocate) {
        *this = AlignedBytes(bytes);
        return;
    }
    data_ = {allocator.allocate(allocator.context, size_t(std::max<int64_t>(bytes, 1)), 64), Release{allocator.context, allocator.release}};
    if (!data_) throw std::bad_alloc();
    bytes_ = bytes;
}

AlignedBytes AlignedBytes::wrap(void *memory, int64_t bytes) {
    AlignedBytes out;
    out.data_ = {memory, Release{nullptr, [](void *, void *) {}}};
    out.bytes_ = bytes;
    return out;
}

AlignedBytes AlignedBytes::zeros(int64_t bytes) {
    AlignedBytes out(bytes);
    std::memset(out.data(), 0, size_t(bytes));
    return out;
}

AlignedArray::AlignedArray(DType dtype, const std::vector<float> &values) : AlignedArray(dtype, int64_t(values.size())) {
    store_elements(values.data(), size(), dtype, data());
}

void AlignedArray::fill(float value) {
    if (dtype_ == DType::f32)
        std::fill_n(static_cast<float *>(data()), size(), value);
    else
        std::fill_n(static_cast<uint16_t *>(data()), size(), half_from_float(value));
}

std::vector<float> AlignedArray::values() const {
    std::vector<float> out(static_cast<size_t>(size()));
    load_elements(data(), dtype_, size(), out.data());
    return out;
}

}  // namespace sepal
