// The variants of a table of generated kernels (sepal/kernel_table.h).
#pragma once

#include "sepal/kernel_table.h"
#include "registry.h"

#include <string>
#include <vector>

namespace sepal {

// In the table's order; they point into it. Empty, with the reason in `why_not`, when the table is of another version or names what this
// runtime does not know.
std::vector<Variant> variants_of(const sepal_kernels &table, std::string &why_not);

}  // namespace sepal
