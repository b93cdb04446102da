// Plan: one variant bound to one problem and its filters, ready to be run any number of times.
#pragma once

#include "registry.h"

#include <memory>
#include <string>

namespace sepal {

struct Status {
    enum class Code { ok, invalid_argument, unsupported, out_of_memory, kernel_failed };
    Code code = Code::ok;
    std::string message;  // one sentence; empty when ok
    bool ok() const { return code == Code::ok; }
};

// The constant tensors of a problem in the layouts of ConvProblem, f32, dense, aligned to 4 bytes. Owned by the caller and
// read only while a plan is being made. A pointer that the problem has no use for is ignored.
struct Weights {
    const float *filter = nullptr;
    const float *mid_bias = nullptr;          // required when mid.bias
    const float *pointwise_filter = nullptr;  // required for depsep
    const float *bias = nullptr;              // required when out.bias
};

class Plan {
public:
    // Packs the filters into memory of the plan in the layout that the variant wants. Null, with `status` set, when the
    // problem is invalid, the variant refuses it or has no kernel, a required weight is null, or memory is short.
    // The CPU must run the variant's ISA: the caller checks.
    static std::unique_ptr<Plan> create(const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status);
    ~Plan();

    // input [n, h, w, c], output [n, p, q, out_channels()], f32, dense, aligned to 4 bytes, the output to
    // variant().output_alignment where that is not 0; not overlapping. Writes exactly the output. May be called from several threads at
    // once on different outputs.
    Status run(const float *input, float *output) const;

    const ConvProblem &problem() const;
    const Variant &variant() const;
    int64_t packed_bytes() const;  // filters and biases as packed

private:
    struct Contents;
    explicit Plan(std::unique_ptr<Contents> contents);
    std::unique_ptr<Contents> contents_;
};

// Threads that kernels compiled ahead of time use from now on; 1 or more. Process-wide.
void set_num_threads(int threads);

}  // namespace sepal
