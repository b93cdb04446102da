// What the lanes of a warp do together: matrix products, shuffles, votes, barriers, and asynchronous copies.
#include "decode.h"
#include "lane_math.h"
#include "lanes.h"
#include "lookup.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

// ---- mma.sync: D = A * B + C ----
// list: D, A, B, C in this order, as many words as option says, 4 bits each. Lane l holds, of each word, neighbours in a row of A and C or
// in a column of B: in PTX's words groupID = l / 4 is the row (B: column), threadID_in_group = l % 4 the place in it.
struct Fragments {
    int d, a, b, c;
};
Fragments counts_of(const Step &s) {
    return {static_cast<int>(s.option & 15), static_cast<int>(s.option >> 4 & 15), static_cast<int>(s.option >> 8 & 15),
            static_cast<int>(s.option >> 12 & 15)};
}

// f16 and bf16: each word of A and B has 2 elements. A's words: rows l/4 and l/4 + 8, then the next 8 columns. words_a: of A, B has half of
// that; sums: words of C and D, 4 of f32 or 2 of pairs of f16.
template<bool bf16, int words_a, int words_c, int words_d>
void mma_half(Warp &w, const Step &s, uint32_t) {
    constexpr int depth = words_a * 4, words_b = words_a / 2;
    float a[16 * depth], b[depth * 8], c[16 * 8];
    const int *list = s.list.data() + words_d;
    float pair[2][lanes];  // the lower and the higher halves of a word
    const auto take = [&](int word) {
        const uint32_t *from = w.at<uint32_t>(word);
        if (!bf16) return widen(pair[0], pair[1], from);
        for (int l = 0; l < lanes; ++l) pair[0][l] = bits_as<float>(from[l] << 16), pair[1][l] = bits_as<float>(from[l] & 0xffff0000u);
    };
    for (int i = 0; i < words_a; ++i) {
        take(list[i]);
        for (int l = 0; l < lanes; ++l)
            for (int e = 0; e < 2; ++e) a[(l / 4 + i % 2 * 8) * depth + i / 2 * 8 + l % 4 * 2 + e] = pair[e][l];
    }
    for (int i = 0; i < words_b; ++i) {
        take(list[words_a + i]);
        for (int l = 0; l < lanes; ++l)
            for (int e = 0; e < 2; ++e) b[(i * 8 + l % 4 * 2 + e) * 8 + l / 4] = pair[e][l];
    }
    for (int i = 0; i < words_c; ++i) {
        const uint32_t *word = w.at<uint32_t>(list[words_a + words_b + i]);
        if (words_c == 2) widen(pair[0], pair[1], word);
        for (int l = 0; l < lanes; ++l) {
            if (words_c == 4) c[(l / 4 + i / 2 * 8) * 8 + l % 4 * 2 + i % 2] = bits_as<float>(word[l]);
            else for (int e = 0; e < 2; ++e) c[(l / 4 + i * 8) * 8 + l % 4 * 2 + e] = pair[e][l];
        }
    }
    multiply_f16(c, a, b, 16, depth);
    for (int i = 0; i < words_d; ++i) {
        uint32_t *word = w.at<uint32_t>(s.list[static_cast<size_t>(i)]);
        for (int l = 0; l < lanes; ++l) {
            const int row = l / 4, place = l % 4 * 2;
            if (words_d == 4) {
                word[l] = bits_as<uint32_t>(c[(row + i / 2 * 8) * 8 + place + i % 2]);
            } else {
                const float *sums = c + (row + i * 8) * 8 + place;
                word[l] = half_of_float(sums[0]) | static_cast<uint32_t>(half_of_float(sums[1])) << 16;
            }
        }
    }
}
template<bool bf16, int words_a>
Run mma_of_halves(const Fragments &n) {
    if (n.c == 4) return n.d == 4 ? mma_half<bf16, words_a, 4, 4> : mma_half<bf16, words_a, 4, 2>;
    return n.d == 4 ? mma_half<bf16, words_a, 2, 4> : mma_half<bf16, words_a, 2, 2>;
}

