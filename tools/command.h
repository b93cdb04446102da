// The sub-commands of `sepal`.
#pragma once

#include "tools/problem_file.h"

#include <string>

namespace CLI {
class App;
}

namespace sepal {

// Exit codes of the command; the last one: ended by Ctrl-C or a signal to end, after what was done was kept.
constexpr int exit_ok = 0, exit_check_failed = 1, exit_bad_input = 2, exit_interrupted = 130;

// What a command that measures works on: --suite or --problems, --name, --threads.
struct MeasuredProblems {
    std::string suite, problems, name = "*";
    int threads = 1;

    void add_to(CLI::App &command, const std::string &what_for);  // `what_for`, for the help: "to tune"
    ProblemSet load() const;  // BadInput when there is none, or threads are more than this process has CPUs
};

// Each adds one sub-command to `app`, which runs while the command line is being parsed and leaves its result in `exit_code`;
// both outlive the parsing. An exception that leaves a sub-command becomes one sentence on stderr and exit_bad_input.
void add_list_command(CLI::App &app, int &exit_code);
void add_check_command(CLI::App &app, int &exit_code);
void add_compile_command(CLI::App &app, int &exit_code);
void add_run_command(CLI::App &app, int &exit_code);
void add_bench_command(CLI::App &app, int &exit_code);
void add_import_command(CLI::App &app, int &exit_code);
void add_peak_command(CLI::App &app, int &exit_code);
void add_records_command(CLI::App &app, int &exit_code);
void add_tune_command(CLI::App &app, int &exit_code);  // and tune-trial, which it starts for each trial

}  // namespace sepal
