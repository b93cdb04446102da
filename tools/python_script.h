// Scripts of this project's sources and the Python that runs them.
#pragma once

#include "tools/bad_input.h"
#include "tools/environment.h"

#include <unistd.h>

#include <string>

namespace sepal {

struct PythonScript {
    std::string python, script;
};

// What the environment variables SEPAL_PYTHON and `variable` name, where set, before the paths given. Throws BadInput, which begins with
// `what`, when the script, `file` of the sources, cannot be read.
inline PythonScript find_script(const std::string &what, const std::string &python, const std::string &script, const char *variable,
                                const std::string &file) {
    const PythonScript found{from_environment("SEPAL_PYTHON", python), from_environment(variable, script)};
    if (access(found.script.c_str(), R_OK) != 0)
        throw BadInput(what + " script \"" + found.script + "\" cannot be read; set the environment variable " + variable + " to " + file +
                       " of the sources");
    return found;
}

}  // namespace sepal
