// Where the threads that run kernels are while they are measured.
#include "bench/threads.h"
#include "runtime/plan.h"

#include "catch.h"
#include <HalideRuntime.h>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace sepal;

TEST_CASE("threads that run kernels stay on a CPU each while they are pinned, and are free again afterwards", "[bench]") {
    const int threads = std::min<int>(2, int(allowed_cpus().size()));
    set_num_threads(threads);
    // The CPUs on which the threads may run, by thread.
    const auto masks = [&] {
        std::vector<std::string> seen(static_cast<size_t>(threads));
        std::atomic<int> begun{0};
        struct Closure {
            std::vector<std::string> *seen;
            std::atomic<int> *begun;
            int threads;
        } closure{&seen, &begun, threads};
        const halide_task_t task = [](void *, int t, uint8_t *data) {
            const Closure &all = *reinterpret_cast<const Closure *>(data);
            cpu_set_t set;
            CPU_ZERO(&set);
            pthread_getaffinity_np(pthread_self(), sizeof set, &set);
            for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
                if (CPU_ISSET(cpu, &set)) (*all.seen)[size_t(t)] += std::to_string(cpu) + " ";
            (*all.begun)++;
            while (*all.begun < all.threads) std::this_thread::yield();
            return 0;
        };
        halide_do_par_for(nullptr, task, 0, threads, reinterpret_cast<uint8_t *>(&closure));
        return std::set<std::string>(seen.begin(), seen.end());
    };
    const std::set<std::string> before = masks();
    {
        const PinThreads pinned(threads);
        std::set<std::string> one_each;
        for (int t = 0; t < threads; t++) one_each.insert(std::to_string(allowed_cpus()[size_t(t)]) + " ");
        CHECK(masks() == one_each);
    }
    CHECK(masks() == before);
    CHECK(before.size() == 1);
    set_num_threads(1);
}
