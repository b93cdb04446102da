#include "decode.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

uint64_t aligned(uint64_t at, uint64_t to) { return (at + to - 1) / to * to; }

struct NamedType {
    const char *name;
    Type type;
    int bits;
};
constexpr NamedType types[] = {{"pred", Type::pred, 1},  {"b8", Type::b8, 8},       {"b16", Type::b16, 16}, {"b32", Type::b32, 32},
                               {"b64", Type::b64, 64},   {"b128", Type::b128, 128}, {"u8", Type::u8, 8},    {"u16", Type::u16, 16},
                               {"u32", Type::u32, 32},   {"u64", Type::u64, 64},    {"s8", Type::s8, 8},    {"s16", Type::s16, 16},
                               {"s32", Type::s32, 32},   {"s64", Type::s64, 64},    {"f16", Type::f16, 16}, {"f16x2", Type::f16x2, 32},
                               {"bf16", Type::bf16, 16}, {"f32", Type::f32, 32},    {"f64", Type::f64, 64}};

// In the order of SpecialRegister.
constexpr const char *special_names[] = {
    "%tid.x",          "%tid.y",       "%tid.z",       "%ntid.x",      "%ntid.y",      "%ntid.z",      "%ctaid.x",
    "%ctaid.y",        "%ctaid.z",     "%nctaid.x",    "%nctaid.y",    "%nctaid.z",    "%laneid",      "%warpid",
    "%nwarpid",        "%lanemask_eq", "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "%dynamic_smem_size",
    "%total_smem_size"};
static_assert(std::size(special_names) == special_registers);

void unknown(Warp &w, const Step &s, uint32_t) {
    fail(w, s, -1, illegal_instruction,
         fmt::format("the emulator does not know this instruction: {}", w.launch->program.unknown.at(s.source)));
}
void trap(Warp &w, const Step &s, uint32_t active) { fail(w, s, __builtin_ctz(active), launch_failed, "trap"); }
void nothing(Warp &, const Step &, uint32_t) {}

bool decode_flow(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    const std::string &name = op.name();
    if (name == "bra") {
        op.take("uni");
        s.kind = InstructionClass::branch, s.flow = Step::Flow::branch, s.run = nothing;
        d.expect_operands(i, 1, 1);
        const auto label = d.program().kernel.labels.find(i.operands[0].name);
        if (label == d.program().kernel.labels.end()) throw Unknown("a label that is not there");
        s.target = static_cast<int>(label->second);
        return true;
    }
    if (name == "ret" || name == "exit") {
        op.take("uni");
        s.kind = InstructionClass::exit, s.flow = Step::Flow::exit, s.run = nothing;
        return true;
    }
    if (name == "trap") return s.kind = InstructionClass::exit, s.run = trap, true;
    // Order between threads comes from barriers alone; a fence has nothing to add in an emulator that does one thing after the other.
    if (name == "membar" || name == "fence") {
        op.take_one_of({"sc", "acq_rel"}), op.take_one_of({"cta", "gl", "gpu", "sys"});
        return s.kind = InstructionClass::barrier, s.run = nothing, true;
    }
    return false;
}

}  // namespace

Type type_of(const std::string &field) {
    for (const NamedType &t : types)
        if (field == t.name) return t.type;
    return Type::none;
}
int bits_of(Type type) {
    for (const NamedType &t : types)
        if (type == t.type) return t.bits;
    return 0;
}
bool is_signed(Type t) { return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64; }
bool is_float(Type t) { return t == Type::f16 || t == Type::f16x2 || t == Type::bf16 || t == Type::f32 || t == Type::f64; }

