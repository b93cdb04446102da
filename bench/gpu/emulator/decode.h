// Instructions of a kernel into steps that can be run.
#pragma once

#include "machine.h"

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sepal::ptx {

// What an instruction must have to be known. Thrown while it is decoded; it is told when the instruction is reached.
struct Unknown : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Type { none, pred, b8, b16, b32, b64, b128, u8, u16, u32, u64, s8, s16, s32, s64, f16, f16x2, bf16, f32, f64 };
Type type_of(const std::string &field);
int bits_of(Type);  // 1 of pred
bool is_signed(Type);
bool is_float(Type);

// The fields of an opcode, taken one by one: one that nobody takes makes the instruction unknown.
class Opcode {
public:
    explicit Opcode(const Instruction &);
    const std::string &name() const { return fields_[0]; }
    bool take(const char *field);
    // The field that is one of these, by its number; -1 for none.
    int take_one_of(const std::vector<const char *> &fields);
    // Those that begin so.
    void take_all_with(const char *prefix);
    // The first type that has not been taken; none when there is no more.
    Type take_type();
    Type need_type();
    // Throws Unknown when something is left.
    void done() const;

private:
    std::vector<std::string> fields_;
    std::vector<bool> taken_;
};

class Decoder {
public:
    // addresses: of the module's .global and .const variables. reserved: bytes of shared memory below those of kernels.
    Decoder(Program &, const Module &, const std::map<std::string, uint64_t> &addresses, uint64_t reserved);
    void decode();

    // For what decodes single instructions. Words of a source of so many bits; those of constants are made.
    int source(const Instruction &, size_t operand, int bits);
    int source(const Operand &, int bits);
    int constant(uint64_t value, int bits);
    int destination(const Instruction &, size_t operand, int bits);
    int destination(const Operand &, int bits);
    int droppable(const Operand &, int bits);  // of a vector, whose parts may be _: -1 then
    int predicate(const Operand &);  // of a register
    const Operand &operand(const Instruction &, size_t number) const;
    void expect_operands(const Instruction &, size_t least, size_t most) const;
    // Address and space of an operand in brackets.
    void address(Step &, const Operand &);
    void note_access(Space, int bytes);  // for the size of the checks' cells
    const Program &program() const { return program_; }

private:
    void lay_out_params();
    void lay_out_variables(const Module &);
    Step step(const Instruction &);
    std::optional<uint64_t> address_of(const std::string &name) const;

    Program &program_;
    std::map<std::string, uint64_t> symbols_;
    std::map<std::string, size_t> params_;
    std::map<std::pair<uint64_t, bool>, int> constants_;
    unsigned shared_shift_ = 4, global_shift_ = 4;
};

// The parts of the instruction set. False: not one of these. They throw Unknown for one of these with something that is not known.
bool decode_arithmetic(Decoder &, const Instruction &, Opcode &, Step &);
bool decode_conversion(Decoder &, const Instruction &, Opcode &, Step &);
bool decode_access(Decoder &, const Instruction &, Opcode &, Step &);
bool decode_warp_wide(Decoder &, const Instruction &, Opcode &, Step &);

// Never throws for an instruction that is not known: running into it is the fault.
std::unique_ptr<Program> decode(const Kernel &, const Module &, const std::map<std::string, uint64_t> &addresses, uint64_t reserved);

}  // namespace sepal::ptx
