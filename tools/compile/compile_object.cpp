#include "compile_object.h"

#include "assemble.h"
#include "build_module.h"

namespace sepal {

void compile_object(const FunctionSpec &spec, const std::string &object) {
    const Halide::Module module = build_module(spec, kernel_target(spec.isa));
    const bool streaming = spec.output_alignment > 0;
    if (streaming || has_prefetches(module))
        assemble(module, object, streaming);
    else
        module.compile({{Halide::OutputFileType::object, object}});
}

}  // namespace sepal
