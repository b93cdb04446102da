// What cuModuleLoadData is given: PTX text, a fat binary, or machine code.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace sepal::ptx {

// An image without PTX that can be executed: one sentence.
struct BadImage : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The PTX of an image: of a fat binary that which was made for the highest compute capability (80: 8.0) up to the device's.
// Throws BadImage.
std::string ptx_of_image(const void *image, int compute_capability);

// The image itself, of one that ptx_of_image() takes: PTX without the zero behind it, or a fat binary without what wraps it.
std::string bytes_of_image(const void *image);

// One ELF file (a cubin) of a fat binary.
struct MachineCode {
    int compute_capability = 0;
    std::string elf;
};
// Those in bytes_of_image(), in order; none in PTX. Throws BadImage where one is compressed.
std::vector<MachineCode> machine_code_of(const std::string &image);

}  // namespace sepal::ptx
