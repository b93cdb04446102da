// The kernels that a GPU's peaks are measured with: PTX of our own, which the driver assembles. Each leaves a result that is checked, so that
// no peak is that of a kernel that does nothing.
#pragma once

#include "gpu_timer.h"
#include "runtime/gpu/device.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sepal {

// All of them, for sm_80 and later.
std::string peak_kernels_ptx();

// A kernel with its arguments, ready to be queued any number of times.
struct PeakLaunch {
    std::string kernel;
    unsigned blocks = 0, threads = 0;             // threads: of a block
    double flops = 0;                             // of a launch, 2 for each multiply-add
    double bytes_read = 0, bytes_written = 0;     // of device memory or L2, of a launch, the results of a peak of arithmetic apart
    std::shared_ptr<GpuArray> in, out;            // null where it has none
    QueueWork queue;
    std::function<Status()> check;                // after a launch: what is wrong with its results
};

class PeakKernels {
public:
    // Null, with `status` set, when the driver does not take them.
    static std::unique_ptr<PeakKernels> load(std::shared_ptr<const GpuDevice> device, Status &status);
    ~PeakKernels();
    PeakKernels(const PeakKernels &) = delete;

    // Each allocates its arrays. The kernels must outlive what they return. `trips` through the kernel's loop: 1 to most_trips.
    static constexpr int most_trips = 1024;
    PeakLaunch f32_fma(int trips, Status &status) const;
    PeakLaunch f16_fma(int trips, Status &status) const;
    PeakLaunch f16_mma(int trips, Status &status) const;
    // Copies so many bytes, a multiple of piece_bytes.
    static constexpr int64_t piece_bytes = 16384;
    PeakLaunch copy(int64_t bytes, Status &status) const;
    // Reads `footprint` bytes, a multiple of piece_bytes, from the beginning to the end and over again, `passes` times or a little less.
    PeakLaunch read(int64_t footprint, int passes, Status &status) const;
    // Does nothing, in one warp.
    PeakLaunch empty() const;

private:
    struct Loaded;
    explicit PeakKernels(std::shared_ptr<const Loaded> loaded) : loaded_(std::move(loaded)) {}
    PeakLaunch arithmetic(const char *kernel, bool half, int trips, Status &status) const;
    PeakLaunch read(const std::shared_ptr<GpuArray> &in, int passes, Status &status) const;  // of what fill_byte fills

    std::shared_ptr<const Loaded> loaded_;
};

}  // namespace sepal
