// A CUDA driver for tests of what calls it: it keeps memory on the host, runs no kernel, notes the calls, and fails on demand.
#pragma once

#include "runtime/gpu/cuda_driver.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace sepal {

struct FakeCuda {
    int devices = 2;
    int version = 12040;
    int compute_capability = 90;
    std::set<std::string> without;                     // functions that it does not have
    std::map<std::string, std::pair<int, int>> fails;  // the function returns the error from its n-th call on: {n, error}; n = 1 is the first

    struct Launch {
        std::string kernel;
        void *context, *stream;
        unsigned shared_bytes;
    };
    // What happened.
    std::map<std::string, int> calls;
    std::vector<Launch> launches;
    std::set<void *> contexts, streams, modules;  // that exist; a context is destroyed by erasing it; its last 16 bits are the device
    std::map<void *, void *> context_of;          // of streams
    std::map<uint64_t, int> memory;               // addresses, and the device
    std::map<void *, std::pair<void *, std::string>> functions;
    std::vector<int> module_options;        // of the last module that was loaded
    std::vector<std::pair<void *, int>> opted_in;  // function, bytes
    std::string jit_log;
    std::map<void *, int> events;  // with the number of launches before each
    void *capturing = nullptr;     // the stream whose launches go into `captured`
    std::vector<Launch> captured;

    // The one that fake_cuda_symbol() stands for.
    static FakeCuda &one();
    std::mutex mutex;
};

void *fake_cuda_symbol(const char *name);

// Makes a new one the driver, and the system's again at the end.
struct UseFakeCuda {
    UseFakeCuda();
    ~UseFakeCuda();
    FakeCuda &fake;
};

}  // namespace sepal
