// BadInput: what the user gave cannot be used.
#pragma once

#include <stdexcept>

namespace sepal {

// what() is one sentence without a line break: the file (or option), the problem and the field where there are such, what was
// found and what is allowed. The command prints it after "sepal: " and exits with code 2.
struct BadInput : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace sepal
