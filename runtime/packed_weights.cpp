#include "packed_weights.h"

#include "half.h"
#include "kernel_call.h"
#include "winograd.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

namespace sepal {
namespace {

// Places the tensors one after the other, each at the start of a cache line.
class Placement {
public:
    explicit Placement(DType filters) : filters_(filters) {}
    void filter(std::initializer_list<int64_t> extents) { add(filters_, extents); }
    void bias(std::initializer_list<int64_t> extents) { add(DType::f32, extents); }
    std::vector<PackedTensor> tensors;

private:
    void add(DType dtype, std::initializer_list<int64_t> extents) {
        PackedTensor t;
        t.dtype = dtype;
        std::copy(extents.begin(), extents.end(), t.extents.begin());
        t.dimensions = extents.size();
        t.offset = packed_bytes(tensors);
        tensors.push_back(t);
    }
    DType filters_;
};

// [groups * k] -> [groups][k up to whole panels], zeros where there is no bias.
void pack_bias(const float *bias, int64_t groups, int64_t k, int64_t padded, float *to) {
    std::fill_n(to, groups * padded, 0.0f);
    for (int64_t g = 0; bias && g < groups; g++) std::copy_n(bias + g * k, k, to + g * padded);
}

// A packer takes filter (c, taps, k, groups) and writes packed (panel, c, points, panels, groups).
Status pack_filter(const ConvProblem &p, const Variant &variant, const float *filter, void *to) {
    const PackedExtents e = variant.filter_layout.extents(p);
    Descriptor from, packed;
    from.describe(filter, DType::f32, {p.summed_channels(), p.op == Operator::conv2d ? p.r * p.s : 1, p.k / p.groups, p.groups});
    packed.describe(to, p.dtype, {e.panel, e.c, e.points, e.panels, e.groups});
    void *argv[] = {&from.buffer, &packed.buffer};
    return call_generated(variant.packer, argv, "packing for kernel", variant.name);
}

}  // namespace

int64_t PackedTensor::elements() const {
    int64_t product = 1;
    for (size_t i = 0; i < dimensions; i++) product *= extents[i];
    return product;
}

int64_t packed_bytes(const std::vector<PackedTensor> &tensors) {
    constexpr int64_t line = 64;
    return tensors.empty() ? 0 : (tensors.back().offset + tensors.back().bytes() + line - 1) / line * line;
}

std::vector<PackedTensor> packed_tensors(const ConvProblem &p, const FilterLayout &layout) {
    Placement place(p.dtype);
    const PackedExtents e = p.op == Operator::depthwise ? PackedExtents() : layout.extents(p);  // of the filter that is summed over channels
    switch (p.op) {
    case Operator::conv2d:
        if (layout.kind == FilterLayout::Kind::winograd) {
            const int64_t n = winograd_points(layout.tile);
            place.filter({e.panel, e.c, n, n, e.panels});
        } else {
            place.filter({e.panel, e.c, p.s, p.r, e.panels, e.groups});
        }
        place.bias({e.padded_k(), e.groups});
        break;
    case Operator::pointwise:
        place.filter({e.panel, e.c, e.panels});
        place.bias({e.padded_k()});
        break;
    case Operator::depthwise:
    case Operator::depsep:
        place.filter({p.mid_channels(), p.s, p.r});
        place.bias({p.mid_channels()});
        if (p.op == Operator::depthwise) break;
        place.filter({e.panel, e.c, e.panels});
        place.bias({e.padded_k()});
        break;
    }
    return place.tensors;
}

Status check_plan(const ConvProblem &problem, const Variant &variant) {
    if (std::string why = problem.validate(); !why.empty()) return {Status::Code::invalid_argument, "problem: " + why};
    if (!variant.kernel) return {Status::Code::unsupported, fmt::format("variant {} was not built: {}", variant.name, variant.error)};
    if (std::string why = variant.refuses(problem); !why.empty())
        return {Status::Code::unsupported, fmt::format("variant {} {}", variant.name, why)};
    return {};
}

std::shared_ptr<const PackedWeights> PackedWeights::pack(const ConvProblem &problem, const Variant &variant, const Weights &weights,
                                                         Status &status, const Allocator &allocator) {
    status = check_plan(problem, variant);
    if (!status.ok()) return nullptr;
    try {
        return pack(problem, variant, weights, status, AlignedBytes(packed_bytes(packed_tensors(problem, variant.filter_layout)), allocator));
    } catch (const std::bad_alloc &) {
        status = {Status::Code::out_of_memory, "not enough memory to pack the filters"};
        return nullptr;
    }
}

std::shared_ptr<const PackedWeights> PackedWeights::pack(const ConvProblem &problem, const Variant &variant, const Weights &weights,
                                                         Status &status, AlignedBytes memory) {
    status = check_plan(problem, variant);
    if (!status.ok()) return nullptr;
    const bool depsep = problem.op == Operator::depsep, depthwise = problem.op == Operator::depthwise;
    const char *missing = !weights.filter                         ? "filter"
                          : depsep && !weights.pointwise_filter   ? "pointwise_filter"
                          : problem.mid.bias && !weights.mid_bias ? "mid_bias"
                          : problem.out.bias && !weights.bias     ? "bias"
                                                                  : nullptr;
    if (missing) {
        status = {Status::Code::invalid_argument, fmt::format("the problem has a {}, but the pointer to it is null", missing)};
        return nullptr;
    }
    if (!depthwise && !variant.packer) {
        status = {Status::Code::unsupported, fmt::format("variant {} has no function that packs its filter", variant.name)};
        return nullptr;
    }
    try {
        const auto start = std::chrono::steady_clock::now();
        const std::vector<PackedTensor> tensors = packed_tensors(problem, variant.filter_layout);
        std::shared_ptr<PackedWeights> made(new PackedWeights);
        made->layout_ = variant.filter_layout;
        made->weights_key_ = problem.weights_key();
        if (memory.bytes() < packed_bytes(tensors)) {
            status = {Status::Code::invalid_argument,
                      fmt::format("the memory for packed weights has {} bytes; {} are needed", memory.bytes(), packed_bytes(tensors))};
            return nullptr;
        }
        made->data_ = std::move(memory);
        char *const data = static_cast<char *>(made->data_.data());
        const auto at = [&](size_t i) -> void * { return data + tensors[i].offset; };
        const auto biases = [&](size_t i) { return static_cast<float *>(at(i)); };
        for (size_t i = 0; i < tensors.size(); i++) {  // what is between them, so that equal weights are equal bytes
            const int64_t end = tensors[i].offset + tensors[i].bytes(), next = i + 1 < tensors.size() ? tensors[i + 1].offset : made->data_.bytes();
            std::memset(data + end, 0, size_t(next - end));
        }
        const float *const bias = problem.out.bias ? weights.bias : nullptr;
        if (depthwise || depsep) {
            const float *const first = depsep ? (problem.mid.bias ? weights.mid_bias : nullptr) : bias;
            store_elements(weights.filter, problem.filter_elements(), problem.dtype, at(0));
            pack_bias(first, 1, problem.mid_channels(), problem.mid_channels(), biases(1));
        }
        if (!depthwise) {
            const size_t summed = depsep ? 2 : 0;  // the filter that has panels, then its bias
            const PackedExtents e = variant.filter_layout.extents(problem);
            status = pack_filter(problem, variant, depsep ? weights.pointwise_filter : weights.filter, at(summed));
            if (!status.ok()) return nullptr;
            pack_bias(bias, e.groups, problem.k / problem.groups, e.padded_k(), biases(summed + 1));
        }
        made->pack_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return made;
    } catch (const std::bad_alloc &) {
        status = {Status::Code::out_of_memory, "not enough memory to pack the filters"};
        return nullptr;
    }
}

std::shared_ptr<const PackedWeights> PackedWeights::restore(const ConvProblem &problem, const Variant &variant, AlignedBytes data,
                                                            Status &status) {
    status = check_plan(problem, variant);
    if (!status.ok()) return nullptr;
    if (const int64_t wanted = packed_bytes(packed_tensors(problem, variant.filter_layout)); data.bytes() != wanted) {
        status = {Status::Code::invalid_argument, fmt::format("the packed weights have {} bytes; those of {} as {} have {}", data.bytes(),
                                                              problem.weights_key(), variant.filter_layout.text(), wanted)};
        return nullptr;
    }
    std::shared_ptr<PackedWeights> made(new PackedWeights);
    made->layout_ = variant.filter_layout;
    made->weights_key_ = problem.weights_key();
    made->data_ = std::move(data);
    return made;
}

std::string why_not_packed_for(const std::string &layout, const std::string &weights_key, const ConvProblem &problem,
                               const Variant &variant) {
    if (weights_key != problem.weights_key())
        return fmt::format("the packed weights are those of {}, the problem's are those of {}", weights_key, problem.weights_key());
    if (layout != variant.filter_layout.text())
        return fmt::format("the packed weights are in layout {}, variant {} reads {}", layout, variant.name, variant.filter_layout.text());
    return {};
}

}  // namespace sepal
