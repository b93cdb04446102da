// TuningRecords for tests: made up, measured nowhere.
#pragma once

#include "tools/tuning/record.h"

#include <string>
#include <vector>

namespace sepal {

inline MachineFingerprint made_up_machine(const std::string &cpu) { return {cpu, {"avx2", "fma"}, {{"L1", 32768, 1}, {"L2", 1 << 20, 1}}, 2}; }

// A pointwise problem of 8 x 8 pixels, 32 channels and 32 outputs.
inline ConvProblem small_problem() {
    ConvProblem p;
    p.name = "small";
    p.op = Operator::pointwise;
    p.pad_mode = PadMode::valid;
    p.h = p.w = 8;
    p.c = p.k = 32;
    return p;
}

// An ok record with the heuristic's knobs that took `ms` (and a bit more and less) at a peak of 100 GFLOP/s.
inline TuningRecord made_up_record(const ConvProblem &problem, Isa isa, double ms, int64_t trial = 0) {
    TuningRecord r;
    r.problem = problem;
    r.isa = isa;
    r.schedule = derive({}, problem.op, isa, problem);
    r.samples_ms = {ms, ms * 1.01, ms * 0.99};
    r.fma_gflops = 100;
    r.machine = made_up_machine("made-up CPU");
    r.machine_fma_gflops = 101.5;
    r.halide = halide_version();
    r.commit = "0123456789abcdef";
    r.seed = 7;
    r.trial = trial;
    r.proposed_by = trial ? "neighbour" : "heuristic";
    return r;
}

}  // namespace sepal
