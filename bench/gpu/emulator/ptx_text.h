// PTX text, taken apart: kernels with their parameters, registers, variables and instructions. What an instruction means is not known here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace sepal::ptx {

// PTX that cannot be read: one sentence with the line.
struct BadPtx : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A variable of some state space, or a parameter.
struct Variable {
    std::string name;
    size_t bytes = 0;                // 0: an extern array, whose size the launch says
    size_t align = 1;
    std::vector<uint8_t> initial;    // as many bytes as the text gives; the rest is zero
};

// Where a register lives in a warp's registers: a predicate in a word of its own kind, others in `words` of 32 lanes each.
struct Register {
    int bits = 0;                    // 1: predicate; 16, 32, 64, 128
    int index = -1;                  // predicates are counted apart; others are at this word, times 32 lanes
};

struct Operand {
    enum class Kind { reg, symbol, integer, f32, f64, vector, address, sink };
    Kind kind = Kind::sink;
    Register reg;
    std::string name;                // symbols: variables, parameters, labels, special registers
    uint64_t value = 0;              // integers in two's complement; the bits of floating point numbers
    int64_t offset = 0;              // symbol + offset, [base + offset]
    bool negated = false;            // !%p
    std::vector<Operand> parts;      // of vectors; the base of an address; the second of %r1|%p1, as the only part of a register
};

struct Instruction {
    int line = 0;
    std::string text;                // as written, with single spaces
    std::string opcode;              // "ld.global.v4.b32"
    std::vector<std::string> fields; // "ld", "global", "v4", "b32"
    int guard = -1;                  // predicate
    bool guard_negated = false;
    std::vector<Operand> operands;
};

struct Kernel {
    std::string name;
    std::vector<Variable> params;
    std::vector<Variable> shared, local;  // those that are declared inside
    std::vector<Instruction> code;
    std::map<std::string, size_t> labels; // the number of the instruction behind
    int words = 0, predicates = 0;        // of registers, without the special ones
    uint64_t max_threads = 0;             // product of .maxntid; 0: none
};

struct Module {
    int version = 0;                 // 78: PTX 7.8
    int target = 0;                  // 80: sm_80
    std::vector<Kernel> kernels;
    std::vector<Variable> shared, global, constant;
};

// Throws BadPtx.
Module parse(const std::string &text);

}  // namespace sepal::ptx
