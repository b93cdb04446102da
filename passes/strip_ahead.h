// StripAhead: a lowering pass that fetches the next strip's input while the current strip is computed.
#pragma once

#include <Halide.h>

#include <string>

namespace sepal {

// A strip's depthwise half reads a few rows of a few pixels of an input that comes from memory: pieces too short for the processor to foresee
// them, and then nothing for as long as the pointwise half takes. This pass spreads prefetches of what the next strip of the row reads over
// the steps of the pointwise half's innermost loop, whose load ports have room. Whoever compiles the module makes the hint one for L2, as of
// passes/panel_ahead.h.
class StripAhead : public Halide::Internal::IRMutator {
public:
    struct Where {
        std::string strips;       // a part of the name of the loop over strips of a row
        std::string panels;       // the same of the loop over panels inside; empty: every loop inside counts
        std::string steps;        // a part of the name of the innermost loop over channels
        std::string input;        // the buffer's name, of which vectors are loaded
        int rows;                 // of input that a strip reads
        int row_floats;           // of each of them, one after another
        Halide::Expr row_stride;  // floats from one row to the next
        int step_count;           // steps of all panels and tiles of a strip, which share the lines out
    };
    explicit StripAhead(Where where);

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;

    Where where_;
    std::string start_;   // inside a loop over strips: of the next strip's input
    Halide::Expr tiles_;  // inside a loop over panels there: iterations of it and of the loops inside before the present one
};

}  // namespace sepal