Opcode::Opcode(const Instruction &i) : fields_(i.fields), taken_(i.fields.size(), false) { taken_[0] = true; }
bool Opcode::take(const char *field) { return take_one_of({field}) == 0; }
int Opcode::take_one_of(const std::vector<const char *> &fields) {
    for (size_t f = 1; f < fields_.size(); ++f)
        for (size_t n = 0; n < fields.size(); ++n)
            if (!taken_[f] && fields_[f] == fields[n]) return taken_[f] = true, static_cast<int>(n);
    return -1;
}
void Opcode::take_all_with(const char *prefix) {
    for (size_t f = 1; f < fields_.size(); ++f)
        if (fields_[f].compare(0, std::strlen(prefix), prefix) == 0) taken_[f] = true;
}
Type Opcode::take_type() {
    for (size_t f = 1; f < fields_.size(); ++f)
        if (const Type t = type_of(fields_[f]); !taken_[f] && t != Type::none) return taken_[f] = true, t;
    return Type::none;
}
Type Opcode::need_type() {
    const Type t = take_type();
    if (t == Type::none) throw Unknown("no type");
    return t;
}
void Opcode::done() const {
    for (size_t f = 0; f < fields_.size(); ++f)
        if (!taken_[f]) throw Unknown("." + fields_[f]);
}

Decoder::Decoder(Program &program, const Module &module, const std::map<std::string, uint64_t> &addresses, uint64_t reserved)
    : program_(program), symbols_(addresses) {
    program_.words = special_registers + program_.kernel.words;
    program_.predicates = program_.kernel.predicates;
    program_.shared_base = reserved;
    lay_out_params();
    lay_out_variables(module);
}

void Decoder::lay_out_params() {
    for (const Variable &p : program_.kernel.params) {
        program_.param_bytes = aligned(program_.param_bytes, p.align);
        program_.param_offsets.push_back(program_.param_bytes);
        params_[p.name] = program_.param_bytes;
        program_.param_bytes += p.bytes;
    }
}

void Decoder::lay_out_variables(const Module &module) {
    for (const Variable &v : program_.kernel.local) {
        program_.local_bytes = aligned(program_.local_bytes, v.align);
        symbols_[v.name] = program_.local_bytes;
        program_.local_bytes += v.bytes;
    }
    program_.local_bytes = aligned(program_.local_bytes, 16);
    // Those of the module count only for kernels that name them.
    const auto named = [&](const std::string &name) {
        for (const Instruction &i : program_.kernel.code)
            for (const Operand &o : i.operands)
                if (o.name == name || (!o.parts.empty() && o.parts[0].name == name)) return true;
        return false;
    };
    std::vector<const Variable *> shared;
    for (const Variable &v : program_.kernel.shared) shared.push_back(&v);
    for (const Variable &v : module.shared)
        if (named(v.name)) shared.push_back(&v);
    uint64_t at = program_.shared_base, align = 16;
    for (const Variable *v : shared)
        if (v->bytes) {
            at = aligned(at, v->align);
            symbols_[v->name] = at;
            at += v->bytes;
        }
    for (const Variable *v : shared)
        if (!v->bytes) align = std::max<uint64_t>(align, v->align);
    if (at != program_.shared_base) at = aligned(at, align);
    program_.static_shared_bytes = at - program_.shared_base;
    for (const Variable *v : shared)
        if (!v->bytes) symbols_[v->name] = at;
}

std::optional<uint64_t> Decoder::address_of(const std::string &name) const {
    const auto found = symbols_.find(name);
    return found == symbols_.end() ? std::nullopt : std::optional<uint64_t>(found->second);
}

const Operand &Decoder::operand(const Instruction &i, size_t number) const {
    if (number >= i.operands.size()) throw Unknown("too few operands");
    return i.operands[number];
}
void Decoder::expect_operands(const Instruction &i, size_t least, size_t most) const {
    if (i.operands.size() < least || i.operands.size() > most) throw Unknown("another number of operands");
}

int Decoder::constant(uint64_t value, int bits) {
    const bool wide = bits > 32;
    if (bits == 32) value = static_cast<uint32_t>(value);
    const auto [found, is_new] = constants_.emplace(std::pair{value, wide}, program_.words);
    if (is_new) {
        program_.constants.push_back({program_.words, wide, value});
        program_.words += wide ? 2 : 1;
    }
    return found->second;
}

