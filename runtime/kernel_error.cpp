#include "kernel_error.h"

#include <utility>

namespace sepal {
namespace {
thread_local std::string last_error;
}

void record_kernel_error(const char *message) {
    last_error = message;
    while (!last_error.empty() && last_error.back() == '\n') last_error.pop_back();
}

std::string take_kernel_error() { return std::exchange(last_error, {}); }

}  // namespace sepal
