// What tests of the C API check by.
#pragma once

#include "c_api.h"
#include "catch.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace sepal {

inline bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// Winograd's algorithm is not exact on integers.
inline bool is_right(const Tensors &t, const void *output, const std::string &variant = "") {
    const CheckResult result = check_output(t, output, 1e9, contains(variant, "_wm") ? t.problem.max_rel_error : 0);
    if (!result.passed) fmt::print("{}: {}\n", t.problem.key(), result.message);
    return result.passed;
}

inline bool is_right(const Tensors &t, const std::vector<float> &output, const std::string &variant = "") { return is_right(t, output.data(), variant); }

// What a call that must fail says; it is one sentence.
inline std::string said(sepal_status status, sepal_status expected) {
    CHECK(status == expected);
    const std::string text = sepal_last_error();
    CHECK(!text.empty());
    CHECK(text.find('\n') == std::string::npos);
    return text;
}

// The same as a check, which shows the text where it fails.
inline bool says(const std::string &text, const std::string &part) {
    if (contains(text, part)) return true;
    fmt::print("\"{}\" does not contain \"{}\"\n", text, part);
    return false;
}

}  // namespace sepal
