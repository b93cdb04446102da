// The PTX emulator: memory, what warps do together, what is found wrong, what is counted, and the driver around it.
#include "catch.h"
#include "emulated_gpu.h"

#include "bench/gpu/emulator/half.h"

#include <Halide.h>

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <random>

using namespace sepal;

namespace {

std::vector<uint32_t> numbers(size_t count, uint32_t first = 0) {
    std::vector<uint32_t> v(count);
    std::iota(v.begin(), v.end(), first);
    return v;
}

// The counts of the one launch since the last call.
KernelCounts only_launch() {
    for (const std::string &fault : take_emulator_faults()) UNSCOPED_INFO(fault);
    const std::vector<KernelCounts> launches = take_emulated_launches();
    REQUIRE(launches.size() == 1);
    return launches[0];
}

// %d10 + n: the address of the thread's element of so many bytes in %pointer<n>.
std::string element(int pointer, int bytes) {
    return fmt::format("mul.wide.u32 %d20, %t, {}; add.s64 %d1{}, %pointer{}, %d20;\n", bytes, pointer, pointer);
}

// A kernel that is to fail, and how.
struct Wrong {
    std::string body;
    int result;
    std::vector<std::string> told;  // parts of the sentence, beside kernel, block, instruction
    EmulatedGpu::Shape shape{1, 64, 1024};
    std::string variables = ".extern .shared .align 16 .b8 dynamic[];";
    EmulatedDevice device{};
};

// One pointer to 64 written words.
void expect_fault(const Wrong &wrong) {
    INFO(wrong.body);
    EmulatedGpu gpu(wrong.device);
    const DeviceAddress in = gpu.upload(numbers(64)), out = gpu.allocate(64 * 4);
    const int result = gpu.launch(gpu.function(gpu.load(ptx_kernel(2, wrong.body, "", wrong.variables)), "k"), wrong.shape, in, out);
    const std::vector<std::string> faults = take_emulator_faults();
    CHECK(result == wrong.result);
    REQUIRE(faults.size() == 1);
    INFO(faults[0]);
    CHECK(faults[0].find("kernel k, block (") == 0);
    CHECK(faults[0].find('\n') == std::string::npos);
    for (const std::string &part : wrong.told) CHECK(faults[0].find(part) != std::string::npos);
    CHECK(take_emulated_launches().empty());
}
// The same kernel, put right.
void expect_success(const Wrong &right) {
    INFO(right.body);
    EmulatedGpu gpu(right.device);
    const DeviceAddress in = gpu.upload(numbers(64)), out = gpu.allocate(64 * 4);
    const int result = gpu.launch(gpu.function(gpu.load(ptx_kernel(2, right.body, "", right.variables)), "k"), right.shape, in, out);
    for (const std::string &fault : take_emulator_faults()) UNSCOPED_INFO(fault);
    CHECK(result == 0);
}

constexpr int invalid_value = 1, illegal_address = 700, illegal_instruction = 715, misaligned = 716, failed = 719;

// Each thread writes its word of shared memory, then reads another's: as it stands that of the same lane of warp 0.
std::string exchange(const std::string &between, const std::string &neighbour = "and.b32 %r2, %t, 31;") {
    return "mov.b32 %r1, dynamic; shl.b32 %r3, %t, 2; add.s32 %r3, %r3, %r1; st.shared.b32 [%r3], %t;\n" + between + "\n" + neighbour +
           " shl.b32 %r4, %r2, 2; add.s32 %r4, %r4, %r1; ld.shared.b32 %r5, [%r4];\n" + element(1, 4) + "st.global.b32 [%d11], %r5;";
}

}  // namespace

TEST_CASE("loads and stores of all widths and spaces move the bytes", "[emulator]") {
    EmulatedGpu gpu;
    std::vector<uint8_t> bytes(32 * 16);
    std::mt19937 random(1);
    for (uint8_t &b : bytes) b = static_cast<uint8_t>(random());
    const DeviceAddress in = gpu.upload(bytes);
    // Each copies the thread's 16 bytes, or what of them its width leaves, through registers of its type.
    const std::vector<std::pair<std::string, int>> copies{
        {"ld.global.b8 %h1, [%d10]; st.global.b8 [%d11], %h1;", 1},
        {"ld.global.nc.b16 %h1, [%d10]; st.global.b16 [%d11], %h1;", 2},
        {"ld.global.b32 %r1, [%d10]; st.global.b32 [%d11], %r1;", 4},
        {"ld.global.nc.b64 %d1, [%d10]; st.global.b64 [%d11], %d1;", 8},
        {"ld.global.v2.b16 {%h1, %h2}, [%d10]; st.global.v2.b16 [%d11], {%h1, %h2};", 4},
        {"ld.global.v4.b8 {%h1, %h2, %h3, %h4}, [%d10]; st.global.v4.b8 [%d11], {%h1, %h2, %h3, %h4};", 4},
        {"ld.global.v2.f32 {%r1, %r2}, [%d10]; st.global.v2.f32 [%d11], {%r1, %r2};", 8},
        {"ld.global.nc.v4.b32 {%r1, %r2, %r3, %r4}, [%d10]; st.global.v4.b32 [%d11], {%r1, %r2, %r3, %r4};", 16},
        {"ld.global.nc.L1::no_allocate.L2::128B.v2.b64 {%d1, %d2}, [%d10]; st.global.cs.v2.b64 [%d11], {%d1, %d2};", 16},
        {".reg .b128 %q; ld.global.b128 %q, [%d10]; st.global.b128 [%d11], %q;", 16},
        {"ld.volatile.global.b32 %r1, [%d10+8]; st.global.b32 [%d11+4], %r1; ld.global.b32 %r1, [%d10]; st.global.b32 [%d11], %r1;", -8},
        {"ld.b64 %d1, [%d10]; st.b64 [%d11], %d1;", 8},
        {"cvta.global.u64 %d1, %d10; cvta.to.global.u64 %d1, %d1; ld.global.b64 %d2, [%d1]; st.global.b64 [%d11], %d2;", 8},
        {"mov.b32 %r1, room; shl.b32 %r2, %t, 4; add.s32 %r1, %r1, %r2; ld.global.v4.b32 {%r3, %r4, %r5, %r6}, [%d10]; st.shared.v4.b32 "
         "[%r1], {%r3, %r4, %r5, %r6};"
         "ld.shared.v2.b64 {%d1, %d2}, [%r1]; st.global.v2.b64 [%d11], {%d1, %d2};",
         16},
        {"mov.b64 %d1, room; mul.wide.u32 %d2, %t, 16; add.s64 %d1, %d1, %d2; cvta.shared.u64 %d3, %d1; ld.global.b64 %d4, [%d10]; st.b64 "
         "[%d3], %d4;"
         "ld.shared.b64 %d5, [%d1]; st.global.b64 [%d11], %d5;",
         8},
        {".local .align 16 .b8 depot[16]; mov.b64 %d1, depot; cvta.local.u64 %d2, %d1; ld.global.b64 %d4, [%d10]; st.local.b64 [%d1+8], "
         "%d4; ld.b64 %d5, [%d2+8];"
         "st.global.b64 [%d11], %d5;",
         8},
        {"mul.wide.u32 %d1, %t, 4; mov.b64 %d2, table; add.s64 %d1, %d1, %d2; ld.const.b32 %r1, [%d1]; ld.global.b32 %r2, [%d10]; add.s32 "
         "%r1, %r1, %r2; "
         "ld.const.b32 %r2, [table+4]; sub.s32 %r1, %r1, %r2; mul.lo.s32 %r3, %t, 0; add.s32 %r1, %r1, %r3; st.global.b32 [%d11], %r1;",
         0},
    };
    for (const auto &[copy, width] : copies) {
        INFO(copy);
        const DeviceAddress out = gpu.allocate(bytes.size());
        cuda("cuMemsetD8_v2", out, static_cast<unsigned char>(0), bytes.size());
        std::string table = ".const .align 4 .b32 table[32] = {";
        for (int i = 0; i < 32; ++i) table += fmt::format("{}{}", i ? ", " : "", 100 + i);
        void *function = gpu.function(
            gpu.load(ptx_kernel(2, element(0, 16) + element(1, 16) + copy, "", ".shared .align 16 .b8 room[512];\n" + table + "};")), "k");
        const int result = gpu.launch(function, {}, in, out);
        for (const std::string &fault : take_emulator_faults()) UNSCOPED_INFO(fault);
        REQUIRE(result == 0);
        const std::vector<uint8_t> got = gpu.download<uint8_t>(out, bytes.size());
        std::vector<uint8_t> expected(bytes.size());
        for (uint32_t t = 0; t < 32; ++t) {
            if (width > 0) std::copy_n(&bytes[t * 16], width, &expected[t * 16]);
            if (width == -8) std::copy_n(&bytes[t * 16], 4, &expected[t * 16]), std::copy_n(&bytes[t * 16 + 8], 4, &expected[t * 16 + 4]);
            if (width == 0) {
                uint32_t v;
                std::memcpy(&v, &bytes[t * 16], 4);
                v += t - 1;
                std::memcpy(&expected[t * 16], &v, 4);
            }
        }
        CHECK(got == expected);
    }
}

