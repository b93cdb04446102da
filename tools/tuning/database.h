// Whole files of TuningRecords, and those that are part of the program. Reading one and appending to one: record.h.
#pragma once

#include "tools/tuning/record.h"

#include <functional>
#include <string>
#include <vector>

namespace sepal {

// The records and the complaints of several files, in the order given. Throws BadInput when one cannot be read at all.
TuningDatabase read_tuning_files(const std::vector<std::string> &paths);

// Replaces the file, or creates it, whole or not at all (write_file), with the lines that `make_lines` returns, which are without
// newlines. A file that is there is locked before that is called, so that nothing is lost that a tuning session appends to it:
// BadInput when one does, or when the file cannot be written.
void write_tuning_file(const std::string &path, const std::function<std::vector<std::string>()> &make_lines);

// The records of schedules/tuning/ when Sepal was configured, and what was wrong with them.
const TuningDatabase &builtin_tuning();
// The same from text; `label` stands for the file in complaints.
TuningDatabase parse_tuning_records(const std::string &text, const std::string &label);

}  // namespace sepal
