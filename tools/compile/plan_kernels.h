// The table of variants, schedules/variants.json: from its rows to the kernels that the build makes.
#pragma once

#include "kernel_spec.h"

#include <string>
#include <vector>

namespace sepal {

// The kernels of a table, in its order, for those of its ISAs that are in `isas` and the types of its field "dtype", which is ["f32"] where
// it is left out; a kernel that two rows ask for is made once. Throws BadInput naming the file, the row and the field.
//
// A row whose scheduler is "tuned" names a suite and makes a kernel for each of its problems and ISAs that `records` has a record of
// one thread for, and none for the others. The best record counts whatever machine it is from (best_record() without a machine: times
// relative to the FMA peak), so that a build does not depend on where it runs.
std::vector<KernelSpec> plan_kernels(const std::string &table_path, const std::vector<Isa> &isas,
                                     const std::vector<TuningRecord> &records = {});

// The kernels of a file of candidates that are for the problem and the ISA, specialised to it: to be compared with each other, and with those that
// are compiled in. Its rows are as the table's with scheduler hand, but have neither "suite" nor "when". Throws BadInput as plan_kernels(), also for
// knobs that do not suit the problem.
std::vector<KernelSpec> plan_candidates(const std::string &path, const ConvProblem &problem, Isa isa);

}  // namespace sepal