TEST_CASE("narrow loads fill wider registers with zeros or the sign", "[emulator]") {
    EmulatedGpu gpu;
    const DeviceAddress in = gpu.upload(std::vector<uint16_t>{0xfedc, 0x0123}), out = gpu.allocate(40);
    void *function = gpu.function(gpu.load(ptx_kernel(2, "ld.global.s8 %r1, [%pointer0]; st.global.b32 [%pointer1], %r1; ld.global.u8 %r1, "
                                                         "[%pointer0]; st.global.b32 [%pointer1+4], %r1;"
                                                         "ld.global.s16 %d1, [%pointer0]; st.global.b64 [%pointer1+8], %d1; ld.global.u16 "
                                                         "%d1, [%pointer0]; st.global.b64 [%pointer1+16], %d1;"
                                                         "ld.global.b16 %r1, [%pointer0+2]; st.global.b32 [%pointer1+24], %r1; "
                                                         "ld.global.b32 %d1, [%pointer0]; st.global.b64 [%pointer1+32], %d1;")),
                                  "k");
    REQUIRE(gpu.launch(function, {1, 1, 0}, in, out) == 0);
    const std::vector<uint32_t> got = gpu.download<uint32_t>(out, 10);
    CHECK(std::vector<uint32_t>(got.begin(), got.begin() + 7) ==
          std::vector<uint32_t>{0xffffffdc, 0xdc, 0xfffffedc, 0xffffffff, 0xfedc, 0, 0x123});
    CHECK(got[8] == 0x0123fedc);
    CHECK(got[9] == 0);
}

TEST_CASE("threads know where they are", "[emulator]") {
    EmulatedGpu gpu;
    const std::string ptx = ptx_kernel(
        1, "mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.z; mov.u32 %r4, %ctaid.x; mov.u32 %r5, %ctaid.y; mov.u32 %r6, "
           "%ntid.x; mov.u32 %r7, %ntid.y;"
           "mov.u32 %r8, %ntid.z; mov.u32 %r9, %nctaid.x; mov.u32 %r20, %laneid; mov.u32 %r21, %warpid;\n"
           "mad.lo.s32 %r10, %r3, %r7, %r2; mad.lo.s32 %r10, %r10, %r6, %r1;"  // in the block
           "mad.lo.s32 %r11, %r5, %r9, %r4; mul.lo.s32 %r12, %r6, %r7; mul.lo.s32 %r12, %r12, %r8; mad.lo.s32 %r11, %r11, %r12, %r10;"
           "mul.wide.u32 %d1, %r11, 4; add.s64 %d1, %d1, %pointer0; shl.b32 %r21, %r21, 8; add.s32 %r20, %r20, %r21; st.global.b32 [%d1], "
           "%r20;");
    const DeviceAddress out = gpu.allocate(2 * 3 * 5 * 4 * 3 * 4);
    DeviceAddress parameter = out;
    void *parameters[] = {&parameter};
    REQUIRE(cuda("cuLaunchKernel", gpu.function(gpu.load(ptx), "k"), 2u, 3u, 1u, 5u, 4u, 3u, 0u, static_cast<void *>(nullptr),
                 static_cast<void **>(parameters), static_cast<void **>(nullptr)) == 0);
    const std::vector<uint32_t> got = gpu.download<uint32_t>(out, 360);
    for (uint32_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == (i % 60 % 32) + (i % 60 / 32 << 8));
    const KernelCounts counts = only_launch();
    CHECK((counts.blocks == 6 && counts.warps == 12 && counts.threads == 360));
    CHECK((counts.grid == std::array<unsigned, 3>{2, 3, 1} && counts.block == std::array<unsigned, 3>{5, 4, 3}));
}

TEST_CASE("lanes that part meet again, and loops of different lengths end", "[emulator]") {
    EmulatedGpu gpu;
    // Sum of 0..t by a loop; then odd threads triple it, by way of a block that stands behind the end of the kernel.
    const DeviceAddress out = gpu.allocate(64 * 4);
    const std::string body =
        "mov.b32 %r1, 0; mov.b32 %r2, 0;\n$loop: add.s32 %r2, %r2, %r1; add.s32 %r1, %r1, 1; setp.le.u32 %p1, %r1, %t; @%p1 bra $loop;\n"
        "and.b32 %r3, %t, 1; setp.ne.s32 %p2, %r3, 0; @%p2 bra $odd;\n$join:\n"
        "shfl.sync.bfly.b32 %r5, %r2, 0, 31, -1; bar.sync 0;\n" +
        element(0, 4) + "st.global.b32 [%d10], %r5; ret;\n$odd: mul.lo.s32 %r2, %r2, 3; bra.uni $join;";
    REQUIRE(gpu.launch(gpu.function(gpu.load(ptx_kernel(1, body)), "k"), {1, 64, 0}, out) == 0);
    const std::vector<uint32_t> got = gpu.download<uint32_t>(out, 64);
    for (uint32_t t = 0; t < 64; ++t) REQUIRE(got[t] == t * (t + 1) / 2 * (t % 2 ? 3 : 1));
    const KernelCounts counts = only_launch();
    CHECK(counts.divergent_branches == 31 * 2 + 2);  // of both warps' loops every step but the last, and odd against even
    CHECK(counts.barriers == 2);
}

TEST_CASE("shuffles and votes", "[emulator]") {
    EmulatedGpu gpu;
    const auto run = [&](const std::string &body) {
        INFO(body);
        const DeviceAddress out = gpu.allocate(32 * 4);
        const int result = gpu.launch(
            gpu.function(gpu.load(ptx_kernel(1, "mul.lo.s32 %r1, %t, 10;" + body + element(0, 4) + "st.global.b32 [%d10], %r2;")), "k"), {},
            out);
        for (const std::string &fault : take_emulator_faults()) UNSCOPED_INFO(fault);
        REQUIRE(result == 0);
        return gpu.download<uint32_t>(out, 32);
    };
    const auto expect = [&](const std::string &body, const std::function<uint32_t(uint32_t)> &value) {
        const std::vector<uint32_t> got = run(body);
        for (uint32_t l = 0; l < 32; ++l) CHECK(got[l] == value(l));
    };
    expect("shfl.sync.up.b32 %r2, %r1, 3, 0, -1;", [](uint32_t l) { return l < 3 ? l * 10 : (l - 3) * 10; });
    expect("shfl.sync.down.b32 %r2, %r1, 3, 31, -1;", [](uint32_t l) { return l > 28 ? l * 10 : (l + 3) * 10; });
    expect("shfl.sync.bfly.b32 %r2, %r1, 5, 31, 0xffffffff;", [](uint32_t l) { return (l ^ 5) * 10; });
    expect("shfl.sync.idx.b32 %r2, %r1, 7, 31, -1;", [](uint32_t) { return 70; });
    expect("shfl.sync.idx.b32 %r2, %r1, 1, 6175, -1;", [](uint32_t l) { return (l / 8 * 8 + 1) * 10; });  // segments of 8: 24 << 8 | 31
    expect("shfl.sync.up.b32 %r3|%p1, %r1, 1, 0, -1; selp.b32 %r2, 1, 0, %p1;", [](uint32_t l) { return l != 0; });
    expect("setp.lt.u32 %p1, %t, 5; vote.sync.ballot.b32 %r2, %p1, -1;", [](uint32_t) { return 31; });
    expect("setp.lt.u32 %p1, %t, 5; vote.sync.any.pred %p2, %p1, -1; selp.b32 %r2, 1, 0, %p2;", [](uint32_t) { return 1; });
    expect("setp.lt.u32 %p1, %t, 5; vote.sync.all.pred %p2, %p1, -1; selp.b32 %r2, 1, 0, %p2;", [](uint32_t) { return 0; });
    expect("setp.lt.u32 %p1, %t, 5; mov.b32 %r2, 0; @%p1 activemask.b32 %r2;", [](uint32_t l) { return l < 5 ? 31 : 0; });
}

