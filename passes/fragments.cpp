#include "fragments.h"

#include <sstream>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

constexpr const char *fragment_call = "sepal_fragment", *value_call = "sepal_fragment_value", *store_call = "sepal_store_if";

bool has_call(const Stmt &statement, const std::string &name) {
    struct Find : IRVisitor {
        using IRVisitor::visit;
        std::string name;
        bool found = false;
        void visit(const Call *op) override {
            found = found || op->name == name;
            IRVisitor::visit(op);
        }
    } find;
    find.name = name;
    statement.accept(&find);
    return find.found;
}

[[noreturn]] void fail(const char *what, const Expr &where) {
    std::ostringstream text;
    text << what << ": " << where;
    throw CompileError(text.str());
}

}  // namespace

Expr fragment_of(const Expr &upper, const Expr &lower) { return Call::make(UInt(128), fragment_call, {upper, lower}, Call::PureExtern); }

// Not a pure call, lest the compiler move it to the one store that needs it: behind a condition that does not hold in all lanes.
Expr fragment_multiply_add(const std::array<Expr, 4> &a, const std::array<Expr, 2> &b, const Expr &sum) {
    return Call::make(UInt(128), mma_call, {a[0], a[1], a[2], a[3], b[0], b[1], sum}, Call::Extern);
}

Expr fragment_value(const Expr &fragment, int i) { return Call::make(Float(32), value_call, {fragment, i}, Call::PureExtern); }

Expr halves_of(const Expr &left, const Expr &right) { return Call::make(UInt(32), halves_call, {left, right}, Call::PureExtern); }

Expr store_if(const Expr &condition, const Expr &value) {
    return Call::make(value.type(), store_call, {condition, value}, Call::PureExtern);
}

Expr Fragments::visit(const Call *op) {
    if (op->name == fragment_call) {
        const Expr upper = mutate(op->args[0]), lower = mutate(op->args[1]);
        return Reinterpret::make(UInt(128), Shuffle::make_concat({upper, upper, lower, lower}));
    }
    if (op->name == value_call) {
        return Shuffle::make_extract_element(Reinterpret::make(Float(32, 4), mutate(op->args[0])), int(*as_const_int(op->args[1])));
    }
    if (op->name == store_call) fail("store_if() is not the whole value of what is stored", op);
    return IRMutator::visit(op);
}

Stmt Fragments::visit(const For *op) {
    const Stmt loop = IRMutator::visit(op);
    if (op->for_type != ForType::Serial || !has_call(op->body, store_call) || !has_call(op->body, mma_call)) return loop;
    const Stmt meet = Evaluate::make(Call::make(Int(32), warp_sync_call, {}, Call::Extern));
    const For *changed = loop.as<For>();
    return For::make(changed->name, changed->min, changed->extent, changed->for_type, changed->partition_policy, changed->device_api,
                     Block::make(meet, changed->body));
}

Stmt Fragments::visit(const Store *op) {
    const Call *call = op->value.as<Call>();
    if (!call || call->name != store_call) return IRMutator::visit(op);
    Expr condition = call->args[0];
    if (const Broadcast *all = condition.as<Broadcast>()) condition = all->value;
    if (!condition.type().is_scalar()) fail("the condition of store_if() differs inside a vector", condition);
    const Stmt store = Store::make(op->name, mutate(call->args[1]), mutate(op->index), op->param, op->predicate, op->alignment);
    return is_const_one(condition) ? store : IfThenElse::make(mutate(condition), store);
}

}  // namespace sepal