// Bytes: each word of A and B has 4 elements; the accumulators are 32 bit integers.
template<typename A, typename B>
void mma_bytes(Warp &w, const Step &s, uint32_t) {
    const Fragments n = counts_of(s);
    const int depth = n.a * 8;
    int32_t a[16 * 32], b[32 * 8], c[16 * 8];
    const int *list = s.list.data() + n.d;
    for (int l = 0; l < lanes; ++l) {
        const int row = l / 4, place = l % 4 * 4;
        for (int i = 0; i < n.a; ++i)
            for (int e = 0; e < 4; ++e)
                a[(row + i % 2 * 8) * depth + i / 2 * 16 + place + e] = static_cast<A>(w.at<uint32_t>(list[i])[l] >> 8 * e);
        for (int i = 0; i < n.b; ++i)
            for (int e = 0; e < 4; ++e) b[(i * 16 + place + e) * 8 + row] = static_cast<B>(w.at<uint32_t>(list[n.a + i])[l] >> 8 * e);
        for (int i = 0; i < n.c; ++i)
            c[(row + i / 2 * 8) * 8 + l % 4 * 2 + i % 2] = static_cast<int32_t>(w.at<uint32_t>(list[n.a + n.b + i])[l]);
    }
    for (int r = 0; r < 16; ++r)
        for (int column = 0; column < 8; ++column) {
            int64_t sum = c[r * 8 + column];
            for (int k = 0; k < depth; ++k) sum += a[r * depth + k] * b[k * 8 + column];
            const int64_t low = std::numeric_limits<int32_t>::min(), high = std::numeric_limits<int32_t>::max();
            c[r * 8 + column] = static_cast<int32_t>(s.sign ? std::clamp(sum, low, high) : sum);  // sign: satfinite
        }
    for (int l = 0; l < lanes; ++l)
        for (int i = 0; i < n.d; ++i)
            w.at<uint32_t>(s.list[static_cast<size_t>(i)])[l] = static_cast<uint32_t>(c[(l / 4 + i / 2 * 8) * 8 + l % 4 * 2 + i % 2]);
}

void decode_mma(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    s.kind = InstructionClass::mma, s.flow = Step::Flow::together;
    if (!op.take("sync") || !op.take("aligned")) throw Unknown("neither sync nor aligned");
    const int shape = op.take_one_of({"m16n8k8", "m16n8k16", "m16n8k32"});
    if (!op.take("row") || !op.take("col")) throw Unknown("another order than row.col");
    s.sign = op.take("satfinite");
    // u8 and s8 are types, too.
    const Type td = op.need_type(), ta = op.need_type(), tb = op.need_type(), tc = op.need_type();
    const bool halves = ta == Type::f16 && tb == Type::f16, bfloats = ta == Type::bf16 && tb == Type::bf16;
    const bool bytes = (ta == Type::s8 || ta == Type::u8) && (tb == Type::s8 || tb == Type::u8);
    Fragments n{};
    if ((halves || bfloats) && (shape == 0 || shape == 1) && !s.sign) n.a = shape == 1 ? 4 : 2, n.b = n.a / 2;
    if (bytes && (shape == 1 || shape == 2)) n.a = shape == 2 ? 4 : 2, n.b = n.a / 2;
    n.d = td == Type::f16 ? 2 : 4, n.c = tc == Type::f16 ? 2 : 4;
    const auto accumulates = [&](Type t) { return bytes ? t == Type::s32 : t == Type::f32 || (t == Type::f16 && halves); };
    if (!n.a || !accumulates(td) || !accumulates(tc)) throw Unknown("a shape or types of mma");
    s.option = static_cast<uint32_t>(n.d | n.a << 4 | n.b << 8 | n.c << 12);
    d.expect_operands(i, 4, 4);
    const size_t sizes[] = {static_cast<size_t>(n.d), static_cast<size_t>(n.a), static_cast<size_t>(n.b), static_cast<size_t>(n.c)};
    for (size_t o = 0; o < 4; ++o) {
        const Operand &operand = i.operands[o];
        const std::vector<Operand> parts = operand.kind == Operand::Kind::vector ? operand.parts : std::vector<Operand>{operand};
        if (parts.size() != sizes[o]) throw Unknown("another number of registers in a fragment");
        for (const Operand &part : parts) s.list.push_back(o == 0 ? d.destination(part, 32) : d.source(part, 32));
    }
    if (halves) s.run = n.a == 4 ? mma_of_halves<false, 4>(n) : mma_of_halves<false, 2>(n);
    else if (bfloats) s.run = n.a == 4 ? mma_of_halves<true, 4>(n) : mma_of_halves<true, 2>(n);
    else if (ta == Type::s8) s.run = tb == Type::s8 ? mma_bytes<int8_t, int8_t> : mma_bytes<int8_t, uint8_t>;
    else s.run = tb == Type::s8 ? mma_bytes<uint8_t, int8_t> : mma_bytes<uint8_t, uint8_t>;
}