TEST_CASE("atomics add up over threads and blocks, in global and shared memory", "[emulator]") {
    EmulatedGpu gpu;
    const DeviceAddress out = gpu.upload(std::vector<uint32_t>{0, 0, 0xffffffff, 0, 0, 0, 0, 0, 7, 0});
    const std::string body =
        "red.global.add.u32 [%pointer0], %t; atom.global.max.u32 %r1, [%pointer0+4], %t; red.global.min.u32 [%pointer0+8], %t; "
        "red.global.add.f32 [%pointer0+12], 0f3F000000;"
        "red.global.or.b32 [%pointer0+16], %t; atom.global.add.u64 %d1, [%pointer0+24], 1; atom.global.cas.b32 %r2, [%pointer0+32], 7, 9;"
        "mov.b32 %r3, sum; setp.eq.s32 %p1, %t, 0; @%p1 st.shared.b32 [%r3], 0; bar.sync 0; atom.shared.add.u32 %r4, [%r3], %t; bar.sync "
        "0; ld.shared.b32 %r5, [%r3]; "
        "@%p1 red.global.add.u32 [%pointer0+36], %r5;";
    const int result = gpu.launch(gpu.function(gpu.load(ptx_kernel(1, body, "", ".shared .align 4 .b32 sum;")), "k"), {3, 64, 0}, out);
    for (const std::string &fault : take_emulator_faults()) UNSCOPED_INFO(fault);
    REQUIRE(result == 0);
    const std::vector<uint32_t> got = gpu.download<uint32_t>(out, 10);
    CHECK(got[0] == 3 * 63 * 32);
    CHECK((got[1] == 63 && got[2] == 0));
    CHECK(ptx::bits_as<float>(got[3]) == 96.f);
    CHECK((got[4] == 63 && got[6] == 192 && got[7] == 0 && got[8] == 9));
    CHECK(got[9] == 3 * 63 * 32);
}

namespace {

// Where element i of a lane's fragment stands, after the tables of the PTX ISA ("Matrix Fragments for mma.m16n8k8, .m16n8k16, .m16n8k32").
// bytes: of an element of A and B.
struct Place {
    int row, column;
};
Place place_a(int lane, int i, int bytes) {
    const int in_word = 4 / bytes, word = i / in_word;
    return {lane / 4 + word % 2 * 8, lane % 4 * in_word + i % in_word + word / 2 * 4 * in_word};
}
Place place_b(int lane, int i, int bytes) {
    const int in_word = 4 / bytes, word = i / in_word;
    return {lane % 4 * in_word + i % in_word + word * 4 * in_word, lane / 4};
}
Place place_c(int lane, int i) { return {lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2}; }

struct Product {
    std::string instruction;
    int depth, bytes;          // of K; of an element of A and B
    bool half_sums;            // D and C are halves
    bool signed_a = true, signed_b = true;
};

void check_product(const Product &p) {
    INFO(p.instruction);
    std::mt19937 random(5);
    const auto value = [&](bool is_signed) { return static_cast<int>(random() % 17) - (is_signed ? 8 : 0); };
    std::vector<int> a(static_cast<size_t>(16 * p.depth)), b(static_cast<size_t>(p.depth * 8)), c(16 * 8);
    for (int &v : a) v = value(p.signed_a);
    for (int &v : b) v = value(p.signed_b);
    for (int &v : c) v = value(true);
    const int words_a = 16 * p.depth * p.bytes / 4 / 32, words_b = words_a / 2, words_c = p.half_sums ? 2 : 4;
    const auto put = [&](std::vector<uint32_t> &words, size_t word, int i, int bytes, int v) {
        const uint32_t bits = bytes == 4   ? (p.bytes == 1 ? static_cast<uint32_t>(v) : ptx::bits_as<uint32_t>(static_cast<float>(v)))
                              : bytes == 2 ? ptx::half_of_float(static_cast<float>(v)) : static_cast<uint32_t>(v) & 0xff;
        words[word + static_cast<size_t>(i * bytes / 4)] |= bits << i * bytes % 4 * 8;
    };
    std::vector<uint32_t> fa, fb, fc;
    for (int l = 0; l < 32; ++l) {
        const auto words = [&](int count) { return static_cast<size_t>(l * count); };
        fa.resize(words(words_a) + static_cast<size_t>(words_a)), fb.resize(words(words_b) + static_cast<size_t>(words_b)),
            fc.resize(words(words_c) + static_cast<size_t>(words_c));
        for (int i = 0; i < words_a * 4 / p.bytes; ++i) {
            const Place at = place_a(l, i, p.bytes);
            put(fa, words(words_a), i, p.bytes, a[static_cast<size_t>(at.row * p.depth + at.column)]);
        }
        for (int i = 0; i < words_b * 4 / p.bytes; ++i) {
            const Place at = place_b(l, i, p.bytes);
            put(fb, words(words_b), i, p.bytes, b[static_cast<size_t>(at.row * 8 + at.column)]);
        }
        for (int i = 0; i < 4; ++i) {
            const Place at = place_c(l, i);
            put(fc, words(words_c), i, p.half_sums ? 2 : 4, c[static_cast<size_t>(at.row * 8 + at.column)]);
        }
    }
    EmulatedGpu gpu;
    const DeviceAddress da = gpu.upload(fa), db = gpu.upload(fb), dc = gpu.upload(fc), dd = gpu.allocate(fc.size() * 4);
    const auto registers = [](int first, int count) {
        std::string text = "{";
        for (int i = 0; i < count; ++i) text += fmt::format("{}%r{}", i ? ", " : "", first + i);
        return text + "}";
    };
    const auto load = [&](int pointer, int first, int count) {
        std::string text = element(pointer, 4 * count);
        for (int i = 0; i < count; ++i) text += fmt::format("ld.global.b32 %r{}, [%d1{}+{}];\n", first + i, pointer, 4 * i);
        return text;
    };
    std::string body = load(0, 1, words_a) + load(1, 11, words_b) + load(2, 21, words_c) + p.instruction + " " + registers(31, words_c) +
                       ", " + registers(1, words_a) + ", " + registers(11, words_b) + ", " + registers(21, words_c) + ";\n" +
                       element(3, 4 * words_c);
    for (int i = 0; i < words_c; ++i) body += fmt::format("st.global.b32 [%d13+{}], %r{};\n", 4 * i, 31 + i);
    const int result = gpu.launch(gpu.function(gpu.load(ptx_kernel(4, body)), "k"), {}, da, db, dc, dd);
    const std::vector<uint32_t> got = gpu.download<uint32_t>(dd, fc.size());
    const KernelCounts counts = only_launch();
    REQUIRE(result == 0);
    for (int l = 0; l < 32; ++l)
        for (int i = 0; i < 4; ++i) {
            const Place at = place_c(l, i);
            int sum = c[static_cast<size_t>(at.row * 8 + at.column)];
            for (int k = 0; k < p.depth; ++k)
                sum += a[static_cast<size_t>(at.row * p.depth + k)] * b[static_cast<size_t>(k * 8 + at.column)];
            const uint32_t word = got[static_cast<size_t>(l * words_c + (p.half_sums ? i / 2 : i))];
            const double d = p.half_sums    ? ptx::float_of_half(static_cast<uint16_t>(word >> i % 2 * 16))
                             : p.bytes == 1 ? static_cast<int32_t>(word)
                                            : ptx::bits_as<float>(word);
            REQUIRE(d == sum);
        }
    CHECK(counts.of(InstructionClass::mma) == 1);
    CHECK(counts.mma_multiply_adds == static_cast<uint64_t>(16 * 8 * p.depth));
}

}  // namespace

