// Edits of the PTX that Halide emits, for what it has no directive for. Each takes the text of a module and returns the new one; one that
// does not find what it needs throws std::runtime_error with one sentence.
#pragma once

#include <array>
#include <map>
#include <string>

namespace sepal {

// The version of the PTX language, ".version 7.8", raised to `version` where it is older.
std::string require_ptx_version(const std::string &ptx, int major, int minor);

// Each call of mma_call (passes/fragments.h) becomes the instruction mma.sync.m16n8k16 on f16 with sums in f32, each of warp_sync_call
// bar.warp.sync, each of halves_call cvt.rn.f16x2.f32. (Given a body, the functions would stay calls: ptxas does not inline them.) Accumulators are
// in 32-bit registers then, of which ptxas keeps the four of a fragment together; the 64-bit ones that LLVM has for them it would move about in
// every iteration of a loop. `count`, if not null, receives the number of multiplications.
std::string calls_to_instructions(const std::string &ptx, int *count = nullptr);

// Halide's kernels address shared memory from 0 on. That is where it begins up to sm_89; from sm_90 on the first KiB is the system's. With this
// edit kernels declare their dynamic shared memory, `shared_memory_symbol`, and address it from where it really begins.
constexpr const char *shared_memory_symbol = "sepal_shared_memory";
std::string shared_memory_where_it_is(const std::string &ptx);

// What ptxas has to know to share out registers: the threads of a block, and how many blocks a multiprocessor is to hold at once (0:
// whatever comes of it).
struct LaunchBounds {
    std::array<int, 3> threads = {1, 1, 1};
    int blocks = 0;
};
// By the names of kernels, all of which the module must have. Kernels that are not named stay as they are.
std::string with_launch_bounds(const std::string &ptx, const std::map<std::string, LaunchBounds> &bounds);

}  // namespace sepal
