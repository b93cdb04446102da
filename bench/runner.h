// The runner: checks candidates against the reference, then times them side by side.
#pragma once

#include "candidates.h"
#include "machine.h"
#include "packed_filters.h"
#include "roofline.h"
#include "statistics.h"

#include <functional>
#include <string>
#include <vector>

namespace sepal {

// One candidate in one cache state. Times are of one run.
struct Result {
    Candidate candidate;
    std::string device = "cpu";  // what it ran on, as --device has it
    int threads = 1;
    CacheState cache = CacheState::warm;
    std::string check;          // "passed", "failed", or "skipped: why"
    std::string check_message;  // of a failed check: the first mismatch
    // All below are meaningful only when timed() is true.
    Statistics milliseconds;    // count: the samples
    int64_t batch = 1;          // runs in a sample; a sample's time is divided by it
    double flops = 0, bytes = 0;  // of one run
    double fma_gflops = 0;      // FMA peak of the machine's best ISA: median of the probes between the samples
    double isa_gflops = 0;      // the same of the variant's own ISA
    double copy_ms = 0;         // median time of a plain copy of problem.bytes(): half read, half written
    double streaming_copy_ms = 0;  // the same by stores that bypass the caches, of a problem that no cache holds; 0 for others
    double roofline_ms = 0;     // attainable time; 0 when the machine holds no bandwidth for that thread count
    std::string bound;          // "fma", "L1", "L2", "L3", "dram"; empty when roofline_ms is 0
    std::string peer_version, peer_configuration;  // of a peer, in its own words
    bool winograd = false;        // a kernel that computes by Winograd's method, or a peer that may
    PackedFilters packed;         // of a kernel of Sepal's
    double relative_error = 0;    // of such a one, as in reference.h; 0 where its output equals the reference
    // This median / the least median of Sepal's kernels, and of the peers, in the same cache state; 0 without one.
    double times_best_sepal = 0, times_best_peer = 0;
    // On a GPU: median time of one run from the call until the host knows that it is done; what an empty cold sample takes, which is part of a
    // cold time; why warm runs were queued one by one (empty: they were replayed from a CUDA graph).
    double latency_ms = 0, cold_overhead_ms = 0;
    std::string why_no_graph;
    double speedup = 0;         // median of the first timed candidate of the problem in the same cache state / this median

    std::string provider() const { return candidate.peer ? candidate.name : "sepal"; }
    bool on_gpu() const { return device != "cpu"; }
    bool timed() const { return milliseconds.count > 0; }
    double seconds() const { return milliseconds.median / 1e3; }
    double gflops() const { return flops / seconds() / 1e9; }
    double gbps() const { return bytes / seconds() / 1e9; }
    double problems_per_s() const { return 1 / seconds(); }
    double images_per_s() const { return double(candidate.problem.n) / seconds(); }
    double pct_fma_peak() const { return 100 * gflops() / fma_gflops; }
    double pct_isa_peak() const { return 100 * gflops() / isa_gflops; }
    double pct_roofline() const { return 100 * roofline_ms / milliseconds.median; }
    double times_copy() const { return milliseconds.median / copy_ms; }
    double times_streaming_copy() const { return milliseconds.median / streaming_copy_ms; }
};

struct RunnerOptions {
    int threads = 1;
    double seconds = 1.5;  // for each problem and candidate, beyond the check; exceeded only to reach the least samples
    Cpu cpu;
    // Told what is under way and which fraction of this problem is done; may be empty.
    std::function<void(const std::string &what, double fraction)> progress;
};
constexpr int least_warm_samples = 5, least_cold_samples = 3, most_samples = 50;

// Candidates of ONE problem. Returns two results (warm, then cold) for each candidate, in order. What cannot run is a result with
// check "skipped: why"; a failed check is told and never timed.
//
// All are timed in one process, in rounds. A round runs in turn: a probe of the FMA peak of each ISA involved, a plain copy of as many
// bytes as the problem's compulsory bytes, cold and warm (and one by stores that bypass the caches, where no cache holds them), and each
// candidate, cold and warm. Cold: everything it reads and writes is evicted from the caches first. Warm: the run before it was the same
// candidate's. Samples shorter than a millisecond are batches.
// Peers take part in the rounds, each in its own process on the same CPUs, which is suspended outside its turn; warm only.
// Requires 1 <= threads <= allowed_cpus().size(). Throws std::bad_alloc when memory runs out after all.
std::vector<Result> run_candidates(const std::vector<Candidate> &candidates, const Machine &machine, const RunnerOptions &options);

// Bytes that run_candidates allocates at its peak for a problem: tensors twice (as made, and aligned), packed filters, buffers of
// the copy and for eviction.
double memory_needed(const ConvProblem &problem, const Machine &machine);

// About how many seconds run_candidates takes: as many runs as it makes at the least, each at twice the roofline's time, but not less
// than the options' budget, and the check before them.
double estimate_seconds(const ConvProblem &problem, int candidates, const Machine &machine, const RunnerOptions &options);

}  // namespace sepal
