// What a cubin says of its kernels: as much of ptxas's report as is in the machine code itself.
#pragma once

#include "tools/compile/cuda_toolkit.h"

#include <string>

namespace sepal {

// The kernels of an ELF file with machine code of "sm_80": registers and stack. How much of a stack is spilled registers is not in it: spill
// bytes are 0 where there is no stack, else -1, not known. Static shared memory is 0: it is known from a launch. Throws std::invalid_argument
// when it is no such file.
Cubin read_cubin(const std::string &arch, const std::string &elf);

}  // namespace sepal
