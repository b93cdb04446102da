#include "machine.h"

#include "threads.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace sepal {
namespace {

constexpr const char *interesting_flags[] = {"sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512cd",
                                             "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
                                             "amx_tile", "amx_bf16", "amx_int8"};

void read_cpuinfo(Machine &m) {
    std::ifstream file("/proc/cpuinfo");
    std::string line, flags;
    while (std::getline(file, line)) {
        const size_t colon = line.find(':');
        if (colon == std::string::npos || colon + 2 > line.size()) continue;
        if (line.compare(0, 10, "model name") == 0 && m.cpu.empty()) m.cpu = line.substr(colon + 2);
        if (line.compare(0, 5, "flags") == 0 && flags.empty()) flags = line.substr(colon + 1) + " ";
    }
    if (m.cpu.empty()) m.cpu = "unknown x86-64";
    for (const char *flag : interesting_flags)
        if (flags.find(" " + std::string(flag) + " ") != std::string::npos) m.features.push_back(flag);
}

std::string first_line(const std::string &path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// "1024K" -> bytes; 0 when it is no size.
int64_t parse_size(const std::string &text) {
    std::istringstream in(text);
    int64_t value = 0;
    char unit = 0;
    if (!(in >> value)) return 0;
    in >> unit;
    return unit == 'K' ? value << 10 : unit == 'M' ? value << 20 : unit == 'G' ? value << 30 : value;
}

std::vector<CacheLevel> read_caches(int logical_cpus) {
    std::vector<CacheLevel> caches;
    for (int i = 0;; i++) {
        const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
        const std::string level = first_line(folder + "level");
        if (level.empty()) break;
        const int64_t bytes = parse_size(first_line(folder + "size"));
        if (first_line(folder + "type") == "Instruction" || bytes <= 0) continue;
        const int sharing = int(parse_cpu_list(first_line(folder + "shared_cpu_list")).size());
        caches.push_back({"L" + level, bytes, std::max(1, sharing)});
    }
    if (caches.empty()) {  // some containers hide sysfs
        const std::pair<const char *, long> known[] = {
            {"L1", sysconf(_SC_LEVEL1_DCACHE_SIZE)}, {"L2", sysconf(_SC_LEVEL2_CACHE_SIZE)}, {"L3", sysconf(_SC_LEVEL3_CACHE_SIZE)}};
        for (const auto &[level, bytes] : known)
            if (bytes > 0) caches.push_back({level, bytes, std::string(level) == "L3" ? logical_cpus : 1});
    }
    std::sort(caches.begin(), caches.end(), [](const CacheLevel &a, const CacheLevel &b) { return a.level < b.level; });
    return caches;
}

}  // namespace

double Bandwidth::highest() const {
    return std::max({read.gbps, write.gbps, copy.gbps, write_streaming.gbps, copy_streaming.gbps});
}

const FmaPeak *Machine::peak(Isa which, int threads) const {
    for (const FmaPeak &p : fma)
        if (p.isa == which && p.threads == threads) return &p;
    return nullptr;
}

const Bandwidth *Machine::level(const std::string &which, int threads) const {
    for (const Bandwidth &b : bandwidth)
        if (b.level == which && b.threads == threads) return &b;
    return nullptr;
}

bool Machine::measured(int threads) const {
    const Bandwidth *dram = level("dram", threads);
    return peak(isa, threads) && dram && dram->highest() > 0;
}

int64_t Machine::last_level_cache_bytes() const { return caches.empty() ? 0 : caches.back().bytes; }

Machine detect_machine() {
    Machine m;
    read_cpuinfo(m);
    m.isa = Cpu::detect().best;
    m.logical_cpus = int(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
    m.caches = read_caches(m.logical_cpus);
    return m;
}

}  // namespace sepal
