#include "tensor_core_views.h"

#include "runtime/ceil_div.h"

namespace sepal {
namespace {

using Element = ArgumentView::Element;

constexpr auto dense = [](Element element, std::initializer_list<int64_t> extents) { return ArgumentView::dense(element, extents); };

}  // namespace

TensorCoreArguments tensor_core_arguments(const ConvProblem &problem, const TensorCoreBlock &block) {
    const ConvProblem &p = problem;
    FilterLayout layout;
    layout.kind = FilterLayout::Kind::lanes;
    layout.panel = block.channels;
    const PackedExtents e = layout.extents(p);
    constexpr int64_t step = FilterLayout::lanes_step, tile = FilterLayout::lanes_tile;
    const int64_t c8 = p.c / 8, steps = e.c / step, halves = e.panel / tile * 2, words = step * tile / 4;
    TensorCoreArguments a;
    const ArgumentView bias = dense(Element::f32, {e.padded_k()});
    switch (p.op) {
    case Operator::pointwise:
        a.input = dense(Element::u32, {4, c8, p.pixels()});
        a.constants = {dense(Element::u32, {words, halves, steps, e.panels}), bias};
        break;
    case Operator::depsep:
        a.input = dense(Element::f16, {8, c8, p.w, p.h, p.n});
        a.constants = {dense(Element::f16, {8, c8, p.s, p.r}), dense(Element::f32, {8, c8}), dense(Element::u32, {words, halves, steps, e.panels}), bias};
        break;
    default:
        a.input = dense(Element::u32, {4, c8, p.w, p.h, p.n});
        a.constants = {dense(Element::u32, {words, halves, steps, p.s, p.r, e.panels}), bias};
    }
    const bool rows = p.op != Operator::pointwise, depsep = p.op == Operator::depsep;
    if (rows)
        for (int64_t v : p.geometry()) a.scalars.push_back(int32_t(v));
    if (depsep) a.scalars.push_back(int32_t(p.mid.activation));
    a.scalars.push_back(int32_t(p.out.activation));
    a.scalars.push_back(int32_t(p.k));
    if (rows)
        for (int64_t v : {p.q(), p.p()}) a.scalars.push_back(int32_t(v));

    const int64_t pixel = p.k / 2, row = p.q() * pixel, image = p.p() * row;  // words from one to the next
    const bool two_rows = depsep || block.two_rows;
    if (p.residual) a.skip = two_rows ? dense(Element::u32, {4, p.k / 8, p.q(), p.p(), p.n}) : dense(Element::u32, {4, p.k / 8, p.pixels()});
    a.output.dimensions = {{4, 1}, {8, 4}, {block.channels / 64, 32}, {e.panels, block.channels / 2}};
    std::vector<ViewDimension> pixels = {{4, 2 * pixel}, {2, pixel}, {block.pixels / 8, 8 * pixel}, {ceil_div(p.pixels(), block.pixels), block.pixels * pixel}};
    if (two_rows) {
        const int64_t columns = block.pixels / 2;
        pixels = {{4, pixel}, {2, row}, {columns / 4, 4 * pixel}, {ceil_div(p.q(), columns), columns * pixel}, {ceil_div(p.p(), 2), 2 * row}, {p.n, image}};
    }
    a.output.dimensions.insert(a.output.dimensions.end(), pixels.begin(), pixels.end());
    return a;
}

}  // namespace sepal