TEST_CASE("mma.sync multiplies matrices whose elements lie in lanes as the PTX ISA has them", "[emulator]") {
    check_product({"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 16, 2, false});
    check_product({"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", 16, 2, true});
    check_product({"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 8, 2, false});
    check_product({"mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16", 8, 2, true});
    check_product({"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", 32, 1, false});
    check_product({"mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32", 32, 1, false, false, true});
    check_product({"mma.sync.aligned.m16n8k16.row.col.satfinite.s32.s8.u8.s32", 16, 1, false, true, false});
}

TEST_CASE("the fragments that the test of mma.sync builds are those of the PTX ISA", "[emulator]") {
    // A of m16n8k16, f16: ai is in row groupID for i in 0, 1, 4, 5, else groupID + 8; in column 2 * threadID_in_group + (i & 1), + 8 for i
    // >= 4.
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < 8; ++i) {
            const Place at = place_a(lane, i, 2);
            CHECK(at.row == lane / 4 + (i < 2 || (i >= 4 && i < 6) ? 0 : 8));
            CHECK(at.column == lane % 4 * 2 + (i & 1) + (i >= 4 ? 8 : 0));
        }
    // B of it: bi is in row 2 * threadID_in_group + (i & 1), + 8 for i >= 2; in column groupID. A of m16n8k32, s8: 4 * threadID_in_group +
    // (i & 3), + 16 for i >= 8.
    for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) CHECK(place_b(lane, i, 2).row == lane % 4 * 2 + (i & 1) + (i >= 2 ? 8 : 0));
        for (int i = 0; i < 16; ++i) {
            CHECK(place_a(lane, i, 1).row == lane / 4 + (i < 4 || (i >= 8 && i < 12) ? 0 : 8));
            CHECK(place_a(lane, i, 1).column == lane % 4 * 4 + (i & 3) + (i >= 8 ? 16 : 0));
        }
        for (int i = 0; i < 8; ++i) CHECK(place_b(lane, i, 1).row == lane % 4 * 4 + (i & 3) + (i >= 4 ? 16 : 0));
    }
}

TEST_CASE("ldmatrix brings rows of shared memory into fragments", "[emulator]") {
    for (int count : {1, 2, 4})
        for (bool transposed : {false, true}) {
            EmulatedGpu gpu;
            std::vector<uint16_t> matrices(4 * 64);
            std::iota(matrices.begin(), matrices.end(), uint16_t{1000});
            const DeviceAddress in = gpu.upload(matrices), out = gpu.allocate(32 * 16);
            // Each lane puts its row of 16 bytes into shared memory, with 16 bytes between rows; the matrices are those rows.
            std::string to = "{%r10";
            for (int m = 1; m < count; ++m) to += fmt::format(", %r1{}", m);
            std::string body =
                element(0, 16) +
                "ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%d10]; mov.b32 %r5, dynamic; shl.b32 %r6, %t, 5; add.s32 %r5, %r5, %r6;"
                "st.shared.v4.b32 [%r5], {%r1, %r2, %r3, %r4}; bar.sync 0;" +
                fmt::format("ldmatrix.sync.aligned.m8n8.x{}{}.shared.b16 {}}}, [%r5];\n", count, transposed ? ".trans" : "", to) +
                element(1, 16);
            for (int m = 0; m < count; ++m) body += fmt::format("st.global.b32 [%d11+{}], %r1{};\n", 4 * m, m);
            const int result = gpu.launch(gpu.function(gpu.load(ptx_kernel(2, body, "", ".extern .shared .align 16 .b8 dynamic[];")), "k"),
                                          {1, 32, 1024}, in, out);
            const std::vector<uint16_t> got = gpu.download<uint16_t>(out, 32 * 8);
            const KernelCounts counts = only_launch();
            REQUIRE(result == 0);
            for (int m = 0; m < count; ++m)
                for (int l = 0; l < 32; ++l)
                    for (int e = 0; e < 2; ++e) {
                        const int row = transposed ? l % 4 * 2 + e : l / 4, column = transposed ? l / 4 : l % 4 * 2 + e;
                        REQUIRE(got[static_cast<size_t>(l * 8 + m * 2 + e)] == matrices[static_cast<size_t>(m * 64 + row * 8 + column)]);
                    }
            CHECK(counts.shared_loads.least_wavefronts == static_cast<uint64_t>(count));
            CHECK(counts.shared_loads.wavefronts ==
                  static_cast<uint64_t>(2 * count));  // rows of 32 bytes: every second falls on the same banks
        }
}

TEST_CASE("cp.async copies, and nobody touches the bytes before they have been waited for", "[emulator]") {
    const auto body = [](const std::string &wait) {
        return element(0, 16) +
               "mov.b32 %r5, dynamic; shl.b32 %r6, %t, 4; add.s32 %r5, %r5, %r6; setp.ge.u32 %p1, %t, 8; selp.b32 %r7, 0, 16, %p1;"
               "cp.async.cg.shared.global [%r5], [%d10], 16, %r7; cp.async.commit_group; cp.async.ca.shared.global [%r5+1024], [%d10], 16; "
               "cp.async.commit_group;" +
               wait + "ld.shared.b32 %r1, [%r5];" + element(1, 4) + "st.global.b32 [%d11], %r1;";
    };
    EmulatedGpu gpu;
    const DeviceAddress in = gpu.upload(numbers(64 * 4, 5)), out = gpu.allocate(64 * 4);
    const auto launch = [&](const std::string &wait) {
        return gpu.launch(gpu.function(gpu.load(ptx_kernel(2, body(wait), "", ".extern .shared .align 16 .b8 dynamic[];")), "k"),
                          {1, 64, 2048}, in, out);
    };
    for (const char *wait : {"cp.async.wait_group 1;", "cp.async.wait_group 0;", "cp.async.wait_all;"}) {
        REQUIRE(launch(wait) == 0);
        const std::vector<uint32_t> got = gpu.download<uint32_t>(out, 64);
        for (uint32_t t = 0; t < 64; ++t) CHECK(got[t] == (t < 8 ? 5 + 4 * t : 0));
    }
    CHECK(launch("") == failed);
    CHECK(launch("cp.async.wait_group 2;") == failed);
    for (const std::string &fault : take_emulator_faults()) CHECK(fault.find("has not waited for") != std::string::npos);
}

TEST_CASE("accesses of global memory outside what is allocated, misaligned, or of what nobody has written end the launch", "[emulator]") {
    // One element too far.
    expect_fault(
        {element(0, 4) + "ld.global.b32 %r1, [%d10+4];",
         illegal_address,
         {"thread (63, 0, 0)", "\"ld.global.b32 %r1, [%d10+4]\"", "reads 4 bytes", "0 bytes past the end of an allocation of 256 bytes"}});
    expect_fault({element(1, 4) + "st.global.b32 [%d11-4], %t;",
                  illegal_address,
                  {"thread (0, 0, 0)", "writes 4 bytes", "4 bytes before an allocation of 256 bytes"}});
    expect_fault({"ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%pointer0+256];", illegal_address, {"reads 16 bytes"}});
    expect_fault({"ld.global.b32 %r1, [64];", illegal_address, {"address 0x40 in global memory"}});
    expect_fault({"red.global.add.u32 [%pointer0+256], 1;", illegal_address, {"changes 4 bytes"}});
    expect_fault({"ld.global.b32 %r1, [%pointer0+2];", misaligned, {"not aligned", "thread (0, 0, 0)"}});
    expect_fault({"ld.global.v2.b32 {%r1, %r2}, [%pointer0+4];", misaligned, {"8 bytes"}});
    expect_fault(
        {element(1, 4) + "ld.global.b32 %r1, [%d11];", failed, {"byte 0 of an allocation of 256 bytes, where nothing has been written"}});
    expect_fault({"setp.eq.s32 %p1, %t, 0; @%p1 st.global.b16 [%pointer1], 1; @%p1 ld.global.b32 %r1, [%pointer1];",
                  failed,
                  {"byte 2 of an allocation"}});
    expect_success({element(1, 4) + "st.global.b32 [%d11], %t; ld.global.b32 %r1, [%d11]; ld.global.b32 %r1, [%pointer0+252];", 0, {}});
}

TEST_CASE("memory that has been freed is told as such", "[emulator]") {
    EmulatedGpu gpu;
    const DeviceAddress freed = gpu.upload(numbers(32));
    REQUIRE(cuda("cuMemFree_v2", freed) == 0);
    const DeviceAddress next = gpu.upload(numbers(32));
    CHECK(next != freed);
    void *function = gpu.function(gpu.load(ptx_kernel(1, "ld.global.b32 %r1, [%pointer0+8];")), "k");
    CHECK(gpu.launch(function, {}, freed) == illegal_address);
    const std::vector<std::string> faults = take_emulator_faults();
    REQUIRE(faults.size() == 1);
    INFO(faults[0]);
    CHECK(faults[0].find("within an allocation of 128 bytes") != std::string::npos);
    CHECK(faults[0].find("which has been freed") != std::string::npos);
    CHECK(gpu.launch(function, {}, next) == 0);
    CHECK(cuda("cuMemFree_v2", freed) == invalid_value);
    uint32_t word = 0;
    CHECK(cuda("cuMemcpyDtoH_v2", static_cast<void *>(&word), freed, size_t{4}) == invalid_value);
}

TEST_CASE("shared memory: its bounds, its reserved bytes, and what nobody has written", "[emulator]") {
    expect_fault({"mov.b32 %r1, dynamic; st.shared.b32 [%r1+1024], 1;",
                  illegal_address,
                  {"writes 4 bytes at address 0x800 in shared memory", "1024 bytes from 0x400"}});
    expect_fault({"mov.b32 %r1, dynamic; st.shared.b32 [%r1+2], 1;", misaligned, {"address 0x402"}});
    expect_fault({"st.shared.b32 [0], 1;", illegal_address, {"address 0x0 in shared memory", "reserved"}});
    expect_fault({"mov.b32 %r1, dynamic; ld.shared.b32 %r2, [%r1+64];",
                  failed,
                  {"reads address 0x440 in shared memory, where no thread of the block has written"}});
    EmulatedDevice no_reserve;
    no_reserve.check_reserved_shared = false;
    expect_success({"setp.eq.s32 %p1, %t, 0; @%p1 st.shared.b32 [0], 1;", 0, {}, {1, 64, 1024}, "", no_reserve});
    // What an earlier block has written is none of the next one's.
    Wrong second{"mov.u32 %r1, %ctaid.x; setp.eq.s32 %p1, %r1, 0; mov.b32 %r2, dynamic; setp.eq.and.s32 %p2, %t, 0, %p1; @%p2 "
                 "st.shared.b32 [%r2], 1; bar.sync 0; ld.shared.b32 %r3, [%r2];",
                 failed,
                 {"block (1, 0, 0)", "where no thread of the block has written"}};
    second.shape.blocks = 2;
    expect_fault(second);
}

TEST_CASE("a missing barrier is a race", "[emulator]") {
    expect_success({exchange("bar.sync 0;"), 0, {}});
    expect_fault(
        {exchange(""),
         failed,
         {"a race in shared memory: it reads address", "which thread (0, 0, 0) wrote without bar.sync in between", "thread (32, 0, 0)"},
         {1, 64, 1024}});
    expect_fault(
        {exchange("", "xor.b32 %r2, %t, 32;"), failed, {"reads address 0x480 in shared memory, where no thread of the block has written"}});
    // Within a warp bar.warp.sync is enough, and step is not.
    const std::string neighbour = "xor.b32 %r2, %t, 1;";
    expect_success({exchange("bar.warp.sync 0xffffffff;", neighbour), 0, {}});
    expect_fault({exchange("", neighbour), failed, {"which thread (1, 0, 0) wrote without bar.sync or bar.warp.sync"}});
    expect_fault({exchange("bar.warp.sync 0xffffffff;"), failed, {"a race in shared memory"}});
    // Read, then written by another: the second barrier of a loop.
    const std::string again =
        "mov.b32 %r1, dynamic; shl.b32 %r3, %t, 2; add.s32 %r3, %r3, %r1; st.shared.b32 [%r3], %t; bar.sync 0; ld.shared.b32 %r4, [%r1];";
    expect_success({again + "bar.sync 0; st.shared.b32 [%r3], 5;", 0, {}});
    expect_fault({again + "st.shared.b32 [%r3], 5;", failed, {"writes address 0x400", "read without bar.sync"}});
    // Two values for one place; one value twice is no race until somebody reads it.
    const std::string store = "mov.b32 %r1, dynamic; and.b32 %r2, %t, 31; shl.b32 %r2, %r2, 2; add.s32 %r1, %r1, %r2;";
    expect_fault({store + "st.shared.b32 [%r1], %t;", failed, {"writes address 0x400", "which thread (0, 0, 0) wrote with another value"}});
    expect_success({store + "st.shared.b32 [%r1], 7; bar.sync 0; ld.shared.b32 %r2, [%r1];", 0, {}});
    expect_fault({"mov.b32 %r1, dynamic; st.shared.b32 [%r1], %t;", failed, {"wrote with another value"}, {1, 32, 64}});
    // Bytes beside each other are not the same bytes.
    expect_success({"mov.b32 %r1, dynamic; add.s32 %r1, %r1, %t; cvt.u16.u32 %h1, %t; st.shared.b8 [%r1], %h1;", 0, {}});
    // Global memory.
    const std::string global = element(1, 4) + "st.global.b32 [%d11], %t;";
    expect_success({global + "bar.sync 0; ld.global.b32 %r1, [%pointer1+4];", 0, {}});
    expect_fault({global + "ld.global.b32 %r1, [%pointer1+128];", failed, {"nothing has been written"}});
    expect_fault({global + "ld.global.b32 %r1, [%pointer1+4];", failed, {"a race in global memory", "thread (1, 0, 0) wrote"}});
    expect_fault({"red.global.add.u32 [%pointer0], 1; ld.global.b32 %r1, [%pointer0];", failed, {"a race in global memory"}});
}

TEST_CASE("blocks of a launch must not meet in memory", "[emulator]") {
    Wrong wrong{"mov.u32 %r1, %ctaid.x; mul.wide.u32 %d1, %r1, 4; add.s64 %d2, %pointer1, %d1; setp.eq.s32 %p1, %t, 0; @%p1 st.global.b32 "
                "[%d2], %r1; xor.b32 %r2, %r1, 1;"
                "setp.eq.and.s32 %p2, %r1, 1, %p1; @%p2 ld.global.b32 %r3, [%pointer1];",
                failed,
                {"block (1, 0, 0)", "reads address", "which thread (0, 0, 0) of block (0, 0, 0) wrote without anything in between"}};
    wrong.shape.blocks = 2;
    expect_fault(wrong);
    // Block 0 reads what block 1 writes later.
    wrong.body = "mov.u32 %r1, %ctaid.x; setp.eq.s32 %p1, %r1, 0; @%p1 ld.global.b32 %r2, [%pointer0]; setp.eq.s32 %p2, %t, 0; "
                 "setp.eq.and.s32 %p2, %r1, 1, %p2; @%p2 st.global.b32 [%pointer0], 9;";
    wrong.told = {"block (1, 0, 0)", "writes address", "of block (0, 0, 0) read"};
    wrong.told.pop_back();
    expect_fault(wrong);
    wrong.body = "mov.u32 %r1, %ctaid.x; setp.eq.s32 %p2, %t, 0; @%p2 st.global.b32 [%pointer1], %r1;";
    wrong.told = {"wrote with another value"};
    expect_fault(wrong);
    wrong.body = "mov.u32 %r1, %ctaid.x; setp.eq.s32 %p2, %t, 0; @%p2 st.global.b32 [%pointer1], 1;";  // as tiles that overlap do
    expect_success(wrong);
}

TEST_CASE("what all lanes must do together is not done by some", "[emulator]") {
    const std::string half = "setp.lt.u32 %p1, %t, 16;";
    const std::string mma =
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r1, %r2, %r3, %r4}, {%r5, %r6}, {%r7}, {%r1, %r2, %r3, %r4};";
    for (const std::string &together : {std::string("bar.sync 0;"), mma, std::string("shfl.sync.idx.b32 %r1, %t, 0, 31, -1;"),
                                        std::string("bar.warp.sync 0xffffffff;")}) {
        expect_fault({half + "@!%p1 bra $end;\n" + together + "\n$end:",
                      failed,
                      {"in divergent code", "warp 0", together.substr(0, together.size() - 1)}});
        expect_fault({half + "@%p1 " + together, failed, {"in divergent code: its predicate is true for 16 of 32"}});
        expect_fault({half + "@!%p1 exit;\n" + together, failed, {"in divergent code: 16 of its threads", "others have ended"}});
        expect_success({half + "@!%p1 bra $end;\nmov.b32 %r9, 0;\n$end:\n" + together, 0, {}});
    }
    expect_fault({half + "@!%p1 bra $end;\nmov.b32 %r9, dynamic; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r9];\n$end:",
                  failed,
                  {"in divergent code"}});
    expect_fault({mma, failed, {"in a warp of 16 threads"}, {1, 48, 0}});
    // Warps of which one has ended, or that wait for different barriers.
    expect_fault({"setp.lt.u32 %p1, %t, 32; @!%p1 exit; bar.sync 0;", failed, {"it waits for warp 1, whose threads have ended"}});
    expect_fault({"setp.lt.u32 %p1, %t, 32; @%p1 bra $one; bar.sync 1; bra.uni $end;\n$one: bar.sync 0;\n$end:", failed, {"at barrier"}});
    expect_fault({half + "mov.b32 %r2, 0; @%p1 shfl.sync.idx.b32 %r1, %t, 20, 31, 0xffff;", failed, {"lane 20"}, {1, 32, 0}});
}

