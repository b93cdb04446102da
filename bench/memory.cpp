#include "memory.h"

#include "peak_loops.h"
#include "threads.h"

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace sepal {
namespace {

constexpr int64_t cache_line = 64;

// clflushopt: CPUID leaf 7, EBX bit 23. Unlike clflush it is not ordered, which makes it several times faster.
bool has_clflushopt() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 23 & 1);
}

__attribute__((target("clflushopt"))) void flush_unordered(const char *p, const char *end) {
    for (; p < end; p += cache_line) _mm_clflushopt(const_cast<char *>(p));
}

void flush(const char *p, const char *end) {
    static const bool unordered = has_clflushopt();
    if (unordered) return flush_unordered(p, end);
    for (; p < end; p += cache_line) _mm_clflush(p);
}

}  // namespace

int64_t available_memory() {
    std::ifstream file("/proc/meminfo");
    std::string key;
    int64_t kib = 0;
    while (file >> key >> kib) {
        if (key == "MemAvailable:") return kib * 1024;
        std::getline(file, key);
    }
    return 0;
}

Evictor::Evictor(int64_t sweep_bytes, int threads) {
    const int64_t share = (sweep_bytes / threads + loop_block_bytes - 1) / loop_block_bytes * loop_block_bytes;
    for (int t = 0; t < threads; t++) {
        sweep_.emplace_back(share / int64_t(sizeof(float)));
        std::fill_n(sweep_.back().data(), sweep_.back().size(), 1.f);
    }
}

void Evictor::add(const AlignedBytes &tensor) {
    if (tensor.bytes() > 0) tensors_.push_back(&tensor);
}

// Two means, because a kernel also reads memory whose address only its plan knows (packed filters):
// - tensors are flushed line by line, from all caches of all cores, whatever the replacement policy;
// - then every CPU that a kernel may have run on reads its share of a buffer twice as large as the last-level caches, which
//   pushes out the rest, its private caches included.
// Tensors larger than the sweep cannot be in the caches but for their ends, which the sweep pushes out: they are not flushed.
void Evictor::evict() {
    int64_t swept = 0, flushed = 0;
    for (const AlignedFloats &s : sweep_) swept += s.bytes();
    for (const AlignedBytes *t : tensors_) flushed += t->bytes();
    if (flushed <= swept) {
        for (const AlignedBytes *t : tensors_) {
            const char *p = static_cast<const char *>(t->data());
            flush(p, p + t->bytes());
        }
        _mm_mfence();
    }
    run_pinned(int(sweep_.size()), [&](int t) { read_loop(Isa::x64, sweep_[t].data(), sweep_[t].bytes()); });
}

}  // namespace sepal
