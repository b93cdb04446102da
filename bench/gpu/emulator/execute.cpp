#include "execute.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

constexpr int nowhere = std::numeric_limits<int>::max();

std::string lanes_text(uint32_t mask) { return fmt::format("{} of its threads ({:#010x} as a mask)", __builtin_popcount(mask), mask); }

class Executor {
public:
    Executor(const Program &program, GlobalMemory &memory, LaunchRequest request) : program_(program), launch_(program, memory) {
        launch_.grid = request.grid, launch_.block = request.block;
        launch_.params = std::move(request.params);
        launch_.params.resize(program.param_bytes + 16);
        launch_.dynamic_shared_bytes = request.dynamic_shared_bytes;
        launch_.most_warp_instructions = request.most_warp_instructions;
        launch_.executed.resize(program.code.size());
        launch_.last.resize(program.code.size());
        threads_ = request.block[0] * request.block[1] * request.block[2];
        SharedMemory &shared = launch_.shared;
        shared.base = program.shared_base;
        shared.bytes = program.static_shared_bytes + request.dynamic_shared_bytes;
        shared.data.resize(shared.bytes + 16);
        shared.cells.resize((shared.bytes >> program.shared_shift) + 1);
        launch_.local.assign(program.local_bytes * ((threads_ + 31) / 32 * 32) + 16, 0xcb);
        make_warps();
    }

    KernelCounts run() {
        const std::array<unsigned, 3> &grid = launch_.grid;
        std::array<unsigned, 3> &at = launch_.at;
        for (at[2] = 0; at[2] < grid[2]; ++at[2])
            for (at[1] = 0; at[1] < grid[1]; ++at[1])
                for (at[0] = 0; at[0] < grid[0]; ++at[0]) run_block();
        sum_up();
        return std::move(launch_.counts);
    }

private:
    void make_warps() {
        const unsigned warps = (threads_ + lanes - 1) / lanes;
        const size_t words = static_cast<size_t>(program_.words) * lanes;
        launch_.registers.assign(words * warps, 0);
        launch_.warps.resize(warps);
        for (unsigned n = 0; n < warps; ++n) {
            Warp &w = launch_.warps[n];
            w.launch = &launch_;
            w.index = static_cast<int>(n);
            w.words = launch_.registers.data() + words * n;
            w.predicates.resize(static_cast<size_t>(program_.predicates));
            const unsigned exist = std::min<unsigned>(lanes, threads_ - n * lanes);
            w.exists = exist == lanes ? all_lanes : (uint32_t{1} << exist) - 1;
            for (const Program::Constant &c : program_.constants) {
                if (c.wide) std::fill_n(w.at<uint64_t>(c.word), lanes, c.value);
                else std::fill_n(w.at<uint32_t>(c.word), lanes, static_cast<uint32_t>(c.value));
            }
            for (unsigned l = 0; l < lanes; ++l) {
                const std::array<unsigned, 3> t = launch_.thread(n * lanes + l);
                const uint32_t bit = uint32_t{1} << l;
                const auto set = [&](int r, uint32_t value) { w.at<uint32_t>(r)[l] = value; };
                for (int dim = 0; dim < 3; ++dim) {
                    const auto d = static_cast<size_t>(dim);
                    set(tid_x + dim, t[d]), set(ntid_x + dim, launch_.block[d]), set(nctaid_x + dim, launch_.grid[d]);
                }
                set(laneid, l), set(warpid, n), set(nwarpid, warps);
                set(lanemask_eq, bit), set(lanemask_lt, bit - 1), set(lanemask_le, bit | (bit - 1)), set(lanemask_gt, ~(bit | (bit - 1)));
                set(lanemask_ge, ~(bit - 1));
                set(dynamic_smem_size, static_cast<uint32_t>(launch_.dynamic_shared_bytes));
                set(total_smem_size, static_cast<uint32_t>(launch_.shared.bytes));
            }
        }
    }

    void run_block() {
        launch_.block_start = launch_.barrier_time = ++launch_.time;
        launch_.block_starts.push_back(launch_.time);
        for (Warp &w : launch_.warps) {
            w.idle = ~w.exists;
            w.groups.assign(1, {0, w.exists, false});
            w.synced = launch_.time;
            w.barrier = nullptr;
            w.copies.clear();
            for (int dim = 0; dim < 3; ++dim) std::fill_n(w.at<uint32_t>(ctaid_x + dim), lanes, launch_.at[static_cast<size_t>(dim)]);
        }
        for (bool running = true; running;) {
            running = false;
            for (Warp &w : launch_.warps)
                if (!w.barrier && !w.groups.empty()) run_warp(w), running = true;
            if (!running) running = release_barrier();
        }
    }

