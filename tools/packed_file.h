// Files of packed weights: what `sepal run --save-packed` keeps and `--packed` takes instead of the filters.
#pragma once

#include "runtime/packed_weights.h"
#include "tools/bad_input.h"

#include <memory>
#include <string>

namespace sepal {

// See write_file() for what a failure leaves.
void write_packed_file(const std::string &path, const PackedWeights &weights);

// The weights of a file that was written for the variant's layout and for filters and biases of the problem's shapes; the variant takes
// the problem. Throws BadInput naming the file, what was found and what is allowed: no such file, another format, layout or problem,
// too few or too many bytes, damaged ones.
std::shared_ptr<const PackedWeights> read_packed_file(const std::string &path, const ConvProblem &problem, const Variant &variant);

}  // namespace sepal
