// Other programs.
#pragma once

#include <string>
#include <vector>

namespace sepal {

// Runs a program, looked for in PATH unless its name has a slash, without a shell, and waits for its end. Its exit status; 128 and the
// signal's number when one ended it; -1, with errno, when it could not be started. `quiet` leaves out what it prints.
int run_program(const std::vector<std::string> &words, bool quiet = false);

// The same; what the program prints, to standard output and error, goes to `printed`.
int run_program(const std::vector<std::string> &words, std::string &printed);

}  // namespace sepal