// ---- ldmatrix: matrices of 8 rows of 16 bytes, the row r of matrix m at the address of lane 8m + r ----
template<bool transposed>
void load_matrices(Warp &w, const Step &s, uint32_t) {
    Request r;
    r.bytes = 16;
    r.active = s.count == 4 ? all_lanes : (uint32_t{1} << 8 * s.count) - 1;
    addresses_of(w, s, r);
    if (s.space == Space::generic)
        for (uint64_t &address : r.addresses) address -= shared_window;
    look_up_shared(w, s, r, "reads");
    check_written_shared(w, s, r);
    check_order_of_reads(w, s, r, false);
    count_shared(w.launch->counts.shared_loads, r, false);
    for (int m = 0; m < s.count; ++m)
        for (int l = 0; l < lanes; ++l) {
            uint32_t word = 0;
            for (int e = 0; e < 2; ++e) {
                const int row = transposed ? l % 4 * 2 + e : l / 4, column = transposed ? l / 4 : l % 4 * 2 + e;
                uint16_t element;
                std::memcpy(&element, r.memory[8 * m + row] + 2 * column, 2);
                word |= static_cast<uint32_t>(element) << 16 * e;
            }
            w.at<uint32_t>(s.list[static_cast<size_t>(m)])[l] = word;
        }
}

void decode_load_matrices(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    s.kind = InstructionClass::ldmatrix, s.flow = Step::Flow::together;
    if (!op.take("sync") || !op.take("aligned") || !op.take("m8n8")) throw Unknown("other than sync, aligned, m8n8");
    const int count = op.take_one_of({"x1", "x2", "x4"});
    const bool transposed = op.take("trans");
    s.space = op.take_one_of({"shared", "shared::cta"}) >= 0 ? Space::shared : Space::generic;
    if (op.need_type() != Type::b16 || count < 0) throw Unknown("another size");
    s.count = static_cast<uint8_t>(1 << count);
    d.expect_operands(i, 2, 2);
    const Operand &to = i.operands[0];
    const std::vector<Operand> parts = to.kind == Operand::Kind::vector ? to.parts : std::vector<Operand>{to};
    if (parts.size() != s.count) throw Unknown("another number of registers than matrices");
    for (const Operand &part : parts) s.list.push_back(d.destination(part, 32));
    d.address(s, i.operands[1]);
    d.note_access(Space::shared, 16);
    s.run = transposed ? load_matrices<true> : load_matrices<false>;
}

// ---- shuffles and votes ----
enum class Shuffle { up, down, bfly, idx };
void shuffle(Warp &w, const Step &s, uint32_t active) {
    uint32_t from[lanes];
    std::memcpy(from, w.at<uint32_t>(s.a), sizeof from);
    uint32_t inside = 0;
    each_lane(active, [&](int l) {
        const int b = static_cast<int>(w.at<uint32_t>(s.b)[l] & 31), c = static_cast<int>(w.at<uint32_t>(s.c)[l]);
        const int segment = c >> 8 & 31, bound = c & 31;
        const int last = (l & segment) | (bound & ~segment), first = l & segment;
        int source = 0;
        bool in = false;
        switch (static_cast<Shuffle>(s.option)) {
        case Shuffle::up: source = l - b, in = source >= last; break;
        case Shuffle::down: source = l + b, in = source <= last; break;
        case Shuffle::bfly: source = l ^ b, in = source <= last; break;
        case Shuffle::idx: source = first | (b & ~segment), in = source <= last; break;
        }
        if (!in) source = l;
        inside |= static_cast<uint32_t>(in) << l;
        if (!(active >> source & 1))
            fail(w, s, l, launch_failed, fmt::format("it takes the value of lane {}, which is not among those that shuffle", source));
        w.at<uint32_t>(s.d)[l] = from[source];
    });
    if (s.predicate >= 0) {
        uint32_t &p = w.predicates[static_cast<size_t>(s.predicate)];
        p = (p & ~active) | (inside & active);
    }
}

