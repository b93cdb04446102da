// Times of work on a GPU.
#pragma once

#include "runtime/gpu/device.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sepal {

// Queues the work to be timed once more: GpuPlan::run() on some arrays, say.
using QueueWork = std::function<Status()>;

struct GpuTimes {
    std::vector<double> seconds;  // of the work once, one sample for each repetition
    bool in_graph = false;        // replayed from a CUDA graph; else queued anew each time
    std::string why_no_graph;     // where one was asked for
};

// CUDA: by events of the device, on its stream. OpenCL: by the host's clock, waiting for the queue. Nothing else is to use the device's queue
// meanwhile. Each function first does the work once, untimed, so that the kernel is loaded.
class GpuTimer {
public:
    explicit GpuTimer(std::shared_ptr<const GpuDevice> device);

    // The work `launches` times, one right after the other, `repetitions` times; a sample is a repetition divided by the launches. With `graph`
    // the launches are captured into a CUDA graph, which replays them without the host's cost of a launch (some microseconds, which bind
    // small kernels); work that cannot be captured, such as a kernel that allocates memory, is queued instead. Its data stay in the caches as
    // far as they fit: `work` may take another of several sets of arrays each time, together larger than L2, to keep them out.
    Status back_to_back(const QueueWork &work, int launches, int repetitions, bool graph, GpuTimes &times);
    // The work once, after L2 has been overwritten, `repetitions` times. A sample includes what the device takes from the first event to
    // the kernel and from the kernel to the second: see empty().
    Status cold(const QueueWork &work, int repetitions, GpuTimes &times);
    // What cold() measures of no work.
    Status empty(int repetitions, GpuTimes &times);
    // From the call until the device has done the work and the host knows it, by the host's clock.
    Status latency(const QueueWork &work, int repetitions, GpuTimes &times);

    // Queues writing four times as many bytes as L2 has.
    Status flush_l2();

private:
    Status timed(const std::function<Status()> &queue, double &seconds);
    Status after_flushes(const std::function<Status()> &queue, int repetitions, GpuTimes &times);

    std::shared_ptr<const GpuDevice> device_;
    GpuArray flushed_;
    uint8_t byte_ = 0;
};

}  // namespace sepal
