#include "lookup.h"

#include <algorithm>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

void check_alignment(Warp &w, const Step &s, int lane, uint64_t address, unsigned bytes, const char *what) {
    if (address & (bytes - 1))
        fail(w, s, lane, misaligned_address,
             fmt::format("it {} {} bytes at address {:#x}, which is not aligned to their number", what, bytes, address));
}

// Whether all lanes are aligned and in these bytes. Gives lanes that are not active the address of one that is.
bool within(Request &r, uint64_t base, uint64_t bytes) {
    if (r.active != all_lanes) {
        const uint64_t address = r.addresses[__builtin_ctz(r.active)];
        for (int l = 0; l < lanes; ++l)
            if (!(r.active >> l & 1)) r.addresses[l] = address;
    }
    uint64_t all = 0, least = ~uint64_t{0}, most = 0;
    for (int l = 0; l < lanes; ++l) {
        all |= r.addresses[l];
        least = std::min(least, r.addresses[l]);
        most = std::max(most, r.addresses[l]);
    }
    return (all & (r.bytes - 1)) == 0 && least >= base && r.bytes <= bytes && most - base <= bytes - r.bytes;
}

// That of a lane of a request.
Allocation *allocation_of(Launch &launch, const Request &r, int l) {
    return r.single ? r.single : launch.memory.find(r.addresses[l], r.bytes);
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
    if (!within(r, shared.base, shared.bytes))
        each_lane(r.active, [&](int l) {
            const uint64_t address = r.addresses[l];
            check_alignment(w, s, l, address, r.bytes, what);
            const uint64_t at = address - shared.base;
            if (address < shared.base)
                fail(
                    w, s, l, illegal_address,
                    fmt::format("it {} {} bytes at address {:#x} in shared memory, where the bytes below {:#x} are reserved for the system",
                                what, r.bytes, address, shared.base));
            if (at > shared.bytes || r.bytes > shared.bytes - at)
                fail(
                    w, s, l, illegal_address,
                    fmt::format("it {} {} bytes at address {:#x} in shared memory, of which the block has {} bytes from {:#x}: {} declared "
                                "and {} of the launch",
                                what, r.bytes, address, shared.bytes, shared.base, w.launch->program.static_shared_bytes,
                                w.launch->dynamic_shared_bytes));
        });
    for (int l = 0; l < lanes; ++l) {
        const uint64_t at = r.addresses[l] - shared.base;
        r.memory[l] = shared.data.data() + at;
        r.cells[l] = shared.cells.data() + (at >> shift);
    }
}

void look_up_global(Warp &w, const Step &s, Request &r, const char *what) {
    Launch &launch = *w.launch;
    const unsigned shift = launch.program.global_shift;
    Allocation *&last = launch.last[number_of(launch, s)];
    const auto point = [&](int l, Allocation &a) {
        const uint64_t at = r.addresses[l] - a.address;
        r.memory[l] = a.data.data() + at;
        r.cells[l] = a.cells.get() + (at >> shift);
    };
    if (last && within(r, last->address, last->bytes)) {
        r.single = last;
        for (int l = 0; l < lanes; ++l) point(l, *last);
        return;
    }
    const Allocation *first = nullptr;
    bool several = false;
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
        if (!first) first = last;
        several |= first != last;
        point(l, *last);
    });
    r.single = several ? nullptr : last;
}

void look_up_local(Warp &w, const Step &s, Request &r, const char *what) {
    const uint64_t bytes = w.launch->program.local_bytes;
    each_lane(r.active, [&](int l) {
        const uint64_t address = r.addresses[l];
        check_alignment(w, s, l, address, r.bytes, what);
        if (address > bytes || r.bytes > bytes - address)
            fail(w, s, l, illegal_address,
                 fmt::format("it {} {} bytes at address {:#x} in local memory, of which a thread has {} bytes", what, r.bytes, address,
                             bytes));
        r.memory[l] = w.launch->local.data() + bytes * static_cast<uint64_t>(w.index * lanes + l) + address;
    });
}

void check_written_shared(Warp &w, const Step &s, const Request &r) {
    const Launch &launch = *w.launch;
    const unsigned shift = launch.program.shared_shift;
    each_lane(r.active, [&](int l) {
        for (unsigned n = 0; n < r.bytes >> shift; ++n)
            if (r.cells[l][n].write.time < launch.block_start || r.cells[l][n].write.time == 0)
                fail(w, s, l, launch_failed,
                     fmt::format("it reads address {:#x} in shared memory, where no thread of the block has written",
                                 r.addresses[l] + (n << shift)));
    });
}