    // Once no warp can go on. False when all have ended.
    bool release_barrier() {
        const Warp *waiting = nullptr, *ended = nullptr;
        for (const Warp &w : launch_.warps) (w.barrier ? waiting : ended) = &w;
        if (!waiting) return false;
        if (ended)
            fail(*waiting, *waiting->barrier, -1, launch_failed,
                 fmt::format("it waits for warp {}, whose threads have ended", ended->index));
        for (const Warp &w : launch_.warps)
            if (w.barrier->option != waiting->barrier->option)
                fail(w, *w.barrier, -1, launch_failed,
                     fmt::format("it waits at barrier {} and warp {} at barrier {}", w.barrier->option, waiting->index,
                                 waiting->barrier->option));
        launch_.barrier_time = ++launch_.time;
        for (Warp &w : launch_.warps) w.barrier = nullptr, w.synced = launch_.time;
        return true;
    }

    // Up to a barrier or the end. The lanes that are furthest behind in the code go first, until they meet others.
    void run_warp(Warp &w) {
        while (!w.groups.empty() && !w.barrier) {
            join(w.groups);
            size_t next = w.groups.size();
            for (size_t g = 0; g < w.groups.size(); ++g)
                if (!w.groups[g].waits && (next == w.groups.size() || w.groups[g].at < w.groups[next].at)) next = g;
            if (next == w.groups.size()) apart(w, w.groups[0].at);
            int meets = nowhere;
            for (size_t g = 0; g < w.groups.size(); ++g)
                if (g != next && w.groups[g].at > w.groups[next].at) meets = std::min(meets, w.groups[g].at);
            run_group(w, next, meets);
        }
    }

