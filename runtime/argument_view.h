// ArgumentView: how a kernel sees a tensor.
#pragma once

#include "problem.h"

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace sepal {

struct ViewDimension {
    int64_t extent = 0, stride = 0;  // in elements of the view
};

// A buffer argument; dimensions in the order of the generator's, of whose strides one is 1.
struct ArgumentView {
    enum class Element { u32, f16, f32 };  // u32: two f16
    Element element = Element::u32;
    std::vector<ViewDimension> dimensions;

    // Elements that it spans, the first to the last: of the output of a kernel on tensor cores more than there are, which are never written.
    int64_t elements() const {
        int64_t last = 0;
        for (const ViewDimension &d : dimensions) last += (d.extent - 1) * d.stride;
        return last + 1;
    }

    // One element after the other.
    template<typename Extents>
    static ArgumentView dense(Element element, const Extents &extents) {
        ArgumentView view;
        view.element = element;
        int64_t stride = 1;
        for (int64_t extent : extents) {
            view.dimensions.push_back({extent, stride});
            stride *= extent;
        }
        return view;
    }
    static ArgumentView dense(Element element, std::initializer_list<int64_t> extents) { return dense<std::initializer_list<int64_t>>(element, extents); }
};

inline ArgumentView::Element element_of(DType dtype) { return dtype == DType::f16 ? ArgumentView::Element::f16 : ArgumentView::Element::f32; }

}  // namespace sepal
