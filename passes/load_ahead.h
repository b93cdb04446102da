// LoadAhead: what a block copies to shared memory for the next step of a loop is on its way while the present step is computed.
//
// The threads of a block copy, wait for each other, compute, and wait again before they overwrite what was copied. All of a copy's time in memory is
// spent waiting, where no other block fills it. Halide copies by a load and a store next to each other; this pass takes them apart:
//
//     for step: shared = load(step); barrier; compute; barrier
// becomes
//     ahead = load(first); for step: shared = ahead; if there is a next step: ahead = load(next); barrier; compute; barrier
//
// `ahead` is in registers. Where the loop is the inner one of two over a filter's taps, whose last step is followed by the first of the next row, the
// first load is done but once for all rows.
#pragma once

#include <Halide.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sepal {

// A lowering pass, before RegisterAccumulators. Halide::CompileError when such an inner loop's last step is not followed by what the next row reads.
class LoadAhead : public Halide::Internal::IRMutator {
public:
    // The names of the Funcs in shared memory whose loads are taken ahead. Each is to be computed in a loop that is inside of those over threads.
    explicit LoadAhead(std::vector<std::string> staged) : staged_(std::move(staged)) {}
    using IRMutator::mutate;

private:
    struct Loop {
        const Halide::Internal::For *loop;
        size_t lets;  // that were defined when it began
    };
    struct Ahead {
        Halide::Internal::Stmt loads;   // into `name`, of the present step
        std::string name;
        Halide::Type type;              // of one element
        int elements = 0;
        std::string loop, rows;         // names of the loops; rows: the outer one of two over taps, or empty
        Halide::Expr is_first_row, has_next;
    };

    using IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::LetStmt *op) override;
    Halide::Internal::Stmt visit(const Halide::Internal::ProducerConsumer *op) override;

    Halide::Internal::Stmt take_ahead(const Halide::Internal::ProducerConsumer *op);
    bool rows_follow(const Halide::Internal::Stmt &stage, const Halide::Internal::For *loop, const Loop &rows) const;
    Halide::Internal::Stmt with_lets(Halide::Internal::Stmt s, size_t first) const;

    std::vector<std::string> staged_;
    std::vector<Loop> loops_;                                 // serial ones that are open
    std::vector<std::pair<std::string, Halide::Expr>> lets_;  // names that are defined
    std::map<std::string, Ahead> ahead_;                      // by the Func
};

}  // namespace sepal
