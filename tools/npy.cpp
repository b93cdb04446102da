#include "tools/npy.h"

#include "runtime/half.h"
#include "tools/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

// The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
// magic, version, length of the header (2 bytes in version 1, else 4), the header (a Python dict literal), the elements.

namespace sepal {
namespace {

constexpr std::string_view magic("\x93NUMPY", 6);

struct NumpyType {
    const char *descr, *text;
};
NumpyType numpy_type(DType dtype) { return dtype == DType::f32 ? NumpyType{"'<f4'", "float32"} : NumpyType{"'<f2'", "float16"}; }

struct CloseFile {
    void operator()(std::FILE *f) const { std::fclose(f); }
};

int64_t product(const std::vector<int64_t> &shape) {
    int64_t elements = 1;
    for (int64_t extent : shape) elements *= extent;
    return elements;
}

// The header's dict: {'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }
class Header {
public:
    std::string descr;  // as written: "'<f4'"
    std::string order;  // True or False
    std::string shape;  // as written

    Header(std::string_view text, const std::string &path, const char *wanted) : text_(text), path_(path), wanted_(wanted) {
        expect('{');
        while (peek() != '}') {
            const std::string key = value();
            expect(':');
            std::string *field = key == "'descr'" ? &descr : key == "'fortran_order'" ? &order : key == "'shape'" ? &shape : nullptr;
            if (!field || !field->empty()) fail(fmt::format("key {} in the header", key));
            *field = printable(value());
            if (peek() == ',') expect(',');
        }
        expect('}');
        if (peek() != '\0') fail("text after the header's dict");
        if (descr.empty() || order.empty() || shape.empty()) fail("a header without 'descr', 'fortran_order' or 'shape'");
    }

    // "(3, 4)" -> {3, 4}
    std::vector<int64_t> extents() const {
        std::vector<int64_t> out;
        if (shape.front() != '(' || shape.back() != ')') fail(fmt::format("shape {}", shape));
        std::string_view rest(shape);
        rest = rest.substr(1, rest.size() - 2);
        while (!rest.empty()) {
            const std::string_view item = rest.substr(0, rest.find(','));
            if (item.empty() || item.size() > 18 || item.find_first_not_of("0123456789") != std::string_view::npos)
                fail(fmt::format("shape {}", shape));
            out.push_back(std::stoll(std::string(item)));
            rest.remove_prefix(std::min(rest.size(), item.size() + 1));
        }
        return out;
    }

private:
    std::string_view text_;
    const std::string &path_;
    const char *wanted_;  // descr

