#include "threads.h"

#include "runtime/execution.h"
#include "timer.h"

#include <HalideRuntime.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace sepal {
namespace {

std::vector<int> cores_first(const std::vector<int> &cpus) {
    std::vector<int> first, siblings;
    std::vector<std::string> seen;
    for (int cpu : cpus) {
        std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
        std::string core;
        if (!std::getline(file, core)) core = std::to_string(cpu);
        const bool known = std::find(seen.begin(), seen.end(), core) != seen.end();
        if (!known) seen.push_back(core);
        (known ? siblings : first).push_back(cpu);
    }
    first.insert(first.end(), siblings.begin(), siblings.end());
    return first;
}

void set_affinity(const std::vector<int> &cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu : cpus) CPU_SET(cpu, &set);
    // A failure leaves the thread inside the process's mask, where it may move; nothing to do about it.
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// Calls body(0) ... body(threads - 1), each on another of the threads that run kernels: a task of Halide's pool waits until all have begun, but
// for no longer than a second, in case that there are fewer threads than were asked for.
void on_each_thread(int threads, void (*body)(int)) {
    struct Tasks {
        void (*body)(int);
        int threads;
        std::atomic<int> begun;
    } tasks{body, threads, {0}};
    const halide_task_t task = [](void *, int t, uint8_t *closure) {
        Tasks &all = *reinterpret_cast<Tasks *>(closure);
        all.body(t);
        all.begun++;
        for (const double start = now(); all.begun < all.threads && now() - start < 1;) std::this_thread::yield();
        return 0;
    };
    halide_do_par_for(nullptr, task, 0, threads, reinterpret_cast<uint8_t *>(&tasks));
}

}  // namespace

std::vector<int> parse_cpu_list(const std::string &text) {
    std::vector<int> cpus;
    const char *p = text.c_str();
    while (*p >= '0' && *p <= '9') {
        char *end = nullptr;
        const long first = std::strtol(p, &end, 10);
        long last = first;
        if (*end == '-') last = std::strtol(end + 1, &end, 10);
        for (long cpu = first; cpu <= last; cpu++) cpus.push_back(int(cpu));
        p = *end == ',' ? end + 1 : end;
    }
    return cpus;
}

const std::vector<int> &allowed_cpus() {
    static const std::vector<int> cpus = cores_first(cpus_of_process());
    return cpus;
}

double run_pinned(int threads, const std::function<void(int)> &body) {
    const std::vector<int> &cpus = allowed_cpus();
    std::atomic<int> ready{0};
    std::vector<double> begin(threads), end(threads);
    std::vector<std::thread> team;
    team.reserve(threads);
    for (int t = 0; t < threads; t++)
        team.emplace_back([&, t] {
            set_affinity({cpus[t % cpus.size()]});
            ready++;
            while (ready < threads) std::this_thread::yield();
            begin[t] = now();
            body(t);
            end[t] = now();
        });
    for (std::thread &t : team) t.join();
    return *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
}

PinThreads::PinThreads(int threads) : threads_(threads) {
    on_each_thread(threads, [](int t) { set_affinity({allowed_cpus()[size_t(t) % allowed_cpus().size()]}); });
}
PinThreads::~PinThreads() {
    on_each_thread(threads_, [](int) { set_affinity(allowed_cpus()); });
}

}  // namespace sepal
