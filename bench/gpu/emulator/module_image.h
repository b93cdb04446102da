// What cuModuleLoadData is given: PTX text, a fat binary, or machine code.
#pragma once

#include <stdexcept>
#include <string>

namespace sepal::ptx {

// An image without PTX that can be executed: one sentence.
struct BadImage : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The PTX of an image: of a fat binary that which was made for the highest compute capability (80: 8.0) up to the device's.
// Throws BadImage.
std::string ptx_of_image(const void *image, int compute_capability);

}  // namespace sepal::ptx
