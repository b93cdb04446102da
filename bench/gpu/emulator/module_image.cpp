#include "module_image.h"

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
std::string ptx_of_fat_binary(const uint8_t *fat, int compute_capability) {
    const uint8_t *entry = fat + at<uint16_t>(fat, 6);
    const uint8_t *end = entry + at<uint64_t>(fat, 8);
    std::string text;
    int best = 0, lowest = 0, entries = 0;
    bool compressed = false;
    for (; entry + 32 <= end; ++entries) {
        const uint32_t header = at<uint32_t>(entry, 4);
        const uint64_t bytes = at<uint64_t>(entry, 8);
        if (header < 32 || header > static_cast<uint64_t>(end - entry) || bytes > static_cast<uint64_t>(end - entry) - header)
            throw BadImage(fmt::format("the fat binary's entry {} does not lie within it", entries));
        if (at<uint16_t>(entry, 0) == 1) {
            const int made_for = static_cast<int>(at<uint32_t>(entry, 28));
            lowest = lowest ? std::min(lowest, made_for) : made_for;
            if (at<uint32_t>(entry, 16)) {
                compressed = true;
            } else if (made_for <= compute_capability && made_for > best) {
                const char *begin = reinterpret_cast<const char *>(entry + header);
                text.assign(begin, strnlen(begin, bytes));
                best = made_for;
            }
        }
        entry += header + bytes;
    }
    if (best) return text;
    if (compressed)
        throw BadImage(
            "the PTX in the fat binary is compressed, which the emulator does not read: make it with fatbinary --compress=false");
    if (lowest)
        throw BadImage(fmt::format("the PTX in the fat binary is for compute capability {}.{}, the device has {}.{}", lowest / 10,
                                   lowest % 10, compute_capability / 10, compute_capability % 10));
    throw BadImage(fmt::format(
        "the fat binary holds no PTX in its {} entries, and the emulator executes nothing else: add --image3=kind=ptx,...", entries));
}

}  // namespace

std::string ptx_of_image(const void *image, int compute_capability) {
    if (!image) throw BadImage("a null pointer where the image of a module belongs");
    const auto *bytes = static_cast<const uint8_t *>(image);
    const bool four = bytes[0] && bytes[1] && bytes[2] && bytes[3];  // a shorter text ends before
    const uint32_t magic = four ? at<uint32_t>(bytes, 0) : 0;
    if (magic == elf_magic) throw BadImage("the module is machine code (a cubin): the emulator executes PTX, as text or in a fat binary");
    if (magic == fat_magic) return ptx_of_fat_binary(bytes, compute_capability);
    if (magic == wrapper_magic) return ptx_of_image(at<const void *>(bytes, 8), compute_capability);
    for (int i = 0; i < 4 && bytes[i]; ++i)
        if (!std::isprint(bytes[i]) && !std::isspace(bytes[i])) throw BadImage("the module is neither PTX text nor a fat binary");
    const std::string text = static_cast<const char *>(image);
    if (text.find(".version") == std::string::npos) throw BadImage("the module's text is no PTX: it has no .version");
    return text;
}

}  // namespace sepal::ptx
