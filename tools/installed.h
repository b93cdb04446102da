// Files that belong to the program, wherever it was installed.
#pragma once

#include <string>

namespace sepal {

// The path of `file`, which is installed as PREFIX/share/sepal/FILE beside PREFIX/bin, or of a build as BUILD/package/FILE beside BUILD/tools. Throws
// BadInput, naming both, where it is at neither.
std::string installed_file(const std::string &file);
// The same of PREFIX/include, or BUILD/package/include.
std::string installed_headers();

}  // namespace sepal
