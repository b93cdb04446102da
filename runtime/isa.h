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
    sm80,    // NVIDIA GPUs of compute capability 8.0 and later, through the CUDA driver
    opencl,  // any device of an OpenCL platform
};
constexpr Isa cpu_isas[] = {Isa::x64, Isa::avx2, Isa::avx512};  // each includes those before it

enum class Backend { cpu, cuda, opencl };

std::string_view name(Isa isa);
std::string_view name(Backend backend);
std::optional<Isa> isa_from_name(std::string_view text);
std::optional<Isa> cpu_isa_from_name(std::string_view text);
std::string isa_names();      // "x64, avx2, avx512, sm80, opencl"
std::string cpu_isa_names();  // "x64, avx2, avx512"
Backend backend(Isa isa);
inline bool is_gpu(Isa isa) { return backend(isa) != Backend::cpu; }

// The Halide target that kernels of this ISA are compiled for; never `host`, so that builds do not differ by machine.
std::string_view halide_target(Isa isa);
// f32 lanes of a vector register, and the number of vector registers: of a CPU. (A GPU's thread has 4 of one 128-bit load, and 0.)
int lanes_f32(Isa isa);
int vector_registers(Isa isa);

// What this machine may run: the CPU's features, lowered by the environment variable SEPAL_MAX_ISA (x64, avx2 or avx512)
// where it is set, so that a lesser machine can be imitated.
struct Cpu {
    Isa best = Isa::x64;
    bool runs(Isa isa) const { return !is_gpu(isa) && int(isa) <= int(best); }
    // Throws std::invalid_argument when SEPAL_MAX_ISA holds an unknown name.
    static Cpu detect();
};

// What kernels are looked for: a CPU, or a GPU of one of the backends.
struct Processor {
    Isa best = Isa::x64;  // that it runs: of a CPU the others before it as well, of a GPU the only one
    Processor(const Cpu &cpu) : best(cpu.best) {}
    explicit Processor(Backend backend) : best(backend == Backend::cuda ? Isa::sm80 : backend == Backend::opencl ? Isa::opencl : Isa::x64) {}
    Backend backend() const { return sepal::backend(best); }
    bool runs(Isa isa) const { return sepal::backend(isa) == backend() && int(isa) <= int(best); }
};

}  // namespace sepal
