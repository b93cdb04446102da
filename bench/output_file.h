// Output files, before the run that fills them.
#pragma once

#include "tools/bad_input.h"

#include <string>

namespace sepal {

// Throws BadInput with one sentence that names the file and the reason when a file could not be written there now. Leaves no
// trace. For use before a long run; tools/files.h writes the file after it.
void check_writable(const std::string &path);

}  // namespace sepal
