#include "register_accumulators.h"

#include "loops.h"

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

// Of the elements of a ramp.
std::vector<Expr> indices(const Expr &index) {
    const Ramp *ramp = index.as<Ramp>();
    std::vector<Expr> all;
    for (int i = 0; i < ramp->lanes; i++) all.push_back(simplify(ramp->base + ramp->stride * i));
    return all;
}

}  // namespace

Stmt RegisterAccumulators::visit(const For *op) {
    const bool thread = op->for_type == ForType::GPUThread || op->for_type == ForType::GPULane, scalars_before = scalars_;
    if (thread) threads_.push_back(op->name);
    scalars_ = scalars_ || op->device_api == DeviceAPI::CUDA;
    Stmt s = IRMutator::visit(op);
    scalars_ = scalars_before;
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
    const Expr index = of_thread(op->name, op->index), predicate = mutate(op->predicate);
    if (!are_scalars(op->type, index, predicate)) return Load::make(op->type, op->name, index, op->image, op->param, predicate, ModulusRemainder());
    std::vector<Expr> elements;
    for (const Expr &i : indices(index))
        elements.push_back(Load::make(op->type.element_of(), op->name, i, op->image, op->param, const_true(), ModulusRemainder()));
    return Shuffle::make_concat(elements);
}

Stmt RegisterAccumulators::visit(const Store *op) {
    if (!accumulators_.count(op->name)) return IRMutator::visit(op);
    const Expr index = of_thread(op->name, op->index), value = mutate(op->value), predicate = mutate(op->predicate);
    if (!are_scalars(value.type(), index, predicate)) return Store::make(op->name, value, index, op->param, predicate, ModulusRemainder());
    const std::string whole = unique_name("sums");
    const Expr vector = Variable::make(value.type(), whole);
    std::vector<Stmt> stores;
    for (const Expr &i : indices(index))
        stores.push_back(Store::make(op->name, Shuffle::make_extract_element(vector, int(stores.size())), i, op->param, const_true(), ModulusRemainder()));
    return LetStmt::make(whole, value, Block::make(stores));
}

bool RegisterAccumulators::are_scalars(const Type &type, const Expr &index, const Expr &predicate) const {
    return scalars_ && type.is_vector() && index.as<Ramp>() && is_const_one(predicate);
}

// The index with every thread's number at 0.
Expr RegisterAccumulators::of_thread(const std::string &name, const Expr &index) {
    Expr whole = index;
    for (auto let = lets_.rbegin(); let != lets_.rend(); ++let) whole = substitute(let->first, let->second, whole);
    std::map<std::string, Expr> first;
    for (const std::string &thread : threads_) first[thread] = 0;
    const Expr own = simplify(substitute(first, whole));
    const Expr thread_part = simplify(base_of(simplify(whole)) - base_of(own));
    Expr &known = accumulators_.at(name);
    if (!known.defined()) known = thread_part;
    const bool alike = are_equal(substitute(alone_, known), substitute(alone_, thread_part));
    _halide_user_assert(alike) << "the threads' accumulators " << name << " are touched as " << known << " and as " << thread_part
                               << "; every stage has to share them out alike";
    return own;
}

}  // namespace sepal
