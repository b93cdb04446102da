// How a kernel sees a tensor that it gets: extents and strides.
#pragma once

#include "problem.h"

#include <cstdint>
#include <vector>

namespace sepal {

struct ViewDimension {
    int64_t extent = 0, stride = 0;  // in elements of the view
};

// A buffer argument; dimensions innermost first.
struct ArgumentView {
    enum class Element { u32, f16, f32 };  // u32: two f16
    Element element = Element::f32;
    std::vector<ViewDimension> dimensions;
    int64_t elements() const;  // that the view spans, the first to the last: of an output perhaps more than there are, which are never written
};

ArgumentView::Element element_of(DType dtype);
// Without gaps; extents innermost first.
ArgumentView dense_view(ArgumentView::Element element, const std::vector<int64_t> &extents);

}  // namespace sepal
