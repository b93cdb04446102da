// What kernels say when they fail. Halide's runtime hands the text to a handler; the code that called the kernel reads it.
#pragma once

#include <string>
#include <string_view>

namespace sepal {

// Keeps the text for the calling thread.
void record_kernel_error(const char *message);

// The text recorded by this thread since the last call, or empty.
std::string take_kernel_error();

// What compilers say, as a part of a sentence: white space between words is one space.
std::string on_one_line(std::string_view text);

}  // namespace sepal
