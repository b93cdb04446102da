#include "html_report.h"

#include "tools/bad_input.h"

#include <fmt/format.h>

#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include <cstdlib>
#include <vector>

namespace sepal {
namespace {

// Runs a program without a shell and returns its exit status; 127 when it cannot be started.
int run_program(const std::vector<std::string> &words, bool quiet) {
    std::vector<char *> argv;
    for (const std::string &w : words) argv.push_back(const_cast<char *>(w.c_str()));
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child < 0) return 127;
    if (child == 0) {
        if (quiet) {
            const int nothing = open("/dev/null", O_WRONLY);
            dup2(nothing, STDOUT_FILENO);
            dup2(nothing, STDERR_FILENO);
        }
        execvp(argv[0], argv.data());
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

std::string from_environment(const char *variable, const std::string &otherwise) {
    const char *value = std::getenv(variable);
    return value && *value ? value : otherwise;
}

}  // namespace

HtmlTools find_html_tools(const std::string &python, const std::string &script) {
    const HtmlTools tools{from_environment("SEPAL_PYTHON", python), from_environment("SEPAL_REPORT_SCRIPT", script)};
    if (access(tools.script.c_str(), R_OK) != 0)
        throw BadInput(fmt::format("--html: the report script \"{}\" cannot be read; set the environment variable SEPAL_REPORT_SCRIPT to "
                                   "tools/report.py of the sources", tools.script));
    if (const int status = run_program({tools.python, "-c", "import matplotlib"}, true); status == 127)
        throw BadInput(fmt::format("--html: the Python \"{}\" cannot be run; set the environment variable SEPAL_PYTHON to one that has "
                                   "matplotlib", tools.python));
    else if (status != 0)
        throw BadInput(fmt::format("--html: the Python \"{}\" has no matplotlib; install it there, or set the environment variable "
                                   "SEPAL_PYTHON to one that has it", tools.python));
    return tools;
}

void write_html(const HtmlTools &tools, const std::string &json_path, const std::string &html_path, const std::vector<std::string> &tuning_files) {
    std::vector<std::string> words = {tools.python, tools.script, json_path, html_path};
    words.insert(words.end(), tuning_files.begin(), tuning_files.end());
    if (run_program(words, false) != 0)
        throw BadInput(fmt::format("{}: the report script failed on {}", html_path, json_path));
}

}  // namespace sepal
