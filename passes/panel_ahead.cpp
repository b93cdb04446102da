#include "panel_ahead.h"

#include "loops.h"

#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

constexpr int floats_of_line = 16;

}  // namespace

PanelAhead::PanelAhead(Where where) : where_(std::move(where)) {}

int PanelAhead::lines_for(int panel_floats, int tiles, int steps) {
    const int lines = (panel_floats + floats_of_line - 1) / floats_of_line;
    return (lines + tiles * steps - 1) / (tiles * steps);
}

Stmt PanelAhead::visit(const For *op) {
    if (!tile_.defined() && ends_with(op->name, where_.panels)) {
        tile_ = 0;
        to_next_panel_ = select(step(op) + 1 < op->extent, 1, -step(op)) * where_.panel_floats;
        const Stmt loop = IRMutator::visit(op);
        tile_ = Expr();
        return loop;
    }
    if (!tile_.defined()) return IRMutator::visit(op);
    if (!named(op, where_.steps)) {
        const Expr before = tile_;
        tile_ = tile_ * op->extent + step(op);
        const Stmt loop = IRMutator::visit(op);
        tile_ = before;
        return loop;
    }
    FirstLoad first([&](const Load *load) { return load->name == where_.filter && load->type.is_vector() && load->index.as<Ramp>(); });
    op->body.accept(&first);
    if (!first.load) return IRMutator::visit(op);

    // A tile fetches what follows on the lines that the tiles before it have fetched; tiles beyond the last line do the last ones again.
    const Expr floats_of_tile = op->extent * (floats_of_line * where_.lines_per_step);
    const Expr in_panel = min(tile_ * floats_of_tile, max(where_.panel_floats - floats_of_tile, 0));
    const Expr panel_start = substitute(op->name, op->min, first.index.as<Ramp>()->base);
    const std::string start = unique_name("panel_ahead_start");
    std::vector<Stmt> body;
    for (int line = 0; line < where_.lines_per_step; line++) {
        const Expr index = Variable::make(Int(32), start) + (step(op) * where_.lines_per_step + line) * floats_of_line;
        body.push_back(Evaluate::make(Call::make(Float(32), Call::prefetch, {Variable::make(Handle(), where_.filter), index, 1, 1}, Call::Intrinsic)));
    }
    body.push_back(op->body);
    return LetStmt::make(start, panel_start + to_next_panel_ + in_panel, with_body(op, Block::make(body)));
}

}  // namespace sepal
