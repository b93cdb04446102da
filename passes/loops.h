// What the lowering passes share.
#pragma once

#include <Halide.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace sepal {

// Adds `factor` times an index to a sum of products with constants, in which equal terms are joined.
using IndexTerms = std::map<Halide::Expr, int64_t, Halide::Internal::IRDeepCompare>;
inline void add_terms(const Halide::Expr &index, int64_t factor, IndexTerms &terms) {
    using namespace Halide::Internal;
    if (const Add *sum = index.as<Add>()) {
        add_terms(sum->a, factor, terms);
        add_terms(sum->b, factor, terms);
    } else if (const Sub *difference = index.as<Sub>()) {
        add_terms(difference->a, factor, terms);
        add_terms(difference->b, -factor, terms);
    } else if (const Mul *product = index.as<Mul>(); product && as_const_int(product->b)) {
        add_terms(product->a, factor * *as_const_int(product->b), terms);
    } else if (const auto constant = as_const_int(index)) {
        terms[make_one(index.type())] += factor * *constant;
    } else {
        terms[index] += factor;
    }
}

// Whether two indices are, by their terms; the simplifier finds most, but not those that are equal only when products are expanded.
inline bool are_equal(const Halide::Expr &a, const Halide::Expr &b) {
    IndexTerms terms;
    add_terms(a, 1, terms);
    add_terms(b, -1, terms);
    return std::all_of(terms.begin(), terms.end(), [](const auto &term) { return term.second == 0; }) || Halide::Internal::can_prove(a == b);
}

// The first load of a statement that `wanted` accepts, by its index without names that are defined inside the statement: loops are at their
// first iteration.
template<typename Wanted>
class FirstLoad : public Halide::Internal::IRVisitor {
public:
    explicit FirstLoad(Wanted wanted) : wanted_(std::move(wanted)) {}
    const Halide::Internal::Load *load = nullptr;
    Halide::Expr index;

private:
    using Halide::Internal::IRVisitor::visit;
    void visit(const Halide::Internal::Load *op) override {
        if (!load && wanted_(op)) load = op, index = op->index;
        IRVisitor::visit(op);
    }
    template<typename LetOrLetStmt>
    void visit_let(const LetOrLetStmt *op) {
        const bool before = load;
        IRVisitor::visit(op);
        if (load && !before) index = Halide::Internal::substitute(op->name, op->value, index);
    }
    void visit(const Halide::Internal::Let *op) override { visit_let(op); }
    void visit(const Halide::Internal::LetStmt *op) override { visit_let(op); }
    void visit(const Halide::Internal::For *op) override {
        const bool before = load;
        IRVisitor::visit(op);
        if (load && !before) index = Halide::Internal::substitute(op->name, op->min, index);
    }

    Wanted wanted_;
};

// The first element of a ramp; of a scalar that itself.
inline Halide::Expr base_of(const Halide::Expr &index) {
    const Halide::Internal::Ramp *ramp = index.as<Halide::Internal::Ramp>();
    return ramp ? ramp->base : index;
}

constexpr int floats_of_line = 16;

// The hint to fetch the line of `buffer`, an f32 one, that has the float `index`.
inline Halide::Internal::Stmt fetch_line(const std::string &buffer, const Halide::Expr &index) {
    using Halide::Internal::Call, Halide::Internal::Variable;
    return Halide::Internal::Evaluate::make(
        Call::make(Halide::Float(32), Call::prefetch, {Variable::make(Halide::Handle(), buffer), index, 1, 1}, Call::Intrinsic));
}

inline bool named(const Halide::Internal::For *loop, const std::string &part) { return loop->name.find(part) != std::string::npos; }

// Iterations of the loop before the present one.
inline Halide::Expr step(const Halide::Internal::For *loop) {
    return Halide::Internal::Variable::make(Halide::Int(32), loop->name) - loop->min;
}

inline Halide::Internal::Stmt with_body(const Halide::Internal::For *loop, Halide::Internal::Stmt body) {
    return Halide::Internal::For::make(loop->name, loop->min, loop->extent, loop->for_type, loop->partition_policy, loop->device_api,
                                       std::move(body));
}

}  // namespace sepal
