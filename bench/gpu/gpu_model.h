// What a GPU can do: the numbers that lower bounds of a kernel's time are computed from.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sepal {

struct GpuModel {
    const char *name;    // as the command line has it: "h200"
    const char *title;   // "NVIDIA H200"
    const char *arch;    // "sm_90"
    const char *source;  // of the numbers
    int multiprocessors;
    double clock_ghz;   // under load
    double dram_gbps;   // of a copy, both ways counted
    double l2_gbps;     // read; 0: not known
    double l2_mb;       // of 10^6 bytes
    double l1_bytes;    // that L1 and shared memory of a multiprocessor move in a clock
    double f32_tflops;  // by FMA, 2 for each; f16x2 instructions are issued at the same rate, with twice the work
    double dp4a_tops;   // 8 for each; 0: not known
    // Dense mma.sync with f32 (s8: s32) accumulation, by the type of its operands, 2 for each multiply-add.
    std::map<std::string, double> mma_tflops;

    double clocks_per_us() const { return clock_ghz * 1e3 * multiprocessors; }  // of all multiprocessors
};

// "h200", "h100", "rtx2060". Throws std::invalid_argument, which names them, for another.
const GpuModel &gpu_model(const std::string &name);
std::vector<std::string> gpu_model_names();

}  // namespace sepal
