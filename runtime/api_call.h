// What every function of the C API does: it checks what comes from outside, and lets nothing out but a status and a sentence.
#pragma once

#include "sepal/sepal.h"
#include "status.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

namespace sepal {

// The sentence for sepal_last_error(), of this thread. The status.
sepal_status fail(sepal_status status, std::string message);
// The same when there is no memory for a sentence.
sepal_status fail_without_memory();
sepal_status status_of(const Status &status);

// Thrown inside, caught by guarded().
struct Failure {
    sepal_status status;
    std::string message;
};
[[noreturn]] void invalid(std::string message);
void require(const void *pointer, const char *what);

template<typename Body>
sepal_status guarded(const Body &body) {
    try {
        return body();
    } catch (const Failure &f) {
        try {
            return fail(f.status, f.message);
        } catch (const std::bad_alloc &) {
        }
    } catch (const std::bad_alloc &) {
    } catch (const std::exception &e) {  // SEPAL_MAX_ISA holds an unknown name
        try {
            return fail(SEPAL_INVALID_ARGUMENT, e.what());
        } catch (const std::bad_alloc &) {
        }
    }
    return fail_without_memory();
}

// What the caller's structure holds, as far as its version and this one know it, and defaults for the rest.
template<typename S>
S known_part(const S *given, const S &defaults, const char *what, const char *init) {
    if (!given) return defaults;
    S out = defaults;
    if (given->size < 2 * sizeof(size_t) || given->size > 65536)
        invalid(fmt::format("the field size of the {} is {}; {} sets it to {}", what, given->size, init, sizeof(S)));
    std::memcpy(&out, given, std::min(given->size, sizeof(S)));
    return out;
}

// What an enumeration of the C API holds, in which a caller in C may have put any number: C++ does not allow that to be read as one.
template<typename E>
int number_in(const E &given) {
    int number = 0;
    static_assert(sizeof given == sizeof number);
    std::memcpy(&number, &given, sizeof number);
    return number;
}

}  // namespace sepal
