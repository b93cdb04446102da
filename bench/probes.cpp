#include "probes.h"

#include "peak_loops.h"
#include "threads.h"
#include "timer.h"

#include <algorithm>

namespace sepal {
namespace {

constexpr double probe_seconds = 3e-3;

// Seconds of body(0 ... threads - 1); a single one runs on the calling thread.
template <typename Body>
double time_threads(int threads, const Body &body) {
    if (threads > 1) return run_pinned(threads, body);
    const double start = now();
    body(0);
    return now() - start;
}

int64_t blocks(double bytes) { return std::max<int64_t>(1, int64_t(bytes / 2 + loop_block_bytes - 1) / loop_block_bytes); }

}  // namespace

FmaProbe::FmaProbe(Isa isa, int threads) : isa_(isa), threads_(threads), iterations_(10000) {
    for (;;) {
        const double start = now();
        fma_loop(isa_, iterations_);
        const double seconds = now() - start;
        if (seconds >= probe_seconds) break;
        iterations_ *= 2;
    }
}

double FmaProbe::gflops() const {
    double flops = 0;  // of one thread
    const double seconds = time_threads(threads_, [&](int t) {
        const double done = fma_loop(isa_, iterations_);
        if (t == 0) flops = done;
    });
    return flops * threads_ / seconds / 1e9;
}

CopyProbe::CopyProbe(double bytes, Isa isa, int threads)
    : from_(blocks(bytes) * loop_block_bytes / int64_t(sizeof(float))), to_(from_.size()), isa_(isa), threads_(threads) {
    std::fill_n(from_.data(), from_.size(), 1.5f);
    std::fill_n(to_.data(), to_.size(), 0.5f);
}

double CopyProbe::seconds(int64_t repeats, bool streaming) {
    const int64_t total = from_.bytes() / loop_block_bytes;
    const double seconds = time_threads(threads_, [&](int t) {
        const int64_t first = total * t / threads_, count = total * (t + 1) / threads_ - first;
        const int64_t offset = first * loop_block_bytes / int64_t(sizeof(float));
        if (count == 0) return;
        for (int64_t i = 0; i < repeats; i++)
            copy_loop(isa_, streaming ? Stores::streaming : Stores::ordinary, to_.data() + offset, from_.data() + offset, count * loop_block_bytes);
    });
    return seconds / double(repeats);
}

}  // namespace sepal
