// From a FunctionSpec to Halide's Module: the one way in which generators are created, for functions compiled ahead of time and
// in process alike.
#pragma once

#include "kernel_spec.h"

#include <Halide.h>

namespace sepal {

// The Halide target of a generated function: that of its ISA and system, without Halide's runtime (all kernels share one).
Halide::Target kernel_target(Isa isa, Os os = Os::linux_);
// The same for an object file whose loads and stores are checked by the sanitizer that this program is built with (SEPAL_SANITIZE of CMake), if any.
Halide::Target with_sanitizer(Halide::Target target);

// Runs the spec's generator and scheduler, and lowers. The function is called `spec.name`. `target` says what to compile
// for: kernel_target(spec.isa), or the same with Target::JIT. Throws Halide::Error.
Halide::Module build_module(const FunctionSpec &spec, const Halide::Target &target);

}  // namespace sepal
