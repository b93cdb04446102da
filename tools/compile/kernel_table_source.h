// A table of kernels as C.
#pragma once

#include "kernel_spec.h"

#include <string>
#include <vector>

namespace sepal {

struct TableRow {
    KernelSpec spec;
    std::string error;  // why there is no kernel; empty: there is
    int64_t object_bytes = 0;
};

// Those of the specs in these files <name>.spec.json, from what a compilation wrote beside them in <name>.built.json. Throws BadInput.
std::vector<TableRow> built_rows(const std::vector<std::string> &spec_paths);

// A C99 source with the function `const sepal_kernels *NAME(void)`: the table of the rows (sepal/kernel_table.h), in their order.
// `prefix`: of the names that the kernels' functions have in their objects.
std::string table_source(const std::string &name, const std::vector<TableRow> &rows, const std::string &prefix = "");

}  // namespace sepal
