#include "compile_object.h"

#include "assemble.h"
#include "build_module.h"
#include "gpu_code.h"

#include <string>

namespace sepal {
namespace {

// Kernels for GPUs run elsewhere. Those by Winograd's algorithm and those of one problem's shape are unrolled so far that they take minutes and
// gigabytes to compile once each load and store is checked; they are tested between pages without access only.
bool sanitizer_checks(const FunctionSpec &spec) { return !is_gpu(spec.isa) && spec.generator != "winograd" && spec.generator_params.count("c") == 0; }

}  // namespace

void compile_object(const FunctionSpec &spec, const std::string &object, const std::string &arch) {
    const Halide::Target target = kernel_target(spec.isa, spec.os);
    const Halide::Module module = build_module(spec, sanitizer_checks(spec) ? with_sanitizer(target) : target);
    if (backend(spec.isa) == Backend::cuda) {
        const auto blocks = spec.generator_params.find("blocks");
        const GpuCode code = gpu_code(module, blocks == spec.generator_params.end() ? 0 : std::stoi(blocks->second), arch);
        with_gpu_code(module, code).compile({{Halide::OutputFileType::object, object}});
        return;
    }
    const bool streaming = spec.output_alignment > 0;
    if (streaming || has_prefetches(module))
        assemble(module, object, streaming);
    else
        module.compile({{Halide::OutputFileType::object, object}});
}

}  // namespace sepal
