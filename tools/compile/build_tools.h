// The tools that make a library of objects: those of this machine, or of a cross compiler.
#pragma once

#include "runtime/isa.h"

#include <string>

namespace sepal {

enum class BuildTool { compiler, archiver, objcopy };

// Whether programs for that CPU and system are those of this machine.
bool is_native(CpuFamily family, Os os);

// The command of a tool for that CPU and system: what the environment variable CC, AR or OBJCOPY names; else, for this machine, cc, ar or objcopy; else
// that of GNU's cross compiler (aarch64-linux-gnu-gcc and so on, x86_64-w64-mingw32-gcc), or llvm-ar and llvm-objcopy. Throws BadInput with one
// sentence when none of them is on PATH.
std::string build_tool(BuildTool tool, CpuFamily family, Os os);

// What an object file is for, as its first bytes tell: "x86-64 linux", "AArch64 linux", "x86-64 windows"; "an unknown machine" for others. Throws BadInput
// when it cannot be read.
std::string machine_of_object(const std::string &path);
std::string machine_name(CpuFamily family, Os os);

}  // namespace sepal
