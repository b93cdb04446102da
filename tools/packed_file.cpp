#include "tools/packed_file.h"

#include "tools/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

// The format: the first line, lines of a key, a blank and a value in the order of Header, blanks and a line feed up to a multiple of 64
// bytes, then the elements, little-endian, as PackedWeights::data() holds them.

namespace sepal {
namespace {

constexpr std::string_view first_word = "sepal-packed-weights ", version = "1";
constexpr size_t alignment = 64, most_header = 4096;

// FNV-1a over 64 bits, of 4 bytes at a time.
uint64_t checksum(const void *data, int64_t bytes) {
    uint64_t hash = 14695981039346656037u;
    for (int64_t i = 0; i < bytes; i += 4) {
        uint32_t bits;
        std::memcpy(&bits, static_cast<const char *>(data) + i, sizeof bits);
        hash = (hash ^ bits) * 1099511628211u;
    }
    return hash;
}

// Takes the parts of a header off the front of a file's bytes.
class Header {
public:
    Header(const std::string &path, std::string_view bytes) : path_(path), rest_(bytes) {
        if (rest_.substr(0, first_word.size()) != first_word)
            throw BadInput(fmt::format("{}: is no file of packed weights; `sepal run --save-packed` writes one", path));
        rest_.remove_prefix(first_word.size());
        if (const std::string found = line(); found != version)
            throw BadInput(fmt::format("{}: has version {} of the format of packed weights; allowed: {}; pack the filter again", path, found, version));
    }

    std::string value(std::string_view key) {
        const std::string text = line();
        if (text.compare(0, key.size(), key) != 0 || text.size() <= key.size() || text[key.size()] != ' ')
            throw BadInput(fmt::format("{}: is damaged: its header has no \"{}\" where that belongs; pack the filter again", path_, key));
        return text.substr(key.size() + 1);
    }

    // Where the elements begin, in a file that begins with `start`.
    size_t end(std::string_view start) const { return (start.size() - rest_.size() + alignment) / alignment * alignment; }

private:
    std::string line() {
        const size_t end = rest_.substr(0, 1000).find('\n');
        if (end == std::string_view::npos) throw BadInput(fmt::format("{}: is truncated: it ends within the header", path_));
        std::string text(rest_.substr(0, end));
        for (char &c : text)
            if (c < 0x20 || c > 0x7e) c = '?';
        rest_.remove_prefix(end + 1);
        return text;
    }

    const std::string &path_;
    std::string_view rest_;
};

}  // namespace

void write_packed_file(const std::string &path, const PackedWeights &weights) {
    std::string header = fmt::format("{}{}\nlayout {}\nweights {}\nchecksum {:016x}\n", first_word, version, weights.layout().text(),
                                     weights.weights_key(), checksum(weights.data(), weights.bytes()));
    header.append(alignment - 1 - header.size() % alignment, ' ');
    header += '\n';
    write_file(path, {header, {static_cast<const char *>(weights.data()), size_t(weights.bytes())}});
}

std::shared_ptr<const PackedWeights> read_packed_file(const std::string &path, const ConvProblem &problem, const Variant &variant) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::string start(most_header, '\0');
    file.read(start.data(), std::streamsize(start.size()));
    start.resize(size_t(file.gcount()));
    if (!file.is_open() || file.bad()) throw BadInput(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
    Header header(path, start);
    const std::string layout = header.value("layout"), weights = header.value("weights"), sum = header.value("checksum");
    if (const std::string why = why_not_packed_for(layout, weights, problem, variant); !why.empty())
        throw BadInput(fmt::format("{}: {}; pack the filter again, for this problem and variant", path, why));

    AlignedBytes data(packed_bytes(packed_tensors(problem, variant.filter_layout)));
    const size_t begin = std::min(header.end(start), start.size()), wanted = size_t(data.bytes()), at_hand = std::min(start.size() - begin, wanted);
    char *const to = static_cast<char *>(data.data());
    std::memcpy(to, start.data() + begin, at_hand);
    file.read(to + at_hand, std::streamsize(wanted - at_hand));
    const size_t found = at_hand + size_t(file.gcount());
    if (found < wanted) throw BadInput(fmt::format("{}: is truncated: {} as {} needs {} bytes of elements, found {}", path, weights, layout, wanted, found));
    if (start.size() - begin > wanted || file.peek() != std::ifstream::traits_type::eof())
        throw BadInput(fmt::format("{}: has bytes after its elements; {} as {} needs {} bytes", path, weights, layout, wanted));
    if (fmt::format("{:016x}", checksum(data.data(), data.bytes())) != sum)
        throw BadInput(fmt::format("{}: is damaged: its elements do not have the checksum that its header tells; pack the filter again", path));
    Status status;
    std::shared_ptr<const PackedWeights> made = PackedWeights::restore(problem, variant, std::move(data), status);
    if (!made) throw BadInput(fmt::format("{}: {}", path, status.message));
    return made;
}

}  // namespace sepal