enum class Vote { all, any, uni, ballot };
void vote(Warp &w, const Step &s, uint32_t active) {
    const uint32_t yes = (w.predicates[static_cast<size_t>(s.a)] ^ (s.sign ? all_lanes : 0)) & active;
    const auto kind = static_cast<Vote>(s.option);
    if (kind == Vote::ballot) return each_lane(active, [&](int l) { w.at<uint32_t>(s.d)[l] = yes; });
    const bool result = kind == Vote::all ? yes == active : kind == Vote::any ? yes != 0 : yes == 0 || yes == active;
    uint32_t &p = w.predicates[static_cast<size_t>(s.d)];
    p = (p & ~active) | (result ? active : 0);
}
void active_mask(Warp &w, const Step &s, uint32_t active) {
    each_lane(active, [&](int l) { w.at<uint32_t>(s.d)[l] = active; });
}

// ---- barriers ----
void order_lanes(Warp &w, const Step &, uint32_t) { w.synced = ++w.launch->time; }
void arrive(Warp &w, const Step &s, uint32_t) { w.barrier = &s; }

void decode_barrier(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    s.kind = InstructionClass::barrier;
    op.take_one_of({"cta"});
    if (op.take("warp")) {
        if (!op.take("sync")) throw Unknown("other than sync");
        s.flow = Step::Flow::together, s.run = order_lanes;
        d.expect_operands(i, 1, 1);
        s.members = d.source(i, 0, 32);
        return;
    }
    if (!op.take("sync")) throw Unknown("other than sync");
    op.take("aligned");
    s.flow = Step::Flow::barrier, s.run = arrive;
    d.expect_operands(i, 1, 1);  // a second one counts threads: part of the block
    if (i.operands[0].kind != Operand::Kind::integer) throw Unknown("a barrier whose number is no constant");
    s.option = static_cast<uint32_t>(i.operands[0].value);
}

// ---- cp.async: the bytes are copied at once, but nobody may touch them until their thread has waited ----
void copy_later(Warp &w, const Step &s, uint32_t active) {
    Launch &launch = *w.launch;
    Request to, from;
    to.active = from.active = active;
    to.bytes = s.bytes;
    addresses_of(w, s, to);
    if (s.space == Space::generic)
        for (uint64_t &address : to.addresses) address -= shared_window;
    look_up_shared(w, s, to, "writes");
    // Of the source only so many bytes; zeros behind. Lanes that take none do not touch it.
    uint32_t size[lanes];
    uint32_t whole = 0, part = 0;
    each_lane(active, [&](int l) {
        size[l] = s.c < 0 ? s.bytes : w.at<uint32_t>(s.c)[l];
        if (s.predicate >= 0 && w.predicates[static_cast<size_t>(s.predicate)] >> l & 1) size[l] = 0;
        if (size[l] > s.bytes) fail(w, s, l, launch_failed, fmt::format("it copies {} of {} bytes", size[l], s.bytes));
        (size[l] == s.bytes ? whole : size[l] ? part : from.active) |= uint32_t{1} << l;
    });
    if (part) fail(w, s, __builtin_ctz(part), launch_failed, "the emulator does not copy a part of the bytes, only all or none");
    from.active = whole;
    from.bytes = s.bytes;
    std::memcpy(from.addresses, w.at<uint64_t>(s.b), sizeof from.addresses);
    for (uint64_t &address : from.addresses) address += static_cast<uint64_t>(s.target);
    if (whole) {
        look_up_global(w, s, from, "reads");
        check_written_global(w, s, from);
        check_order_of_reads(w, s, from, true);
        count_global(launch, launch.counts.global_loads, from, false);
    }
    count_shared(launch.counts.shared_stores, to, false);
    each_lane(active, [&](int l) {
        CheckedAccess{w, s, l, to.addresses[l], false, launch.program.shared_shift}.write_later(to.cells[l], s.bytes);
        if (whole >> l & 1) std::memcpy(to.memory[l], from.memory[l], s.bytes);
        else std::memset(to.memory[l], 0, s.bytes);
        w.copies.push_back({l, w.copy_groups[static_cast<size_t>(l)], to.addresses[l] - launch.shared.base, s.bytes});
    });
}
void close_group(Warp &w, const Step &, uint32_t active) {
    each_lane(active, [&](int l) { ++w.copy_groups[static_cast<size_t>(l)]; });
}
// option: so many groups may be left open; all ones: not even copies that are in no group yet.
void wait_for_copies(Warp &w, const Step &s, uint32_t active) {
    Launch &launch = *w.launch;
    const unsigned shift = launch.program.shared_shift;
    const auto done = [&](const PendingCopy &copy) {
        const uint32_t closed = w.copy_groups[static_cast<size_t>(copy.lane)];
        if (!(active >> copy.lane & 1) || (s.option != ~0u && (copy.group >= closed || closed - copy.group <= s.option))) return false;
        const CheckedAccess access{w, s, copy.lane, copy.at, false, shift};
        Cell *cell = launch.shared.cells.data() + (copy.at >> shift);
        for (uint64_t n = 0; n < copy.bytes >> shift; ++n) cell[n].write = {launch.time, access.thread(), 0, Mark::plain};
        return true;
    };
    w.copies.erase(std::remove_if(w.copies.begin(), w.copies.end(), done), w.copies.end());
}

