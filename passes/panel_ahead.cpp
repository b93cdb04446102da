#include "panel_ahead.h"

#include "loops.h"

#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
PanelAhead::PanelAhead(Where where) : where_(std::move(where)) {}

int PanelAhead::lines_for(int run_floats, int tiles, int steps) {
    const int lines = (run_floats + floats_of_line - 1) / floats_of_line;
    return (lines + tiles * steps - 1) / (tiles * steps);
}

Stmt PanelAhead::visit(const For *op) {
    if (!tile_.defined() && ends_with(op->name, where_.panels)) {
        tile_ = 0;
        to_next_ = select(step(op) + 1 < op->extent, where_.panel_floats, where_.after_last - step(op) * where_.panel_floats);
        const Stmt loop = IRMutator::visit(op);
        tile_ = Expr();
        return loop;
    }
    if (!tile_.defined()) return IRMutator::visit(op);
    const auto is = [&](const std::string &part) { return !part.empty() && named(op, part); };
    if (!is(where_.steps)) {
        if (is(where_.taps)) return IRMutator::visit(op);
        if (is(where_.blocks)) {
            const Expr before = to_next_;
            to_next_ = select(step(op) + 1 < op->extent, where_.run_floats, before - step(op) * where_.run_floats);
            const Stmt loop = IRMutator::visit(op);
            to_next_ = before;
            return loop;
        }
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
    const Expr in_run = min(tile_ * floats_of_tile, max(where_.run_floats - floats_of_tile, 0));
    const Expr run_start = substitute(op->name, op->min, first.index.as<Ramp>()->base);
    const std::string start = unique_name("panel_ahead_start");
    std::vector<Stmt> body;
    for (int run = 0; run < where_.runs_together; run++)
        for (int line = 0; line < where_.lines_per_step; line++) {
            const Expr in_tile = (step(op) * where_.lines_per_step + line) * floats_of_line;
            const Expr index = Variable::make(Int(32), start) + in_tile + run * where_.run_distance;
            body.push_back(fetch_line(where_.filter, index));
        }
    body.push_back(op->body);
    return LetStmt::make(start, run_start + to_next_ + in_run, with_body(op, Block::make(body)));
}

}  // namespace sepal
