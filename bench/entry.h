// Entry: what the runner knows of one candidate while it is being checked and timed.
#pragma once

#include "candidates.h"
#include "memory.h"
#include "packed_filters.h"
#include "peer_check.h"
#include "runtime/gpu/gpu_plan.h"
#include "runtime/plan.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sepal {

// A kernel of Sepal's, or the unfused pair, bound to its filters.
struct Executable {
    std::unique_ptr<Plan> first, second;
    AlignedArray *middle = nullptr;      // of the unfused pair: [n, p, q, mid_channels]
    const AlignedArray *skip = nullptr;  // of a problem with a residual

    Status run(const void *input, void *output) const;
};

// The same on a GPU.
struct GpuExecutable {
    std::unique_ptr<GpuPlan> first, second;
    GpuArray *middle = nullptr;
    const GpuArray *skip = nullptr;  // of a problem with a residual

    Status queue(const GpuArray &input, GpuArray &output) const;
};

struct Entry {
    const Candidate *candidate = nullptr;
    Executable executable;    // of a kernel of Sepal's
    GpuExecutable on_gpu;     // of one for GPUs
    PackedFilters packed;     // as in Result
    Peer::Prepared prepared;  // of a peer's
    double relative_error = 0;  // as in Result
    std::string check, message;  // as in Result; empty while it is not known
    double run_seconds = 0;      // of a trial
    int64_t batch = 1;
    std::vector<double> warm, cold;  // seconds of one run
    std::vector<double> latency;     // on a GPU: of one run, from the call until the host knows that it is done
    std::string why_no_graph;        // on a GPU: why warm runs were not replayed from a CUDA graph; empty when they were

    bool alive() const { return check == "passed"; }
};

// One entry for each candidate; those that cannot run here are skipped with the reason.
std::vector<Entry> make_entries(const std::vector<Candidate> &candidates, const Processor &processor);

// Skips entries that need more memory than there is: all when the runner's own `needed` bytes do not fit in `available` (0: not known),
// else as many peers as do not fit beside that and each other, for all of them hold the problem at the same time.
void skip_beyond_memory(std::vector<Entry> &entries, double needed, double available);

// Packs the filters of a kernel or an unfused pair of Sepal's for a GPU and copies them there. `middle` holds what an unfused pair needs, `skip` is
// empty unless the problem has a residual.
Status bind_to_gpu(Entry &entry, const Tensors &tensors, const std::shared_ptr<GpuDevice> &device, const GpuArray &skip, GpuArray &middle);

// What came of a run of a kernel of Sepal's for its check: whether it failed, and else whether its output is right.
void judge(Entry &entry, const Status &run, const Tensors &tensors, const AlignedArray &output);

// Makes a kernel or an unfused pair of Sepal's ready on the CPU, runs it once and judges it. `middle` holds what an unfused pair needs, `skip` is
// empty unless the problem has a residual.
void bind_and_check(Entry &entry, const Tensors &tensors, const AlignedArray &input, const AlignedArray &skip, AlignedArray &middle,
                    AlignedArray &output);

// Does so with every entry whose check is not known: `check_own` with Sepal's; peers are made ready here, run once and checked. `tell` is told
// what is under way.
void check_all(std::vector<Entry> &entries, const Tensors &tensors, AlignedArray &output, const std::function<void(Entry &)> &check_own,
               const std::function<void(const std::string &what)> &tell);

// Mean seconds of `batch` runs in a row. Nothing when a run reports an error, which fails the entry, or when a peer does, which skips
// it. warm_up is for a peer: at least one untimed run before.
std::optional<double> time_runs(Entry &entry, int64_t batch, bool warm_up, const AlignedArray &input, AlignedArray &output);

}  // namespace sepal
