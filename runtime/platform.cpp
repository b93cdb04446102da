#include "platform.h"

#include <cstdlib>

#if defined(_WIN32)
#include <malloc.h>
#include <windows.h>
#else
#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#endif

namespace sepal {

#if defined(_WIN32)

void *allocate_aligned(size_t alignment, size_t bytes) { return _aligned_malloc(bytes, alignment); }
void release_aligned(void *memory) { _aligned_free(memory); }
void advise_huge_pages(void *, size_t) {}

void *load_library(const char *, std::string &why_not) {
    why_not = "there are no kernels for GPUs on Windows";
    return nullptr;
}
void *library_symbol(void *, const char *) { return nullptr; }

namespace {
std::vector<int> affinity_mask() {
    DWORD_PTR process = 0, system = 0;
    std::vector<int> cpus;
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system))
        for (int cpu = 0; cpu < int(8 * sizeof process); cpu++)
            if (process >> cpu & 1) cpus.push_back(cpu);
    return cpus;
}
}  // namespace

#else

void *allocate_aligned(size_t alignment, size_t bytes) { return std::aligned_alloc(alignment, bytes); }
void release_aligned(void *memory) { std::free(memory); }
void advise_huge_pages(void *memory, size_t bytes) { (void)madvise(memory, bytes, MADV_HUGEPAGE); }

void *load_library(const char *name, std::string &why_not) {
    void *const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) why_not = dlerror();
    return library;
}
void *library_symbol(void *library, const char *name) { return dlsym(library, name); }

namespace {
std::vector<int> affinity_mask() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cpus;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}
}  // namespace

#endif

std::vector<int> cpus_of_process() {
    std::vector<int> cpus = affinity_mask();
    if (cpus.empty()) cpus.push_back(0);
    return cpus;
}

}  // namespace sepal
