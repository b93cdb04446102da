// Status: whether something could be done, and else why not.
#pragma once

#include <string>

namespace sepal {

struct Status {
    enum class Code { ok, invalid_argument, unsupported, out_of_memory, kernel_failed };
    Code code = Code::ok;
    std::string message;  // one sentence; empty when ok
    bool ok() const { return code == Code::ok; }
};

}  // namespace sepal
