// TuningRecords: what a tuning session measured, one JSON object on one line for each trial, in append-only files.
#pragma once

#include "bench/machine.h"
#include "runtime/problem.h"
#include "schedules/schedule.h"
#include "tools/bad_input.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sepal {

// The machine that a trial ran on, as far as its figures depend on it.
struct MachineFingerprint {
    std::string cpu;                    // model name
    std::vector<std::string> features;  // as Machine::features
    std::vector<CacheLevel> caches;
    int logical_cpus = 1;
    // What makes two records comparable: model, features and caches. Measured peaks are not part of it.
    std::string key() const;
};
MachineFingerprint fingerprint(const Machine &machine);

// refused: by the generator, Halide or the kernel itself; disturbed: timed, but the times say nothing (why_disturbed())
enum class Verdict { ok, wrong, crashed, timed_out, refused, disturbed };
std::string_view name(Verdict verdict);  // as in the file: "timed_out"

struct TuningRecord {
    ConvProblem problem;                 // by value; its name is only a label
    Isa isa = Isa::x64;
    int threads = 1;
    Schedule schedule;                   // complete: nothing left to derive
    Verdict verdict = Verdict::ok;
    std::string error;                   // one sentence; empty when ok
    std::vector<double> samples_ms;      // time of one run, in the order measured; empty unless ok
    double fma_gflops = 0;               // FMA peak of `isa` with `threads` threads: median of the probes between the samples
    MachineFingerprint machine;
    double machine_fma_gflops = 0;       // the same peak as `sepal peak` measured it; 0 when not measured
    std::string halide;                  // version
    std::string commit;                  // of Sepal; "unknown" outside a checkout
    uint32_t seed = 0;
    int64_t trial = 0;                   // its number in the session's order of proposals; 0: the hand schedule
    std::string proposed_by;             // "heuristic", "model", "neighbour", ...

    double median_ms() const;            // 0 unless ok
    double pct_fma_peak() const;         // 100 * FLOP/s at the median / fma_gflops; 0 unless ok
};

// proposed_by of the hand schedule: as the first proposal, and as it was timed in turns with the answer at the end.
constexpr const char *by_heuristic = "heuristic", *by_confirmation = "confirmation";
// proposed_by of the incumbent's record when it was timed in turns with a challenger, whose record has the same trial and fma_gflops.
constexpr const char *by_incumbent = "incumbent";

// Why a time says nothing: it is more than 105 % of the FMA peak that was probed beside it, for the multiply-adds that a kernel by the schedule
// has to do at least: those of the direct algorithm but for taps on padding, or the fewer ones of Winograd's. None is quicker than the
// multiply-add units (5 % are for the noise of the probe): then the probe was slowed down, as by a second session on the machine, and whatever
// is relative to it is too good. Empty, or one sentence.
std::string why_disturbed(const ConvProblem &problem, const Schedule &schedule, double median_ms, double fma_gflops);

constexpr int tuning_format = 1;
// The version of Halide that this Sepal is built with: what TuningRecord::halide has to be.
const char *halide_version();

// One line of JSON without its newline, and back. `where` ("file:line") begins the sentence of a thrown BadInput.
//   {"format": 1, "problem": {as in a problem file}, "isa", "threads", "knobs": {"lanes": 16, ...}, "verdict", "error",
//    "samples_ms": [...], "fma_gflops", "machine": {"cpu", "features", "logical_cpus", "caches": [{"level", "bytes", "shared_by"}]},
//    "machine_fma_gflops", "halide", "commit", "seed", "trial", "proposed_by"}
// Every field is required, and no other allowed; but a knob that is missing (the record is older than the knob) gets the value that
// derive() has for it beside the others. The knobs of an ok record are to be valid for its problem (why_not_valid()), since kernels are made
// with them; those of others only tell what was tried. Its times are not to be those of a disturbed one. A name that the problem does not
// have stays empty.
std::string to_json_line(const TuningRecord &record);
TuningRecord tuning_record_from_json(const std::string &line, const std::string &where);

// A file of records. Damaged lines are skipped, each with a sentence "file:line: ..." in `complaints`; so are lines of another
// format or Halide version, with knobs that are not valid, or disturbed although "ok". Throws BadInput when the file cannot be read at all.
struct TuningDatabase {
    std::vector<TuningRecord> records;
    std::vector<std::string> complaints;
};
TuningDatabase read_tuning_records(const std::string &path);

// Appends lines to one file, which is locked (flock) against a second writer while this object lives; BadInput when another
// process holds it, or when it is not a regular file that can be written. It is created where there is none. A line is written
// with one write() and synced; when that fails (a full disk), the file is cut back to its length before and BadInput says so:
// nothing recorded before is lost. A last line without a newline (a writer that was killed) is completed with a newline first, so
// that it damages itself only. A record that could not be read back is BadInput, too, and not written.
class TuningLog {
public:
    explicit TuningLog(const std::string &path);
    ~TuningLog();
    TuningLog(const TuningLog &) = delete;
    TuningLog &operator=(const TuningLog &) = delete;
    void append(const TuningRecord &record);

private:
    int fd_ = -1;  // not inherited by programs that are started
    std::string path_;
};

// median_ms * fma_gflops: the time in terms of the peak measured beside it, by which records of one problem are compared.
double score(const TuningRecord &record);
// Whether `incumbent` and `challenger` are the two records of one comparison in turns.
bool timed_in_turns(const TuningRecord &incumbent, const TuningRecord &challenger);

// How many times as long as `b` does `a` take? By the median of their ratios, sample by sample, when the two were timed in turns
// (same trial number, same fma_gflops: one process), so that what slows the machine down for a while does not count; else by their
// scores. Both are ok records.
double time_ratio(const TuningRecord &a, const TuningRecord &b);

// Whether a record speaks for a problem: same op, shape (batch size included), padding, groups, activations, biases, dtype, layout
// and ISA; any name.
bool is_for(const TuningRecord &record, const ConvProblem &problem, Isa isa);

// The best ok record for (problem, isa, threads): of `machine` first, of another machine only where this one has none
// (`from_elsewhere` then says so); an empty fingerprint is no machine's, so that all are alike. Of a machine's schedules, only those count
// that won a comparison in turns and never lost one; if there is none, the hand schedule; if that has no time, those that won; if nothing
// was compared, all. Of what is left, the record with the least score(). Null when there is none. Ties: the smaller to_json_line, so that
// the order of the records does not matter.
const TuningRecord *best_record(const std::vector<TuningRecord> &records, const ConvProblem &problem, Isa isa, int threads,
                                const MachineFingerprint &machine, bool *from_elsewhere = nullptr);

}  // namespace sepal
