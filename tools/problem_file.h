// Problem files and suites: JSON <-> ConvProblem.
#pragma once

#include "runtime/problem.h"
#include "tools/bad_input.h"

#include <string>
#include <vector>

namespace sepal {

// A file of problems. Suites also have a name, a title, a description and, beside each problem, the figures that others
// published for it. Where the problems are the layers of a network, each says how often the network has it.
struct ProblemSet {
    std::string suite, title, description;  // may be empty
    std::vector<ConvProblem> problems;      // at least one; each valid, with a name that no other has
    std::vector<std::string> published;     // as long as `problems`: JSON text, or empty
    std::vector<int64_t> occurs;            // as long as `problems`: how often the network has it, 1 or more
    bool network = false;                   // whether a problem of the file says how often it occurs
};

// One object per problem:
//   {"problems": [{"name": "edge", "op": "depsep", "n": 1, "h": 224, "w": 224, "c": 128, "k": 128, "r": 3, "s": 3,
//                  "stride": [1, 1], "dilation": [1, 1], "pad": "same", "groups": 1, "multiplier": 1, "dtype": "f32",
//                  "layout": "nhwc", "bias": true, "mid_bias": false, "activation": "relu", "mid_activation": "none"}]}
// Required: op, h, w, c, k (but for depthwise), r and s (but for pointwise). Defaults: name "problem<index>", n 1, stride and
// dilation [1, 1] (one integer stands for both), pad "same" ("valid" or [top, left, bottom, right]; nothing for pointwise),
// groups and multiplier 1, f32, nhwc, no biases, no activations. Beside these, a problem may have "published" (any JSON) and
// "occurs" (1 to 1000000, default 1). Anything else throws BadInput.
ProblemSet load_problem_file(const std::string &path);
// `file_label` stands for the file in messages.
ProblemSet parse_problem_set(const std::string &json_text, const std::string &file_label);

// The suites of bench/suites/ are part of the program. An unknown name throws BadInput.
ProblemSet load_suite(const std::string &name);
std::vector<std::string> suite_names();

// One problem as a JSON object on one line; parse_problem_set reads it back as an equal problem.
std::string to_json(const ConvProblem &problem);

}  // namespace sepal
