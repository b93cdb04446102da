// LLVM's static compiler, llc: for code that Halide's own compiler cannot be asked for.
#pragma once

#include <stdexcept>
#include <string>

namespace sepal {

// Why there is no llc that can compile what Halide emits, one sentence; empty when there is. It is the one that the environment variable
// SEPAL_LLC names, else the one that was found when Sepal was configured.
std::string why_no_llc();

// It is there, but does not do its work.
struct LlcFailed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The assembly that it makes of LLVM IR, with the settings of Halide's own compiler, which are in the IR but for the ones given here. Throws
// LlcFailed with one sentence when there is no suitable llc, or when it fails.
std::string compile_ir(const std::string &ir);

}  // namespace sepal
