// Plan: one variant bound to one problem and its filters, ready to be run any number of times.
#pragma once

#include "execution.h"
#include "packed_weights.h"
#include "strides.h"

#include <memory>

namespace sepal {

class Plan {
public:
    // Packs the weights for this plan alone, in the layout that the variant reads. Null, with `status` set, when the problem is invalid,
    // the variant refuses it (of strides other than dense ones: the problem of each call, see calls_for()), has no kernel or is for GPUs
    // (GpuPlan), the strides are not possible, a required weight is null, or memory is short.
    // The CPU must run the variant's ISA: the caller checks.
    static std::unique_ptr<Plan> create(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status,
                                        const TensorStrides &strides = {});
    // The same with weights that are packed already, which the plan shares and keeps alive. Null, with `status` set, also when they are
    // null, in another layout than the variant reads, or those of other shapes (PackedWeights says which plans can share).
    static std::unique_ptr<Plan> create(const ConvProblem &problem, const Variant &variant, std::shared_ptr<const PackedWeights> weights,
                                        Status &status, const TensorStrides &strides = {});
    ~Plan();

    // input [n, h, w, c], output [n, p, q, out_channels()], elements of problem().dtype (f16: as in half.h), dense or of the plan's strides,
    // aligned to an element, the output to variant().output_alignment where that is not 0; not overlapping. Writes exactly the output. May be
    // called from several threads at once on different outputs, each with a workspace of its own. Of a problem with a residual, and of no
    // other, `skip` is what is added: a tensor like the output, with its strides. It may not be the output itself: tiles at the end of an image
    // overlap their neighbours, and would add it twice. `execution`: the threads and memory to use.
    Status run(const void *input, void *output, const void *skip = nullptr, const Execution &execution = {}) const;

    const ConvProblem &problem() const;
    const Variant &variant() const;
    const PackedWeights &weights() const;

private:
    struct Contents;
    explicit Plan(std::unique_ptr<Contents> contents);
    std::unique_ptr<Contents> contents_;
};

// Threads that kernels compiled ahead of time use from now on; 1 or more. Process-wide.
void set_num_threads(int threads);

}  // namespace sepal
