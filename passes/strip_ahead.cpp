#include "strip_ahead.h"

#include "loops.h"

#include <utility>
#include <vector>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
StripAhead::StripAhead(Where where) : where_(std::move(where)) {}

Stmt StripAhead::visit(const For *op) {
    if (start_.empty()) {
        if (!named(op, where_.strips)) return IRMutator::visit(op);
        FirstLoad first([&](const Load *load) { return load->name == where_.input && load->index.as<Ramp>(); });
        op->body.accept(&first);
        if (!first.load) return IRMutator::visit(op);
        const Expr next = Variable::make(Int(32), op->name) + 1;
        start_ = unique_name("strip_ahead_start");
        const Stmt body = LetStmt::make(start_, substitute(op->name, next, first.index.as<Ramp>()->base), mutate(op->body));
        start_.clear();
        return with_body(op, body);
    }
    if (!tiles_.defined() && !where_.panels.empty() && !named(op, where_.panels)) return IRMutator::visit(op);
    if (!named(op, where_.steps)) {
        const Expr before = tiles_;
        tiles_ = before.defined() ? before * op->extent + step(op) : step(op);
        const Stmt loop = IRMutator::visit(op);
        tiles_ = before;
        return loop;
    }
    const int row_lines = (where_.row_floats + floats_of_line - 1) / floats_of_line, lines = where_.rows * row_lines;
    const int lines_per_step = (lines + where_.step_count - 1) / where_.step_count;
    std::vector<Stmt> body;
    for (int i = 0; i < lines_per_step; i++) {
        // Steps beyond the last line fetch that one again.
        const Expr steps_before = tiles_.defined() ? tiles_ * op->extent + step(op) : step(op);
        const Expr line = min(steps_before * lines_per_step + i, lines - 1);
        const Expr index = Variable::make(Int(32), start_) + line / row_lines * where_.row_stride + line % row_lines * floats_of_line;
        body.push_back(fetch_line(where_.input, index));
    }
    body.push_back(op->body);
    return with_body(op, Block::make(body));
}

}  // namespace sepal
