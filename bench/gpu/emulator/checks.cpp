#include "checks.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

std::string triple(const std::array<unsigned, 3> &v) { return fmt::format("({}, {}, {})", v[0], v[1], v[2]); }

}  // namespace

void fail(const Warp &w, const Step &s, int lane, int error, const std::string &found) {
    const Launch &launch = *w.launch;
    const std::string who = lane < 0 ? fmt::format("warp {}", w.index)
                                     : fmt::format("thread {}", triple(launch.thread(static_cast<unsigned>(w.index * lanes + lane))));
    throw Fault{error, fmt::format("kernel {}, block {}, {}, line {} of its PTX \"{}\": {}", launch.program.kernel.name, triple(launch.at),
                                   who, s.source->line, s.source->text, found)};
}

void CheckedAccess::race(const Mark &m, const char *doing, const char *done) const {
    const Launch &launch = *warp.launch;
    std::string who = m.thread == Mark::several_warps || (m.thread & Mark::several_lanes && m.thread != Mark::several_warps)
                          ? "several threads"
                          : fmt::format("thread {}", triple(launch.thread(m.thread)));
    const char *order = "bar.sync";
    if (m.other_blocks) {
        who = "threads of other blocks";
        order = "anything";
    } else if (m.time < launch.block_start) {
        const auto its_block = static_cast<unsigned>(std::upper_bound(launch.block_starts.begin(), launch.block_starts.end(), m.time) -
                                                     launch.block_starts.begin() - 1);
        const std::array<unsigned, 3> &grid = launch.grid;
        who += fmt::format(" of block {}", triple({its_block % grid[0], its_block / grid[0] % grid[1], its_block / grid[0] / grid[1]}));
        order = "anything";
    } else if (m.thread / lanes == warp.index || m.thread == (Mark::several_lanes | warp.index)) {
        order = "bar.sync or bar.warp.sync";
    }
    fail(warp, step, lane, launch_failed,
         fmt::format("a race in {} memory: it {} address {:#x}, which {} {} without {} in between", global ? "global" : "shared", doing,
                     address, who, done, order));
}

void CheckedAccess::is_pending(const Mark &) const {
    fail(warp, step, lane, launch_failed,
         fmt::format("it accesses address {:#x} in shared memory, where a cp.async writes that its thread has not waited for "
                     "(cp.async.wait_group or wait_all)",
                     address));
}

void CheckedAccess::write_unsettled(Cell &c, const uint8_t *before, const uint8_t *after) const {
    if (!fresh(c.write) && c.write.kind == Mark::pending) is_pending(c.write);
    if (unordered(c.read)) race(c.read, "writes", "read");
    if (!unordered(c.write)) {
        c.write = {warp.launch->time, thread(), c.write.other_blocks, Mark::plain};
        return;
    }
    if (c.write.kind == Mark::atomic) race(c.write, "writes", "wrote in an atomic operation");
    if (std::memcmp(before, after, size_t{1} << shift) != 0) race(c.write, "writes", "wrote with another value");
    note(c.write);
}

void CheckedAccess::atomic(Cell *cells, size_t bytes) const {
    for (Cell *c = cells, *end = cells + (bytes >> shift); c != end; ++c) {
        if (!fresh(c->write) && c->write.kind == Mark::pending) is_pending(c->write);
        if (unordered(c->read)) race(c->read, "changes", "read");
        if (unordered(c->write) && c->write.kind != Mark::atomic) race(c->write, "changes", "wrote");
        note(c->write);
        c->write.kind = Mark::atomic;
    }
}

void CheckedAccess::write_later(Cell *cells, size_t bytes) const {
    for (Cell *c = cells, *end = cells + (bytes >> shift); c != end; ++c) {
        if (!fresh(c->write) && c->write.kind == Mark::pending) is_pending(c->write);
        if (unordered(c->read)) race(c->read, "writes", "read");
        if (unordered(c->write)) race(c->write, "writes", "wrote");
        c->write = {warp.launch->time, thread(), 0, Mark::pending};
    }
}

}  // namespace sepal::ptx
