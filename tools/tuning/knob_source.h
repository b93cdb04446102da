// Where a command takes the knobs of kernels from that it compiles in process: the user's records, then the built-in ones.
#pragma once

#include "tools/compile/kernel_spec.h"
#include "tools/tuning/record.h"

#include <string>
#include <vector>

namespace sepal {

class KnobSource {
public:
    // file: of records, or empty. threads: those that the kernels will run with; only records of as many count. Damaged lines are
    // told on stderr, a line each. Throws BadInput when the file cannot be read at all.
    KnobSource(const std::string &file, int threads);

    // See specialise_for(): with the file's records where it has one for the problem, else with the built-in ones; with streaming stores
    // where there is a suitable LLVM. That there is none is told once, on stderr, when a kernel would have had them.
    std::optional<KernelSpec> specialise(const ConvProblem &problem, const Processor &processor, std::string &why_not) const;

    // The same, but only when the file's records give a tuned kernel that is not compiled in.
    std::optional<KernelSpec> from_file_only(const ConvProblem &problem, const Processor &processor) const;

    // What to tell of a kernel of specialise(): "its knobs are those of trial 17, measured here"; empty for one that is not tuned.
    std::string origin(const KernelSpec &spec, const ConvProblem &problem) const;

private:
    const std::vector<TuningRecord> &records_for(const ConvProblem &problem) const;

    std::vector<TuningRecord> given_;
    int threads_;
    MachineFingerprint machine_;
};

// Each on a line on stderr, after "sepal: warning: ".
void print_warnings(const std::vector<std::string> &complaints);

}  // namespace sepal
