// ld, st, atom, red, prefetch.
#include "decode.h"
#include "lanes.h"
#include "lookup.h"

#include <algorithm>
#include <cstring>

namespace sepal::ptx {
namespace {

uint64_t element_at(const uint8_t *from, unsigned bytes, bool sign) {
    uint64_t v = 0;
    std::memcpy(&v, from, bytes);
    if (sign && bytes < 8) {
        const unsigned unused = 64 - 8 * bytes;
        v = static_cast<uint64_t>(static_cast<int64_t>(v << unused) >> unused);
    }
    return v;
}

// Of registers for the active lanes from where the request found their bytes.
void fill_registers(Warp &w, const Step &s, const Request &r) {
    for (size_t e = 0; e < s.list.size(); ++e) {
        const int d = s.list[e];
        if (d < 0) continue;
        const size_t at = e * s.bytes;
        if (s.bytes == 4 && !s.wide) {
            uint32_t *to = w.at<uint32_t>(d);
            for_lanes(w, r.active, [&](int l) { std::memcpy(&to[l], r.memory[l] + at, 4); });
        } else if (s.bytes == 8) {
            uint64_t *to = w.at<uint64_t>(d);
            for_lanes(w, r.active, [&](int l) { std::memcpy(&to[l], r.memory[l] + at, 8); });
        } else if (s.wide) {
            uint64_t *to = w.at<uint64_t>(d);
            each_lane(r.active, [&](int l) { to[l] = element_at(r.memory[l] + at, s.bytes, s.sign); });
        } else {
            uint32_t *to = w.at<uint32_t>(d);
            each_lane(r.active, [&](int l) { to[l] = static_cast<uint32_t>(element_at(r.memory[l] + at, s.bytes, s.sign)); });
        }
    }
}
// What the lanes store, each up to 16 bytes.
void collect_bytes(const Warp &w, const Step &s, uint8_t (*bytes)[16]) {
    for (size_t e = 0; e < s.list.size(); ++e) {
        const size_t at = e * s.bytes;
        const uint32_t *from = w.at<uint32_t>(s.list[e]);
        const uint64_t *wide = w.at<uint64_t>(s.list[e]);
        if (s.bytes == 8) for (int l = 0; l < lanes; ++l) std::memcpy(bytes[l] + at, wide + l, 8);
        else if (s.bytes == 4) for (int l = 0; l < lanes; ++l) std::memcpy(bytes[l] + at, from + l, 4);
        else for (int l = 0; l < lanes; ++l) std::memcpy(bytes[l] + at, from + l, s.bytes);
    }
}
// The compiler knows how to copy so many bytes.
void copy_bytes(uint8_t *to, const uint8_t *from, unsigned bytes) {
    if (bytes == 16) std::memcpy(to, from, 16);
    else if (bytes == 8) std::memcpy(to, from, 8);
    else if (bytes == 4) std::memcpy(to, from, 4);
    else std::memcpy(to, from, bytes);
}

// One address space at a time: lanes of a generic access may be in several.
template<typename F>
void for_spaces(Warp &w, const Step &s, uint32_t active, F f) {
    Request r;
    r.bytes = static_cast<unsigned>(s.bytes) * s.count;
    addresses_of(w, s, r);
    if (s.space != Space::generic) {
        r.active = active;
        return f(s.space, r);
    }
    uint32_t of[3] = {};  // shared, local, global
    each_lane(active, [&](int l) {
        const uint64_t a = r.addresses[l];
        const int space = a - shared_window < window_bytes ? 0 : a - local_window < window_bytes ? 1 : 2;
        of[space] |= uint32_t{1} << l;
        if (space < 2) r.addresses[l] -= space ? local_window : shared_window;
    });
    constexpr Space spaces[] = {Space::shared, Space::local, Space::global};
    for (int n = 0; n < 3; ++n)
        if (of[n]) r.active = of[n], f(spaces[n], r);
}

void load(Warp &w, const Step &s, uint32_t active) {
    KernelCounts &counts = w.launch->counts;
    for_spaces(w, s, active, [&](Space space, Request &r) {
        if (space == Space::shared) {
            look_up_shared(w, s, r, "reads");
            check_written_shared(w, s, r);
            check_order_of_reads(w, s, r, false);
            count_shared(counts.shared_loads, r, true);
        } else if (space == Space::local) {
            look_up_local(w, s, r, "reads");
            count_request(counts.local_loads, r);
        } else {
            look_up_global(w, s, r, "reads");
            check_written_global(w, s, r);
            check_order_of_reads(w, s, r, true);
            if (space == Space::global) count_global(*w.launch, counts.global_loads, r, false);
        }
        fill_registers(w, s, r);
    });
}

void load_param(Warp &w, const Step &s, uint32_t active) {
    Request r;
    r.active = active;
    for (uint8_t *&memory : r.memory) memory = w.launch->params.data() + s.offset;
    fill_registers(w, s, r);
}

void store(Warp &w, const Step &s, uint32_t active) {
    KernelCounts &counts = w.launch->counts;
    uint8_t bytes[lanes][16];
    collect_bytes(w, s, bytes);
    for_spaces(w, s, active, [&](Space space, Request &r) {
        const bool shared = space == Space::shared;
        if (shared) look_up_shared(w, s, r, "writes");
        else if (space == Space::local) look_up_local(w, s, r, "writes");
        else look_up_global(w, s, r, "writes");
        const unsigned shift = shared ? w.launch->program.shared_shift : w.launch->program.global_shift;
        each_lane(r.active, [&](int l) {
            if (space != Space::local)
                CheckedAccess{w, s, l, r.addresses[l], !shared, shift}.write(r.cells[l], r.bytes, r.memory[l], bytes[l]);
            copy_bytes(r.memory[l], bytes[l], r.bytes);
        });
        if (shared) {
            count_shared(counts.shared_stores, r, false);
        } else if (space == Space::local) {
            count_request(counts.local_stores, r);
        } else {
            set_written_global(w, r);
            count_global(*w.launch, counts.global_stores, r, true);
        }
    });
}

enum class Atomic { add, min, max, exch, cas, with_and, with_or, with_xor, inc, dec };
const std::vector<const char *> atomic_names{"add", "min", "max", "exch", "cas", "and", "or", "xor", "inc", "dec"};

template<typename T>
T changed(Atomic op, T old, T b, T c) {
    if constexpr (std::is_same_v<T, Half2>) {
        const auto sum = [](Half x, Half y) { return Half{half_of_float(float_of_half(x.bits) + float_of_half(y.bits))}; };
        return {sum(old.low, b.low), sum(old.high, b.high)};
    } else if constexpr (std::is_floating_point_v<T>) {
        return op == Atomic::add ? old + b : b;
    } else {
        using U = std::make_unsigned_t<T>;
        switch (op) {
        case Atomic::add: return static_cast<T>(static_cast<U>(old) + static_cast<U>(b));
        case Atomic::min: return std::min(old, b);
        case Atomic::max: return std::max(old, b);
        case Atomic::exch: return b;
        case Atomic::cas: return old == b ? c : old;
        case Atomic::with_and: return old & b;
        case Atomic::with_or: return old | b;
        case Atomic::with_xor: return old ^ b;
        case Atomic::inc: return old >= b ? T{0} : static_cast<T>(old + 1);
        case Atomic::dec: return old == 0 || old > b ? b : static_cast<T>(old - 1);
        }
        return old;
    }
}

template<typename T>
void atomic(Warp &w, const Step &s, uint32_t active) {
    KernelCounts &counts = w.launch->counts;
    for_spaces(w, s, active, [&](Space space, Request &r) {
        const bool shared = space == Space::shared;
        if (space == Space::local) fail(w, s, __builtin_ctz(r.active), illegal_address, "an atomic operation on local memory");
        if (shared) look_up_shared(w, s, r, "changes");
        else look_up_global(w, s, r, "changes");
        if (shared) check_written_shared(w, s, r);
        else check_written_global(w, s, r);
        const unsigned shift = shared ? w.launch->program.shared_shift : w.launch->program.global_shift;
        each_lane(r.active, [&](int l) {
            CheckedAccess{w, s, l, r.addresses[l], !shared, shift}.atomic(r.cells[l], r.bytes);
            Slot<T> bits = 0;
            std::memcpy(&bits, r.memory[l], sizeof(T));
            const T b = get<T>(w.at<Slot<T>>(s.b)[l]), c = s.c < 0 ? T{} : get<T>(w.at<Slot<T>>(s.c)[l]);
            const Slot<T> result = put<T>(changed<T>(static_cast<Atomic>(s.option), get<T>(bits), b, c));
            std::memcpy(r.memory[l], &result, sizeof(T));
            if (s.d >= 0) w.at<Slot<T>>(s.d)[l] = bits;
        });
        if (shared) {
            count_shared(counts.shared_loads, r, true);
            count_shared(counts.shared_stores, r, false);
        } else {
            count_global(*w.launch, counts.global_loads, r, false);
            count_global(*w.launch, counts.global_stores, r, true);
        }
    });
}

void prefetch(Warp &, const Step &, uint32_t) {}

// Hints to caches and the memory model's words, which change nothing here.
void take_hints(Opcode &op) {
    op.take_one_of({"weak", "volatile", "relaxed", "acquire", "release"});
    op.take_one_of({"cta", "cluster", "gpu", "sys"});
    op.take_one_of({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
    op.take_all_with("L1::");
    op.take_all_with("L2::");
}

Space take_space(Opcode &op) {
    switch (op.take_one_of({"global", "shared", "shared::cta", "local", "param", "const"})) {
    case 0: return Space::global;
    case 1: case 2: return Space::shared;
    case 3: return Space::local;
    case 4: return Space::param;
    case 5: return Space::constant;
    default: return Space::generic;
    }
}

void decode_load_or_store(Decoder &d, const Instruction &i, Opcode &op, Step &s, bool is_load) {
    s.space = take_space(op);
    if (op.take("nc") && s.space != Space::global) throw Unknown("nc of another space than global");
    take_hints(op);
    const int vector = op.take_one_of({"v2", "v4", "v8"});
    const Type t = op.need_type();
    const int bits = bits_of(t);
    if (bits < 8) throw Unknown("a type");
    if (bits == 128 && vector >= 0) throw Unknown("vectors of 128 bits");
    s.bytes = static_cast<uint8_t>(bits == 128 ? 8 : bits / 8);
    s.count = static_cast<uint8_t>(bits == 128 ? 2 : vector < 0 ? 1 : 2 << vector);
    if (s.bytes * s.count > 16) throw Unknown("more than 128 bits");
    s.sign = is_signed(t);
    d.expect_operands(i, 2, 2);
    d.address(s, i.operands[is_load ? 1 : 0]);
    const Operand &values = i.operands[is_load ? 0 : 1];
    const std::vector<Operand> parts = values.kind == Operand::Kind::vector ? values.parts : std::vector<Operand>{values};
    if (bits != 128 && parts.size() != s.count) throw Unknown("another number of registers than elements");
    for (const Operand &part : parts) {
        const bool reg = part.kind == Operand::Kind::reg;
        if (is_load) {
            const int to = reg && part.reg.bits == 64 && bits < 64 ? 64 : bits;  // wider registers are filled
            if (to != bits) s.wide = true;
            s.list.push_back(d.droppable(part, to));
        } else {
            const int from = reg && part.reg.bits == 64 && bits < 64 ? 64 : bits;
            if (from != bits) throw Unknown("a source of 64 bits for a narrower store");
            s.list.push_back(d.source(part, bits));
        }
        if (bits == 128) s.list.push_back(s.list[0] + 2);  // the high halves
    }
    if (is_load && s.space == Space::param) {
        s.kind = InstructionClass::load_param, s.run = load_param;
        if (s.offset < 0 || static_cast<size_t>(s.offset) + static_cast<size_t>(s.bytes) * s.count > d.program().param_bytes)
            throw Unknown("an address outside the parameters");
        return;
    }
    if (s.space == Space::param || (!is_load && s.space == Space::constant)) throw Unknown("a store to this space");
    d.note_access(s.space, s.bytes * s.count);
    s.run = is_load ? load : store;
    switch (s.space) {
    case Space::shared: s.kind = is_load ? InstructionClass::load_shared : InstructionClass::store_shared; break;
    case Space::local: s.kind = is_load ? InstructionClass::load_local : InstructionClass::store_local; break;
    case Space::constant: s.kind = InstructionClass::load_const; break;
    default: s.kind = is_load ? InstructionClass::load_global : InstructionClass::store_global; break;
    }
}

void decode_atomic(Decoder &d, const Instruction &i, Opcode &op, Step &s, bool returns) {
    s.kind = InstructionClass::atomic;
    s.space = take_space(op);
    take_hints(op);
    op.take("acq_rel");
    const int which = op.take_one_of(atomic_names);
    const Type t = op.need_type();
    op.take("noftz");
    if (which < 0) throw Unknown("no operation");
    const auto operation = static_cast<Atomic>(which);
    s.option = static_cast<uint32_t>(which);
    if (is_float(t) && operation != Atomic::add) throw Unknown("an operation on floating point numbers");
    switch (t) {
    case Type::s32: s.run = atomic<int32_t>; break;
    case Type::u32: case Type::b32: s.run = atomic<uint32_t>; break;
    case Type::s64: s.run = atomic<int64_t>; break;
    case Type::u64: case Type::b64: s.run = atomic<uint64_t>; break;
    case Type::f32: s.run = atomic<float>; break;
    case Type::f64: s.run = atomic<double>; break;
    case Type::f16x2: s.run = atomic<Half2>; break;
    default: break;
    }
    const size_t first = returns ? 1 : 0, operands = first + (operation == Atomic::cas ? 3 : 2);
    d.expect_operands(i, operands, operands);
    const int bits = bits_of(t);
    s.bytes = static_cast<uint8_t>(bits / 8);
    if (returns) s.d = d.droppable(i.operands[0], bits);
    d.address(s, i.operands[first]);
    s.b = d.source(i, first + 1, bits);
    if (operation == Atomic::cas) s.c = d.source(i, first + 2, bits);
    d.note_access(s.space, s.bytes);
}

}  // namespace

bool decode_access(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    const std::string &name = op.name();
    if (name == "ld" || name == "ldu" || name == "st") return decode_load_or_store(d, i, op, s, name != "st"), true;
    if (name == "atom" || name == "red") return decode_atomic(d, i, op, s, name == "atom"), true;
    if (name == "prefetch") {
        take_space(op);
        op.take_one_of({"L1", "L2"});
        s.kind = InstructionClass::load_global, s.run = prefetch;
        return true;
    }
    return false;
}

}  // namespace sepal::ptx
