#include "kernel_counts.h"

namespace sepal {

const char *name(InstructionClass c) {
    static constexpr const char *names[] = {
        "f32 multiply-add", "other f32", "f64", "f16", "special", "integer", "integer 64", "dp4a", "mma", "convert", "compare", "move",
        "load global", "store global", "load shared", "store shared", "load local", "store local", "load parameter", "load constant",
        "ldmatrix", "cp.async", "atomic", "shuffle", "barrier", "branch", "exit"};
    static_assert(std::size(names) == static_cast<size_t>(InstructionClass::count));
    return names[static_cast<size_t>(c)];
}

}  // namespace sepal
