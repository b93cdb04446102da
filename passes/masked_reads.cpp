#include "masked_reads.h"

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {

Expr MaskedReads::visit(const Select *op) {
    const Load *read = op->true_value.as<Load>();
    if (!read || !read->type.is_vector() || !is_const_zero(op->false_value) || !is_const_one(read->predicate)) return IRMutator::visit(op);
    const Expr inside = op->condition.type().is_vector() ? op->condition : Broadcast::make(op->condition, read->type.lanes());
    return Select::make(op->condition, Load::make(read->type, read->name, read->index, read->image, read->param, inside, read->alignment), op->false_value);
}

}  // namespace sepal
