#include "tools/command.h"

#include "bench/threads.h"
#include "tools/selection.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace sepal {

void MeasuredProblems::add_to(CLI::App &command, const std::string &what_for) {
    auto *of_suite = command.add_option("--suite", suite, "The suite whose problems " + what_for);
    command.add_option("--problems", problems, "A file of problems " + what_for)->excludes(of_suite);
    command.add_option("--name", name, "Only problems whose names match this pattern");
    command.add_option("--threads", threads, "Threads that the kernels use")->capture_default_str();
}

ProblemSet MeasuredProblems::load() const {
    const int cpus = int(allowed_cpus().size());
    if (suite.empty() && problems.empty()) throw BadInput("neither --suite nor --problems is given; `sepal list --suites` names the suites");
    if (threads < 1 || threads > cpus)
        throw BadInput(fmt::format("--threads is {}; allowed: 1 to {} (the CPUs that this process may use)", threads, cpus));
    return problems_matching(problems, suite, name);
}

}  // namespace sepal
