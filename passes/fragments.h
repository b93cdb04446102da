// Fragments of tensor-core instructions in Halide: what a lane of a warp holds of a 16 x 8 tile of accumulators is one value of 128 bits,
// and the functions on it are calls that Halide carries through lowering unseen. Fragments, a lowering pass, gives all but the
// multiplication a meaning; that one becomes an instruction in the PTX (passes/ptx_edits.h).
#pragma once

#include <Halide.h>

#include <array>

namespace sepal {

// The tile of D = A B + C of an mma.sync.m16n8k16 (PTX ISA, "Warp-level matrix instructions"). Lane 4 * group + in_group holds
//   A  words (of two f16) at (row group + 8 * (i % 2), columns 2 * in_group + 8 * (i / 2) and the next), i = 0 to 3
//   B  words at (rows 2 * in_group + 8 * i and the next, column group), i = 0, 1
//   C, D  f32 at (row group + 8 * (i / 2), column 2 * in_group + i % 2), i = 0 to 3
constexpr int mma_rows = 16, mma_columns = 8, mma_depth = 16, warp_lanes = 32;

// The names in the PTX of the call of a multiplication, of one that waits for all lanes of the warp, and of halves_of().
constexpr const char *mma_call = "sepal_mma_m16n8k16_f32_f16", *warp_sync_call = "sepal_warp_sync", *halves_call = "sepal_halves";

// A fragment of accumulators that starts at `upper` in the row of a lane's group and at `lower` in the one 8 rows below: a column of biases.
Halide::Expr fragment_of(const Halide::Expr &upper, const Halide::Expr &lower);
// a * b + sum.
Halide::Expr fragment_multiply_add(const std::array<Halide::Expr, 4> &a, const std::array<Halide::Expr, 2> &b, const Halide::Expr &sum);
// The i-th f32 of a fragment.
Halide::Expr fragment_value(const Halide::Expr &fragment, int i);

// Two f32, rounded to f16, in one word; the left one is the lower half. (Halide's casts take four instructions instead of one.)
Halide::Expr halves_of(const Halide::Expr &left, const Halide::Expr &right);

// `value`, which is stored only where `condition` holds: the whole value of an output. Unlike a guard around the loops it leaves what
// computes the value, to which all lanes of a warp are needed, outside. The condition is that of a whole vector.
Halide::Expr store_if(const Halide::Expr &condition, const Halide::Expr &value);

// Lanes that stored in one iteration of a loop and others that did not meet again before they multiply in the next one.
class Fragments : public Halide::Internal::IRMutator {
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;
    Halide::Expr visit(const Halide::Internal::Call *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Store *op) override;
};

}  // namespace sepal
