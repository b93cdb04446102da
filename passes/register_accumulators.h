// RegisterAccumulators: keeps the sums of a GPU's threads in registers while blocks of the channels that are summed go through shared memory.
//
// The loop over those blocks is outside the loops over threads, for threads wait for each other in it; so the accumulators have to outlive the
// loops over threads, and Halide makes of them an array of the whole block, indexed by thread, in each thread's local memory. Every thread
// touches its own part only: without the part of the index that depends on the thread, LLVM finds constant indices and uses registers.
//
// For CUDA, vectors of sums become scalars: of a vector that goes round a loop LLVM makes pairs of 64 bits, which are taken apart and joined again each
// time (10 % of the instructions of a loop of 512 FMAs).
#pragma once

#include <Halide.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sepal {

// A lowering pass. Halide::CompileError when the accesses to an accumulator do not all depend on the thread in one way: then threads would
// touch each other's parts, which the schedule must not ask for.
class RegisterAccumulators : public Halide::Internal::IRMutator {
public:
    using IRMutator::mutate;

private:
    using IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::IfThenElse *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::LetStmt *op) override;
    Halide::Expr visit(const Halide::Internal::Let *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Allocate *op) override;
    Halide::Expr visit(const Halide::Internal::Load *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::Store *op) override;

    Halide::Expr of_thread(const std::string &name, const Halide::Expr &index);
    bool are_scalars(const Halide::Type &type, const Halide::Expr &index, const Halide::Expr &predicate) const;

    bool scalars_ = false;                                         // inside of a kernel for CUDA
    std::vector<std::string> threads_;                             // loops over threads that are open
    std::map<std::string, Halide::Expr> alone_;                    // those of which only the first goes on, with that 0
    std::vector<std::pair<std::string, Halide::Expr>> lets_;       // names that are defined
    std::map<std::string, Halide::Expr> accumulators_;             // in registers, and how their indices depend on the thread
};

}  // namespace sepal
