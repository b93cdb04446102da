#include "compile_object.h"

#include "assemble.h"
#include "build_module.h"
#include "gpu_code.h"

#include <string>

namespace sepal {

void compile_object(const FunctionSpec &spec, const std::string &object) {
    const Halide::Module module = build_module(spec, kernel_target(spec.isa, spec.os));
    if (backend(spec.isa) == Backend::cuda) {
        const auto blocks = spec.generator_params.find("blocks");
        const GpuCode code = gpu_code(module, blocks == spec.generator_params.end() ? 0 : std::stoi(blocks->second));
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
