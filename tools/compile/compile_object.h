// From a FunctionSpec to an object file: the ahead-of-time path, for the build and for kernels that are compiled for a running program.
#pragma once

#include "kernel_spec.h"

#include <string>

namespace sepal {

// Builds the module of the spec and compiles it to the file `object`. Throws Halide::Error when the generator, the scheduler or Halide's
// compiler refuses it, LlcFailed (llc.h) or another std::runtime_error when a tool that it needs besides is missing or fails.
// `arch`: the only architecture that a CUDA kernel's machine code is for (see gpu_code()); empty: all.
void compile_object(const FunctionSpec &spec, const std::string &object, const std::string &arch = "");

}  // namespace sepal
