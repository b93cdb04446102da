#include "isa.h"

#include <cstdlib>
#include <stdexcept>

namespace sepal {
namespace {

struct Properties {
    Isa isa;
    Backend backend;
    CpuFamily family;
    std::string_view name;
    std::string_view halide_features;
    int lanes_f32;
    int vector_registers;
};

constexpr Properties table[] = {
    {Isa::x64, Backend::cpu, CpuFamily::x86, "x64", "-sse41", 4, 16},
    {Isa::avx2, Backend::cpu, CpuFamily::x86, "avx2", "-avx-avx2-f16c-fma-sse41", 8, 16},
    {Isa::avx512, Backend::cpu, CpuFamily::x86, "avx512", "-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41", 16, 32},
    {Isa::neon, Backend::cpu, CpuFamily::arm, "neon", "", 4, 32},
    {Isa::sm80, Backend::cuda, CpuFamily::x86, "sm80", "-sse41-cuda-cuda_capability_80", 4, 0},
    {Isa::opencl, Backend::opencl, CpuFamily::x86, "opencl", "-sse41-opencl", 4, 0},
};

const Properties &properties(Isa isa) { return table[int(isa)]; }

#if defined(__aarch64__)
bool cpu_has(Isa isa) { return isa == Isa::neon; }  // a part of the architecture
#else
bool cpu_has(Isa isa) {
    switch (isa) {
    case Isa::x64: return __builtin_cpu_supports("sse4.1");
    case Isa::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    case Isa::neon:
    case Isa::sm80:
    case Isa::opencl: break;
    }
    return false;
}
#endif

}  // namespace

std::string_view name(Isa isa) { return properties(isa).name; }
CpuFamily family(Isa isa) { return properties(isa).family; }

std::string halide_target(Isa isa, Os os) {
    return (family(isa) == CpuFamily::arm ? "arm-64-" : "x86-64-") + std::string(name(os)) + std::string(properties(isa).halide_features);
}

int lanes_f32(Isa isa) { return properties(isa).lanes_f32; }
int vector_registers(Isa isa) { return properties(isa).vector_registers; }

std::optional<Isa> isa_from_name(std::string_view text) {
    for (const Properties &p : table)
        if (p.name == text) return p.isa;
    return std::nullopt;
}

std::optional<Isa> cpu_isa_from_name(std::string_view text) {
    const std::optional<Isa> isa = isa_from_name(text);
    return isa && !is_gpu(*isa) && family(*isa) == family(cpu_isas[0]) ? isa : std::nullopt;
}

namespace {

template<typename List>
std::string names(const List &list) {
    std::string out;
    for (const auto &item : list) out += (out.empty() ? "" : ", ") + std::string(name(item));
    return out;
}

std::string_view name(const Properties &p) { return p.name; }

constexpr Os oses[] = {Os::linux_, Os::windows};

}  // namespace

std::string isa_names() { return names(table); }
std::string cpu_isa_names() { return names(cpu_isas); }
std::string os_names() { return names(oses); }
Backend backend(Isa isa) { return properties(isa).backend; }

std::string_view name(Backend backend) {
    constexpr std::string_view texts[] = {"cpu", "cuda", "opencl"};
    return texts[int(backend)];
}

std::string_view name(CpuFamily family) { return family == CpuFamily::arm ? "AArch64" : "x86-64"; }
std::string_view name(Os os) { return os == Os::windows ? "windows" : "linux"; }

std::optional<Os> os_from_name(std::string_view text) {
    for (Os os : oses)
        if (name(os) == text) return os;
    return std::nullopt;
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
