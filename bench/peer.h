// Peers: other libraries that compute convolutions, each measured in a process of its own by bench/peers/serve.py.
#pragma once

#include "line_process.h"
#include "runtime/reference.h"
#include "tools/files.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sepal {

// "oneDNN", "XNNPACK", ... in the order in which they are shown.
const std::vector<std::string> &peer_names();
// Those that compute on a GPU: "PyTorch" (f16, and f32 without TF32) and "PyTorch-TF32" (f32).
const std::vector<std::string> &gpu_peer_names();

// The names in a list such as "oneDNN,ncnn", or all for "all", each once, in the spelling and order of `known`; capital letters do not
// matter. Throws BadInput for an empty or unknown name.
std::vector<std::string> parse_peers(const std::string &list, const std::vector<std::string> &known = peer_names());

// How peers are started.
struct PeerTools {
    std::string python, script;
    double start_seconds = 120;  // time limit to start, and to prepare a small problem; a large one, and a run, may take longer
};
// `python` when it is not empty, else the environment variable SEPAL_PEERS_PYTHON, else build/peers/bin/python3 of the sources (what
// tools/peers.sh makes); the script: SEPAL_PEERS_SCRIPT, else bench/peers/serve.py of the sources. Throws BadInput when a Python that was
// asked for cannot be executed. A missing default is no error: every peer is then unavailable.
PeerTools find_peer_tools(const std::string &python);

// The tensors of one problem as files that peers read: problem.json (the problem with its padding as four numbers) and raw f32 of each
// tensor, in a temporary folder that is removed with this object. Throws BadInput when they cannot be written.
class PeerFiles {
public:
    explicit PeerFiles(const Tensors &tensors);
    const std::string &folder() const { return folder_.path(); }

private:
    ScratchFolder folder_;
};

// One library. Between requests its process is suspended. When it ended in the middle of a problem, it is started again for the next one;
// when it could not be started, it stays unavailable.
class Peer {
public:
    // `device`: "cpu" or "cuda:INDEX".
    Peer(std::string name, PeerTools tools, int threads, std::string device = "cpu");
    const std::string &name() const { return name_; }
    const std::string &version() const { return version_; }  // empty before it was started

    // What a problem became in the library.
    struct Prepared {
        std::string why_not;        // one sentence why it is not measured; empty when it is ready
        std::string configuration;  // layouts and kernels, in its own words
        bool winograd = false;      // it may compute with fewer multiplications and larger rounding errors
    };
    // Makes the problem ready with all its constants packed, runs it once and puts what it computed, [n, p, q, out_channels()], into
    // `output` (problem.output_elements() f32). A problem prepared before is given up.
    Prepared prepare(const ConvProblem &problem, const PeerFiles &files, float *output);
    // Mean seconds of a run, over `runs` in a row on the same memory, measured in the peer's process; with warm_up after at least one
    // untimed run. `cold`, on a GPU: on several sets of tensors in turn that L2 does not hold together. Nothing, and `why_not` set, when it
    // fails; the problem then needs prepare() again.
    std::optional<double> seconds(int64_t runs, bool warm_up, std::string &why_not, bool cold = false);
    // Gives the prepared problem's memory back.
    void release();

private:
    // Starts the process when it does not run; why that is not possible, or empty.
    std::string start();
    // Asks; the sentence why there is no good answer, or empty and the answer's text.
    std::string ask(const std::string &request, double limit, const std::string &doing, std::string &answer);

    std::string name_, version_, unusable_;
    PeerTools tools_;
    int threads_;
    std::string device_;
    double run_seconds_ = 0;  // the longest that was seen
    std::unique_ptr<LineProcess> process_;
};

}  // namespace sepal
