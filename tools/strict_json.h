// JSON as users write it, with every mistake named.
#pragma once

#include "tools/bad_input.h"

#include <nlohmann/json.hpp>

#include <string>

namespace sepal {

// Throws BadInput that begins with `label` (the file's name): on a syntax error (with line and column), text that is not
// UTF-8, or a key that occurs twice in one object.
nlohmann::json parse_strict_json(const std::string &text, const std::string &label);

// A value as it appears in messages: JSON, cut to 60 bytes.
std::string describe(const nlohmann::json &value);

}  // namespace sepal
