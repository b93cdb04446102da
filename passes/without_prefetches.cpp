#include "without_prefetches.h"

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {

Stmt WithoutPrefetches::visit(const Evaluate *op) {
    const Call *call = op->value.as<Call>();
    return call && call->is_intrinsic(Call::prefetch) ? Evaluate::make(0) : IRMutator::visit(op);
}

bool is_without_prefetches(const Target &target) { return target.arch != Target::X86 || target.os != Target::Linux; }

}  // namespace sepal
