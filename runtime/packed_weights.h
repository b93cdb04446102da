// PackedWeights: the constants of a problem in the order in which a variant reads them, made once and shared by any number of plans.
#pragma once

#include "aligned.h"
#include "registry.h"
#include "status.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace sepal {

// The constant tensors of a problem in the layouts of ConvProblem, f32 whatever the problem's type, dense, aligned to 4 bytes. Owned by the
// caller and read only while they are being packed, which rounds filters to the problem's type. A pointer that the problem has no use for
// is ignored.
struct Weights {
    const float *filter = nullptr;
    const float *mid_bias = nullptr;          // required when mid.bias
    const float *pointwise_filter = nullptr;  // required for depsep
    const float *bias = nullptr;              // required when out.bias
};

// One argument of a kernel, as a part of PackedWeights::data().
struct PackedTensor {
    DType dtype = DType::f32;             // of a filter the problem's; biases are f32
    std::array<int64_t, 6> extents = {};  // innermost first
    size_t dimensions = 0;
    int64_t offset = 0;  // in bytes, a multiple of a cache line's 64
    int64_t elements() const;
    int64_t bytes() const { return elements() * size_in_bytes(dtype); }
};

// Those of a problem for a variant of that layout, in the order of the kernel's arguments (see kernel_arguments.h); the variant takes the problem.
std::vector<PackedTensor> packed_tensors(const ConvProblem &problem, const FilterLayout &layout);
int64_t packed_bytes(const std::vector<PackedTensor> &tensors);  // of all together, whole cache lines

// Never changed once it is made: plans and threads may share it. It serves every variant of its layout on every problem of its
// weights_key(), whatever their images, batch sizes and threads.
class PackedWeights {
public:
    // By the variant's packer, on as many threads as set_num_threads() said. Null, with `status` set, when the problem is invalid, the
    // variant refuses it or was not built, a required weight is null, or memory is short. The CPU must run the variant's ISA.
    // `allocator`: whose memory they are kept in, if it is set.
    static std::shared_ptr<const PackedWeights> pack(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status,
                                                     const Allocator &allocator = {});
    // The same in the caller's memory, which outlives the object; `memory` has as many bytes as packed_bytes() says, else status says so.
    static std::shared_ptr<const PackedWeights> pack(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status,
                                                     AlignedBytes memory);
    // Takes what data() of another one held, which was packed into the same layout for a problem of the same weights_key(); null, with
    // `status` set, when it has another size. The variant takes the problem.
    static std::shared_ptr<const PackedWeights> restore(const ConvProblem &problem, const Variant &variant, AlignedBytes data, Status &status);

    const FilterLayout &layout() const { return layout_; }
    const std::string &weights_key() const { return weights_key_; }
    const void *data() const { return data_.data(); }
    // What an argument of a kernel points to.
    const void *at(const PackedTensor &tensor) const { return static_cast<const char *>(data_.data()) + tensor.offset; }
    int64_t bytes() const { return data_.bytes(); }
    double pack_seconds() const { return pack_seconds_; }  // that pack() took, memory included; 0 of a restored one

private:
    PackedWeights() = default;
    FilterLayout layout_;
    std::string weights_key_;
    AlignedBytes data_;
    double pack_seconds_ = 0;
};

// Why the variant cannot take weights of that layout (as its text) and key for the problem: a sentence that names what they are and what it
// wants; empty when it can.
std::string why_not_packed_for(const std::string &layout, const std::string &weights_key, const ConvProblem &problem,
                               const Variant &variant);

// Why there can be no plan of the variant for the problem, whatever its weights; ok when there can.
Status check_plan(const ConvProblem &problem, const Variant &variant);

}  // namespace sepal