TEST_CASE("an instruction that is not known fails where it is reached, by its name", "[emulator]") {
    expect_fault(
        {"wgmma.fence.sync.aligned;", illegal_instruction, {"\"wgmma.fence.sync.aligned\"", "does not know this instruction", "line "}});
    expect_fault({"add.rz.f32 %r1, %r2, %r3;", illegal_instruction, {"does not know this instruction", ".rz"}});
    expect_fault({"call.uni (%r1), f, (%r2, %r3);", illegal_instruction, {"call"}});
    expect_success({"setp.eq.s32 %p1, %t, 1000; @%p1 bra $never; bra.uni $end;\n$never: wgmma.fence.sync.aligned;\n$end:", 0, {}});
    expect_fault({"trap;", failed, {"trap"}});
    EmulatedDevice impatient;
    impatient.most_warp_instructions = 10000;
    expect_fault({"$again: bra.uni $again;", failed, {"has not ended after"}, {1, 32, 0}, "", impatient});
}

TEST_CASE("launches that the driver refuses", "[emulator]") {
    EmulatedGpu gpu;
    const auto launch = [&](const std::string &directives, EmulatedGpu::Shape shape, int allow = -1) {
        void *function = gpu.function(gpu.load(ptx_kernel(0, "", directives, ".extern .shared .align 16 .b8 dynamic[];")), "k");
        if (allow >= 0) CHECK(cuda("cuFuncSetAttribute", function, 8, allow) == (allow > 227 << 10 ? invalid_value : 0));
        return gpu.launch(function, shape);
    };
    const auto told = [](const char *part) {
        const std::vector<std::string> faults = take_emulator_faults();
        return !faults.empty() && faults.back().find(part) != std::string::npos;
    };
    CHECK(launch(".maxntid 128", {1, 128, 0}) == 0);
    CHECK(launch(".maxntid 128, 2", {1, 256, 0}) == 0);
    CHECK(launch(".maxntid 128", {1, 160, 0}) == invalid_value);
    CHECK(told("160 threads, but the kernel has .maxntid 128"));
    CHECK(launch("", {1, 1056, 0}) == invalid_value);
    CHECK(launch("", {0, 32, 0}) == invalid_value);
    CHECK(launch("", {1, 32, 48 << 10}) == 0);
    CHECK(launch("", {1, 32, (48 << 10) + 16}) == invalid_value);
    CHECK(told("CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"));
    CHECK(launch("", {1, 32, 100 << 10}, 100 << 10) == 0);
    CHECK(launch("", {1, 32, 227 << 10}, 227 << 10) == 0);
    CHECK(launch("", {1, 32, (227 << 10) + 16}, (227 << 10) + 16) == invalid_value);
    CHECK(take_emulated_launches().size() == 5);
}

