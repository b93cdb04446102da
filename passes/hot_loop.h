// What a kernel's innermost loop became, read from its assembly.
#pragma once

#include <string>

namespace sepal {

// Vector registers that the loop with the most multiply-adds saves to the stack in each round: of all loops without another inside, in x86-64
// assembly in AT&T syntax as LLVM writes it. 0 where all its values are in registers, or where there is no such loop.
int hot_loop_spills(const std::string &assembly);

}  // namespace sepal
