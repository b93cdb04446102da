// GuardedArray: memory of which no byte beside it can be touched unseen.
#pragma once

#include "runtime/half.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace sepal {

enum class Side { before, after };  // of the array, where the page without access lies

// An array beside a page without access; what is left of its own pages is filled with a pattern.
class GuardedArray {
public:
    GuardedArray(size_t elements, Side side, DType dtype = DType::f32) : dtype_(dtype) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        bytes_ = elements * size_t(size_in_bytes(dtype));
        inner_ = (bytes_ + page - 1) / page * page;
        mapped_ = inner_ + 2 * page;
        void *at = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) throw std::bad_alloc();
        base_ = static_cast<unsigned char *>(at);
        begin_ = base_ + page;
        data_ = side == Side::before ? begin_ : begin_ + inner_ - bytes_;
        std::memset(begin_, pattern, inner_);
        mprotect(base_, page, PROT_NONE);
        mprotect(begin_ + inner_, page, PROT_NONE);
    }
    ~GuardedArray() { munmap(base_, mapped_); }
    GuardedArray(const GuardedArray &) = delete;
    GuardedArray &operator=(const GuardedArray &) = delete;

    float *data() { return reinterpret_cast<float *>(data_); }  // of an f32 one
    void *bytes() { return data_; }
    void fill(const std::vector<float> &values) { store_elements(values.data(), int64_t(values.size()), dtype_, data_); }
    void forbid_writes() { mprotect(begin_, inner_, PROT_READ); }
    bool pattern_intact() const {
        const auto same = [](unsigned char byte) { return byte == pattern; };
        return std::all_of(begin_, data_, same) && std::all_of(data_ + bytes_, begin_ + inner_, same);
    }

private:
    static constexpr unsigned char pattern = 0xa5;
    unsigned char *base_ = nullptr, *begin_ = nullptr, *data_ = nullptr;
    size_t bytes_ = 0, inner_ = 0, mapped_ = 0;
    DType dtype_;
};

}  // namespace sepal