TEST_CASE("what a launch did is counted", "[emulator]") {
    EmulatedGpu gpu;
    const DeviceAddress in = gpu.upload(std::vector<uint32_t>(4096)), out = gpu.allocate(4096 * 4);
    const auto count = [&](const std::string &body, EmulatedGpu::Shape shape = {2, 64, 16384}) {
        take_emulator_faults(), take_emulated_launches();
        gpu.launch(gpu.function(gpu.load(ptx_kernel(2, body, "", ".extern .shared .align 16 .b8 dynamic[];")), "k"), shape, in, out);
        return only_launch();
    };
    SECTION("sectors") {
        KernelCounts c = count(element(0, 4) + "ld.global.b32 %r1, [%d10];");
        CHECK((c.global_loads.requests == 4 && c.global_loads.sectors == 16 &&
               c.global_loads.unique_sectors == 8));  // both blocks read the same 256 bytes
        CHECK((c.global_loads.useful() == 1 && c.global_loads.bytes == 512 && c.global_loads.by_width == std::map<int, uint64_t>{{4, 4}}));
        c = count(element(0, 32) + "ld.global.b32 %r1, [%d10];", {1, 64, 0});
        CHECK((c.global_loads.sectors == 64 && c.global_loads.sectors_per_request() == 32 && c.global_loads.useful() == 0.125));
        c = count(element(0, 16) + "ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%d10]; " + element(1, 2) +
                      "cvt.u16.u32 %h1, %t; st.global.b16 [%d11], %h1;",
                  {1, 32, 0});
        CHECK((c.global_loads.sectors == 16 && c.global_stores.sectors == 2 && c.global_stores.unique_sectors == 2));
        CHECK((c.global_loads.by_width.at(16) == 1 && c.global_stores.by_width.at(2) == 1));
        c = count("ld.global.b32 %r1, [%pointer0];", {1, 32, 0});
        CHECK((c.global_loads.sectors == 1 && c.global_loads.threads == 32));
        c = count(
            "setp.eq.s32 %p1, %t, 3; @%p1 ld.global.b32 %r1, [%pointer0]; setp.eq.s32 %p1, %t, 100; @%p1 ld.global.b32 %r1, [%pointer0];",
            {1, 32, 0});
        CHECK((c.global_loads.requests == 1 && c.global_loads.threads == 1 && c.of(InstructionClass::load_global) == 2));
    }
    SECTION("bank conflicts") {
        const auto at = [](int stride, const std::string &store) {
            return fmt::format("mov.b32 %r1, dynamic; mul.lo.s32 %r2, %t, {}; add.s32 %r1, %r1, %r2;", stride) + store;
        };
        const std::string word = "st.shared.b32 [%r1], 1;", wide = "st.shared.v4.b32 [%r1], {%t, %t, %t, %t};",
                          two = "st.shared.v2.b32 [%r1], {%t, %t};";
        const auto wavefronts = [&](const std::string &body) {
            const KernelCounts c = count(body, {1, 32, 16384});
            return std::pair{c.shared_stores.wavefronts, c.shared_stores.least_wavefronts};
        };
        CHECK(wavefronts(at(4, word)) == std::pair<uint64_t, uint64_t>{1, 1});
        CHECK(wavefronts(at(8, word)) == std::pair<uint64_t, uint64_t>{2, 1});
        CHECK(wavefronts(at(128, word)) == std::pair<uint64_t, uint64_t>{32, 1});
        CHECK(wavefronts(at(0, word)) == std::pair<uint64_t, uint64_t>{1, 1});
        CHECK(wavefronts(at(8, two)) == std::pair<uint64_t, uint64_t>{2, 2});
        CHECK(wavefronts(at(16, wide)) == std::pair<uint64_t, uint64_t>{4, 4});
        CHECK(wavefronts(at(128, wide)) == std::pair<uint64_t, uint64_t>{32, 4});
        // Loads whose lanes l and l ^ 1, or l and l ^ 2, ask for the same.
        const auto loads = [&](int stride, int divided, int times, const std::string &load, int row = 0) {
            const std::string address = fmt::format("mov.b32 %r1, dynamic; div.u32 %r2, %t, {}; rem.u32 %r3, %r2, {}; mad.lo.s32 %r1, %r3, {}, %r1; and.b32 %r4, %t, 1; mad.lo.s32 %r1, %r4, {}, %r1;",
                                                    divided, times, stride, row);
            std::string stores = "mov.b32 %r1, dynamic; mad.lo.s32 %r1, %t, 128, %r1;";
            for (int at = 0; at < 128; at += 16) stores += fmt::format("st.shared.v4.b32 [%r1+{}], {{%t, %t, %t, %t}};", at);
            const KernelCounts c = count(stores + "bar.sync 0;" + address + load, {1, 32, 16384});
            return std::pair{c.shared_loads.wavefronts, c.shared_loads.least_wavefronts};
        };
        const std::string load_wide = "ld.shared.v4.b32 {%r5, %r6, %r7, %r8}, [%r1];", load_two = "ld.shared.v2.b32 {%r5, %r6}, [%r1];";
        CHECK(loads(0, 1, 32, load_wide) == std::pair<uint64_t, uint64_t>{2, 2});    // all the same
        CHECK(loads(128, 2, 1, load_wide) == std::pair<uint64_t, uint64_t>{2, 2});
        CHECK(loads(16, 2, 4, load_wide) == std::pair<uint64_t, uint64_t>{2, 2});    // 4 by lanes 2, 3 and so on, in pairs
        CHECK(loads(128, 2, 4, load_wide) == std::pair<uint64_t, uint64_t>{8, 2});   // the same in the same banks
        CHECK(loads(0, 1, 32, load_wide, 16) == std::pair<uint64_t, uint64_t>{2, 2});  // two places, of even and odd lanes
        CHECK(loads(16, 4, 4, load_wide, 64) == std::pair<uint64_t, uint64_t>{2, 2});  // even and odd lanes in different places, l and l ^ 2 in the same
        CHECK(loads(16, 1, 4, load_wide) == std::pair<uint64_t, uint64_t>{4, 4});    // four in turn: no pairs
        CHECK(loads(16, 2, 4, load_two) == std::pair<uint64_t, uint64_t>{1, 1});
    }
    SECTION("arithmetic") {
        const KernelCounts c = count("mov.b32 %r1, 0; setp.lt.u32 %p1, %t, 8; @%p1 fma.rn.f32 %r1, %r1, %r1, %r1; fma.rn.f32 %r1, %r1, "
                                     "%r1, %r1; fma.rn.f16x2 %r2, %r1, %r1, %r1;"
                                     "dp4a.s32.s32 %r2, %r2, %r2, %r2; ex2.approx.f32 %r3, %r1; mul.wide.u32 %d1, %r1, 2; bar.sync 0;");
        CHECK((c.f32_fma == 2 * (8 + 64) && c.f16_fma == 256 && c.dp4a == 128 && c.barriers == 4));
        CHECK((c.of(InstructionClass::fma_f32) == 8 && c.of(InstructionClass::special) == 4 && c.of(InstructionClass::integer64) == 4));
        CHECK((c.by_opcode.at("fma.rn.f32") == 8 && c.kernel == "k" && c.dynamic_shared_bytes == 16384));
        uint64_t all = 0;
        for (const auto &[opcode, n] : c.by_opcode) all += n;
        CHECK(all == c.all_warp_instructions());
    }
}

