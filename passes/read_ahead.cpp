#include "read_ahead.h"

#include "loops.h"

#include <utility>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

constexpr int scratch_floats = 64;

}  // namespace

ReadAhead::ReadAhead(Where where) : where_(std::move(where)) {}

Stmt ReadAhead::visit(const For *op) {
    if (op->for_type == ForType::Parallel && scratch_.empty()) {
        scratch_ = unique_name("read_ahead");
        const Stmt body = Block::make(mutate(op->body), Free::make(scratch_));
        // On the heap: stores to memory on the stack that nobody reads would be removed, and the loads with them.
        const Stmt task = with_body(op, Allocate::make(scratch_, Float(32), MemoryType::Heap, {scratch_floats}, const_true(), body));
        scratch_.clear();
        return task;
    }
    if (named(op, where_.panels)) {
        panels_before_ = step(op);
        const Stmt loop = IRMutator::visit(op);
        panels_before_ = Expr();
        return loop;
    }
    FirstLoad first([&](const Load *load) { return load->name == where_.input && load->type.is_scalar(); });
    if (!scratch_.empty() && panels_before_.defined() && named(op, where_.steps)) op->body.accept(&first);
    if (!first.load) return IRMutator::visit(op);

    const std::string start = unique_name("read_ahead_start"), last = unique_name("read_ahead_last");
    const Expr index = min(Variable::make(Int(32), start) + step(op) * where_.floats_per_step, Variable::make(Int(32), last));
    const Expr value = Load::make(Float(32), where_.input, index, Buffer<>(), first.load->param, const_true(), ModulusRemainder());
    const Stmt touch = Store::make(scratch_, value, step(op) % scratch_floats, Parameter(), const_true(), ModulusRemainder());
    const Stmt loop = with_body(op, Block::make(touch, op->body));
    const Expr from = substitute(op->name, op->min, first.index) + where_.distance + panels_before_ * op->extent * where_.floats_per_step;
    return LetStmt::make(last, where_.size - 1, LetStmt::make(start, from, loop));
}

}  // namespace sepal
