// Files that belong to the program, wherever it was installed.
#pragma once

#include <string>
#include <vector>

namespace sepal {

// The path of `file`, which is installed as PREFIX/share/sepal/FILE beside PREFIX/bin, or of a build as BUILD/package/FILE beside BUILD/tools. Throws
// BadInput, naming both, where it is at neither.
std::string installed_file(const std::string &file);
// The same of PREFIX/include, or BUILD/package/include.
std::string installed_headers();

// What was found when the program was configured, by its name in tools/cmake/SepalPackage.cmake: empty in an installed program, which knows
// nothing of where it was built.
std::string build_setting(const std::string &name);

bool is_build();  // whether it is not installed

// The first of the programs that is in a folder of PATH, with that folder; empty when none is.
std::string on_path(const std::vector<std::string> &programs);

// The Python that scripts of tools/ are run by: that of the build, else the one on PATH.
std::string own_python();

// A script of tools/: beside the sources, or as it is installed.
std::string own_script(const std::string &file);

}  // namespace sepal