    [[noreturn]] void fail(const std::string &found) const {
        throw BadInput(fmt::format("{}: is not a .npy file: found {}; allowed: "
                                   "{{'descr': {}, 'fortran_order': False, 'shape': (...)}}",
                                   path_, printable(found), wanted_));
    }
    static std::string printable(std::string text) {
        for (char &c : text)
            if (c < 0x20 || c > 0x7e) c = '?';
        return text.size() > 100 ? text.substr(0, 100) + "..." : text;
    }
    char peek() {
        while (!text_.empty() && std::strchr(" \t\r\n", text_.front())) text_.remove_prefix(1);
        return text_.empty() ? '\0' : text_.front();
    }
    void expect(char c) {
        if (peek() != c) fail(fmt::format("\"{}\" in the header where \"{}\" belongs", text_.substr(0, 20), c));
        text_.remove_prefix(1);
    }
    // A string (with single quotes, whichever it had), a word, or anything in matching brackets; blanks outside strings are dropped.
    std::string value() {
        std::string out;
        int depth = 0;
        for (char c = peek(); c != '\0'; c = peek()) {
            if (depth == 0 && std::strchr(",:}", c)) break;
            text_.remove_prefix(1);
            if (c == '\'' || c == '"') {
                const size_t end = text_.find(c);
                if (end == std::string_view::npos) fail("a string without an end in the header");
                out += '\'' + std::string(text_.substr(0, end)) + '\'';
                text_.remove_prefix(end + 1);
                continue;
            }
            if (std::strchr("([{", c)) depth++;
            if (std::strchr(")]}", c) && --depth < 0) break;
            out += c;
        }
        if (depth != 0 || out.empty()) fail("an unfinished header");
        return out;
    }
};

std::string read_header(std::FILE *file, const std::string &path) {
    unsigned char head[12] = {};
    const auto read = [&](void *to, size_t bytes) {
        if (std::fread(to, 1, bytes, file) == bytes) return;
        if (std::ferror(file)) throw BadInput(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
        throw BadInput(fmt::format("{}: is not a .npy file: it ends within the header", path));
    };
    const size_t got = std::fread(head, 1, 6, file);
    if (std::ferror(file)) throw BadInput(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
    if (got != 6 || std::memcmp(head, magic.data(), 6) != 0)
        throw BadInput(fmt::format("{}: is not a .npy file: it does not begin with \\x93NUMPY", path));
    read(head + 6, 2);
    const int version = head[6];
    if (version < 1 || version > 3 || head[7] != 0)
        throw BadInput(fmt::format("{}: has .npy format version {}.{}; allowed: 1.0, 2.0, 3.0", path, version, int(head[7])));
    read(head + 8, version == 1 ? 2 : 4);
    size_t length = head[8] | size_t(head[9]) << 8;
    if (version > 1) length |= size_t(head[10]) << 16 | size_t(head[11]) << 24;
    if (length > (1 << 20))
        throw BadInput(fmt::format("{}: is not a .npy file: its header has {} bytes; allowed: up to 1048576", path, length));
    std::string header(length, '\0');
    read(header.data(), length);
    return header;
}

template<typename Element>
std::vector<Element> read_elements(const std::string &path, const std::vector<int64_t> &shape, const std::string &tensor, DType dtype) {
    const NumpyType wanted_type = numpy_type(dtype);
    std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
    if (!file) throw BadInput(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
    const std::string text = read_header(file.get(), path);
    const Header header(text, path, wanted_type.descr);
    if (header.descr != wanted_type.descr)
        throw BadInput(fmt::format("{}: has dtype {}; the {} must be {} (little-endian {})", path, header.descr, tensor, wanted_type.descr, wanted_type.text));
    if (header.order != "False")
        throw BadInput(fmt::format("{}: has fortran_order {}; the {} must be in C order (False)", path, header.order, tensor));
    if (const std::vector<int64_t> found = header.extents(); found != shape)
        throw BadInput(fmt::format("{}: has shape {}; the {} must be {}", path, shape_text(found), tensor, shape_text(shape)));

    // Grows with what is there, so that a short file costs no memory.
    const size_t elements = size_t(product(shape)), block = size_t(1) << 20;
    std::vector<Element> data;
    size_t bytes = 0;
    while (bytes < elements * sizeof(Element)) {
        data.resize(std::min(elements, data.size() + block));
        const size_t wanted = data.size() * sizeof(Element) - bytes;
        const size_t got = std::fread(reinterpret_cast<char *>(data.data()) + bytes, 1, wanted, file.get());
        bytes += got;
        if (got < wanted) break;
    }
    if (std::ferror(file.get())) throw BadInput(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
    if (bytes < elements * sizeof(Element))
        throw BadInput(fmt::format("{}: is truncated: shape {} needs {} bytes of elements, found {}", path, shape_text(shape),
                                   elements * sizeof(Element), bytes));
    if (std::fgetc(file.get()) != EOF)
        throw BadInput(
            fmt::format("{}: has bytes after its elements; shape {} needs {} bytes", path, shape_text(shape), elements * sizeof(Element)));
    return data;
}

}  // namespace

std::string shape_text(const std::vector<int64_t> &shape) {
    return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

std::vector<float> read_npy(const std::string &path, const std::vector<int64_t> &shape, const std::string &tensor, DType dtype) {
    if (dtype == DType::f32) return read_elements<float>(path, shape, tensor, dtype);
    const std::vector<uint16_t> halves = read_elements<uint16_t>(path, shape, tensor, dtype);
    std::vector<float> values(halves.size());
    load_elements(halves.data(), dtype, int64_t(halves.size()), values.data());
    return values;
}

void write_npy(const std::string &path, const std::vector<int64_t> &shape, const void *data, DType dtype) {
    std::string header = fmt::format("{{'descr': {}, 'fortran_order': False, 'shape': {}, }}", numpy_type(dtype).descr, shape_text(shape));
    // The elements begin at a multiple of 64 bytes: 10 bytes before the header, blanks and a line feed after it.
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    const char head[] = {1, 0, char(header.size() & 0xff), char(header.size() >> 8)};
    const std::string_view elements(static_cast<const char *>(data), size_t(product(shape) * size_in_bytes(dtype)));
    write_file(path, {magic, std::string_view(head, sizeof head), header, elements});
}

}  // namespace sepal
