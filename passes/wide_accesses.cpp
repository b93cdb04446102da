#include "wide_accesses.h"

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

bool is_size_of_access(int bits) { return bits == 64 || bits == 128; }
Type integer_of(const Type &type) { return UInt(type.bits() * type.lanes()); }

Expr wide_index(const Expr &index, int lanes) { return simplify(index.as<Ramp>()->base / lanes); }

// There are no constants of 128 bits.
Expr wide_zero(const Type &type) { return Reinterpret::make(integer_of(type), make_zero(UInt(32, integer_of(type).bits() / 32))); }

}  // namespace

template<typename Access>
bool WideAccesses::is_wide(const Access *access, const Type &type) const {
    const Ramp *ramp = access->index.template as<Ramp>();
    if (!in_kernel_ || registers_.count(access->name) || type.bits() != 16 || !is_size_of_access(type.bits() * type.lanes())) return false;
    if (!ramp || !is_const_one(ramp->stride) || !is_const_one(access->predicate)) return false;
    return access->alignment.modulus % type.lanes() == 0 && access->alignment.remainder % type.lanes() == 0;
}

Stmt WideAccesses::visit(const For *op) {
    const bool before = in_kernel_;
    in_kernel_ = in_kernel_ || is_gpu(op->for_type);
    const Stmt loop = IRMutator::visit(op);
    in_kernel_ = before;
    return loop;
}

Stmt WideAccesses::visit(const Allocate *op) {
    const bool in_registers = op->memory_type == MemoryType::Register || op->memory_type == MemoryType::Stack;
    if (in_registers) registers_.insert(op->name);
    const Stmt allocation = IRMutator::visit(op);
    if (in_registers) registers_.erase(op->name);
    return allocation;
}

Expr WideAccesses::wide_load(const Load *op) {
    const int lanes = op->type.lanes();
    return Load::make(integer_of(op->type), op->name, wide_index(mutate(op->index), lanes), op->image, op->param, const_true(), ModulusRemainder());
}

Expr WideAccesses::visit(const Load *op) {
    if (!is_wide(op, op->type)) return IRMutator::visit(op);
    return Reinterpret::make(op->type, wide_load(op));
}

Expr WideAccesses::visit(const Select *op) {
    const Load *load = op->true_value.as<Load>();
    Expr condition = op->condition;
    if (const Broadcast *all = condition.as<Broadcast>()) condition = all->value;
    if (!load || !condition.type().is_scalar() || !is_const_zero(op->false_value) || !is_wide(load, load->type))
        return IRMutator::visit(op);
    return Reinterpret::make(op->type, Select::make(mutate(condition), wide_load(load), wide_zero(load->type)));
}

Stmt WideAccesses::visit(const Store *op) {
    if (!is_wide(op, op->value.type())) return IRMutator::visit(op);
    const Expr value = Reinterpret::make(integer_of(op->value.type()), mutate(op->value));
    return Store::make(op->name, value, wide_index(mutate(op->index), op->value.type().lanes()), op->param, const_true(), ModulusRemainder());
}

}  // namespace sepal
