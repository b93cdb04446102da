// What a network's convolutions take together.
#pragma once

#include "runner.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace sepal {

// Sum over a network's problems, each as often as it occurs, with one kernel for each.
struct NetworkTotal {
    std::string choice;                // which kernel of each problem: "first" or "best"
    std::string suite;                 // or the problem file
    int threads = 1;
    CacheState cache = CacheState::warm;
    int problems = 0;                  // that were timed, and so are part of the sum
    int64_t layers = 0;                // their occurrences
    double flops = 0;
    double milliseconds = 0;           // sum of occurrences * median
    double peak_milliseconds = 0;      // the same FLOPs at the FMA peaks probed beside each problem; 0 when one of them is not known
    double roofline_milliseconds = 0;  // sum of the attainable times; 0 when one of them is not known
    std::vector<std::string> missing;  // problems of the network of which no kernel was timed: not part of the sum

    double gflops() const { return flops / milliseconds / 1e6; }
    double pct_fma_peak() const { return 100 * peak_milliseconds / milliseconds; }
    double pct_roofline() const { return 100 * roofline_milliseconds / milliseconds; }
};

// For each cache state, warm before cold, two totals of Sepal's kernels (candidates with a variant): of the first timed one of each
// problem, which is the one that is preferred, and of the quickest. `results` are those of any number of problems, side by side for
// each; those whose candidate is no layer of a network (Candidate::occurs 0) are left out. Empty when nothing remains or was timed.
std::vector<NetworkTotal> network_totals(const std::vector<Result> &results);

// Lines for the foot of the table; empty for no totals.
std::string network_text(const std::vector<NetworkTotal> &totals);

// {"choice", "threads", "cache", "problems", "layers", "flops", "ms", "gflops", "pct_fma_peak", "pct_roofline", "missing"}
nlohmann::ordered_json to_json(const NetworkTotal &total);

// The columns of report_csv that hold for a sum: "problem" is "(total)", "variant" says which kernels, "occurs" counts the layers.
nlohmann::ordered_json csv_columns(const NetworkTotal &total);

}  // namespace sepal
