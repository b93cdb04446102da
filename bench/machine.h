// Machine: what this machine is and what it was measured to reach. The denominators of every percentage in a report.
#pragma once

#include "runtime/isa.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sepal {

// One level of data cache; its name is "L1", "L2", "L3".
struct CacheLevel {
    std::string level;
    int64_t bytes = 0;   // of one instance
    int shared_by = 1;   // CPUs that share an instance
};

struct FmaPeak {
    Isa isa = Isa::x64;
    int threads = 1;
    double gflops = 0;  // of all threads together; 2 FLOP for each multiply-add
    double spread_pct = 0;
};

// GB/s (1e9 bytes) of all threads together; 0 where it was not measured.
struct Rate {
    double gbps = 0;
    double spread_pct = 0;
};

// The bandwidth of one level of memory, "L1", "L2", "L3" or "dram". A copy counts what it reads and what it writes.
struct Bandwidth {
    std::string level;
    int threads = 1;
    int64_t capacity_bytes = 0;     // of all instances that the threads reach; 0 for dram
    int64_t working_set_bytes = 0;  // what was read, written or copied, of all threads together
    Rate read, write, copy;
    Rate write_streaming, copy_streaming;  // with stores that bypass the caches; measured for dram only
    double highest() const;                // GB/s
};

struct Machine {
    std::string cpu;  // model name as the system tells it
    Isa isa = Isa::x64;  // the best one that is run here (Cpu::best)
    std::vector<std::string> features;  // those of the CPU's flags that matter to kernels
    int logical_cpus = 1;               // online in the machine, whatever the process may use
    double clock_ghz = 0;               // measured: dependent additions of one thread; 0 when not measured
    std::vector<CacheLevel> caches;     // innermost first
    std::vector<FmaPeak> fma;
    std::vector<Bandwidth> bandwidth;   // by thread count, innermost level first

    // Null when not measured.
    const FmaPeak *peak(Isa isa, int threads) const;
    const Bandwidth *level(const std::string &level, int threads) const;
    // Whether the FMA peak of `isa` and the bandwidth of dram are there for that many threads.
    bool measured(int threads) const;
    int64_t last_level_cache_bytes() const;  // of one instance; 0 when there is none
};

// The machine without its peaks. Throws std::invalid_argument as Cpu::detect does.
Machine detect_machine();

struct MeasureOptions {
    bool quick = false;  // fewer and shorter samples: for a look, not for a report
    std::function<void(const std::string &what)> progress;  // may be empty
};
// Measures clock, FMA peak of every ISA that runs here, and bandwidth of every level, with `threads` threads pinned to the
// first of allowed_cpus(); adds them to the machine or replaces those of that thread count. Each figure is the median of
// repeated samples. About 6 s (quick: 1 s). Requires 1 <= threads <= allowed_cpus().size(). Throws std::bad_alloc.
void measure_peaks(Machine &machine, int threads, const MeasureOptions &options);

// JSON: {"format", "cpu", "isa", "features", "logical_cpus", "clock_ghz", "caches": [{"level", "bytes", "shared_by"}],
// "fma": [{"isa", "threads", "gflops", "spread_pct"}], "bandwidth": [{"level", "threads", "capacity_bytes", "working_set_bytes",
// "read", "write", "copy", ...: {"gbps", "spread_pct"}}]}
nlohmann::ordered_json to_json(const Machine &machine);
// `source` names the file in error messages. Throws BadInput (tools/bad_input.h) with one
// sentence that names file and field.
Machine machine_from_json(const std::string &text, const std::string &source);
Machine load_machine(const std::string &path);

// $XDG_CACHE_HOME/sepal/machine.json, or ~/.cache/sepal/machine.json; empty when neither variable is set.
std::string machine_cache_path();
// The machine of the cache file when it is this one (same CPU, ISA, count of CPUs, caches and format) and holds peaks for 1 and for
// `threads` threads; else measures what is missing and stores it. `warn` is told, in one sentence, when the file is unreadable
// or cannot be written; that is no error.
Machine measure_or_reuse(int threads, const MeasureOptions &options, const std::function<void(const std::string &)> &warn);
// False, with `why` set, when the file cannot be written.
bool store_machine(const Machine &machine, const std::string &path, std::string &why);

}  // namespace sepal
