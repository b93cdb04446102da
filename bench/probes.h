// Probes: what the machine itself does at this moment, timed between the kernels' samples.
#pragma once

#include "memory.h"
#include "runtime/isa.h"

#include <vector>

namespace sepal {

// The FMA peak of one ISA with `threads` threads, in a few milliseconds.
class FmaProbe {
public:
    FmaProbe(Isa isa, int threads);
    Isa isa() const { return isa_; }
    double gflops() const;  // measures now

private:
    Isa isa_;
    int threads_;
    int64_t iterations_;
};

// A copy (vector loads and stores) with `threads` threads that moves `bytes`: reads a half, writes a half.
class CopyProbe {
public:
    CopyProbe(double bytes, Isa isa, int threads);
    const AlignedFloats &source() const { return from_; }
    const AlignedFloats &destination() const { return to_; }
    double seconds(int64_t repeats, bool streaming = false);  // of one copy, the mean of `repeats` in a row; by stores that bypass the caches

private:
    AlignedFloats from_, to_;
    Isa isa_;
    int threads_;
};

}  // namespace sepal
