#include "build_tools.h"

#include "tools/environment.h"
#include "tools/files.h"
#include "tools/installed.h"

#include <fmt/format.h>

#include <vector>

namespace sepal {
namespace {

struct Name {
    const char *variable, *native, *cross, *llvm, *what;
};

constexpr Name names[] = {{"CC", "cc", "gcc", nullptr, "a C compiler"},
                          {"AR", "ar", "ar", "llvm-ar", "an archiver"},
                          {"OBJCOPY", "objcopy", "objcopy", "llvm-objcopy", "an objcopy"}};  // in the order of BuildTool

// Of GNU's cross compilers, and Debian's packages of them.
struct Cross {
    const char *prefix, *package;
};
Cross cross(CpuFamily family, Os os) {
    if (os == Os::windows) return {"x86_64-w64-mingw32-", "gcc-mingw-w64-x86-64"};
    if (family == CpuFamily::arm) return {"aarch64-linux-gnu-", "gcc-aarch64-linux-gnu"};
    return {"x86_64-linux-gnu-", "gcc-x86-64-linux-gnu"};
}

}  // namespace

bool is_native(CpuFamily family, Os os) { return family == sepal::family(cpu_isas[0]) && os == Os::linux_; }

std::string machine_name(CpuFamily family, Os os) { return fmt::format("{} {}", name(family), name(os)); }

std::string build_tool(BuildTool tool, CpuFamily family, Os os) {
    const Name &n = names[int(tool)];
    if (const std::string named = from_environment(n.variable); !named.empty()) return named;
    if (is_native(family, os)) return n.native;
    const Cross gnu = cross(family, os);
    std::vector<std::string> candidates = {std::string(gnu.prefix) + n.cross};
    if (n.llvm) {
        candidates.push_back(n.llvm);
        for (int version = 22; version >= 14; version--) candidates.push_back(fmt::format("{}-{}", n.llvm, version));
    }
    if (const std::string found = on_path(candidates); !found.empty()) return found.substr(found.rfind('/') + 1);
    throw BadInput(fmt::format("{} for {} is needed, and {}{} is not on PATH; Debian's package {} has it, the environment variable {} names another", n.what,
                               machine_name(family, os), candidates[0], n.llvm ? fmt::format(", or {},", n.llvm) : "", gnu.package, n.variable));
}

std::string machine_of_object(const std::string &path) {
    const std::string bytes = read_file(path);
    const auto half = [&](size_t at) { return at + 1 < bytes.size() ? int(uint8_t(bytes[at])) | int(uint8_t(bytes[at + 1])) << 8 : 0; };
    constexpr int elf_x86_64 = 62, elf_aarch64 = 183, coff_x86_64 = 0x8664;
    constexpr size_t elf_machine = 18;
    if (bytes.compare(0, 4, "\177ELF") == 0) {
        if (half(elf_machine) == elf_x86_64) return machine_name(CpuFamily::x86, Os::linux_);
        if (half(elf_machine) == elf_aarch64) return machine_name(CpuFamily::arm, Os::linux_);
    } else if (half(0) == coff_x86_64) {
        return machine_name(CpuFamily::x86, Os::windows);
    }
    return "an unknown machine";
}

}  // namespace sepal
