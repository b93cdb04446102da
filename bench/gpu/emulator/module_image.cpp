#include "module_image.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

constexpr uint32_t elf_magic = 0x464c457f, fat_magic = 0xba55ed50, wrapper_magic = 0x466243b1;

template<typename T>
T at(const uint8_t *bytes, size_t offset) {
    T value;
    std::memcpy(&value, bytes + offset, sizeof value);
    return value;
}

// A fat binary is a header (u32 magic, u16 version, u16 bytes of the header, u64 bytes behind it) and entries, each a header
// (u16 kind: 1 PTX, 2 machine code; u16 version; u32 bytes of the header; u64 bytes behind it; u32 bytes when compressed, else 0;
// at 28 the u32 compute capability) and its image, of PTX the text with zeros behind.
struct Entry {
    int kind = 0, compute_capability = 0;
    bool compressed = false;
    const uint8_t *image = nullptr;
    uint64_t bytes = 0;
};
constexpr int ptx_kind = 1, machine_code_kind = 2;

uint64_t bytes_of_fat_binary(const uint8_t *fat) { return at<uint16_t>(fat, 6) + at<uint64_t>(fat, 8); }

std::vector<Entry> entries_of_fat_binary(const uint8_t *fat) {
    std::vector<Entry> entries;
    const uint8_t *entry = fat + at<uint16_t>(fat, 6);
    const uint8_t *end = fat + bytes_of_fat_binary(fat);
    while (entry + 32 <= end) {
        const uint32_t header = at<uint32_t>(entry, 4);
        const uint64_t bytes = at<uint64_t>(entry, 8);
        if (header < 32 || header > static_cast<uint64_t>(end - entry) || bytes > static_cast<uint64_t>(end - entry) - header)
            throw BadImage(fmt::format("the fat binary's entry {} does not lie within it", entries.size()));
        entries.push_back({at<uint16_t>(entry, 0), static_cast<int>(at<uint32_t>(entry, 28)), at<uint32_t>(entry, 16) != 0, entry + header, bytes});
        entry += header + bytes;
    }
    return entries;
}

std::string ptx_of_fat_binary(const uint8_t *fat, int compute_capability) {
    const std::vector<Entry> entries = entries_of_fat_binary(fat);
    std::string text;
    int best = 0, lowest = 0;
    bool compressed = false;
    for (const Entry &e : entries) {
        if (e.kind != ptx_kind) continue;
        lowest = lowest ? std::min(lowest, e.compute_capability) : e.compute_capability;
        if (e.compressed) {
            compressed = true;
        } else if (e.compute_capability <= compute_capability && e.compute_capability > best) {
            const char *begin = reinterpret_cast<const char *>(e.image);
            text.assign(begin, strnlen(begin, e.bytes));
            best = e.compute_capability;
        }
    }
    if (best) return text;
    if (compressed)
        throw BadImage(
            "the PTX in the fat binary is compressed, which the emulator does not read: make it with fatbinary --compress=false");
    if (lowest)
        throw BadImage(fmt::format("the PTX in the fat binary is for compute capability {}.{}, the device has {}.{}", lowest / 10,
                                   lowest % 10, compute_capability / 10, compute_capability % 10));
    throw BadImage(fmt::format(
        "the fat binary holds no PTX in its {} entries, and the emulator executes nothing else: add --image3=kind=ptx,...", entries.size()));
}

uint32_t magic_of(const uint8_t *bytes) {
    const bool four = bytes[0] && bytes[1] && bytes[2] && bytes[3];  // a shorter text ends before
    return four ? at<uint32_t>(bytes, 0) : 0;
}

}  // namespace

std::string ptx_of_image(const void *image, int compute_capability) {
    if (!image) throw BadImage("a null pointer where the image of a module belongs");
    const auto *bytes = static_cast<const uint8_t *>(image);
    const uint32_t magic = magic_of(bytes);
    if (magic == elf_magic) throw BadImage("the module is machine code (a cubin): the emulator executes PTX, as text or in a fat binary");
    if (magic == fat_magic) return ptx_of_fat_binary(bytes, compute_capability);
    if (magic == wrapper_magic) return ptx_of_image(at<const void *>(bytes, 8), compute_capability);
    for (int i = 0; i < 4 && bytes[i]; ++i)
        if (!std::isprint(bytes[i]) && !std::isspace(bytes[i])) throw BadImage("the module is neither PTX text nor a fat binary");
    const std::string text = static_cast<const char *>(image);
    if (text.find(".version") == std::string::npos) throw BadImage("the module's text is no PTX: it has no .version");
    return text;
}

std::string bytes_of_image(const void *image) {
    const auto *bytes = static_cast<const uint8_t *>(image);
    const uint32_t magic = magic_of(bytes);
    if (magic == wrapper_magic) return bytes_of_image(at<const void *>(bytes, 8));
    const char *begin = static_cast<const char *>(image);
    return magic == fat_magic ? std::string(begin, bytes_of_fat_binary(bytes)) : std::string(begin);
}

std::vector<MachineCode> machine_code_of(const std::string &image) {
    std::vector<MachineCode> all;
    const auto *bytes = reinterpret_cast<const uint8_t *>(image.data());
    if (image.size() < 16 || magic_of(bytes) != fat_magic || bytes_of_fat_binary(bytes) > image.size()) return all;
    for (const Entry &e : entries_of_fat_binary(bytes)) {
        if (e.kind != machine_code_kind) continue;
        if (e.compressed) throw BadImage("machine code in the fat binary is compressed: make it with fatbinary --compress=false");
        all.push_back({e.compute_capability, std::string(reinterpret_cast<const char *>(e.image), e.bytes)});
    }
    return all;
}

}  // namespace sepal::ptx
