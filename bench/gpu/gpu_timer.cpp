#include "gpu_timer.h"

#include "bench/timer.h"
#include "runtime/gpu/cuda_api.h"

#include <fmt/format.h>

#include <utility>

namespace sepal {
namespace {

using namespace cuda;

// Of a device that does not say how much L2 it has.
constexpr int64_t assumed_l2_bytes = int64_t(64) << 20;

class Event {
public:
    Event() : result_(cuEventCreate(&event_, 0)) {}
    Event(const Event &) = delete;
    ~Event() {
        if (event_) (void)cuEventDestroy(event_);
    }
    Result result() const { return result_; }
    void *get() const { return event_; }

private:
    void *event_ = nullptr;
    Result result_;
};

// The launches of some work, as the device replays them.
class Graph {
public:
    Graph() = default;
    Graph(const Graph &) = delete;
    ~Graph() {
        if (executable_) (void)cuGraphExecDestroy(executable_);
        if (graph_) (void)cuGraphDestroy(graph_);
    }
    Status capture(void *stream, const QueueWork &work, int launches) {
        take_failure();
        if (const Result result = cuStreamBeginCapture(stream, capture_thread_local); result != success) return status_of(result, "a graph cannot be captured");
        Status queued;
        for (int i = 0; i < launches && queued.ok(); i++) queued = work();
        const Result ended = cuStreamEndCapture(stream, &graph_);
        if (!queued.ok()) {
            take_failure();
            return queued;
        }
        Status status = status_of(ended, "a graph cannot be captured");
        if (status.ok()) status = status_of(cuGraphInstantiate(&executable_, graph_, 0), "a captured graph cannot be made ready");
        return status;
    }
    Status launch(void *stream) const { return status_of(cuGraphLaunch(executable_, stream), "a captured graph cannot be launched"); }

private:
    void *graph_ = nullptr, *executable_ = nullptr;
};

Status check_counts(int launches, int repetitions) {
    if (launches < 1 || repetitions < 1)
        return {Status::Code::invalid_argument, fmt::format("{} launches and {} repetitions are to be timed; allowed: 1 or more", launches, repetitions)};
    return {};
}

}  // namespace

GpuTimer::GpuTimer(std::shared_ptr<const GpuDevice> device) : device_(std::move(device)) {}

// The time that what `queue` queues takes on the device, alone.
Status GpuTimer::timed(const std::function<Status()> &queue, double &seconds) {
    if (device_->backend() != Backend::cuda) {
        const double start = now();
        Status status = queue();
        if (status.ok()) status = device_->synchronize();
        seconds = now() - start;
        return status;
    }
    take_failure();
    const PushContext pushed(device_->native_context());
    if (pushed.result() != success) return status_of(pushed.result(), device_->text() + " cannot be timed");
    const Event before, after;
    for (const Event *e : {&before, &after})
        if (e->result() != success) return status_of(e->result(), device_->text() + " cannot be timed");
    void *const stream = device_->native_queue();
    Status status = status_of(cuEventRecord(before.get(), stream), device_->text() + " cannot be timed");
    if (status.ok()) status = queue();
    if (status.ok()) status = status_of(cuEventRecord(after.get(), stream), device_->text() + " cannot be timed");
    if (status.ok()) status = device_->synchronize();
    float ms = 0;
    if (status.ok()) status = status_of(cuEventElapsedTime(&ms, before.get(), after.get()), device_->text() + " cannot be timed");
    seconds = double(ms) / 1000;
    return status;
}

Status GpuTimer::back_to_back(const QueueWork &work, int launches, int repetitions, bool graph, GpuTimes &times) {
    times = {};
    Status status = check_counts(launches, repetitions);
    if (status.ok()) status = work();
    if (status.ok()) status = device_->synchronize();
    if (!status.ok()) return status;

    Graph captured;
    if (graph && device_->backend() != Backend::cuda) times.why_no_graph = "OpenCL has no graphs";
    if (graph && device_->backend() == Backend::cuda) {
        const PushContext pushed(device_->native_context());
        const Status can = captured.capture(device_->native_queue(), work, launches);
        times.in_graph = can.ok();
        times.why_no_graph = can.message;
        if (times.in_graph) {  // the first launch uploads it
            status = captured.launch(device_->native_queue());
            if (status.ok()) status = device_->synchronize();
            if (!status.ok()) return status;
        }
    }
    const auto queue = [&] {
        if (times.in_graph) return captured.launch(device_->native_queue());
        Status queued;
        for (int i = 0; i < launches && queued.ok(); i++) queued = work();
        return queued;
    };
    for (int i = 0; i < repetitions && status.ok(); i++) {
        double seconds = 0;
        status = timed(queue, seconds);
        times.seconds.push_back(seconds / launches);
    }
    return status;
}

Status GpuTimer::after_flushes(const std::function<Status()> &queue, int repetitions, GpuTimes &times) {
    Status status;
    for (int i = 0; i < repetitions && status.ok(); i++) {
        // On CUDA the launch is queued while the flush is at work, so that the host's part of it is not timed.
        status = flush_l2();
        if (status.ok() && device_->backend() != Backend::cuda) status = device_->synchronize();
        double seconds = 0;
        if (status.ok()) status = timed(queue, seconds);
        times.seconds.push_back(seconds);
    }
    return status;
}

Status GpuTimer::cold(const QueueWork &work, int repetitions, GpuTimes &times) {
    times = {};
    Status status = check_counts(1, repetitions);
    if (status.ok()) status = work();
    if (status.ok()) status = device_->synchronize();
    return status.ok() ? after_flushes(work, repetitions, times) : status;
}

Status GpuTimer::empty(int repetitions, GpuTimes &times) {
    times = {};
    const Status status = check_counts(1, repetitions);
    return status.ok() ? after_flushes([] { return Status(); }, repetitions, times) : status;
}

Status GpuTimer::latency(const QueueWork &work, int repetitions, GpuTimes &times) {
    times = {};
    Status status = check_counts(1, repetitions);
    if (status.ok()) status = work();
    if (status.ok()) status = device_->synchronize();
    for (int i = 0; i < repetitions && status.ok(); i++) {
        const double start = now();
        status = work();
        if (status.ok()) status = device_->synchronize();
        times.seconds.push_back(now() - start);
    }
    return status;
}

Status GpuTimer::flush_l2() {
    if (!flushed_.device()) {
        const int64_t l2 = device_->info().l2_bytes > 0 ? device_->info().l2_bytes : assumed_l2_bytes;
        Status status;
        flushed_ = GpuArray::allocate(device_, 4 * l2, status);
        if (!status.ok()) return {status.code, "L2 cannot be flushed: " + status.message};
    }
    return flushed_.fill(++byte_);
}

}  // namespace sepal
