// What a kernel became, read from its machine code (SASS).
#pragma once

#include <map>
#include <string>

namespace sepal {

// Instructions of a stretch of code, as they stand there, not as often as they run.
struct CodeMix {
    int instructions = 0;                                // without NOPs
    std::map<std::string, int> math;                     // FFMA, HFMA2, HMMA, IMMA, IDP
    std::map<std::string, std::map<int, int>> accesses;  // LDG, STG, LDS, STS, LDSM, LDGSTS: instructions by the bytes of a thread
    int local_accesses = 0;                              // LDL, STL: the stack
    int moves = 0;                                       // from a register or constant to a register
    int accumulations = 0;                               // multiply-adds to a register
    // Moves from or to registers that such sums stay in; 0: all sums are in place. (Such a register may hold something else
    // at other times.)
    int accumulator_moves = 0;

    int math_instructions() const;
    int tensor_instructions() const;  // HMMA, IMMA
    double tensor_share() const { return instructions ? double(tensor_instructions()) / instructions : 0; }
    double math_share() const { return instructions ? double(math_instructions()) / instructions : 0; }
};

struct SassMix {
    CodeMix kernel;        // all of it
    CodeMix hot_loop;      // of the loops without another inside, the one with the most math; the whole kernel where none has any
    bool in_loop = false;  // whether that is a loop
};

// Of a kernel in what nvdisasm writes. Throws std::invalid_argument when it is not in it.
SassMix read_sass(const std::string &sass, const std::string &kernel);

}  // namespace sepal
