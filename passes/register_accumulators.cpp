#include "register_accumulators.h"

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

// Whether a condition fails for every number of the thread but 0, whatever those of the others.
bool passed_by_first_only(const Expr &condition, const std::string &thread, const std::vector<std::string> &threads) {
    Scope<Interval> numbers;
    for (const std::string &other : threads) numbers.push(other, Interval(other == thread ? 1 : 0, Interval::pos_inf()));
    return is_const_zero(simplify(condition, true, numbers));
}

}  // namespace

Stmt RegisterAccumulators::visit(const For *op) {
    const bool thread = op->for_type == ForType::GPUThread || op->for_type == ForType::GPULane;
    if (thread) threads_.push_back(op->name);
    Stmt s = IRMutator::visit(op);
    if (thread) threads_.pop_back();
    return s;
}

// A stage with less to do than there are threads is inside of a test that only those pass which have some.
Stmt RegisterAccumulators::visit(const IfThenElse *op) {
    const std::map<std::string, Expr> before = alone_;
    for (const std::string &thread : threads_)
        if (passed_by_first_only(op->condition, thread, threads_)) alone_[thread] = 0;
    Stmt then_case = mutate(op->then_case);
    alone_ = before;
    return IfThenElse::make(mutate(op->condition), then_case, op->else_case.defined() ? mutate(op->else_case) : Stmt());
}

Stmt RegisterAccumulators::visit(const LetStmt *op) {
    lets_.emplace_back(op->name, op->value);
    Stmt s = IRMutator::visit(op);
    lets_.pop_back();
    return s;
}

Expr RegisterAccumulators::visit(const Let *op) {
    lets_.emplace_back(op->name, op->value);
    Expr e = IRMutator::visit(op);
    lets_.pop_back();
    return e;
}

Stmt RegisterAccumulators::visit(const Allocate *op) {
    const bool in_registers = op->memory_type == MemoryType::Register;
    if (in_registers) accumulators_[op->name] = Expr();
    Stmt s = IRMutator::visit(op);
    if (in_registers) accumulators_.erase(op->name);
    return s;
}

Expr RegisterAccumulators::visit(const Load *op) {
    if (!accumulators_.count(op->name)) return IRMutator::visit(op);
    return Load::make(op->type, op->name, of_thread(op->name, op->index), op->image, op->param, mutate(op->predicate), ModulusRemainder());
}

Stmt RegisterAccumulators::visit(const Store *op) {
    if (!accumulators_.count(op->name)) return IRMutator::visit(op);
    return Store::make(op->name, mutate(op->value), of_thread(op->name, op->index), op->param, mutate(op->predicate), ModulusRemainder());
}

// The index with every thread's number at 0.
Expr RegisterAccumulators::of_thread(const std::string &name, const Expr &index) {
    Expr whole = index;
    for (auto let = lets_.rbegin(); let != lets_.rend(); ++let) whole = substitute(let->first, let->second, whole);
    std::map<std::string, Expr> first;
    for (const std::string &thread : threads_) first[thread] = 0;
    const Expr own = simplify(substitute(first, whole));
    const auto base = [](const Expr &e) {
        const Ramp *ramp = e.as<Ramp>();
        return ramp ? ramp->base : e;
    };
    const Expr thread_part = simplify(base(simplify(whole)) - base(own));
    Expr &known = accumulators_.at(name);
    if (!known.defined()) known = thread_part;
    const bool alike = can_prove(substitute(alone_, known) == substitute(alone_, thread_part));
    _halide_user_assert(alike) << "the threads' accumulators " << name << " are touched as " << known << " and as " << thread_part
                               << "; every stage has to share them out alike";
    return own;
}

}  // namespace sepal
