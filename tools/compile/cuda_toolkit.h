// Programs of NVIDIA's CUDA Toolkit: ptxas makes machine code of PTX, fatbinary puts that of several architectures into one image, nvdisasm
// shows it.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace sepal {

// Why PTX cannot be made machine code here, one sentence; empty when it can. ptxas and fatbinary are looked for in the folder that the
// environment variable SEPAL_CUDA_BIN names, else in the one that was found when Sepal was configured.
std::string why_no_ptxas();

// One of the programs is there, but does not do its work, or there is none. what() is one sentence.
struct CudaToolFailed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Of sm_80, sm_86, sm_89 and sm_90, for which Sepal's kernels are compiled, those that ptxas knows. Empty when there is none.
std::vector<std::string> ptxas_architectures();

struct PtxasOptions {
    int maxrregcount = 0;  // most registers of a thread; 0: as many as ptxas likes and launch bounds in the PTX leave
};

// What ptxas says of a kernel, of one thread unless told otherwise.
struct KernelResources {
    std::string kernel;
    int registers = 0;
    int stack_bytes = 0;        // in local memory: spilled registers and arrays
    int spill_store_bytes = 0;  // instructions' worth, in the code
    int spill_load_bytes = 0;
    int shared_bytes = 0;  // static, of a block
};

struct Cubin {
    std::string arch;
    std::string code;  // an ELF file
    std::vector<KernelResources> kernels;
    std::vector<std::string> warnings;
    // Throws std::invalid_argument, which names those that there are, when there is none of that name.
    const KernelResources &resources(const std::string &kernel) const;
};

// Throws CudaToolFailed: with ptxas's first complaint and the line of PTX that it is about.
Cubin assemble_ptx(const std::string &ptx, const std::string &arch, const PtxasOptions &options = {});

// The kernels in what `ptxas -v` prints, in its order.
std::vector<KernelResources> parse_ptxas(const std::string &printed);

// One image that the CUDA driver loads: machine code of each cubin's architecture and, for GPUs that none of them fits, the PTX: as text,
// from which fatbinary drops comments and indentation. `ptx_arch`: its .target. Throws CudaToolFailed.
std::string make_fatbin(const std::vector<Cubin> &cubins, const std::string &ptx, const std::string &ptx_arch);

// The architecture in PTX's .target directive, "sm_80". Throws CudaToolFailed when it has none.
std::string ptx_target(const std::string &ptx);

// Why machine code cannot be shown here, one sentence; empty when it can. nvdisasm is the one that the environment variable SEPAL_NVDISASM
// names, else one in the folder of ptxas, else the one that was found when Sepal was configured.
std::string why_no_nvdisasm();

// The instructions of a cubin (SASS) as nvdisasm writes them. Throws CudaToolFailed.
std::string disassemble(const Cubin &cubin);

}  // namespace sepal
