#include "lookup.h"

#include <algorithm>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

void check_alignment(Warp &w, const Step &s, int lane, uint64_t address, unsigned bytes, const char *what) {
    if (address & (bytes - 1))
        fail(w, s, lane, misaligned_address, fmt::format("it {} {} bytes at address {:#x}, which is not aligned to their number", what, bytes, address));
}

size_t number_of(const Launch &launch, const Step &s) { return static_cast<size_t>(&s - launch.program.code.data()); }

}  // namespace

void addresses_of(const Warp &w, const Step &s, Request &r) {
    const auto offset = static_cast<uint64_t>(s.offset);
    if (s.wide_address) {
        const uint64_t *a = w.at<uint64_t>(s.a);
        for (int l = 0; l < lanes; ++l) r.addresses[l] = a[l] + offset;
    } else {
        const uint32_t *a = w.at<uint32_t>(s.a);
        for (int l = 0; l < lanes; ++l) r.addresses[l] = static_cast<uint32_t>(a[l] + static_cast<uint32_t>(offset));
    }
}

void look_up_shared(Warp &w, const Step &s, Request &r, const char *what) {
    SharedMemory &shared = w.launch->shared;
    const unsigned shift = w.launch->program.shared_shift;
    each_lane(r.active, [&](int l) {
        const uint64_t address = r.addresses[l];
        check_alignment(w, s, l, address, r.bytes, what);
        const uint64_t at = address - shared.base;
        if (address < shared.base)
            fail(w, s, l, illegal_address, fmt::format("it {} {} bytes at address {:#x} in shared memory, where the bytes below {:#x} are reserved for the system", what,
                                                       r.bytes, address, shared.base));
        if (at > shared.bytes || r.bytes > shared.bytes - at)
            fail(w, s, l, illegal_address, fmt::format("it {} {} bytes at address {:#x} in shared memory, of which the block has {} bytes from {:#x}: {} declared and "
                                                       "{} of the launch", what, r.bytes, address, shared.bytes, shared.base,
                                                       w.launch->program.static_shared_bytes, w.launch->dynamic_shared_bytes));
        r.memory[l] = shared.data.data() + at;
        r.cells[l] = shared.cells.data() + (at >> shift);
    });
}

void look_up_global(Warp &w, const Step &s, Request &r, const char *what) {
    Launch &launch = *w.launch;
    const unsigned shift = launch.program.global_shift;
    Allocation *&last = launch.last[number_of(launch, s)];
    each_lane(r.active, [&](int l) {
        const uint64_t address = r.addresses[l];
        check_alignment(w, s, l, address, r.bytes, what);
        if (!last || !last->holds(address, r.bytes)) {
            Allocation *found = launch.memory.find(address, r.bytes);
            if (!found)
                fail(w, s, l, illegal_address, fmt::format("it {} {} bytes at address {:#x} in global memory, {}", what, r.bytes, address,
                                                           launch.memory.explain(address, r.bytes)));
            last = found;
        }
        if (!last->cells) {
            last->cells.allocate((last->bytes + 16) >> shift);
            last->sectors_read.allocate(last->bytes / 32 + 1);
            last->sectors_written.allocate(last->bytes / 32 + 1);
            launch.memory.in_launch(*last);
        }
        const uint64_t at = address - last->address;
        r.memory[l] = last->data.data() + at;
        r.cells[l] = last->cells.get() + (at >> shift);
    });
}

void look_up_local(Warp &w, const Step &s, Request &r, const char *what) {
    const uint64_t bytes = w.launch->program.local_bytes;
    each_lane(r.active, [&](int l) {
        const uint64_t address = r.addresses[l];
        check_alignment(w, s, l, address, r.bytes, what);
        if (address > bytes || r.bytes > bytes - address)
            fail(w, s, l, illegal_address, fmt::format("it {} {} bytes at address {:#x} in local memory, of which a thread has {} bytes", what, r.bytes, address, bytes));
        r.memory[l] = w.launch->local.data() + bytes * static_cast<uint64_t>(w.index * lanes + l) + address;
    });
}

