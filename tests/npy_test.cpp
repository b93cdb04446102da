// .npy files.
#include "catch.h"
#include "runtime/half.h"
#include "support.h"
#include "tools/npy.h"

#include <cstring>
#include <filesystem>

using namespace sepal;

namespace {

// A file as the format's description says, of any version and header.
std::string npy(int version, const std::string &header, const std::string &elements) {
    std::string bytes = "\x93NUMPY";
    bytes += char(version);
    bytes += '\0';
    for (int i = 0; i < (version == 1 ? 2 : 4); i++) bytes += char(header.size() >> (8 * i) & 0xff);
    return bytes + header + elements;
}

std::string floats(std::vector<float> values) { return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float)}; }

const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
const std::string six = floats({1, -2, 3.5, 4, 5, 6});

}  // namespace

TEST_CASE("what was written is read back, and the bytes are NumPy's", "[npy]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("a.npy");
    const std::vector<float> values = {1, -2, 3.5, 4, 5, 6};
    write_npy(path, {2, 3}, values.data());
    CHECK(read_npy(path, {2, 3}, "input") == values);
    // numpy.save of the same array: a header of 118 bytes, so that the elements begin at 128.
    std::string expected = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }" + std::string(58, ' ') + "\n", six);
    CHECK(bytes_of(path) == expected);
    CHECK(folder.files() == std::vector<std::string>{"a.npy"});
    write_npy(path, {6}, values.data());  // replaces
    CHECK(read_npy(path, {6}, "input") == values);
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{}, {1}, {1, 1, 1, 1, 1}}) {
        write_npy(path, shape, values.data());
        CHECK(read_npy(path, shape, "input") == std::vector<float>{1});
        CHECK(bytes_of(path).size() % 64 == 4);
    }
}

TEST_CASE("float16 is read where it is wanted and written as it is held", "[npy]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("h.npy");
    const std::vector<float> values = {1, -2, 3.5, 65504, 0x1p-24f, 0};
    std::vector<uint16_t> halves(6);
    store_elements(values.data(), 6, DType::f16, halves.data());
    write_npy(path, {2, 3}, halves.data(), DType::f16);
    CHECK(read_npy(path, {2, 3}, "input", DType::f16) == values);
    CHECK(bytes_of(path) == npy(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }" + std::string(58, ' ') + "\n",
                                {reinterpret_cast<const char *>(halves.data()), 12}));
    CHECK(bad_input([&] { read_npy(path, {2, 3}, "filter"); }) == path + ": has dtype '<f2'; the filter must be '<f4' (little-endian float32)");
    const std::string floats = folder.write("f.npy", npy(1, good, six));
    CHECK(bad_input([&] { read_npy(floats, {2, 3}, "input", DType::f16); }) == floats + ": has dtype '<f4'; the input must be '<f2' (little-endian float16)");
    const std::string whole = bytes_of(path);
    CHECK(bad_input([&] { read_npy(folder.write("s.npy", whole.substr(0, whole.size() - 1)), {2, 3}, "input", DType::f16); }).find("needs 12 bytes of elements, found 11") !=
          std::string::npos);
    CHECK(bad_input([&] { read_npy(folder.write("l.npy", whole + "x"), {2, 3}, "input", DType::f16); }).find("needs 12 bytes") != std::string::npos);
    CHECK(bad_input([&] { read_npy(folder.write("k.npy", npy(1, "{'x': 1}", "")), {2, 3}, "input", DType::f16); }).find("'<f2'") != std::string::npos);
}

