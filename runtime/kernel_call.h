// Calling generated functions.
#pragma once

#include "argument_view.h"
#include "registry.h"
#include "status.h"

#include <HalideRuntime.h>

#include <initializer_list>

namespace sepal {

// A buffer descriptor.
struct Descriptor {
    halide_buffer_t buffer = {};
    halide_dimension_t dims[10] = {};

    Descriptor() = default;
    Descriptor(const Descriptor &) = delete;  // `buffer` points to `dims`
    void describe(const void *host, const ArgumentView &view);
    // One that is dense; extents innermost first.
    void describe(const void *host, DType dtype, std::initializer_list<int64_t> extents) {
        describe(host, ArgumentView::dense(element_of(dtype), extents));
    }
};

// Calls it; a failure is "`what` `name` failed: " and what Halide's runtime said.
Status call_generated(KernelFunction function, void **argv, const char *what, const char *name);

}  // namespace sepal
