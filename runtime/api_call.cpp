#include "api_call.h"

namespace sepal {
namespace {

thread_local std::string last_error;
// For when there is no memory for a sentence.
thread_local const char *last_error_text = "";

}  // namespace

sepal_status fail(sepal_status status, std::string message) {
    last_error = std::move(message);
    last_error_text = last_error.c_str();
    return status;
}

sepal_status fail_without_memory() {
    last_error_text = "not enough memory";
    return SEPAL_OUT_OF_MEMORY;
}

sepal_status status_of(const Status &status) {
    switch (status.code) {
    case Status::Code::ok: return SEPAL_OK;
    case Status::Code::invalid_argument: return fail(SEPAL_INVALID_ARGUMENT, status.message);
    case Status::Code::unsupported: return fail(SEPAL_UNSUPPORTED, status.message);
    case Status::Code::out_of_memory: return fail(SEPAL_OUT_OF_MEMORY, status.message);
    case Status::Code::kernel_failed: break;
    }
    return fail(SEPAL_KERNEL_FAILED, status.message);
}

void invalid(std::string message) { throw Failure{SEPAL_INVALID_ARGUMENT, std::move(message)}; }

void require(const void *pointer, const char *what) {
    if (!pointer) invalid(fmt::format("the pointer to the {} is null", what));
}

}  // namespace sepal

extern "C" const char *sepal_last_error(void) { return sepal::last_error_text; }
