// Spec files to objects: what a build runs for each kernel.
#pragma once

#include <string>

namespace sepal {

// Compiles the kernel of a spec file (to_json(KernelSpec)) to FOLDER/<name>.o and says in FOLDER/<name>.built.json how that went: {"error": ...,
// "object_bytes": ..., "compile_seconds": ...}. An autoscheduler that cannot do the operator, knobs of a tuning record that do not compile, or
// no suitable LLVM for streaming stores, are no error of the build: the object is empty, .built.json and a sentence on stderr carry the
// reason, which is returned. Throws BadInput naming the file that cannot be read or written, Halide::Error when a hand-written
// schedule does not compile.
std::string compile_kernel(const std::string &spec_path, const std::string &folder);

// The same for a function that packs filters: FOLDER/<name>.o.
void compile_packer(const std::string &spec_path, const std::string &folder);

}  // namespace sepal
