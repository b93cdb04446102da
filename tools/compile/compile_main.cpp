// sepal-compile: the ahead-of-time driver.
//   kernel SPEC.json OUTPUT   OUTPUT/<name>.o and OUTPUT/<name>.built.json (compile_kernel.h)
//   packer SPEC.json OUTPUT   OUTPUT/<name>.o: a function that packs filters.
//   runtime OBJECT            Halide's runtime, shared by all kernels, with what kernels for GPUs call.
//   cpu-runtime OBJECT [ISA OS]   the same without that, for the CPUs that run the ISA (x64) and the system (linux).
#include "compile_kernel.h"
#include "runtime/isa.h"

#include <Halide.h>
#include <fmt/format.h>

#include <exception>
#include <stdexcept>
#include <string>

using namespace sepal;

namespace {

// Of an ISA that all CPUs of a family run.
Halide::Target cpu_runtime_target(const std::string &isa = "x64", const std::string &os = "linux") {
    return Halide::Target(halide_target(isa_from_name(isa).value(), os_from_name(os).value()));
}

// The CUDA driver and OpenCL are looked for when a device is opened, so that this runs where there is neither.
Halide::Target runtime_target() {
    return cpu_runtime_target()
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
    } else if (verb == "cpu-runtime" && argc == 3) {
        Halide::compile_standalone_runtime(std::string(argv[2]), cpu_runtime_target());
    } else if (verb == "cpu-runtime" && argc == 5) {
        Halide::compile_standalone_runtime(std::string(argv[2]), cpu_runtime_target(argv[3], argv[4]));
    } else {
        throw std::runtime_error(
            "usage: sepal-compile kernel SPEC.json OUTPUT | packer SPEC.json OUTPUT | runtime OBJECT | cpu-runtime OBJECT [ISA OS]");
    }
    return 0;
} catch (const std::exception &e) {
    fmt::print(stderr, "sepal-compile: {}\n", e.what());
    return 2;
}
