// A CUDA driver that executes PTX on the CPU: kernels run without a GPU, each of their accesses is checked, and what they do is counted.
//
// emulated_cuda_symbol() hands out the driver's entry points. Behind them is one device. Streams are in order and everything is done when
// a call returns; times of events mean nothing. A module is PTX text, or an uncompressed fat binary that holds PTX.
//
// What a launch is checked for (each fault ends the launch, with one sentence that names kernel, block, thread, instruction and its line
// in the PTX, address, and what was found):
// - global memory: accesses that are not within one live allocation (there are unmapped gaps around each, and addresses are not reused, so
//   a use after free is told as one); misaligned ones; reads of bytes that nothing has written since the allocation;
// - shared memory: accesses outside what the kernel declares and the launch adds, in particular below its base, 0x400, where the system's
//   reserved bytes are; misaligned ones; reads of bytes that no thread of the block has written;
// - races: two threads access the same bytes, at least one of them writes, and nothing orders them. Threads of a block are ordered by
//   bar.sync; threads of a warp also by bar.warp.sync (one of some lanes counts for all), and by nothing else: that a warp's lanes run in
//   step is no order. Blocks of a launch are not ordered. Two threads may write the same bytes with the same values (tiles that overlap
//   do), but nobody may read them before a barrier. Atomics race with all but atomics. A race is seen at the size of the narrowest access
//   that the kernel has in that space;
// - bar.sync, bar.warp.sync, shfl.sync, mma.sync, ldmatrix that not all threads of the warp reach together, and threads that end while
//   others of their block wait at a barrier;
// - an instruction that the emulator does not know, where it is reached; trap; a launch that does not end.
// As the driver does, it refuses launches of more threads than .maxntid, more than 48 KB of dynamic shared memory without the function
// attribute that allows it, more shared memory or threads than the device has.
//
// Not modelled: time, caches, registers and their number, what ptxas makes of the PTX. mma sums each element exactly, f16 products in
// double, and rounds once; the hardware truncates in between: results are equal where sums are exact. ex2, lg2, sin, cos and tanh are
// those of the C library rounded to float; rcp, sqrt and division are correctly rounded.
#pragma once

#include "kernel_counts.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sepal {

// An entry point of the driver, under its plain or its _v2 name; null for a name that is not known.
void *emulated_cuda_symbol(const char *name);

struct EmulatedDevice {
    std::string name = "Sepal's PTX emulator";
    int compute_capability = 90;               // 90: 9.0
    int multiprocessors = 132;
    int clock_khz = 1980000, memory_clock_khz = 3201000, memory_bus_bits = 6144;
    int l2_bytes = 60 << 20;
    int64_t memory_bytes = int64_t{2} << 30;   // what cuMemAlloc can hand out in all
    int shared_bytes_of_block = 227 << 10;     // with the opt-in
    int driver_version = 13000;                // 13000: CUDA 13.0
    uint64_t most_warp_instructions = uint64_t{4} << 30;  // of one launch, after which it counts as one that does not end

    // Ways to fail, for tests of code that has to say so.
    int devices = 1;                           // 0: no device
    int init_error = 0;                        // what cuInit returns: a CUresult
    int module_error = 0;                      // what loading a module returns
    int launch_error = 0;                      // what a launch returns without running anything
    // As on a GPU, a fault of a kernel is reported by the next call that waits, copies or launches, and by all after it until the context
    // is destroyed (cuCtxDestroy or cuDevicePrimaryCtxReset); else the launch itself returns it, and later calls work.
    bool faults_are_late = false;
    bool check_reserved_shared = true;         // false: shared memory starts at address 0, as Halide's own PTX has it
};

// Puts another device, with empty memory and no contexts, modules or faults, in place of the present one.
void configure_emulator(const EmulatedDevice &);

// One entry for each launch that ran to its end since the last call, in order.
std::vector<KernelCounts> take_emulated_launches();

// The sentence of each fault and each refused module or launch since the last call, in order.
std::vector<std::string> take_emulator_faults();

}  // namespace sepal
