// Environment variables.
#pragma once

#include <cstdlib>
#include <string>

namespace sepal {

// The value of a variable, or `otherwise` where it is not set or empty.
inline std::string from_environment(const char *variable, const std::string &otherwise = "") {
    const char *value = std::getenv(variable);
    return value && *value ? value : otherwise;
}

}  // namespace sepal