void decode_async(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    s.kind = InstructionClass::cp_async;
    if (!op.take("async")) throw Unknown("other than async");
    if (op.take("commit_group")) {
        s.run = close_group;
        return;
    }
    const int wait = op.take_one_of({"wait_group", "wait_all"});
    if (wait >= 0) {
        s.run = wait_for_copies, s.option = ~0u;
        d.expect_operands(i, wait == 0, wait == 0);
        if (wait == 0) s.option = static_cast<uint32_t>(i.operands[0].value);
        return;
    }
    op.take_one_of({"ca", "cg"});
    s.space = op.take_one_of({"shared", "shared::cta"}) >= 0 ? Space::shared : Space::generic;
    if (!op.take("global")) throw Unknown("a source that is not global");
    op.take_all_with("L2::");
    d.expect_operands(i, 3, 4);
    if (i.operands[2].kind != Operand::Kind::integer) throw Unknown("a size that is no constant");
    const uint64_t bytes = i.operands[2].value;
    if (bytes != 4 && bytes != 8 && bytes != 16) throw Unknown("a size other than 4, 8 and 16");
    Step from;
    from.space = Space::global;
    d.address(from, i.operands[1]);
    d.address(s, i.operands[0]);
    if (!from.wide_address) throw Unknown("a source address of 32 bits");
    s.b = from.a, s.target = static_cast<int>(from.offset);
    s.bytes = static_cast<uint8_t>(bytes);
    if (i.operands.size() == 4) {
        if (i.operands[3].kind == Operand::Kind::reg && i.operands[3].reg.bits == 1) s.predicate = d.predicate(i.operands[3]);
        else s.c = d.source(i, 3, 32);
    }
    d.note_access(Space::shared, s.bytes);
    d.note_access(Space::global, s.bytes);
    s.run = copy_later;
}

}  // namespace

bool decode_warp_wide(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    const std::string &name = op.name();
    if (name == "mma") return decode_mma(d, i, op, s), true;
    if (name == "ldmatrix") return decode_load_matrices(d, i, op, s), true;
    if (name == "bar" || name == "barrier") return decode_barrier(d, i, op, s), true;
    if (name == "cp") return decode_async(d, i, op, s), true;
    if (name == "activemask") {
        s.kind = InstructionClass::shuffle, s.run = active_mask;
        if (op.need_type() != Type::b32) throw Unknown("a type");
        s.d = d.destination(i, 0, 32);
        return true;
    }
    if (name == "shfl" || name == "vote") {
        s.kind = InstructionClass::shuffle, s.flow = Step::Flow::together;
        if (!op.take("sync")) throw Unknown("without sync");
        const bool is_shuffle = name == "shfl";
        const int mode = is_shuffle ? op.take_one_of({"up", "down", "bfly", "idx"}) : op.take_one_of({"all", "any", "uni", "ballot"});
        if (mode < 0) throw Unknown("a mode");
        s.option = static_cast<uint32_t>(mode);
        const Type t = op.need_type();
        if (is_shuffle) {
            if (t != Type::b32) throw Unknown("a type");
            s.run = shuffle;
            d.expect_operands(i, 5, 5);
            s.d = d.destination(i, 0, 32), s.a = d.source(i, 1, 32), s.b = d.source(i, 2, 32), s.c = d.source(i, 3, 32),
            s.members = d.source(i, 4, 32);
            if (!i.operands[0].parts.empty()) s.predicate = d.predicate(i.operands[0].parts[0]);
        } else {
            const bool ballot = static_cast<Vote>(mode) == Vote::ballot;
            if (t != (ballot ? Type::b32 : Type::pred)) throw Unknown("a type");
            s.run = vote;
            d.expect_operands(i, 3, 3);
            s.d = ballot ? d.destination(i, 0, 32) : d.predicate(i.operands[0]);
            s.a = d.predicate(i.operands[1]), s.sign = i.operands[1].negated, s.members = d.source(i, 2, 32);
        }
        return true;
    }
    return false;
}

}  // namespace sepal::ptx
