// Scratch memory: where kernels of the hand-written schedules copy what a strip of outputs reads, or keep its depthwise half.
#pragma once

#include "problem.h"

#include <string>

namespace sepal {

// Bytes of the largest piece of scratch memory of any kernel for any shape, at most.
double most_scratch_bytes(const ConvProblem &problem);

// "has outputs or taps so far apart that ...": why the problem may need a piece that is larger than kernels can index. Empty when it does not.
std::string why_too_much_scratch(const ConvProblem &problem);

}  // namespace sepal
