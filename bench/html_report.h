// The HTML report: tools/report.py, run by a Python that has matplotlib.
#pragma once

#include "tools/python_script.h"

#include <string>
#include <vector>

namespace sepal {

using HtmlTools = PythonScript;

// The environment variables SEPAL_PYTHON and SEPAL_REPORT_SCRIPT, where set, before the paths given. Throws BadInput with one
// sentence when one of the two does not exist or the Python lacks matplotlib.
HtmlTools find_html_tools(const std::string &python, const std::string &script);

// Turns the JSON report into one HTML file, atomically; with the progress of the tuning sessions whose records are in `tuning_files`. Throws BadInput when the script fails; it has then told why on stderr.
void write_html(const HtmlTools &tools, const std::string &json_path, const std::string &html_path,
                const std::vector<std::string> &tuning_files = {});

}  // namespace sepal
