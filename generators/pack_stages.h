// PackStages: the Funcs and Vars of packing a filter that a schedule may touch. No scheduling in this file.
#pragma once

#include <Halide.h>

namespace sepal {

// i: output channel in its panel; c: input channel; t: tap of the filter, or point of the transformed one; b: panel; g: group.
struct PackStages {
    Halide::Var i{"i"}, c{"c"}, t{"t"}, b{"b"}, g{"g"};
    Halide::Func packed;  // (i, c, t, b, g)

    // Winograd only, in double precision.
    Halide::Var row{"row"};
    int points = 0;             // of which there are points^2
    Halide::Func taps;          // (i, c, t, b, g): the filter
    Halide::Func half;          // (i, c, row, t, b, g): G g^T, t: point, row: of the filter
};

}  // namespace sepal
