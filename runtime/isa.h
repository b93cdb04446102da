// Isa: an instruction set that kernels are compiled for, and whether this CPU runs it.
//
// Those of GPUs are in the same list. Which device runs them is asked of a GpuDevice (gpu/device.h), never of the CPU.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sepal {

enum class Isa {
    x64,     // SSE4.1: every 64-bit x86 of the last 15 years
    avx2,    // AVX2, FMA, F16C
    avx512,  // AVX-512 F, CD, DQ, BW, VL (Skylake-SP, Zen 4 and later)
    neon,    // Advanced SIMD of AArch64: every 64-bit ARM CPU that runs Linux
    sm80,    // NVIDIA GPUs of compute capability 8.0 and later, through the CUDA driver
    opencl,  // any device of an OpenCL platform
};
// Of the CPUs that this program is compiled for; each includes those before it.
#if defined(__aarch64__)
constexpr Isa cpu_isas[] = {Isa::neon};
#else
constexpr Isa cpu_isas[] = {Isa::x64, Isa::avx2, Isa::avx512};
#endif

enum class Backend { cpu, cuda, opencl };
// CPUs of one family run the same programs.
enum class CpuFamily { x86, arm };
// What programs are compiled for. Those for ARM are for Linux.
enum class Os { linux_, windows };

std::string_view name(Isa isa);
std::string_view name(Backend backend);
std::string_view name(CpuFamily family);  // "x86-64", "AArch64"
std::string_view name(Os os);             // "linux", "windows"
std::optional<Isa> isa_from_name(std::string_view text);
std::optional<Os> os_from_name(std::string_view text);
std::string isa_names();  // "x64, avx2, avx512, neon, sm80, opencl"
std::string os_names();   // "linux, windows"
// Only those in cpu_isas.
std::optional<Isa> cpu_isa_from_name(std::string_view text);
std::string cpu_isa_names();  // "x64, avx2, avx512"
Backend backend(Isa isa);
inline bool is_gpu(Isa isa) { return backend(isa) != Backend::cpu; }
CpuFamily family(Isa isa);  // of the CPU that runs it, or that calls it on a GPU

// The Halide target that kernels of this ISA are compiled for; never `host`, so that builds do not differ by machine.
std::string halide_target(Isa isa, Os os = Os::linux_);
// f32 lanes of a vector register, and the number of vector registers: of a CPU. (A GPU's thread has 4 of one 128-bit load, and 0.)
int lanes_f32(Isa isa);
int vector_registers(Isa isa);

// What this machine may run: the CPU's features, lowered by the environment variable SEPAL_MAX_ISA (one of cpu_isas)
// where it is set, so that a lesser machine can be imitated.
struct Cpu {
    Isa best = cpu_isas[0];
    bool runs(Isa isa) const { return !is_gpu(isa) && family(isa) == family(best) && int(isa) <= int(best); }
    // Throws std::invalid_argument when SEPAL_MAX_ISA holds an unknown name.
    static Cpu detect();
};

// What kernels are looked for: a CPU, or a GPU of one of the backends.
struct Processor {
    Isa best = cpu_isas[0];  // that it runs: of a CPU the others of its family before it as well, of a GPU the only one
    Processor(const Cpu &cpu) : best(cpu.best) {}
    explicit Processor(Backend backend) : best(backend == Backend::cuda ? Isa::sm80 : backend == Backend::opencl ? Isa::opencl : cpu_isas[0]) {}
    Backend backend() const { return sepal::backend(best); }
    bool runs(Isa isa) const { return sepal::backend(isa) == backend() && family(isa) == family(best) && int(isa) <= int(best); }
};

}  // namespace sepal
