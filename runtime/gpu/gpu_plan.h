// GpuPlan: one variant bound to one problem, its filters and a GPU, ready to be run any number of times.
#pragma once

#include "device.h"
#include "runtime/packed_weights.h"

#include <memory>

namespace sepal {

class GpuPlan {
public:
    // Copies the weights to the device, which waits for what is queued there. Null, with `status` set, when the problem is invalid,
    // the variant refuses it, has no kernel or is not for such a device, the weights are null, in another layout than the variant reads or
    // those of other shapes, or memory is short.
    static std::unique_ptr<GpuPlan> create(const ConvProblem &problem, const Variant &variant, std::shared_ptr<const PackedWeights> weights,
                                           std::shared_ptr<const GpuDevice> device, Status &status);
    // The same, packing the weights first.
    static std::unique_ptr<GpuPlan> create(const ConvProblem &problem, const Variant &variant, const Weights &weights,
                                           std::shared_ptr<const GpuDevice> device, Status &status);
    ~GpuPlan();

    // Queues the kernel on the device: what it computes is in `output` when device()->synchronize() has said ok, or download() of the output.
    // The first run on a GPU also loads the kernel. input [n, h, w, c], output [n, p, q, out_channels()], of problem().dtype, dense, memory of
    // the same GPU and context, aligned to 16 bytes, not overlapping. Writes exactly the output. May be called from several threads at once on
    // different outputs. Of a problem with a residual, and of no other, `skip` is what is added: an array like the output, but not that itself.
    Status run(const GpuArray &input, GpuArray &output, const GpuArray *skip = nullptr) const;

    const ConvProblem &problem() const;
    const Variant &variant() const;
    const std::shared_ptr<const GpuDevice> &device() const;

private:
    struct Contents;
    explicit GpuPlan(std::unique_ptr<Contents> contents);
    std::unique_ptr<Contents> contents_;
};

}  // namespace sepal
