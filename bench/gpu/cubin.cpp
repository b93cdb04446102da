#include "cubin.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>

namespace sepal {
namespace {

template<typename T>
T at(const std::string &bytes, uint64_t offset) {
    T value;
    if (offset > bytes.size() || bytes.size() - offset < sizeof value) throw std::invalid_argument("the cubin ends within its tables");
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// Of ELF64.
struct Section {
    uint32_t type = 0, link = 0;
    uint64_t offset = 0, bytes = 0;
};
constexpr uint32_t symbol_table = 2, nv_info = 0x70000000;
constexpr uint64_t symbol_bytes = 24;

std::string text(const std::string &elf, const Section &strings, uint32_t offset) {
    if (offset >= strings.bytes || strings.offset + strings.bytes > elf.size()) throw std::invalid_argument("the cubin has a name outside its table");
    return elf.c_str() + strings.offset + offset;
}

// .nv.info of the whole file: items of u8 format, u8 attribute and u16, which is a value or, of format 4, the number of bytes behind it; of
// these two attributes a symbol's index and a value.
constexpr uint8_t sized = 4, frame_size = 0x11, register_count = 0x2f;

Cubin read(const std::string &arch, const std::string &elf) {
    if (elf.compare(0, 5, "\x7f" "ELF\x02") != 0) throw std::invalid_argument("the machine code is no ELF file of 64 bits");
    const uint64_t table = at<uint64_t>(elf, 0x28), step = at<uint16_t>(elf, 0x3a);
    std::vector<Section> sections(at<uint16_t>(elf, 0x3c));
    const auto header = [&](size_t i) { return table + i * step; };
    for (size_t i = 0; i < sections.size(); i++) {
        const uint64_t h = header(i);
        sections[i] = {at<uint32_t>(elf, h + 4), at<uint32_t>(elf, h + 40), at<uint64_t>(elf, h + 24), at<uint64_t>(elf, h + 32)};
    }
    std::vector<std::string> symbols;
    for (const Section &s : sections)
        if (s.type == symbol_table)
            for (uint64_t i = 0; i < s.bytes / symbol_bytes; i++)
                symbols.push_back(text(elf, sections.at(s.link), at<uint32_t>(elf, s.offset + i * symbol_bytes)));
    const Section &section_names = sections.at(at<uint16_t>(elf, 0x3e));
    std::map<std::string, KernelResources> kernels;
    for (size_t i = 0; i < sections.size(); i++) {
        const Section &s = sections[i];
        if (s.type != nv_info || text(elf, section_names, at<uint32_t>(elf, header(i))) != ".nv.info") continue;
        for (uint64_t item = s.offset; item + 4 <= s.offset + s.bytes;) {
            const auto format = at<uint8_t>(elf, item), attribute = at<uint8_t>(elf, item + 1);
            const uint64_t bytes = format == sized ? at<uint16_t>(elf, item + 2) : 0;
            if (bytes == 8 && (attribute == register_count || attribute == frame_size)) {
                const std::string &name = symbols.at(at<uint32_t>(elf, item + 4));
                KernelResources &k = kernels[name];
                k.kernel = name;
                (attribute == register_count ? k.registers : k.stack_bytes) = at<int32_t>(elf, item + 8);
            }
            item += 4 + bytes;
        }
    }
    Cubin cubin;
    cubin.arch = arch;
    cubin.code = elf;
    for (auto &[name, k] : kernels) {
        if (k.stack_bytes > 0) k.spill_store_bytes = k.spill_load_bytes = -1;
        cubin.kernels.push_back(k);
    }
    if (cubin.kernels.empty()) throw std::invalid_argument("the cubin says nothing of a kernel's registers");
    return cubin;
}

}  // namespace

Cubin read_cubin(const std::string &arch, const std::string &elf) {
    try {
        return read(arch, elf);
    } catch (const std::out_of_range &) {
        throw std::invalid_argument("the cubin's tables do not fit together");
    }
}

}  // namespace sepal
