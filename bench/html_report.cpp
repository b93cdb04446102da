#include "html_report.h"

#include "tools/bad_input.h"
#include "tools/program.h"

#include <fmt/format.h>

#include <vector>

namespace sepal {

HtmlTools find_html_tools(const std::string &python, const std::string &script) {
    const HtmlTools tools = find_script("--html: the report", python, script, "SEPAL_REPORT_SCRIPT", "tools/report.py");
    if (const int status = run_program({tools.python, "-c", "import matplotlib"}, true); status < 0)
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
    if (run_program(words) != 0)
        throw BadInput(fmt::format("{}: the report script failed on {}", html_path, json_path));
}

}  // namespace sepal
