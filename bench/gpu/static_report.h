// The static GPU report: what can be said of a GPU kernel without a GPU. Everything in it is calculated, nothing is measured.
#pragma once

#include "bench/gpu/emulator/kernel_counts.h"
#include "bench/gpu/gpu_bounds.h"
#include "bench/gpu/sass.h"
#include "schedules/gpu/occupancy.h"
#include "tools/compile/cuda_toolkit.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sepal {

// A kernel and how it is launched.
struct GpuKernel {
    std::string title;                   // what the report calls it: the variant and the problem
    std::string entry;                   // its name in the PTX
    std::vector<Cubin> cubins;           // its machine code for each architecture, as it is shipped
    int threads = 0;                     // of a block
    int64_t dynamic_shared_bytes = 0;    // of a block
    std::optional<KernelCounts> counts;  // of a launch in the emulator
    double unfused_bytes = 0;            // of depsep: what two kernels would move at least (ConvProblem::unfused_bytes()); 0: not depsep
};

struct ArchReport {
    std::string arch;
    KernelResources resources;
    Occupancy occupancy;
    std::vector<std::string> warnings;  // ptxas's
    std::optional<SassMix> sass;
};

struct StaticReport {
    std::string title, entry;
    int threads = 0;
    int64_t dynamic_shared_bytes = 0;
    std::vector<ArchReport> architectures;
    std::string why_no_architectures;  // why there are none; empty otherwise
    std::string why_no_sass;           // why nothing is told of machine code; empty when it is
    std::optional<KernelCounts> counts;
    std::vector<GpuBounds> bounds;              // of each GPU, when there are counts
    std::vector<double> waves;                  // as many: how often the launch fills the GPU with blocks; 0: not known
    double fused_bytes = 0, unfused_bytes = 0;  // of depsep with counts: what this kernel and what two kernels move at least
};

// The kernel of a launch in the emulator: with its counts, and with the machine code that is in the fat binary beside the PTX which was executed,
// if there is any (see cubin.h for what it says). Throws std::invalid_argument and ptx::BadImage.
GpuKernel shipped_kernel(const std::string &title, const KernelCounts &launch);

// `gpus`: names of gpu_model(). Without cubins the reason is why_no_ptxas(). Throws std::invalid_argument when a cubin lacks the kernel.
StaticReport static_report(const GpuKernel &kernel, const std::vector<std::string> &gpus = {"h200", "rtx2060"});

// What must not be, one sentence for each: registers or arrays on the stack, a block that no multiprocessor can hold, and accesses to
// global memory that use less than half of the sectors which they move. Empty: nothing of that.
std::vector<std::string> complaints(const StaticReport &report);

nlohmann::ordered_json to_json(const StaticReport &report);

// Several lines that end with a newline.
std::string to_text(const StaticReport &report);
extern const char *const static_report_legend;
// A table of them, a line for each, of the GPU of highest compute capability that there is machine code for and of the first that there are bounds of.
std::string summary_text(const std::vector<StaticReport> &reports);

}  // namespace sepal
