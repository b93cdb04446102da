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

std::string on_one_line(std::string_view text) {
    std::string line;
    for (char ch : text) {
        const bool space = ch == '\n' || ch == '\t' || ch == ' ';
        if (!space)
            line += ch;
        else if (!line.empty() && line.back() != ' ')
            line += ' ';
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    return line;
}

}  // namespace sepal
