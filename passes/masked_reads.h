// MaskedReads: a lowering pass that reads under a mask what a vector takes of memory only in part.
#pragma once

#include <Halide.h>

namespace sepal {

// select(inside, input, 0) of a vector of neighbours that reaches over an edge of the input: Halide reads all lanes and then takes zeros for those
// outside. This pass puts the condition on the read itself, which is one instruction with AVX-512 and AVX2 and touches nothing outside; so the index may
// be promised to be inside (ConvStages::phases). A vector of elements that lie apart is several reads before any pass sees it: not for those.
class MaskedReads : public Halide::Internal::IRMutator {
private:
    using Halide::Internal::IRMutator::visit;
    Halide::Expr visit(const Halide::Internal::Select *op) override;
};

}  // namespace sepal
