// What can be said of GPU kernels without a GPU: each is checked in the emulator, and reported with what it did there and what its machine code
// says (bench/gpu/static_report.h).
#pragma once

#include "bench/gpu/static_report.h"
#include "runtime/registry.h"
#include "tools/device_option.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace sepal {

struct EmulatedReport {
    std::string variant;
    ConvProblem asked, run;           // the problem, and the one that the emulator ran: that one or a smaller one
    std::string check;                // "passed", "failed", or "skipped: " and why
    std::string message;              // of a failed one
    std::vector<StaticReport> kernels;  // of each launch; empty when the check did not run to its end
    bool is_smaller() const { return asked.key() != run.key(); }
};

// About how long the emulator takes for it.
double emulator_seconds(const Variant &variant, const ConvProblem &problem);

// The problem, or what remains of it when first its images and then their sides become fewer, as far as the same variant takes it and until the
// emulator takes about `seconds` at most.
ConvProblem problem_for_emulator(const Variant &variant, const ConvProblem &problem, double seconds);

// Runs the variant, which takes the problem and runs on the device, the emulator.
EmulatedReport report_in_emulator(const Variant &variant, const ConvProblem &problem, const ChosenDevice &device, double seconds);

nlohmann::ordered_json to_json(const EmulatedReport &report);
// Several lines that end with a newline: what ran, each kernel's report, what there is to complain of.
std::string to_text(const EmulatedReport &report);

}  // namespace sepal
