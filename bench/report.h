// What is shown of a run: lines on stdout, JSON, CSV.
#pragma once

#include "machine.h"
#include "runner.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace sepal {

// The conventions that every report states.
extern const char *const flop_convention;
extern const char *const byte_convention;
extern const char *const column_legend;
extern const char *const gpu_column_legend;
extern const char *const peer_legend;  // to be added when there are peers

// One result as a flat object. The first fields are a stable interface: "suite", "problem", "variant", "provider", "threads",
// "cache", "median_ms", "min_ms", "spread_pct", "gflops", "gbps", "pct_fma_peak", "pct_roofline", "bound", "check". Numbers of a
// result that was not timed are null; so is "bound" and "pct_roofline" without a roofline, and "published" where nothing was. "provider" is
// "sepal" or the name of a peer, which is then the "variant" too; "times_best_sepal", "times_best_peer", "peer_version",
// "peer_configuration", "winograd", "streaming_copy_ms", "times_streaming_copy", "relative_error", "filter_layout", "packed_bytes" and
// "pack_ms" (see Result) are null where they do not apply; so are "latency_ms", "cold_overhead_ms", "in_graph" (whether warm runs were replayed
// from a CUDA graph) and "nvml" (what NVML saw meanwhile) but on a GPU. "device" is "cpu", or what --device named.
nlohmann::ordered_json to_json(const Result &result);

// {"machine": {...}, "complete", "results": [...], "network": [...] (totals of network.h, empty without a network), "conventions": {"flops", "bytes"}, "command", "date", "sepal_version"}. `command`: the whole command
// line; `date`: of the run, ISO 8601.
struct RunDescription {
    std::string command, date, title, description;
};
// `machine`: to_json() of a Machine or a GpuMachine. `complete`: false while problems are still to be measured.
nlohmann::ordered_json report_json(const nlohmann::ordered_json &machine, const std::vector<Result> &results, const RunDescription &run, bool complete = true);

// The same fields as a table (RFC 4180, comma, one header line). "published" is JSON text. After the results of a network come
// lines for its totals, with "problem" "(total)".
std::string report_csv(const std::vector<Result> &results);

// Several lines that end with a newline. Peaks of one and of `threads` threads, or all that were measured when it is 0.
std::string machine_table(const Machine &machine, int threads);
std::string table_header(bool gpu = false);
// All results of one problem: what it is, a line for each candidate and cache state, what was published for it.
std::string table_block(const std::vector<Result> &results);

// "1 h 02 min", "3 min 20 s", "12 s"; for estimates and time left.
std::string duration(double seconds);

}  // namespace sepal