void check_written_shared(Warp &w, const Step &s, const Request &r) {
    const Launch &launch = *w.launch;
    const unsigned shift = launch.program.shared_shift;
    each_lane(r.active, [&](int l) {
        for (unsigned n = 0; n < r.bytes >> shift; ++n)
            if (r.cells[l][n].write.time < launch.block_start || r.cells[l][n].write.time == 0)
                fail(w, s, l, launch_failed, fmt::format("it reads address {:#x} in shared memory, where no thread of the block has written",
                                                         r.addresses[l] + (n << shift)));
    });
}

void check_written_global(Warp &w, const Step &s, const Request &r) {
    Launch &launch = *w.launch;
    each_lane(r.active, [&](int l) {
        const Allocation *a = launch.last[number_of(launch, s)];
        if (!a->holds(r.addresses[l], r.bytes)) a = launch.memory.find(r.addresses[l], r.bytes);
        if (!a->all_written && !a->is_written(r.addresses[l] - a->address, r.bytes)) {
            unsigned n = 0;
            while (a->is_written(r.addresses[l] - a->address + n, 1)) ++n;
            fail(w, s, l, launch_failed, fmt::format("it reads address {:#x} in global memory, byte {} of an allocation of {} bytes, where nothing has been written",
                                                     r.addresses[l] + n, r.addresses[l] + n - a->address, a->bytes));
        }
    });
}

void check_order_of_reads(Warp &w, const Step &s, const Request &r, bool global) {
    const Program &program = w.launch->program;
    const unsigned shift = global ? program.global_shift : program.shared_shift;
    each_lane(r.active, [&](int l) { CheckedAccess{w, s, l, r.addresses[l], global, shift}.read(r.cells[l], r.bytes); });
}

void set_written_global(Warp &w, const Step &s, const Request &r) {
    Launch &launch = *w.launch;
    each_lane(r.active, [&](int l) {
        Allocation *a = launch.last[number_of(launch, s)];
        if (!a->holds(r.addresses[l], r.bytes)) a = launch.memory.find(r.addresses[l], r.bytes);
        if (!a->all_written) a->set_written(r.addresses[l] - a->address, r.bytes);
    });
}

void count_request(AccessCounts &c, const Request &r) {
    const auto threads = static_cast<uint64_t>(__builtin_popcount(r.active));
    c.requests += 1;
    c.threads += threads;
    c.bytes += threads * r.bytes;
    c.by_width[static_cast<int>(r.bytes)] += 1;
}

void count_global(Launch &launch, const Step &s, GlobalCounts &c, const Request &r, bool store) {
    count_request(c, r);
    Allocation *a = launch.last[number_of(launch, s)];
    uint64_t seen[lanes], highest = 0;
    int count = 0;
    each_lane(r.active, [&](int l) {
        const uint64_t sector = r.addresses[l] / 32;
        if (count && sector <= highest && std::find(seen, seen + count, sector) != seen + count) return;
        seen[count++] = sector;
        highest = std::max(highest, sector);
        if (!a->holds(r.addresses[l], r.bytes)) a = launch.memory.find(r.addresses[l], r.bytes);
        uint8_t &touched = (store ? a->sectors_written : a->sectors_read).get()[(r.addresses[l] - a->address) / 32];
        c.unique_sectors += !touched;
        touched = 1;
    });
    c.sectors += static_cast<uint64_t>(count);
}

void count_shared(SharedCounts &c, const Request &r) {
    count_request(c, r);
    const int group = r.bytes <= 4 ? 32 : r.bytes == 8 ? 16 : 8;
    const unsigned words = std::max(1u, r.bytes / 4);
    for (int first = 0; first < lanes; first += group) {
        const uint32_t mask = r.active & ((group == 32 ? all_lanes : (uint32_t{1} << group) - 1) << first);
        if (!mask) continue;
        uint64_t in_bank[32][32];
        uint8_t count[32] = {};
        unsigned most = 1;
        each_lane(mask, [&](int l) {
            for (unsigned n = 0; n < words; ++n) {
                const uint64_t word = r.addresses[l] / 4 + n;
                const unsigned bank = word % 32;
                if (std::find(in_bank[bank], in_bank[bank] + count[bank], word) != in_bank[bank] + count[bank]) continue;
                in_bank[bank][count[bank]++] = word;
                most = std::max<unsigned>(most, count[bank]);
            }
        });
        c.wavefronts += most;
        c.least_wavefronts += 1;
    }
}

}  // namespace sepal::ptx
