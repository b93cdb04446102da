// Makes a peer ready for a problem and checks what it computes.
#pragma once

#include "memory.h"
#include "peer.h"

namespace sepal {

struct PeerCheck {
    Peer::Prepared prepared;
    std::string check, message;  // as in Result
    double relative_error = 0;   // CheckResult::rel_error of one that may compute by Winograd's method; else 0
    double run_seconds = 0;      // of a run; 0 unless the check passed
};

// On exact tensors a peer's output must equal the reference as a kernel of Sepal's must (check_output()). One that computes by
// Winograd's method, which rounds on any data, may differ by this share of the largest output, and the report tells by how much.
constexpr double winograd_tolerance = 5e-3;

// `output` holds problem.output_elements() of its type.
PeerCheck check_peer(Peer &peer, const Tensors &tensors, const PeerFiles &files, AlignedArray &output);

// Bytes that a peer's process takes for a problem, about: its tensors twice (as loaded, and in a layout of its own), the middle one of
// depsep, filters as loaded and packed, and the library itself.
double peer_memory(const ConvProblem &problem);

}  // namespace sepal