int Decoder::source(const Instruction &i, size_t number, int bits) { return source(operand(i, number), bits); }
int Decoder::source(const Operand &o, int bits) {
    switch (o.kind) {
    case Operand::Kind::reg:
        if (o.reg.bits != bits && !(o.reg.bits <= 32 && bits < o.reg.bits && o.reg.bits > 1)) throw Unknown(o.name + " is of another size");
        return special_registers + o.reg.index;
    case Operand::Kind::integer: case Operand::Kind::f64:
        if (bits > 64) throw Unknown("a constant of 128 bits");
        if (o.kind == Operand::Kind::f64 && bits == 32) {
            double value;
            std::memcpy(&value, &o.value, sizeof value);
            const float narrow = static_cast<float>(value);
            uint32_t narrow_bits;
            std::memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
            return constant(narrow_bits, 32);
        }
        return constant(o.value, bits > 32 ? 64 : 32);
    case Operand::Kind::f32:
        if (bits != 32) throw Unknown("a constant of another size");
        return constant(o.value, 32);
    case Operand::Kind::symbol: {
        for (int r = 0; r < special_registers; ++r)
            if (o.name == special_names[r]) {
                if (bits > 32) throw Unknown(o.name + " as a value of 64 bits");
                return r;
            }
        if (o.name == "WARP_SZ") return constant(lanes, bits);
        if (const auto address = address_of(o.name)) return constant(*address + static_cast<uint64_t>(o.offset), bits);
        throw Unknown(o.name + " is not declared");
    }
    default: throw Unknown("an operand of another kind");
    }
}

int Decoder::destination(const Instruction &i, size_t number, int bits) { return destination(operand(i, number), bits); }
int Decoder::destination(const Operand &o, int bits) {
    if (o.kind != Operand::Kind::reg || (o.reg.bits != bits && !(o.reg.bits <= 32 && bits < o.reg.bits && o.reg.bits > 1)))
        throw Unknown(o.name + " as a destination");
    return special_registers + o.reg.index;
}
int Decoder::droppable(const Operand &o, int bits) { return o.kind == Operand::Kind::sink ? -1 : destination(o, bits); }
int Decoder::predicate(const Operand &o) {
    if (o.kind != Operand::Kind::reg || o.reg.bits != 1) throw Unknown(o.name + " where a predicate belongs");
    return o.reg.index;
}

void Decoder::address(Step &s, const Operand &o) {
    if (o.kind != Operand::Kind::address) throw Unknown("no address in brackets");
    s.offset = o.offset;
    if (o.parts.empty()) {
        s.a = constant(0, 64), s.wide_address = true;
        return;
    }
    const Operand &base = o.parts[0];
    if (s.space == Space::param) {
        const auto found = params_.find(base.name);
        if (found == params_.end()) throw Unknown(base.name + " is no parameter");
        s.offset += static_cast<int64_t>(found->second);
        return;
    }
    s.wide_address = base.kind == Operand::Kind::symbol || base.reg.bits == 64;
    s.a = source(base, s.wide_address ? 64 : 32);
}

void Decoder::note_access(Space space, int bytes) {
    const auto shift = static_cast<unsigned>(__builtin_ctz(static_cast<unsigned>(bytes)));
    if (space == Space::shared || space == Space::generic) shared_shift_ = std::min(shared_shift_, shift);
    if (space == Space::global || space == Space::generic || space == Space::constant) global_shift_ = std::min(global_shift_, shift);
}

Step Decoder::step(const Instruction &i) {
    Step s;
    try {
        Opcode op(i);
        if (!decode_flow(*this, i, op, s) && !decode_arithmetic(*this, i, op, s) && !decode_conversion(*this, i, op, s) &&
            !decode_access(*this, i, op, s) && !decode_warp_wide(*this, i, op, s))
            throw Unknown(i.fields[0]);
        op.done();
        if (!s.run) throw Unknown("a type");
    } catch (const Unknown &reason) {
        program_.unknown[&i] = reason.what();
        s = {};
        s.run = unknown;
    }
    s.guard = i.guard, s.guard_negated = i.guard_negated;
    s.source = &i;
    return s;
}

void Decoder::decode() {
    for (const Instruction &i : program_.kernel.code) program_.code.push_back(step(i));
    program_.shared_shift = shared_shift_, program_.global_shift = global_shift_;
}

std::unique_ptr<Program> decode(const Kernel &kernel, const Module &module, const std::map<std::string, uint64_t> &addresses,
                                uint64_t reserved) {
    auto program = std::make_unique<Program>();
    program->kernel = kernel;
    Decoder(*program, module, addresses, reserved).decode();
    return program;
}

}  // namespace sepal::ptx
