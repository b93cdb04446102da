#include "kernel_call.h"

#include "kernel_error.h"

#include <fmt/format.h>

namespace sepal {
namespace {

void on_kernel_error(void *, const char *message) { record_kernel_error(message); }

halide_type_t halide_type(DType dtype) { return halide_type_t(halide_type_float, uint8_t(8 * size_in_bytes(dtype))); }

}  // namespace

void Descriptor::describe(const void *host, DType dtype, const int64_t *extents, size_t dimensions) {
    int64_t stride = 1;
    for (size_t i = 0; i < dimensions; i++) {
        dims[i] = halide_dimension_t(0, int32_t(extents[i]), int32_t(stride));
        stride *= extents[i];
    }
    buffer = {};
    // halide_buffer_t has no const form; inputs are only read.
    buffer.host = static_cast<uint8_t *>(const_cast<void *>(host));
    buffer.type = halide_type(dtype);
    buffer.dimensions = int32_t(dimensions);
    buffer.dim = dims;
}

void record_kernel_errors() {
    static const bool handler_set = [] {
        halide_set_error_handler(on_kernel_error);
        return true;
    }();
    (void)handler_set;
}

Status call_generated(KernelFunction function, void **argv, const char *what, const char *name) {
    record_kernel_errors();
    take_kernel_error();  // of an earlier failure that nobody asked about
    const int rc = function(argv);
    if (rc == 0) return {};
    const std::string why = take_kernel_error();
    return {Status::Code::kernel_failed, fmt::format("{} {} failed: {}", what, name, why.empty() ? fmt::format("error code {}", rc) : why)};
}

}  // namespace sepal
