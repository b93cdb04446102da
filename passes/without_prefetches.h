// WithoutPrefetches: a lowering pass for targets whose prefetches cannot be made what they are meant to be (tools/compile/assemble.h): those that
// other passes and schedules put in are taken out again.
#pragma once

#include <Halide.h>

namespace sepal {

class WithoutPrefetches : public Halide::Internal::IRMutator {
private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::Evaluate *op) override;
};

// Whether a target is one of these: all but x86 with Linux.
bool is_without_prefetches(const Halide::Target &target);

}  // namespace sepal
