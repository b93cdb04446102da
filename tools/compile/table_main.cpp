// sepal-table OUTPUT.c NAME SPEC.json...: the table of kernels (sepal/kernel_table.h) that function NAME returns, from the specs and what
// sepal-compile wrote beside them in <name>.built.json. A program of its own, so that its change does not compile every kernel anew.
#include "kernel_table_source.h"
#include "tools/files.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

int main(int argc, char **argv) try {
    if (argc < 4) throw std::runtime_error("usage: sepal-table OUTPUT.c NAME SPEC.json...");
    sepal::write_file(argv[1], {sepal::table_source(argv[2], sepal::built_rows({argv + 3, argv + argc}))});
    return 0;
} catch (const std::exception &e) {
    fmt::print(stderr, "sepal-table: {}\n", e.what());
    return 2;
}
