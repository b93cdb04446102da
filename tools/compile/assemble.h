// Modules whose prefetches are meant for L2.
#pragma once

#include <Halide.h>

#include <string>
#include <vector>

namespace sepal {

// Whether a module has prefetches (passes/panel_ahead.h) and is to be compiled by assemble().
bool has_prefetches(const Halide::Module &module);

// Compiles the module to the object file `object`, by way of its assembly, in which every prefetchnta (Halide's only hint, by which
// lines of L3 bypass L2) becomes a prefetcht1, which fetches into L2. Needs the assembler `as` of GNU binutils on PATH, which comes
// with the C++ compiler. Throws std::runtime_error when it is missing or fails, Halide::Error when the module does not compile.
void assemble(const Halide::Module &module, const std::string &object);

// Runs a command, by its name on PATH, and waits. Throws std::runtime_error with its name when it is missing or ends with an error.
void run_tool(const std::vector<std::string> &command);

}  // namespace sepal