void check_written_global(Warp &w, const Step &s, const Request &r) {
    if (r.single && r.single->all_written) return;
    each_lane(r.active, [&](int l) {
        const Allocation *a = allocation_of(*w.launch, r, l);
        const size_t at = r.addresses[l] - a->address;
        if (a->all_written || a->is_written(at, r.bytes)) return;
        unsigned n = 0;
        while (a->is_written(at + n, 1)) ++n;
        fail(w, s, l, launch_failed,
             fmt::format("it reads address {:#x} in global memory, byte {} of an allocation of {} bytes, where nothing has been written",
                         r.addresses[l] + n, at + n, a->bytes));
    });
}

void check_order_of_reads(Warp &w, const Step &s, const Request &r, bool global) {
    const Program &program = w.launch->program;
    const unsigned shift = global ? program.global_shift : program.shared_shift;
    each_lane(r.active, [&](int l) { CheckedAccess{w, s, l, r.addresses[l], global, shift}.read(r.cells[l], r.bytes); });
}

void set_written_global(Warp &w, const Request &r) {
    if (r.single && r.single->all_written) return;
    each_lane(r.active, [&](int l) {
        Allocation *a = allocation_of(*w.launch, r, l);
        a->set_written(r.addresses[l] - a->address, r.bytes);
    });
}

void count_request(AccessCounts &c, const Request &r) {
    const auto threads = static_cast<uint64_t>(__builtin_popcount(r.active));
    c.requests += 1;
    c.threads += threads;
    c.bytes += threads * r.bytes;
    c.by_width[static_cast<int>(r.bytes)] += 1;
}

void count_global(Launch &launch, GlobalCounts &c, const Request &r, bool store) {
    count_request(c, r);
    uint64_t seen[lanes], highest = 0;
    int count = 0;
    each_lane(r.active, [&](int l) {
        const uint64_t sector = r.addresses[l] / 32;
        if (count && (sector == seen[count - 1] || (sector <= highest && std::find(seen, seen + count, sector) != seen + count))) return;
        seen[count++] = sector;
        highest = std::max(highest, sector);
        const Allocation *a = allocation_of(launch, r, l);
        uint8_t &touched = (store ? a->sectors_written : a->sectors_read).get()[(r.addresses[l] - a->address) / 32];
        c.unique_sectors += !touched;
        touched = 1;
    });
    c.sectors += static_cast<uint64_t>(count);
}

// Whether each thread of the request asks for what its partner does, whose number differs by `distance`, or has none.
bool in_pairs(const Request &r, unsigned distance) {
    for (unsigned l = 0; l < lanes; ++l) {
        const unsigned partner = l ^ distance;
        if ((r.active >> l & r.active >> partner & 1) && r.addresses[l] != r.addresses[partner]) return false;
    }
    return true;
}

void count_shared(SharedCounts &c, const Request &r, bool pairs) {
    count_request(c, r);
    // An aligned access of 8 or 16 bytes takes 2 or 4 banks that no other such access shares in part: they are counted as wider banks.
    const unsigned bytes = std::max(4u, r.bytes);
    const unsigned banks = 128 / bytes, shift = static_cast<unsigned>(__builtin_ctz(bytes));
    const unsigned group = pairs && bytes > 4 && (in_pairs(r, 1) || in_pairs(r, 2)) ? 2 * banks : banks;
    // The usual two: lanes one behind the other, and all at the same place.
    uint64_t not_in_line = r.active != all_lanes, not_together = not_in_line;
    for (unsigned l = 0; l < lanes; ++l)
        not_in_line |= r.addresses[l] ^ (r.addresses[0] + l * bytes), not_together |= r.addresses[l] ^ r.addresses[0];
    if (!not_in_line || !not_together) {
        c.wavefronts += lanes / group, c.least_wavefronts += lanes / group;
        return;
    }
    for (unsigned first = 0; first < lanes; first += group) {
        const uint32_t mask = r.active & ((group == lanes ? all_lanes : (uint32_t{1} << group) - 1) << first);
        if (!mask) continue;
        uint64_t in_bank[lanes][lanes];
        uint8_t count[lanes] = {};
        unsigned most = 1;
        each_lane(mask, [&](int l) {
            const uint64_t word = r.addresses[l] >> shift;
            const unsigned bank = word % banks;
            uint64_t *here = in_bank[bank];
            if (std::find(here, here + count[bank], word) != here + count[bank]) return;
            here[count[bank]++] = word;
            most = std::max<unsigned>(most, count[bank]);
        });
        c.wavefronts += most;
        c.least_wavefronts += 1;
    }
}

}  // namespace sepal::ptx
