// What systems have in different ways.
#pragma once

#include <cstddef>

namespace sepal {

// Memory aligned to a power of two; `bytes` is a multiple of it. Null when there is none. To be given back by release_aligned().
void *allocate_aligned(size_t alignment, size_t bytes);
void release_aligned(void *memory);

// Asks for huge pages behind memory that is aligned to them: advice, which a system may not take.
void advise_huge_pages(void *memory, size_t bytes);

// CPUs that this process may use; at least 1.
int usable_cpus();

}  // namespace sepal
