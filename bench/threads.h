// Threads that stay on the CPUs which the process was given.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace sepal {

// "0-3,8" -> {0, 1, 2, 3, 8}: the notation of the files under /sys/devices/system/cpu. Ends at what it does not understand.
std::vector<int> parse_cpu_list(const std::string &text);

// The CPUs that this process may run on (its affinity mask), one of each core first, then their hyper-thread siblings, so
// that the first T of them are the best T for T threads.
const std::vector<int> &allowed_cpus();

// Calls body(0) ... body(threads - 1), each on a thread of its own, pinned to the CPU of that index in allowed_cpus(), all
// released together. Returns the seconds from the first start to the last end. Requires 1 <= threads <= allowed_cpus().size().
double run_pinned(int threads, const std::function<void(int)> &body);

// Keeps the `threads` threads that run kernels, the calling one and those of the pool behind it, on a CPU each, the first ones of allowed_cpus(),
// for as long as the object lives. Left alone, a thread of the pool that is woken for a millisecond may share the caller's CPU while another
// is idle. set_num_threads(threads) comes first.
class PinThreads {
public:
    explicit PinThreads(int threads);
    ~PinThreads();
    PinThreads(const PinThreads &) = delete;
    PinThreads &operator=(const PinThreads &) = delete;

private:
    int threads_;
};

}  // namespace sepal
