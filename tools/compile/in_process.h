// Kernels compiled in process, for problems that no kernel was compiled ahead of time for.
#pragma once

#include "kernel_spec.h"

#include <memory>

namespace sepal {

// Runs on the threads of kernels compiled ahead of time: as many as set_num_threads() says.
class InProcessKernel {
public:
    // Valid while this object lives.
    const Variant &variant() const;
    double compile_seconds() const;
    ~InProcessKernel();

private:
    struct Contents;
    explicit InProcessKernel(std::unique_ptr<Contents> contents);
    friend std::unique_ptr<InProcessKernel> compile_in_process(const KernelSpec &spec, const std::string &arch);
    std::unique_ptr<Contents> contents_;
};

// Throws std::runtime_error with what the generator or the scheduler said. This CPU must run the spec's ISA, where it is not a GPU's. A kernel for a
// GPU is compiled as ahead of time and loaded as a library.
std::unique_ptr<InProcessKernel> compile_in_process(const KernelSpec &spec, const std::string &arch = "");

// A kernel specialised to the problem.
inline std::unique_ptr<InProcessKernel> compile_in_process(const ConvProblem &problem, Isa isa, const std::string &scheduler) {
    return compile_in_process(specialise(problem, isa, scheduler));
}

}  // namespace sepal
