// Candidates: what the bench compares on one problem.
#pragma once

#include "runtime/registry.h"

#include <functional>
#include <string>
#include <vector>

namespace sepal {

class Peer;

// One thing to be checked and timed. The variants are not owned and must outlive it.
struct Candidate {
    ConvProblem problem;
    std::string suite;                // or the problem file
    std::string name;                 // the variant's, or "unfused"
    const Variant *variant = nullptr; // null only when `unavailable` says why, or for a peer
    const Variant *second = nullptr;  // unfused depsep: `variant` does its depthwise half, this its pointwise half
    Peer *peer = nullptr;             // the library that computes it instead of a kernel of Sepal's; not owned
    std::string unavailable;          // why there is nothing to run; empty otherwise
    std::string reproduce;            // the command that measures this again
    int64_t occurs = 0;               // how often the network has the problem as a layer; 0: it is not part of a network
    std::string published;            // JSON text: figures that others published for the problem; may be empty
    double compile_seconds = 0;       // of a kernel compiled in process; 0 when it was compiled ahead of time

    // Compulsory bytes of a run; the unfused pair also writes and reads its intermediate.
    double bytes() const { return second ? problem.unfused_bytes() : problem.bytes(); }
};

// The first hand-written variant that is compiled for exactly this problem (Variant::suite), as Registry::select() has it; null when there
// is none. first_hand: the same, any-shape ones included.
const Variant *specialised_hand(const ConvProblem &problem, const Registry &registry, const Processor &processor, int threads);
const Variant *first_hand(const ConvProblem &problem, const Registry &registry, const Processor &processor, int threads);

// The variants of the registry to be compared on a problem, in order of preference. With `wanted`: all of the processor's backend that take
// the problem and whose name it accepts. With an empty one: of those that take it, the hand-written ones that are specialised to it, the first
// hand-written any-shape one and, on a batch of 1, every autoscheduled one, of the best ISA that the CPU or GPU runs and the table has;
// the reference where there is nothing else only, and none that was tuned for another number of threads.
// Unbuilt ones are among them, so that they show up with their error.
std::vector<const Variant *> choose_variants(const ConvProblem &problem, const Registry &registry, const Processor &processor, int threads,
                                             const std::function<bool(const std::string &name)> &wanted);

}  // namespace sepal
