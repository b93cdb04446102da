// From addresses to memory: the checks of one lane's access, and the counts of a warp's request.
#pragma once

#include "checks.h"

#include <cstdint>

namespace sepal::ptx {

// The addresses that the active lanes access, and how much at each.
struct Request {
    uint32_t active = 0;
    unsigned bytes = 0;           // of one lane: a power of two up to 16
    uint64_t addresses[lanes];    // once they have been looked up, other lanes have that of an active one
    Allocation *single = nullptr; // of global memory: that of all lanes; null when they are in several
    uint8_t *memory[lanes];       // where they are, once they have been looked up
    Cell *cells[lanes];
};

// Fills memory and cells, after the checks of alignment and bounds. `what`: "reads", "writes", ...
void look_up_shared(Warp &, const Step &, Request &, const char *what);
void look_up_global(Warp &, const Step &, Request &, const char *what);
void look_up_local(Warp &, const Step &, Request &, const char *what);

// That what a request reads has been written: of shared memory by the block, of global memory by anything.
void check_written_shared(Warp &, const Step &, const Request &);
void check_written_global(Warp &, const Step &, const Request &);
void check_order_of_reads(Warp &, const Step &, const Request &, bool global);

// After a store to global memory.
void set_written_global(Warp &, const Request &);

void count_global(Launch &, GlobalCounts &, const Request &, bool store);
// `pairs`: whether threads are served as of a load, see SharedCounts.
void count_shared(SharedCounts &, const Request &, bool pairs);
void count_request(AccessCounts &, const Request &);

// Addresses of the active lanes from the step's operand.
void addresses_of(const Warp &, const Step &, Request &);

}  // namespace sepal::ptx
