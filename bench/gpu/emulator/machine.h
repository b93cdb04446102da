// What is executed and what executes it: decoded instructions, and the state of warps, blocks and launches.
#pragma once

#include "kernel_counts.h"
#include "memory.h"
#include "ptx_text.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sepal::ptx {

constexpr int lanes = 32;
constexpr uint32_t all_lanes = ~uint32_t{0};

struct Warp;
struct Step;

// Executes an instruction for the lanes of the mask, which is not empty.
using Run = void (*)(Warp &, const Step &, uint32_t active);

enum class Space { generic, global, shared, local, param, constant };

// A decoded instruction. Values of 32 lanes are words in the warp's registers, named by their first word: 32 of them for types up to 32
// bits, which may have anything above their own bits; 64 as 32 values of 64 bits; of 128 bits the low halves, then the high ones.
// Predicates are one word each, a bit for each lane. Constants and special registers are words like any other.
struct Step {
    enum class Flow : uint8_t { run, branch, exit, together, barrier };
    Run run = nullptr;
    Flow flow = Flow::run;            // together: all lanes at once, or those of the mask in `members`
    InstructionClass kind = InstructionClass::integer;
    int guard = -1;                   // a predicate
    bool guard_negated = false;
    int target = -1;                  // of branches
    int d = -1, a = -1, b = -1, c = -1;  // words, or numbers of predicates
    int predicate = -1;               // a second result: setp p|q, shfl d|p
    int members = -1;                 // words of the mask; -1: all lanes of the warp
    uint32_t option = 0;              // of what runs it: a comparison, a rounding, a mask
    bool wide = false;                // cvt, ld: the destination has 64 bits
    std::vector<int> list;            // vectors: destinations or sources, elements of mma; -1: dropped
    // Accesses.
    Space space = Space::generic;
    uint8_t bytes = 0;                // of an element
    uint8_t count = 1;                // elements
    bool sign = false;                // of a loaded element
    bool wide_address = false;        // `a` holds 64 bits
    int64_t offset = 0;               // to the address, or in the parameters
    const Instruction *source = nullptr;
};

// A kernel, decoded.
struct Program {
    Program() = default;
    Program(const Program &) = delete;
    Program &operator=(const Program &) = delete;
    Kernel kernel;                    // the steps refer to its instructions
    std::vector<Step> code;
    int words = 0, predicates = 0;    // of all registers, constants and special registers included, in units of 32 lanes
    struct Constant {
        int word = 0;
        bool wide = false;
        uint64_t value = 0;
    };
    std::vector<Constant> constants;
    std::map<const Instruction *, std::string> unknown;  // why those that are not known are not
    std::vector<size_t> param_offsets;
    size_t param_bytes = 0;
    uint64_t local_bytes = 0;         // of a thread
    uint64_t shared_base = 0;         // the first address of shared memory
    uint64_t static_shared_bytes = 0; // behind them come the launch's
    unsigned shared_shift = 4, global_shift = 4;  // cells of the checks are 1 << shift bytes: the narrowest access in each space
};

// Special registers, in this order the first of the warp's registers.
enum SpecialRegister {
    tid_x, tid_y, tid_z, ntid_x, ntid_y, ntid_z, ctaid_x, ctaid_y, ctaid_z, nctaid_x, nctaid_y, nctaid_z,
    laneid, warpid, nwarpid, lanemask_eq, lanemask_le, lanemask_lt, lanemask_ge, lanemask_gt, dynamic_smem_size, total_smem_size,
    special_registers
};

struct Group {  // lanes of a warp that are at the same instruction
    int at = 0;
    uint32_t mask = 0;
    bool waits = false;               // for the other lanes
};

struct Launch;

// A cp.async that its thread has not waited for.
struct PendingCopy {
    int lane = 0;
    uint32_t group = 0;               // of its thread
    uint64_t at = 0, bytes = 0;       // in shared memory
};

struct Warp {
    Launch *launch = nullptr;
    int index = 0;
    uint32_t *words = nullptr;
    std::vector<uint32_t> predicates;
    uint32_t exists = 0;              // lanes that are threads
    uint32_t idle = 0;                // lanes that are none, or whose thread has ended: their registers are nobody's
    std::vector<Group> groups;
    uint32_t synced = 0;              // when the lanes were ordered last
    const Step *barrier = nullptr;    // where it waits
    std::vector<PendingCopy> copies;
    std::array<uint32_t, lanes> copy_groups{};  // those that each thread has closed

    template<typename T>
    T *at(int word) const {
        return reinterpret_cast<T *>(words + static_cast<size_t>(word) * lanes);
    }
    bool whole(uint32_t active) const { return (active | idle) == all_lanes; }
};

struct SharedMemory {
    uint64_t base = 0, bytes = 0;
    std::vector<uint8_t> data;
    std::vector<Cell> cells;
};

struct Launch {
    Launch(const Program &p, GlobalMemory &m) : program(p), memory(m) {}
    const Program &program;
    GlobalMemory &memory;
    std::array<unsigned, 3> grid{}, block{}, at{};  // at: the present block
    std::vector<uint8_t> params;
    uint64_t dynamic_shared_bytes = 0;
    uint64_t most_warp_instructions = 0;

    SharedMemory shared;
    std::vector<uint8_t> local;       // of the block's threads, one after the other
    std::vector<Warp> warps;
    std::vector<uint32_t> registers;  // of all warps
    uint32_t time = 0, block_start = 0, barrier_time = 0;
    std::vector<uint32_t> block_starts;
    uint64_t warp_instructions = 0;
    struct Executed {
        uint64_t warps = 0, threads = 0;
    };
    std::vector<Executed> executed;   // each instruction
    std::vector<Allocation *> last;   // what each instruction accessed last
    KernelCounts counts;

    std::array<unsigned, 3> thread(unsigned index) const {
        return {index % block[0], index / block[0] % block[1], index / block[0] / block[1]};
    }
};

// A fault of a launch.
struct Fault {
    int error = 0;                    // CUresult
    std::string sentence;
};
constexpr int illegal_address = 700, launch_failed = 719, misaligned_address = 716, illegal_instruction = 715;

// lane: -1 when it is the whole warp's. `found` is a phrase without a full stop. Throws Fault.
[[noreturn]] void fail(const Warp &, const Step &, int lane, int error, const std::string &found);

template<typename F>
inline void each_lane(uint32_t active, F f) {
    for (uint32_t rest = active; rest; rest &= rest - 1) f(__builtin_ctz(rest));
}

}  // namespace sepal::ptx
