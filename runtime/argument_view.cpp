#include "argument_view.h"

namespace sepal {

int64_t ArgumentView::elements() const {
    int64_t last = 0;
    for (const ViewDimension &d : dimensions) last += (d.extent - 1) * d.stride;
    return last + 1;
}

ArgumentView::Element element_of(DType dtype) { return dtype == DType::f16 ? ArgumentView::Element::f16 : ArgumentView::Element::f32; }

ArgumentView dense_view(ArgumentView::Element element, const std::vector<int64_t> &extents) {
    ArgumentView view;
    view.element = element;
    int64_t stride = 1;
    for (int64_t extent : extents) {
        view.dimensions.push_back({extent, stride});
        stride *= extent;
    }
    return view;
}

}  // namespace sepal
