// What several tests share.
#pragma once

#include "runtime/reference.h"
#include "tools/bad_input.h"
#include "tools/checker.h"
#include "tools/edge_grid.h"
#include "tools/files.h"
#include "tools/selection.h"

#include <functional>
#include <string>
#include <vector>

namespace sepal {

// A folder under the system's temporary folder, removed with all it holds at the end.
class TemporaryFolder {
public:
    std::string path(const std::string &file) const { return folder_.path() + "/" + file; }
    // Creates or replaces a file; returns its path.
    std::string write(const std::string &file, const std::string &bytes) const;
    std::vector<std::string> files() const;

private:
    ScratchFolder folder_{"sepal-test", "no temporary folder can be made"};
};

std::string bytes_of(const std::string &path);

// The sentence of the BadInput that `action` throws; fails the test when it throws none or the sentence has a line break.
std::string bad_input(const std::function<void()> &action);

// The operator in plain loops over output elements, straight from the definition, in double precision.
std::vector<double> naive(const Tensors &tensors);

// f32 values that rounding to half may get wrong: every half, the middle between it and the next one, and the f32 on both sides of that, of
// either sign; and some beyond the largest half.
std::vector<float> values_around_halves();

// `passed`, after saying on stdout, when it is false, what failed on what and with which command that can be seen again. (Catch
// breaks its own messages into lines, commands included.)
bool report(bool passed, const Variant &variant, const ConvProblem &problem, const std::string &message, const std::string &command);

// The command that runs the test cases of this program that have the tag.
std::string test_command(const std::string &tag);

// The variants of the program that can run here and are of this ISA; says for each other one of this ISA, visibly, why it is
// skipped.
std::vector<const Variant *> runnable_variants(Isa isa);
// Those of all ISAs.
std::vector<const Variant *> runnable_variants();

// Problems of suites: much larger than those of the grid, so tests look at them once.
inline bool is_large(const ConvProblem &p) { return p.flops() > 1e9; }

}  // namespace sepal