TEST_CASE("all versions and spellings of a header are read", "[npy]") {
    const TemporaryFolder folder;
    const std::vector<float> values = {1, -2, 3.5, 4, 5, 6};
    for (int version : {1, 2, 3}) CHECK(read_npy(folder.write("v.npy", npy(version, good, six)), {2, 3}, "input") == values);
    const char *spellings[] = {"{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}",
                               "{ 'fortran_order' : False , 'descr' : '<f4' , 'shape' : ( 2 , 3 ) }   \n"};
    for (const char *header : spellings) CHECK(read_npy(folder.write("s.npy", npy(1, header, six)), {2, 3}, "input") == values);
    CHECK(read_npy(folder.write("one.npy", npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", six)), {6}, "bias") ==
          values);
}

TEST_CASE("everything else is refused with one sentence", "[npy]") {
    const TemporaryFolder folder;
    struct Case {
        std::string bytes;
        std::vector<std::string> parts;
    };
    const auto header = [](const std::string &descr, const std::string &order, const std::string &shape) {
        return npy(1, "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n", six);
    };
    const Case cases[] = {
        {"", {"NUMPY"}},
        {"hello, world", {"NUMPY"}},
        {"PK\x03\x04 a zip", {"NUMPY"}},
        {"\x93NUMPY", {"ends within the header"}},
        {npy(1, good, six).substr(0, 40), {"ends within the header"}},
        {npy(4, good, six), {"version 4.0"}},
        {npy(2, good, six).replace(8, 4, "\xff\xff\xff\x7f"), {"header has"}},
        {header("'<f8'", "False", "(2, 3)"), {"'<f8'", "<f4", "filter"}},
        {header("'>f4'", "False", "(2, 3)"), {"'>f4'"}},
        {header("'<i4'", "False", "(2, 3)"), {"'<i4'"}},
        {header("[('x', '<f4')]", "False", "(2, 3)"), {"('x','<f4')"}},
        {header("'<f4'", "True", "(2, 3)"), {"fortran_order True", "C order"}},
        {header("'<f4'", "False", "(3, 2)"), {"(3, 2)", "(2, 3)"}},
        {header("'<f4'", "False", "(6,)"), {"(6,)", "(2, 3)"}},
        {header("'<f4'", "False", "(2, 3, 1)"), {"(2, 3, 1)"}},
        {header("'<f4'", "False", "()"), {"()", "(2, 3)"}},
        {header("'<f4'", "False", "(-2, 3)"), {"(-2,3)"}},
        {header("'<f4'", "False", "(2, x)"), {"(2,x)"}},
        {header("'<f4'", "False", "(2, 3"), {"not a .npy file"}},
        {header("'<f4'", "False", "6"), {"shape 6"}},
        {header("'<f4'", "False", "(99999999999999999999, 3)"), {"99999999999999999999"}},
        {npy(1, "{'descr': '<f4', 'shape': (2, 3), }", six), {"fortran_order"}},
        {npy(1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", six), {"'descr'"}},
        {npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}", six), {"'more'"}},
        {npy(1, "not a dict at all", six), {"not a .npy file"}},
        {npy(1, "{'descr': '<f4", six), {"without an end"}},
        {npy(1, good, six.substr(0, 23)), {"truncated", "24 bytes", "found 23"}},
        {npy(1, good, ""), {"truncated", "found 0"}},
        {npy(1, good, six + "x"), {"after its elements", "24 bytes"}},
    };
    for (const Case &bad : cases) {
        const std::string path = folder.write("bad.npy", bad.bytes);
        const std::string sentence = bad_input([&] { read_npy(path, {2, 3}, "filter of problem \"x\""); });
        INFO(sentence);
        CHECK(sentence.compare(0, path.size(), path) == 0);
        for (const std::string &part : bad.parts) CHECK(sentence.find(part) != std::string::npos);
    }
    CHECK(bad_input([&] { read_npy(folder.path("absent.npy"), {1}, "bias"); }).find("No such file") != std::string::npos);
    CHECK(bad_input([&] { read_npy(folder.path("."), {1}, "bias"); }).find("directory") != std::string::npos);
}

TEST_CASE("a failed write leaves what was there", "[npy]") {
    const TemporaryFolder folder;
    const float one = 1;
    CHECK(bad_input([&] { write_npy(folder.path("absent/x.npy"), {1}, &one); }).find("absent/x.npy") != std::string::npos);
    CHECK(bad_input([&] { write_npy(folder.path("."), {1}, &one); }).find("not a regular file") != std::string::npos);
    CHECK(bad_input([&] { write_npy("/dev/full", {1}, &one); }).find("not a regular file") != std::string::npos);
    CHECK(folder.files().empty());
    // Through a link, the file that it points to is replaced and the link stays.
    const std::string target = folder.write("target.npy", "old");
    std::filesystem::create_symlink("target.npy", folder.path("link.npy"));
    write_npy(folder.path("link.npy"), {1}, &one);
    CHECK(std::filesystem::is_symlink(folder.path("link.npy")));
    CHECK(read_npy(target, {1}, "bias") == std::vector<float>{1});
    CHECK(folder.files() == std::vector<std::string>{"link.npy", "target.npy"});
}
