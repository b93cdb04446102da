// KernelLibrary: kernels for a user's problems, with a header and a table, for applications that link Sepal's runtime. In its folder:
//   NAME.h             functions for each problem
//   NAME.c             what they do, and the table of the kernels
//   NAME.library.json  what the library holds, from which NAME.c is written
//   *.spec.json        how each kernel is compiled; written only where it changed
//   *.o, *.built.json  the kernels
//   libNAME.a
#pragma once

#include "kernel_spec.h"

#include <string>
#include <vector>

namespace sepal {

struct KernelLibraryRequest {
    std::string name = "kernels";
    std::vector<Isa> isas;
    std::string scheduler = "hand";  // hand, tuned, or an autoscheduler
    std::vector<TuningRecord> records;
    int threads = 1;  // of the records
    Os os = Os::linux_;
};

struct KernelLibrary {
    std::string name;
    std::vector<ConvProblem> problems;
    std::vector<KernelSpec> kernels;     // in order of preference
    std::vector<FunctionSpec> packers;
    CpuFamily family = CpuFamily::x86;
    Os os = Os::linux_;
    std::vector<std::string> notes;      // a sentence each: what is not compiled, and what runs instead
};

// Throws BadInput.
Isa library_isa(const std::string &text);

// Throws BadInput, with the file's name where a problem is the reason.
KernelLibrary plan_library(const KernelLibraryRequest &request, const std::vector<ConvProblem> &problems, const std::string &file);

// The header, the specs and NAME.library.json. Throws BadInput when one cannot be written.
void write_library_plan(const KernelLibrary &library, const std::string &folder);

// The object of one spec in the folder, with names that only the library has, which calls Sepal's runtime.
void compile_library_object(const std::string &spec_path, const std::string &library, const std::string &folder);

// NAME.c, from NAME.library.json and the .built.json of its kernels.
void write_library_table(const std::string &folder, const std::string &name);

// libNAME.a, with NAME.c compiled by the C compiler (build_tools.h).
void make_static_library(const KernelLibrary &library, const std::string &folder);

}  // namespace sepal
