// PanelAhead: a lowering pass that fetches the next panel of a filter while the current one is used.
#pragma once

#include <Halide.h>

#include <string>

namespace sepal {

// A filter that does not stay in L2 is read panel by panel from L3, each panel by the first tile of pixels that uses it. The processor
// foresees consecutive lines, but not beyond the end of a page of 4 KiB, where it waits. This pass lets each step of the innermost loop
// over channels prefetch lines of the next panel, which tiles of pixels share: the first ones fetch all of it. Where a panel is used by
// blocks of channels, it is the next block of the same panel, and after the last one the first block of the next panel.
// Halide knows only the non-temporal hint, by which lines of L3 bypass L2: whoever compiles the module makes it one for L2
// (tools/compile/assemble.h).
class PanelAhead : public Halide::Internal::IRMutator {
public:
    struct Where {
        std::string steps;   // a part of the name of the loop over channels, which loads vectors from `filter`
        std::string panels;  // the end of the name of the loop over panels around it
        std::string filter;  // the buffer's name: panels, one after another
        int panel_floats;    // of one panel
        int run_floats;      // one after another, that the loop over channels goes through: all of the panel, or of one tap and block
        int lines_per_step;  // 64-byte lines of a run that a step fetches
        // For each tap and each block of channels there is a run: parts of the names of the loops over them, empty where there are none.
        std::string taps = {}, blocks = {};
        int runs_together = 1, run_distance = 0;  // runs of several taps that a step goes through side by side; floats from one to the next
        int after_last = 0;  // floats from the first panel to the one that follows the last
    };
    explicit PanelAhead(Where where);

    // The lines_per_step by which so many tiles of pixels, each a loop over so many steps, fetch a run.
    static int lines_for(int run_floats, int tiles, int steps);

private:
    using Halide::Internal::IRMutator::visit;
    Halide::Internal::Stmt visit(const Halide::Internal::For *op) override;

    Where where_;
    // Inside a loop over panels: tiles of this panel and block before the present one; floats from this panel (and block) to the next, from
    // the last to the first, with which the next strip of pixels begins.
    Halide::Expr tile_, to_next_;
};

}  // namespace sepal
