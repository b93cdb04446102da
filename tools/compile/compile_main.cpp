// sepal-compile: the ahead-of-time driver.
//   kernel SPEC.json OUTPUT   OUTPUT/<name>.o and OUTPUT/<name>.built.json (compile_kernel.h)
//   packer SPEC.json OUTPUT   OUTPUT/<name>.o: a function that packs filters.
//   runtime OBJECT [ISA OS]   Halide's runtime, shared by all kernels, with what kernels for GPUs call: for the CPUs that run the ISA (x64) and the
//                             system (linux).
#include "build_module.h"
#include "compile_kernel.h"
#include "runtime/isa.h"

#include <Halide.h>
#include <fmt/format.h>

#include <exception>
#include <stdexcept>
#include <string>

using namespace sepal;

namespace {

// The CUDA driver and OpenCL are looked for when a device is opened, so that this runs where there is neither.
Halide::Target runtime_target(Isa isa = Isa::x64, Os os = Os::linux_) {
    return with_sanitizer(Halide::Target(halide_target(isa, os)))
        .with_feature(Halide::Target::CUDA)
        .with_feature(Halide::Target::CUDACapability80)
        .with_feature(Halide::Target::OpenCL);
}

}  // namespace

int main(int argc, char **argv) try {
    const std::string verb = argc > 1 ? argv[1] : "";
    if (verb == "kernel" && argc == 4) {
        compile_kernel(argv[2], argv[3]);
    } else if (verb == "packer" && argc == 4) {
        compile_packer(argv[2], argv[3]);
    } else if (verb == "runtime" && argc == 3) {
        Halide::compile_standalone_runtime(std::string(argv[2]), runtime_target());
    } else if (verb == "runtime" && argc == 5) {
        Halide::compile_standalone_runtime(std::string(argv[2]), runtime_target(isa_from_name(argv[3]).value(), os_from_name(argv[4]).value()));
    } else {
        throw std::runtime_error("usage: sepal-compile kernel SPEC.json OUTPUT | packer SPEC.json OUTPUT | runtime OBJECT [ISA OS]");
    }
    return 0;
} catch (const std::exception &e) {
    fmt::print(stderr, "sepal-compile: {}\n", e.what());
    return 2;
}
