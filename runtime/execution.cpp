#include "execution.h"

#include "kernel_error.h"
#include "platform.h"

#include <HalideRuntime.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <string>

namespace sepal {

// In front of what the caller gets.
struct Arena::Block {
    size_t offset, bytes;  // of all of it, in the arena
};

void *Arena::allocate(size_t bytes) {
    static_assert(sizeof(Block) <= alignment);
    if (bytes > SIZE_MAX - 3 * alignment) return nullptr;
    const size_t whole = (bytes + 2 * alignment - 1) / alignment * alignment;
    if (memory_ && whole > bytes_ - used_) return nullptr;
    char *const at = memory_ ? memory_ + used_ : static_cast<char *>(allocate_aligned(alignment, whole));
    if (!at) return nullptr;
    new (at) Block{used_, whole};
    used_ += whole;
    peak_ = std::max(peak_, used_);
    blocks_++;
    return at + alignment;
}

void Arena::release(void *block) {
    char *const at = static_cast<char *>(block) - alignment;
    const Block freed = *reinterpret_cast<Block *>(at);
    if (!memory_) release_aligned(at);
    blocks_--;
    if (blocks_ == 0)
        used_ = 0;
    else if (freed.offset + freed.bytes == used_)
        used_ = freed.offset;
}

namespace {

// Of the thread that runs a kernel or a task of it.
thread_local const Execution *current = nullptr;
thread_local Arena *arena = nullptr;  // null: the allocator's, or Halide's memory
thread_local bool in_task = false;

// Tasks of one parallel loop, each taken by the next thread that is free.
struct Job {
    const Execution &execution;
    halide_task_t task;
    int min, size;
    uint8_t *closure;
    std::atomic<int> next{0}, error{0};
    std::mutex mutex;       // of what follows
    std::string message;    // of the first task that failed
    size_t peak = 0;        // of a thread's arena
};

int take_tasks(Job &job, int index) {
    const Execution &e = job.execution;
    Arena of_thread;
    if (e.workspace) of_thread = Arena(static_cast<char *>(e.workspace) + e.scratch.outside + size_t(index) * e.scratch.task, e.scratch.task);
    const Execution *const outer = current;
    Arena *const outer_arena = arena;
    current = &e, in_task = true, arena = e.workspace || e.measured ? &of_thread : nullptr;
    for (int i; job.error == 0 && (i = job.next++) < job.size;) {
        const int rc = job.task(nullptr, job.min + i, job.closure);
        int none = 0;
        if (rc != 0 && job.error.compare_exchange_strong(none, rc)) {
            std::lock_guard<std::mutex> lock(job.mutex);
            job.message = take_kernel_error();
        }
    }
    current = outer, in_task = false, arena = outer_arena;
    if (e.measured) {
        std::lock_guard<std::mutex> lock(job.mutex);
        job.peak = std::max(job.peak, of_thread.peak());
    }
    return job.error;
}

int on_par_for(void *context, halide_task_t task, int min, int size, uint8_t *closure) {
    if (in_task) {  // a loop inside a task is the task's
        for (int i = 0; i < size; i++)
            if (const int rc = task(context, min + i, closure)) return rc;
        return 0;
    }
    if (!current || current->threads == 0) return halide_default_do_par_for(context, task, min, size, closure);
    const Execution &e = *current;
    Job job{e, task, min, size, closure, {}, {}, {}, {}};
    const int threads = std::min(e.threads, size);
    if (threads <= 1)
        take_tasks(job, 0);
    else if (e.parallel_for)
        (void)e.parallel_for(e.parallel_for_context, threads, [](int index, void *j) { return take_tasks(*static_cast<Job *>(j), index); }, &job);
    else
        (void)halide_default_do_par_for(nullptr, [](void *, int index, uint8_t *j) { return take_tasks(*reinterpret_cast<Job *>(j), index); }, 0, threads,
                                        reinterpret_cast<uint8_t *>(&job));
    if (job.error == 0 && job.next < size) {  // the caller's function did not call its task
        record_kernel_error("parallel_for returned before the tasks that it was given had run");
        return halide_error_code_generic_error;
    }
    if (e.measured) e.measured->task = std::max(e.measured->task, job.peak);
    if (job.error != 0) record_kernel_error(job.message.c_str());
    return job.error;
}

void *on_malloc(void *context, size_t bytes) {
    if (arena) return arena->allocate(bytes);
    if (current && current->allocator.allocate) return current->allocator.allocate(current->allocator.context, bytes, Arena::alignment);
    return halide_default_malloc(context, bytes);
}

void on_free(void *context, void *memory) {
    if (!memory) return;
    if (arena)
        arena->release(memory);
    else if (current && current->allocator.allocate)
        current->allocator.release(current->allocator.context, memory);
    else
        halide_default_free(context, memory);
}

void on_error(void *, const char *message) { record_kernel_error(message); }

}  // namespace

std::vector<int> cpus_of_process() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cpus;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    if (cpus.empty()) cpus.push_back(0);
    return cpus;
}

void install_handlers() {
    static const bool installed = [] {
        halide_set_error_handler(on_error);
        halide_set_custom_do_par_for(on_par_for);
        halide_set_custom_malloc(on_malloc);
        halide_set_custom_free(on_free);
        return true;
    }();
    (void)installed;
}

UseExecution::UseExecution(const Execution &execution) : outer_(current), outer_arena_(arena) {
    install_handlers();
    if (execution.workspace) outside_ = Arena(execution.workspace, execution.scratch.outside);
    current = &execution;
    arena = execution.workspace || execution.measured ? &outside_ : nullptr;
}

UseExecution::~UseExecution() {
    if (current->measured) current->measured->outside = outside_.peak();
    current = outer_, arena = outer_arena_;
}

}  // namespace sepal
