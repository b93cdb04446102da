// The order of accesses: whether two threads may touch the same bytes.
#pragma once

#include "machine.h"

namespace sepal::ptx {

// One lane's access to some cells. Each function fails the launch when it finds something, and else notes the access.
struct CheckedAccess {
    Warp &warp;
    const Step &step;
    int lane;
    uint64_t address;   // as the kernel gave it, for the sentence
    bool global;        // else shared
    unsigned shift;     // cells are 1 << shift bytes

    void read(Cell *cells, size_t bytes) const;
    // before, after: the bytes as they are and as they shall be: the same values may be written by several.
    void write(Cell *cells, size_t bytes, const uint8_t *before, const uint8_t *after) const;
    void atomic(Cell *cells, size_t bytes) const;
    // Of a cp.async: nobody may touch the bytes until its thread has waited for it.
    void write_later(Cell *cells, size_t bytes) const;

    uint16_t thread() const { return static_cast<uint16_t>(warp.index * lanes + lane); }

private:
    // An access that cannot be in the way of this one: the usual case, found out quickly.
    bool settled(const Mark &m) const {
        const Launch &launch = *warp.launch;
        return m.time == 0 ||
               (!m.other_blocks && m.kind == Mark::plain &&
                (global ? m.time >= launch.block_start && m.thread == thread() : m.time < launch.barrier_time || m.thread == thread()));
    }
    void write_unsettled(Cell &, const uint8_t *before, const uint8_t *after) const;
    bool fresh(const Mark &) const;      // nobody has accessed it, as far as the present block's checks go
    bool unordered(const Mark &) const;  // another thread has, and nothing orders that and this
    void note(Mark &) const;
    [[noreturn]] void race(const Mark &, const char *doing, const char *done) const;
    [[noreturn]] void is_pending(const Mark &) const;
};

inline bool CheckedAccess::fresh(const Mark &m) const { return m.time == 0 || (!global && m.time < warp.launch->block_start); }

inline bool CheckedAccess::unordered(const Mark &m) const {
    if (fresh(m)) return false;
    const Launch &launch = *warp.launch;
    if (m.other_blocks || m.time < launch.block_start) return true;
    if (m.time < launch.barrier_time || m.thread == thread()) return false;
    if (m.thread == Mark::several_warps) return true;
    const int its_warp = m.thread & Mark::several_lanes ? m.thread & ~Mark::several_lanes : m.thread / lanes;
    return its_warp != warp.index || m.time >= warp.synced;
}

inline void CheckedAccess::note(Mark &m) const {
    const Launch &launch = *warp.launch;
    const uint16_t me = thread();
    if (m.time == launch.time && m.kind == Mark::plain && (m.thread == me || m.thread == (Mark::several_lanes | warp.index))) return;
    if (fresh(m)) {
        m.thread = me, m.other_blocks = 0;
    } else if (m.time < launch.block_start) {
        m.thread = me, m.other_blocks = 1;
    } else if (m.thread != me) {
        if (m.time < launch.barrier_time) {
            m.thread = me;
        } else if (m.thread != Mark::several_warps) {
            const int its_warp = m.thread & Mark::several_lanes ? m.thread & ~Mark::several_lanes : m.thread / lanes;
            m.thread = its_warp != warp.index   ? Mark::several_warps
                     : m.time < warp.synced ? me : static_cast<uint16_t>(Mark::several_lanes | warp.index);
        }
    }
    m.time = launch.time;
    m.kind = Mark::plain;
}

inline void CheckedAccess::read(Cell *cells, size_t bytes) const {
    for (Cell *c = cells, *end = cells + (bytes >> shift); c != end; ++c) {
        if (!settled(c->write)) {
            if (!fresh(c->write) && c->write.kind == Mark::pending) is_pending(c->write);
            if (unordered(c->write)) race(c->write, "reads", "wrote");
        }
        note(c->read);
    }
}

inline void CheckedAccess::write(Cell *cells, size_t bytes, const uint8_t *before, const uint8_t *after) const {
    const size_t size = size_t{1} << shift;
    for (size_t n = 0; n < bytes >> shift; ++n) {
        Cell &c = cells[n];
        if (settled(c.write) && settled(c.read)) c.write = {warp.launch->time, thread(), 0, Mark::plain};
        else write_unsettled(c, before + n * size, after + n * size);
    }
}

}  // namespace sepal::ptx
