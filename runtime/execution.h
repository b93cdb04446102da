// Execution: on which threads, and in which memory, a kernel runs during one call. Kernels ask Halide's runtime for both; its handlers, which
// this file's functions are, look up what the calling thread is to use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sepal {

// Calls task(index, of_task) for every index from 0 to count - 1, on as many threads as it likes, and returns when all have ended: 0 when
// each returned 0, else what one of them returned.
using ParallelFor = int (*)(void *context, int count, int (*task)(int index, void *of_task), void *of_task);

// Memory aligned to `alignment`, a power of two; null when there is none.
struct Allocator {
    void *context = nullptr;
    void *(*allocate)(void *context, size_t bytes, size_t alignment) = nullptr;
    void (*release)(void *context, void *memory) = nullptr;
};

// What one thread takes from a workspace: blocks one after the other; the space is used anew from the last block that is in use on.
class Arena {
public:
    static constexpr size_t alignment = 128;  // more than any vector's

    // An arena without memory counts only what it would need; its blocks are the C library's.
    Arena() = default;
    Arena(void *memory, size_t bytes) : memory_(static_cast<char *>(memory)), bytes_(bytes) {}
    void *allocate(size_t bytes);  // null when there is too little
    void release(void *block);
    size_t peak() const { return peak_; }  // bytes that were in use at a time

private:
    struct Block;
    char *memory_ = nullptr;
    size_t bytes_ = 0, used_ = 0, peak_ = 0;
    int blocks_ = 0;
};

// How much a kernel allocates at a time: outside of its tasks, and in a task.
struct ScratchBytes {
    size_t outside = 0, task = 0;
    size_t of(int threads) const { return outside + size_t(threads) * task; }
};

struct Execution {
    // Tasks are shared out to so many threads; 0: as many as set_num_threads() said, by Halide's pool.
    int threads = 0;
    ParallelFor parallel_for = nullptr;  // null: Halide's pool of threads, of which so many take part
    void *parallel_for_context = nullptr;
    Allocator allocator;  // of scratch memory, where it is set and there is no workspace
    // Where scratch memory comes from, if not null: scratch.of(threads) bytes, aligned to Arena::alignment. Too little ends the call with an error.
    void *workspace = nullptr;
    ScratchBytes scratch;
    ScratchBytes *measured = nullptr;  // if not null, what the call needed is stored there
};

// The CPUs that this process may run on, its affinity mask; at least one.
std::vector<int> cpus_of_process();

// From now on the runtime of the kernels in this program asks here, and an error in one, which would end the program, can be read by
// take_kernel_error(). May be called any number of times.
void install_handlers();

// While it lives, kernels that the calling thread calls run so. `execution` outlives it.
class UseExecution {
public:
    explicit UseExecution(const Execution &execution);
    ~UseExecution();
    UseExecution(const UseExecution &) = delete;
    UseExecution &operator=(const UseExecution &) = delete;

private:
    Arena outside_;
    const Execution *outer_;
    Arena *outer_arena_;
};

}  // namespace sepal
