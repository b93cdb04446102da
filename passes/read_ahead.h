// ReadAhead: a lowering pass that reads the next tile's input while the current one is computed.
#pragma once

#include <Halide.h>

#include <string>

namespace sepal {

// A tile of pixels reads one line of each of its pixels at a time, which no prefetching of consecutive lines foresees: of an input that
// comes from memory, most lines arrive late. This pass lets each step of the innermost loop over channels load one float of what lies
// further on, in the order of memory, so that the processor's own prefetching follows. The value goes to scratch memory that nobody
// reads. (Halide's prefetch directive is emitted as prefetchnta, which on x86 bypasses L2: slower than nothing here.)
class ReadAhead : public Halide::Internal::IRMutator {
public:
    struct Where {
        std::string steps;    // a part of the name of the loop over channels, which loads scalars from `input`
        std::string panels;   // a part of the name of the loop over panels around it
        std::string input;    // the buffer's name
        int distance;         // floats from the loop's first load to what the first panel's first step reads
        int floats_per_step;  // how far one step is from the next, and a panel's first from the last panel's last
        Halide::Expr size;    // floats of the input; nothing beyond is read
    };
    explicit ReadAhead(Where where);

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;

    Where where_;
    std::string scratch_;         // inside a parallel loop: where the values go
    Halide::Expr panels_before_;  // inside a loop over panels
};

}  // namespace sepal
