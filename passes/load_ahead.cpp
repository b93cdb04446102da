#include "load_ahead.h"

#include "loops.h"

#include <algorithm>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

// The stores of a stage, all to `other` instead, one behind the other; and the stage with its values taken from there.
class Redirected : public IRMutator {
public:
    Redirected(const std::string &other, bool to) : other_(other), to_(to) {}
    using IRMutator::mutate;
    int elements = 0;
    Type type;

private:
    using IRMutator::visit;
    Stmt visit(const Store *op) override {
        const int lanes = op->value.type().lanes();
        const Expr place = lanes == 1 ? Expr(elements) : Ramp::make(elements, 1, lanes);
        elements += lanes;
        type = op->value.type().element_of();
        if (to_) return Store::make(other_, op->value, place, Parameter(), op->predicate, ModulusRemainder());
        const Expr value = Load::make(op->value.type(), other_, place, Buffer<>(), Parameter(), const_true(lanes), ModulusRemainder());
        return Store::make(op->name, value, op->index, op->param, op->predicate, op->alignment);
    }
    const std::string &other_;
    bool to_;
};

class LoadIndices : public IRVisitor {
public:
    std::vector<Expr> indices;

private:
    using IRVisitor::visit;
    void visit(const Load *op) override {
        indices.push_back(op->index);
        IRVisitor::visit(op);
    }
};

Expr variable(const For *loop) { return Variable::make(Int(32), loop->name); }

}  // namespace

Stmt LoadAhead::with_lets(Stmt s, size_t first) const {
    for (size_t i = lets_.size(); i > first; i--) s = LetStmt::make(lets_[i - 1].first, lets_[i - 1].second, s);
    return s;
}

Stmt LoadAhead::visit(const LetStmt *op) {
    lets_.emplace_back(op->name, op->value);
    Stmt s = IRMutator::visit(op);
    lets_.pop_back();
    return s;
}

Stmt LoadAhead::visit(const For *op) {
    if (op->for_type != ForType::Serial) return IRMutator::visit(op);
    loops_.push_back({op, lets_.size()});
    Stmt s = IRMutator::visit(op);
    loops_.pop_back();
    for (auto &[func, a] : ahead_) {
        if (a.loop == op->name) {
            const Stmt first = substitute(op->name, op->min, a.loads);
            s = Block::make(a.rows.empty() ? first : IfThenElse::make(a.is_first_row, first), s);
        }
        if ((a.rows.empty() ? a.loop : a.rows) == op->name)
            s = Allocate::make(a.name, a.type, MemoryType::Register, {a.elements}, const_true(), Block::make(s, Free::make(a.name)));
    }
    return s;
}

Stmt LoadAhead::visit(const ProducerConsumer *op) {
    if (std::find(staged_.begin(), staged_.end(), op->name) == staged_.end() || loops_.empty()) return IRMutator::visit(op);
    if (op->is_producer) return take_ahead(op);
    const auto found = ahead_.find(op->name);
    const Stmt body = mutate(op->body);
    if (found == ahead_.end()) return ProducerConsumer::make_consume(op->name, body);
    const For *const loop = loops_.back().loop;
    const Stmt next = substitute(loop->name, variable(loop) + 1, found->second.loads);
    return ProducerConsumer::make_consume(op->name, Block::make(IfThenElse::make(found->second.has_next, next), body));
}

// Whether the step after a row's last one reads what the next row's first one does.
bool LoadAhead::rows_follow(const Stmt &stage, const For *loop, const Loop &rows) const {
    LoadIndices reads;
    stage.accept(&reads);
    return std::all_of(reads.indices.begin(), reads.indices.end(), [&](Expr index) {
        index = base_of(index);
        for (size_t i = lets_.size(); i > rows.lets; i--) index = substitute(lets_[i - 1].first, lets_[i - 1].second, index);
        const Expr beyond = substitute(loop->name, loop->min + loop->extent, index);
        const Expr next = substitute(rows.loop->name, variable(rows.loop) + 1, substitute(loop->name, loop->min, index));
        return are_equal(simplify(beyond), simplify(next));
    });
}

Stmt LoadAhead::take_ahead(const ProducerConsumer *op) {
    const Loop inner = loops_.back();
    Ahead a;
    a.name = unique_name(op->name + ".ahead");
    Redirected loads(a.name, true), stores(a.name, false);
    a.loads = with_lets(loads.mutate(op->body), inner.lets);
    const Stmt stage = stores.mutate(op->body);
    a.type = loads.type, a.elements = loads.elements;
    a.loop = inner.loop->name;
    a.has_next = variable(inner.loop) + 1 < inner.loop->min + inner.loop->extent;
    if (loops_.size() > 1 && named(inner.loop, ".sum$y") && named(loops_[loops_.size() - 2].loop, ".sum$z")) {
        const Loop outer = loops_[loops_.size() - 2];
        _halide_user_assert(rows_follow(op->body, inner.loop, outer))
            << "the taps of " << op->name << " do not follow each other in memory, so that they cannot be loaded ahead";
        a.rows = outer.loop->name;
        a.is_first_row = variable(outer.loop) == outer.loop->min;
        a.has_next = a.has_next || variable(outer.loop) + 1 < outer.loop->min + outer.loop->extent;
    }
    ahead_[op->name] = a;
    return ProducerConsumer::make_produce(op->name, stage);
}

}  // namespace sepal
