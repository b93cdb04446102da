#include "isa.h"

#include <cstdlib>
#include <stdexcept>

namespace sepal {
namespace {

struct Properties {
    Isa isa;
    Backend backend;
    std::string_view name;
    std::string_view halide_target;
    int lanes_f32;
    int vector_registers;
};

constexpr Properties table[] = {
    {Isa::x64, Backend::cpu, "x64", "x86-64-linux-sse41", 4, 16},
    {Isa::avx2, Backend::cpu, "avx2", "x86-64-linux-avx-avx2-f16c-fma-sse41", 8, 16},
    {Isa::avx512, Backend::cpu, "avx512", "x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41", 16, 32},
    {Isa::sm80, Backend::cuda, "sm80", "x86-64-linux-sse41-cuda-cuda_capability_80", 4, 0},
    {Isa::opencl, Backend::opencl, "opencl", "x86-64-linux-sse41-opencl", 4, 0},
};

const Properties &properties(Isa isa) { return table[int(isa)]; }

bool cpu_has(Isa isa) {
    switch (isa) {
    case Isa::x64: return __builtin_cpu_supports("sse4.1");
    case Isa::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    case Isa::sm80:
    case Isa::opencl: break;
    }
    return false;
}

}  // namespace

std::string_view name(Isa isa) { return properties(isa).name; }
std::string_view halide_target(Isa isa) { return properties(isa).halide_target; }
int lanes_f32(Isa isa) { return properties(isa).lanes_f32; }
int vector_registers(Isa isa) { return properties(isa).vector_registers; }

std::optional<Isa> isa_from_name(std::string_view text) {
    for (const Properties &p : table)
        if (p.name == text) return p.isa;
    return std::nullopt;
}

std::optional<Isa> cpu_isa_from_name(std::string_view text) {
    const std::optional<Isa> isa = isa_from_name(text);
    return isa && !is_gpu(*isa) ? isa : std::nullopt;
}

namespace {

std::string names(bool gpus) {
    std::string out;
    for (const Properties &p : table)
        if (gpus || p.backend == Backend::cpu) out += (out.empty() ? "" : ", ") + std::string(p.name);
    return out;
}

}  // namespace

std::string isa_names() { return names(true); }
std::string cpu_isa_names() { return names(false); }
Backend backend(Isa isa) { return properties(isa).backend; }

std::string_view name(Backend backend) {
    constexpr std::string_view texts[] = {"cpu", "cuda", "opencl"};
    return texts[int(backend)];
}

Cpu Cpu::detect() {
    Cpu cpu;
    for (Isa isa : cpu_isas)
        if (cpu_has(isa)) cpu.best = isa;
    if (const char *text = std::getenv("SEPAL_MAX_ISA"); text && *text) {
        const auto limit = cpu_isa_from_name(text);
        if (!limit)
            throw std::invalid_argument(std::string("environment variable SEPAL_MAX_ISA is \"") + text + "\"; allowed: " + cpu_isa_names());
        if (int(*limit) < int(cpu.best)) cpu.best = *limit;
    }
    return cpu;
}

}  // namespace sepal