TEST_CASE("the device can be made to fail in every way that a driver has", "[emulator]") {
    void *context = nullptr;
    EmulatedDevice device;
    device.devices = 0;
    configure_emulator(device);
    CHECK(cuda("cuInit", 0u) == 100);
    device = {};
    device.init_error = 999;
    configure_emulator(device);
    CHECK(cuda("cuInit", 0u) == 999);
    CHECK(cuda("cuCtxCreate_v2", &context, 0u, 0) == 3);
    CHECK(emulated_cuda_symbol("cuNoSuchThing") == nullptr);
    CHECK(emulated_cuda_symbol("cuMemAlloc") == emulated_cuda_symbol("cuMemAlloc_v2"));

    device = {};
    device.memory_bytes = 1000;
    device.name = "Small one";
    device.compute_capability = 86;
    {
        EmulatedGpu gpu(device);
        char name[6] = "";
        CHECK((cuda("cuDeviceGetName", static_cast<char *>(name), 6, 0) == 0 && std::string(name) == "Small"));
        int value = 0;
        CHECK((cuda("cuDeviceGetAttribute", &value, 75, 0) == 0 && value == 8));
        CHECK((cuda("cuDeviceGetAttribute", &value, 76, 0) == 0 && value == 6));
        CHECK(cuda("cuDeviceGet", &value, 1) == 101);
        DeviceAddress a = 0, b = 0;
        CHECK(cuda("cuMemAlloc_v2", &a, size_t{600}) == 0);
        CHECK(cuda("cuMemAlloc_v2", &b, size_t{600}) == 2);
        CHECK(cuda("cuMemFree_v2", a) == 0);
        CHECK(cuda("cuMemAlloc_v2", &b, size_t{600}) == 0);
        void *module = nullptr;
        const auto load = [&](const std::string &image) {
            return cuda("cuModuleLoadData", &module, static_cast<const void *>(image.data()));
        };
        CHECK(load(".version 7.8\n.target sm_90\n.address_size 64\n") == 209);
        CHECK(load(".version 9.9\n.target sm_80\n.address_size 64\n") == 222);
        CHECK(load(".version 7.8\n.target sm_80\n.visible .entry k() { add.s32 ; ") == 218);
        CHECK(load("\x7f" "ELF\x02\x01\x01") == 209);
        CHECK(take_emulator_faults().back().find("machine code (a cubin)") != std::string::npos);
    }
    device = {};
    device.launch_error = failed;
    {
        EmulatedGpu gpu(device);
        CHECK(gpu.launch(gpu.function(gpu.load(ptx_kernel(0, "")), "k"), {}) == failed);
    }
    device = {};
    device.faults_are_late = true;
    EmulatedGpu gpu(device);
    CHECK(gpu.launch(gpu.function(gpu.load(ptx_kernel(0, "trap;")), "k"), {}) == 0);
    CHECK(cuda("cuCtxSynchronize") == failed);
    DeviceAddress a = 0;
    CHECK(cuda("cuMemAlloc_v2", &a, size_t{4}) == failed);
}

