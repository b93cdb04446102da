// Modules that need more than Halide's own compiler: prefetches that are meant for L2, stores that bypass the caches.
#pragma once

#include <Halide.h>

#include <string>
#include <vector>

namespace sepal {

// Whether a module has prefetches (passes/panel_ahead.h) and is to be compiled by assemble().
bool has_prefetches(const Halide::Module &module);

// Compiles the module to the object file `object`, by way of its assembly, in which every prefetchnta (Halide's only hint, by which
// lines of L3 bypass L2) becomes a prefetcht1, which fetches into L2. With `streaming` the stores to its output bypass the caches
// (passes/streaming_stores.h), for which llc compiles Halide's IR (llc.h). Needs the assembler `as` of GNU binutils on PATH, which comes
// with the C++ compiler. Throws std::runtime_error when one of them is missing or fails, Halide::Error when the module does not compile.
void assemble(const Halide::Module &module, const std::string &object, bool streaming);

// Runs a command, by its name on PATH, and waits. Throws std::runtime_error with its name when it is missing or ends with an error.
void run_tool(const std::vector<std::string> &command);

}  // namespace sepal