    static void join(std::vector<Group> &groups) {
        for (size_t a = 0; a < groups.size(); ++a)
            for (size_t b = a + 1; b < groups.size();)
                if (groups[a].at == groups[b].at) {
                    groups[a].mask |= groups[b].mask;
                    groups[a].waits = false;
                    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(b));
                } else {
                    ++b;
                }
    }

    // An instruction that all lanes have to reach together, and some cannot.
    [[noreturn]] void apart(const Warp &w, int at) const {
        const Step &s = program_.code[static_cast<size_t>(at)];
        uint32_t here = 0, elsewhere = 0;
        int other = nowhere;
        for (const Group &g : w.groups) {
            if (g.at == at) here |= g.mask;
            else elsewhere |= g.mask, other = std::min(other, g.at);
        }
        std::string where;
        if (elsewhere)
            where = fmt::format("others are at line {} \"{}\"", program_.code[static_cast<size_t>(other)].source->line,
                                program_.code[static_cast<size_t>(other)].source->text);
        else if (w.exists & ~here) where = "others have ended";
        else where = fmt::format("its mask is {:#010x}", needed(w, s, here));
        fail(w, s, -1, launch_failed, fmt::format("in divergent code: {} reach it, {}", lanes_text(here), where));
    }

    // Lanes that a `together` or a barrier needs.
    uint32_t needed(const Warp &w, const Step &s, uint32_t active) const {
        return s.members < 0 ? w.exists : w.at<uint32_t>(s.members)[__builtin_ctz(active)] & w.exists;
    }

    // Until the group ends, splits, reaches `meets`, or waits.
    void run_group(Warp &w, size_t group, int meets) {
        const Step *code = program_.code.data();
        const int end = static_cast<int>(program_.code.size());
        const uint32_t mask = w.groups[group].mask;
        const bool alone = w.groups.size() == 1;
        int at = w.groups[group].at;
        uint64_t steps = 0;
        for (;;) {
            if (at >= end) {  // a kernel ends where its text does
                w.idle |= mask;
                w.groups.erase(w.groups.begin() + static_cast<std::ptrdiff_t>(group));
                break;
            }
            const Step &s = code[at];
            uint32_t active = mask;
            if (s.guard >= 0) active &= w.predicates[static_cast<size_t>(s.guard)] ^ (s.guard_negated ? all_lanes : 0);
            if (s.flow == Step::Flow::run) {
                ++steps;
                count(at, active);
                if (active) s.run(w, s, active);
                if (++at != meets) continue;
                w.groups[group].at = at;
                break;
            }
            if (s.flow == Step::Flow::branch) {
                ++steps;
                count(at, active);
                if (active == mask) {
                    if (s.target <= at) check_end(w, s, steps);
                    at = s.target;
                    if (alone) continue;
                } else if (!active) {
                    ++at;
                    if (at != meets) continue;
                } else {
                    ++launch_.counts.divergent_branches;
                    if (s.target <= at) check_end(w, s, steps);
                    w.groups[group] = {at + 1, mask & ~active, false};
                    w.groups.push_back({s.target, active, false});
                    break;
                }
                w.groups[group].at = at;
                break;
            }
            if (s.flow == Step::Flow::exit) {
                ++steps;
                count(at, active);
                w.idle |= active;
                if (active == mask) {
                    w.groups.erase(w.groups.begin() + static_cast<std::ptrdiff_t>(group));
                } else {
                    w.groups[group] = {at + 1, mask & ~active, false};
                }
                break;
            }
            // Together, or a barrier.
            if (active == 0 && s.flow == Step::Flow::together) {
                ++steps;
                count(at, 0);
                if (++at != meets) continue;
                w.groups[group].at = at;
                break;
            }
            if (active == 0 || active != needed(w, s, active)) {
                w.groups[group].at = at;
                if (active != mask)
                    fail(w, s, -1, launch_failed,
                         fmt::format("in divergent code: its predicate is true for {} of {}", __builtin_popcount(active),
                                     __builtin_popcount(mask)));
                if (alone) apart(w, at);
                w.groups[group].waits = true;
                break;
            }
            if ((s.kind == InstructionClass::mma || s.kind == InstructionClass::ldmatrix) && active != all_lanes)
                fail(w, s, -1, launch_failed, fmt::format("in a warp of {} threads: it needs all 32", __builtin_popcount(w.exists)));
            ++steps;
            count(at, active);
            s.run(w, s, active);
            ++at;
            if (s.flow == Step::Flow::barrier) {
                w.groups[group].at = at;
                break;
            }
            if (at == meets) {
                w.groups[group].at = at;
                break;
            }
        }
        launch_.warp_instructions += steps;
    }

    void count(int at, uint32_t active) {
        Launch::Executed &e = launch_.executed[static_cast<size_t>(at)];
        e.warps += 1;
        e.threads += active == all_lanes ? lanes : static_cast<uint64_t>(__builtin_popcount(active));
    }

    void check_end(const Warp &w, const Step &s, uint64_t steps) const {
        if (launch_.warp_instructions + steps > launch_.most_warp_instructions)
            fail(w, s, -1, launch_failed,
                 fmt::format("the launch has not ended after {} warp instructions", launch_.warp_instructions + steps));
    }

    void sum_up() {
        KernelCounts &c = launch_.counts;
        c.kernel = program_.kernel.name;
        c.grid = launch_.grid, c.block = launch_.block;
        c.blocks = uint64_t{1} * c.grid[0] * c.grid[1] * c.grid[2];
        c.warps = c.blocks * launch_.warps.size();
        c.threads = c.blocks * threads_;
        c.dynamic_shared_bytes = launch_.dynamic_shared_bytes;
        c.static_shared_bytes = program_.static_shared_bytes;
        for (size_t n = 0; n < program_.code.size(); ++n) {
            const Step &s = program_.code[n];
            const Launch::Executed &e = launch_.executed[n];
            if (!e.warps) continue;
            c.warp_instructions[static_cast<size_t>(s.kind)] += e.warps;
            c.by_opcode[s.source->opcode] += e.warps;
            const std::vector<std::string> &fields = s.source->fields;
            if (fields[0] == "fma" && fields.back() == "f32") c.f32_fma += e.threads;
            if (fields[0] == "fma" && fields.back() == "f16") c.f16_fma += e.threads;
            if (fields[0] == "fma" && fields.back() == "f16x2") c.f16_fma += 2 * e.threads;
            if (s.kind == InstructionClass::dp4a) c.dp4a += e.threads;
            if (s.kind == InstructionClass::barrier && s.flow == Step::Flow::barrier) c.barriers += e.warps;
            if (s.kind == InstructionClass::branch) c.branches += e.warps;
            if (s.kind == InstructionClass::mma) count_mma(fields, e.warps);
        }
    }

    void count_mma(const std::vector<std::string> &fields, uint64_t warps) {
        std::string shape;
        for (size_t f = 1; f < fields.size(); ++f)
            if (fields[f] != "sync" && fields[f] != "aligned" && fields[f] != "row" && fields[f] != "col" && fields[f] != "satfinite")
                shape += (shape.empty() ? "" : ".") + fields[f];
        launch_.counts.mma[shape] += warps;
        int depth = 0;
        for (int k : {8, 16, 32})
            if (shape.compare(0, shape.find('.'), fmt::format("m16n8k{}", k)) == 0) depth = k;
        launch_.counts.mma_multiply_adds += warps * 16 * 8 * static_cast<uint64_t>(depth);
    }

    const Program &program_;
    Launch launch_;
    unsigned threads_ = 0;
};

}  // namespace

KernelCounts execute(const Program &program, GlobalMemory &memory, LaunchRequest request) {
    struct EndLaunch {
        GlobalMemory &memory;
        ~EndLaunch() { memory.end_launch(); }
    } end{memory};
    return Executor(program, memory, std::move(request)).run();
}

}  // namespace sepal::ptx