TEST_CASE("a context takes its memory, modules and streams with it", "[emulator]") {
    EmulatedGpu gpu;
    void *second = nullptr, *stream = nullptr, *was = nullptr;
    REQUIRE(cuda("cuCtxCreate_v2", &second, 0u, 0) == 0);
    const DeviceAddress in = gpu.upload(numbers(8));
    REQUIRE(cuda("cuStreamCreate", &stream, 0u) == 0);
    CHECK((cuda("cuPointerGetAttribute", static_cast<void *>(&was), 1, in) == 0 && was == second));
    CHECK(cuda("cuCtxDestroy_v2", second) == 0);
    CHECK(cuda("cuPointerGetAttribute", static_cast<void *>(&was), 1, in) == invalid_value);
    CHECK(cuda("cuStreamSynchronize", stream) == 400);
    CHECK(cuda("cuCtxPushCurrent_v2", second) == 201);
    void *primary = nullptr;
    CHECK((cuda("cuDevicePrimaryCtxRetain", &primary, 0) == 0 && cuda("cuCtxSetCurrent", primary) == 0));
    CHECK(cuda("cuCtxSynchronize") == 0);
    CHECK(cuda("cuDevicePrimaryCtxRelease_v2", 0) == 0);
    CHECK(cuda("cuCtxSynchronize") == 709);
}

TEST_CASE("of a fat binary the PTX is executed that fits the device best", "[emulator]") {
    // A header and entries, as fatbinary writes them: machine code for 9.0, PTX for 8.0 and 8.6.
    const auto put = [](std::string &bytes, uint64_t value, int size) {
        for (int b = 0; b < size; ++b) bytes += static_cast<char>(value >> 8 * b);
    };
    const auto entry = [&](int kind, int capability, std::string image, unsigned compressed = 0) {
        while (image.size() % 8) image += '\0';
        std::string bytes;
        put(bytes, static_cast<uint64_t>(kind), 2), put(bytes, 0x101, 2), put(bytes, 64, 4), put(bytes, image.size(), 8),
            put(bytes, compressed, 4), put(bytes, 64, 4);
        put(bytes, 0x70008, 4), put(bytes, static_cast<uint64_t>(capability), 4);
        bytes.resize(64);
        return bytes + image;
    };
    const auto fat = [&](const std::string &entries) {
        std::string bytes;
        put(bytes, 0xba55ed50, 4), put(bytes, 1, 2), put(bytes, 16, 2), put(bytes, entries.size(), 8);
        return bytes + entries;
    };
    const std::string for80 = ptx_kernel(1, "st.global.b32 [%pointer0], 80;"), for86 = ptx_kernel(1, "st.global.b32 [%pointer0], 86;");
    const std::string all = fat(entry(2, 90, "\x7f" "ELF") + entry(1, 86, for86) + entry(1, 80, for80));
    for (auto [capability, expected] : {std::pair{80, 80u}, {86, 86u}, {90, 86u}}) {
        EmulatedDevice device;
        device.compute_capability = capability;
        EmulatedGpu gpu(device);
        void *module = nullptr;
        REQUIRE(cuda("cuModuleLoadData", &module, static_cast<const void *>(all.data())) == 0);
        const DeviceAddress out = gpu.allocate(4);
        REQUIRE(gpu.launch(gpu.function(module, "k"), {1, 1, 0}, out) == 0);
        CHECK(gpu.download<uint32_t>(out, 1)[0] == expected);
    }
    EmulatedGpu gpu;
    void *module = nullptr;
    const auto refused = [&](const std::string &image, const char *part) {
        CHECK(cuda("cuModuleLoadData", &module, static_cast<const void *>(image.data())) == 209);
        CHECK(take_emulator_faults().back().find(part) != std::string::npos);
    };
    refused(fat(entry(2, 90, "\x7f" "ELF")), "holds no PTX");
    refused(fat(entry(1, 80, "packed", 6)), "compressed");
    refused(fat(entry(1, 100, for80)), "is for compute capability 10.0");
}

TEST_CASE("Halide's own CUDA kernels run on the emulator and give what the CPU gives", "[emulator][halide]") {
    using namespace Halide;
    // Halide's PTX has its shared memory at address 0.
    EmulatedDevice device;
    device.check_reserved_shared = false;
    configure_emulator(device);
    JITHandlers handlers;
    handlers.custom_get_library_symbol = [](void *, const char *name) -> void * { return emulated_cuda_symbol(name); };
    Internal::JITSharedRuntime::set_default_handlers(handlers);
    const Target gpu = get_host_target().with_feature(Target::CUDA).with_feature(Target::CUDACapability80);

    // Numbers of few bits, so that sums are exact in any order.
    const int width = 45, height = 19, channels = 8;
    const auto check = [&](const Type &type, bool shared) {
        INFO(type << (shared ? " by way of shared memory" : ""));
        Var c("c"), x("x"), y("y"), xo("xo"), yo("yo"), xi("xi"), yi("yi");
        ImageParam in(type, 3, "in"), filter(type, 4, "filter");
        RDom r(0, 3, 0, 3, 0, channels);
        Func padded = BoundaryConditions::constant_exterior(in, cast(type, 0)), sum("sum"), out("out"), copy("copy");
        copy(c, x, y) = padded(c, x, y);
        sum(c, x, y) += cast<float>(copy(r.z, x + r.x - 1, y + r.y - 1)) * cast<float>(filter(c, r.z, r.x, r.y));
        out(c, x, y) = cast(type, max(sum(c, x, y), 0.f));
        Func cpu_copy;
        Buffer<> input(type, {channels, width, height}), weights(type, {4, channels, 3, 3});
        std::mt19937 random(6);
        const auto fill = [&](Buffer<> &b) {
            for (size_t i = 0; i < b.number_of_elements(); ++i) {
                const float v = static_cast<float>(static_cast<int>(random() % 17) - 8) / 8;
                if (type == Float(16)) reinterpret_cast<uint16_t *>(b.data())[i] = ptx::half_of_float(v);
                else reinterpret_cast<float *>(b.data())[i] = v;
            }
            b.set_host_dirty();
        };
        fill(input), fill(weights);
        in.set(input), filter.set(weights);
        out.bound(c, 0, 4);
        const auto at = [&](const Buffer<> &b, const std::vector<int> &place) {
            int index = 0;
            for (int d = 0; d < b.dimensions(); ++d) index += place[static_cast<size_t>(d)] * b.dim(d).stride();
            return type == Float(16) ? ptx::float_of_half(static_cast<const uint16_t *>(b.data())[index])
                                     : static_cast<const float *>(b.data())[index];
        };
        out.gpu_tile(x, y, xo, yo, xi, yi, 16, 4, TailStrategy::GuardWithIf).reorder(c, xi, yi).unroll(c);
        sum.compute_at(out, xi).unroll(c).update().reorder(c, r.x, r.y, r.z).unroll(c).unroll(r.x);
        if (shared) copy.compute_at(out, xo).gpu_threads(x, y);
        Buffer<> result(type, {4, width, height});
        out.realize(result, gpu);
        result.copy_to_host();
        for (const std::string &fault : take_emulator_faults()) UNSCOPED_INFO(fault);
        uint64_t inside = 0;  // taps that are not on padding
        for (int yy = 0; yy < height; ++yy)
            for (int xx = 0; xx < width; ++xx)
                for (int cc = 0; cc < 4; ++cc) {
                    float expected = 0;
                    for (int dy = 0; dy < 3; ++dy)
                        for (int dx = 0; dx < 3; ++dx)
                            for (int k = 0; k < channels; ++k) {
                                const int sx = xx + dx - 1, sy = yy + dy - 1;
                                if (sx >= 0 && sx < width && sy >= 0 && sy < height)
                                    ++inside, expected += at(input, {k, sx, sy}) * at(weights, {cc, k, dx, dy});
                            }
                    expected = std::max(expected, 0.f);
                    if (type == Float(16)) expected = ptx::float_of_half(ptx::half_of_float(expected));
                    REQUIRE(at(result, {cc, xx, yy}) == expected);
                }
        uint64_t multiply_adds = 0, barriers = 0;
        for (const KernelCounts &launch : take_emulated_launches()) multiply_adds += launch.f32_fma, barriers += launch.barriers;
        CHECK(multiply_adds >= inside);
        CHECK(multiply_adds <= static_cast<uint64_t>(width * height * 4 * 9 * channels));
        CHECK((barriers > 0) == shared);
    };
    check(Float(32), false);
    check(Float(32), true);
    check(Float(16), false);
    check(Float(16), true);
    Internal::JITSharedRuntime::release_all();
}
