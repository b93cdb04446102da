// WideAccesses: a lowering pass that loads and stores vectors of 16-bit values as one access of 64 or 128 bits.
#pragma once

#include <Halide.h>

#include <set>
#include <string>

namespace sepal {

// The PTX that Halide emits accesses 128 bits at once only as four values of 32 bits; eight halves become two accesses of 64 bits. This
// pass makes each access of four or eight neighbouring 16-bit values, whose index Halide knows to be a multiple of their number, one of an integer that
// is taken apart in registers; so it does with a choice between such a load and zeros, which takes half as many selects. Only
// inside kernels, and not of what is in registers.
class WideAccesses : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Allocate *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Store *op) override;
    Halide::Expr visit(const Halide::Internal::Load *op) override;
    Halide::Expr visit(const Halide::Internal::Select *op) override;

    template<typename Access>
    bool is_wide(const Access *access, const Halide::Type &type) const;
    Halide::Expr wide_load(const Halide::Internal::Load *op);

    bool in_kernel_ = false;
    std::set<std::string> registers_;  // allocations
};

}  // namespace sepal
