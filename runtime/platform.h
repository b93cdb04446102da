// What systems have in different ways.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sepal {

// Memory aligned to a power of two; `bytes` is a multiple of it. Null when there is none. To be given back by release_aligned().
void *allocate_aligned(size_t alignment, size_t bytes);
void release_aligned(void *memory);

// Asks for huge pages behind memory that is aligned to them: advice, which a system may not take.
void advise_huge_pages(void *memory, size_t bytes);

// A shared library of the system, which stays loaded, and a function in it. Null, of a library with the reason in `why_not`, when there is none. On
// Windows there never is: no kernels are made for GPUs there.
void *load_library(const char *name, std::string &why_not);
void *library_symbol(void *library, const char *name);

// The CPUs that this process may run on, its affinity mask; at least one.
std::vector<int> cpus_of_process();

}  // namespace sepal
