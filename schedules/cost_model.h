// The model of how long a schedule takes: behind the search space, and the choice of an algorithm. Needs no Halide.
#pragma once

#include "schedule.h"

namespace sepal {

// What the model has to know of the machine that the kernel runs on.
struct CoreBudget {
    int64_t l1_bytes = 32 << 10;  // of data cache, of one core
    int64_t l2_bytes = 1 << 20;
    int threads = 1;              // that the kernel runs on
    bool streaming = false;       // whether streaming stores can be compiled here
};

struct Prediction {
    double cycles = 0;          // of the slowest thread, for the whole problem; for comparing candidates, not for reports
    const char *pruned = nullptr;  // why it is not worth compiling, one phrase; null when it is, and only then are `cycles` set
};

// The model. The kernel takes as long as its most loaded resource, and a quarter of what it asks of the others, since they do not
// overlap perfectly. The resources: multiply-add units, load ports, the front end and the latency of an accumulator's chain, for
// each step of the accumulator tile; bytes from L2 into L1 and from beyond L2, by which of filter panel, strip of input (or
// depthwise half) and partial sums stay in which cache; then what a strip costs besides (halo and padding computed or copied
// again, tiles and strips that stick out, starting a task), and idle threads at the end.
// Pruned without a prediction: tiles that do not fit in the registers or in the image, strips that do not fit in L2, fewer tasks
// than threads where the problem has enough, and bodies of loops too long to be worth compiling.
// `s` is complete and for a valid problem.
Prediction predict(const Schedule &s, const ConvProblem &problem, Isa isa, const CoreBudget &budget);

}  // namespace sepal
