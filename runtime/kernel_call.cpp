#include "kernel_call.h"

#include "execution.h"
#include "kernel_error.h"

#include <fmt/format.h>

namespace sepal {
namespace {

halide_type_t halide_type(ArgumentView::Element element) {
    switch (element) {
    case ArgumentView::Element::u32: return halide_type_t(halide_type_uint, 32);
    case ArgumentView::Element::f16: return halide_type_t(halide_type_float, 16);
    case ArgumentView::Element::f32: break;
    }
    return halide_type_t(halide_type_float, 32);
}

}  // namespace

void Descriptor::describe(const void *host, const ArgumentView &view) {
    int i = 0;
    for (const ViewDimension &d : view.dimensions) dims[i++] = halide_dimension_t(0, int32_t(d.extent), int32_t(d.stride));
    buffer = {};
    // halide_buffer_t has no const form; inputs are only read.
    buffer.host = static_cast<uint8_t *>(const_cast<void *>(host));
    buffer.type = halide_type(view.element);
    buffer.dimensions = i;
    buffer.dim = dims;
}

Status call_generated(KernelFunction function, void **argv, const char *what, const char *name) {
    install_handlers();
    take_kernel_error();  // of an earlier failure that nobody asked about
    const int rc = function(argv);
    if (rc == 0) return {};
    const std::string why = take_kernel_error();
    return {Status::Code::kernel_failed, fmt::format("{} {} failed: {}", what, name, why.empty() ? fmt::format("error code {}", rc) : why)};
}

}  // namespace sepal
