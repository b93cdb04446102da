// The PTX emulator: what instructions compute, each against its definition in C++.
#include "catch.h"
#include "emulated_gpu.h"

#include "bench/gpu/emulator/half.h"
#include "runtime/half.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

using namespace sepal;

namespace {

using Word = uint64_t;
using Reference = std::function<Word(Word a, Word b, Word c)>;

template<typename To, typename From>
To bits(From from) {
    To to{};
    std::memcpy(&to, &from, sizeof to);
    return to;
}
float f32(Word w) { return bits<float>(static_cast<uint32_t>(w)); }
Word of(float f) { return bits<uint32_t>(f); }
double f64(Word w) { return bits<double>(w); }
Word of64(double d) { return bits<Word>(d); }
int32_t s32(Word w) { return static_cast<int32_t>(w); }
uint32_t u32(Word w) { return static_cast<uint32_t>(w); }
int64_t s64(Word w) { return static_cast<int64_t>(w); }
int16_t s16(Word w) { return static_cast<int16_t>(w); }
uint16_t u16(Word w) { return static_cast<uint16_t>(w); }
Word low(int64_t v) { return static_cast<uint32_t>(v); }

// Halves by their definition.
double half(Word w) {
    const int sign = w >> 15 & 1, exponent = w >> 10 & 31, fraction = w & 1023;
    if (exponent == 31) return fraction ? std::nan("") : sign ? -INFINITY : INFINITY;
    const double magnitude = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    return sign ? -magnitude : magnitude;
}
// The nearest half, found among all; ties go to the even one.
Word nearest_half(double v) {
    static const std::vector<double> all = [] {
        std::vector<double> values;
        for (Word w = 0; w <= 0x7c00; ++w) values.push_back(w == 0x7c00 ? 65536. : half(w));  // what infinity stands for in rounding
        return values;
    }();
    if (v != v) return 0x7fff;
    const double m = std::fabs(v);
    Word w = static_cast<Word>(std::lower_bound(all.begin(), all.end(), m) - all.begin());
    if (w > 0x7c00) w = 0x7c00;
    if (w && m < all[w]) {
        const double below = m - all[w - 1], above = all[w] - m;
        if (below < above || (below == above && (w - 1) % 2 == 0)) --w;
    }
    return w | (std::signbit(v) ? 0x8000 : 0);
}
// The largest half that is not above.
Word half_below(double v) {
    const Word near = nearest_half(v);
    if (v != v || half(near) <= v) return near;
    return near == 0 ? 0x8001 : near & 0x8000 ? near + 1 : near - 1;
}
Word both(Word a, Word b, const std::function<double(double, double)> &f) {
    return nearest_half(f(half(a & 0xffff), half(b & 0xffff))) | nearest_half(f(half(a >> 16 & 0xffff), half(b >> 16 & 0xffff))) << 16;
}

// Values that are awkward for somebody, and random ones.
std::vector<Word> some_words() {
    std::vector<Word> words{0,
                            1,
                            2,
                            3,
                            7,
                            31,
                            32,
                            33,
                            63,
                            64,
                            0x7f,
                            0x80,
                            0xff,
                            0x7fff,
                            0x8000,
                            0xffff,
                            0x10000,
                            0x7fffffff,
                            0x80000000,
                            0xfffffffe,
                            0xffffffff,
                            0x100000000,
                            0x7fffffffffffffff,
                            0x8000000000000000,
                            ~Word{0},
                            0x0123456789abcdef,
                            0xfedcba9876543210};
    std::mt19937_64 random(1);
    while (words.size() < 60) words.push_back(random());
    return words;
}
std::vector<Word> some_floats() {
    std::vector<Word> words;
    for (float f : {0.f,     -0.f,    1.f,           -1.f,   .5f,    1.5f,    2.5f,     -2.5f,     3.f,          100.25f, -7.75f,
                    65504.f, 65519.f, 65520.f,       1e-8f,  6e-8f,  1e-5f,   -3e-7f,   1e30f,     -1e30f,       1e-40f,  3e9f,
                    -3e9f,   0.1f,    1.0009765625f, 2049.f, 2051.f, 4095.5f, INFINITY, -INFINITY, std::nanf("")})
        words.push_back(of(f));
    std::mt19937 random(2);
    std::uniform_real_distribution<float> some(-300, 300);
    while (words.size() < 60) words.push_back(of(some(random)));
    return words;
}
std::vector<Word> some_halves() {
    std::vector<Word> words{0x0000, 0x8000, 0x3c00, 0xbc00, 0x0001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x3555, 0x6400, 0x1400};
    std::mt19937 random(3);
    while (words.size() < 60) {
        const Word w = random() & 0xffff;
        if ((w & 0x7c00) != 0x7c00) words.push_back(w);
    }
    for (Word &w : words) w |= words[random() % 14] << 16;
    return words;
}

struct Case {
    std::string ptx;
    Reference reference;
};

// Runs each instruction for combinations of the words. It finds its sources in %da %db %dc, their low halves in %ra %rb %rc, quarters in
// %ha %hb %hc, and leaves its result in one of %do %ro %ho. `same`: when results count as equal.
void run(const std::vector<Word> &words, const std::vector<Case> &cases,
         const std::function<bool(Word, Word)> &same = std::equal_to<Word>()) {
    const size_t n = 512;
    std::vector<Word> a, b, c;
    std::mt19937 random(4);
    for (size_t i = 0; i < n; ++i) {
        a.push_back(words[i % words.size()]);
        b.push_back(words[(i / words.size() * 7 + i * 3) % words.size()]);
        c.push_back(words[random() % words.size()]);
    }
    EmulatedGpu gpu;
    const DeviceAddress da = gpu.upload(a), db = gpu.upload(b), dc = gpu.upload(c), out = gpu.allocate(n * 8);
    for (const Case &test : cases) {
        std::string body =
            "mov.u32 %r40, %ctaid.x; mov.u32 %r41, %ntid.x; mad.lo.s32 %r42, %r40, %r41, %t; mul.wide.u32 %d40, %r42, 8;\n"
            ".reg .b64 %da, %db, %dc, %do; .reg .b32 %ra, %rb, %rc, %ro; .reg .b16 %ha, %hb, %hc, %ho; .reg .pred %pa, %pb;\n"
            "mov.b64 %do, 0; mov.b32 %ro, 0; mov.b16 %ho, 0;\n";
        for (int s = 0; s < 3; ++s) {
            const char letter = static_cast<char>('a' + s);
            const std::string l(1, letter), number = std::to_string(s);
            body += "add.s64 %d41, %pointer" + number + ", %d40; ld.global.b64 %d" + l + ", [%d41]; cvt.u32.u64 %r" + l + ", %d" + l +
                    "; cvt.u16.u64 %h" + l + ", %d" + l + ";\n";
        }
        body += test.ptx + "\ncvt.u64.u32 %d42, %ro; cvt.u64.u16 %d43, %ho; xor.b64 %do, %do, %d42; xor.b64 %do, %do, %d43;\n"
                           "add.s64 %d41, %pointer3, %d40; st.global.b64 [%d41], %do;";
        INFO(test.ptx);
        void *function = gpu.function(gpu.load(ptx_kernel(4, body)), "k");
        const int result = gpu.launch(function, {4, 128, 0}, da, db, dc, out);
        for (const std::string &fault : take_emulator_faults()) UNSCOPED_INFO(fault);
        REQUIRE(result == 0);
        const std::vector<Word> results = gpu.download<Word>(out, n);
        for (size_t i = 0; i < n; ++i) {
            const Word expected = test.reference(a[i], b[i], c[i]);
            if (same(results[i], expected)) continue;
            INFO(std::hex << "a " << a[i] << ", b " << b[i] << ", c " << c[i] << ": " << results[i] << " and not " << expected);
            CHECK(false);
            break;
        }
    }
}

bool same_float(Word x, Word y) { return x == y || (f32(x) != f32(x) && f32(y) != f32(y)); }
bool is_nan_half(Word x) { return (x & 0x7fff) > 0x7c00; }
bool same_half(Word x, Word y) { return x == y || (is_nan_half(x) && is_nan_half(y)); }
bool same_halves(Word x, Word y) { return same_half(x & 0xffff, y & 0xffff) && same_half(x >> 16, y >> 16); }
// What of a result is left when two differ by a rounding of the last bits.
bool close(Word x, Word y) { return same_float(x, y) || std::fabs(f32(x) - f32(y)) <= 4e-7f * std::fabs(f32(y)); }

Word byte_dot(Word a, Word b, Word c, bool sa, bool sb) {
    int64_t sum = s32(c);
    for (int i = 0; i < 32; i += 8)
        sum += int64_t{sa ? static_cast<int8_t>(a >> i) : static_cast<uint8_t>(a >> i)} *
               (sb ? static_cast<int8_t>(b >> i) : static_cast<uint8_t>(b >> i));
    return low(sum);
}
Word shift_left(Word v, Word by, int size) { return by >= static_cast<Word>(size) ? 0 : v << by; }
Word field(Word v, Word position, Word length) {
    Word r = 0;
    for (Word i = 0; i < length && position + i < 32; ++i) r |= (v >> (position + i) & 1) << i;
    return r;
}

}  // namespace

TEST_CASE("integers of 32 bits are computed as PTX defines it", "[emulator]") {
    run(some_words(),
        {{"add.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a) + u32(b); }},
         {"sub.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a) - u32(b); }},
         {"sub.s32 %ro, %ra, 17;", [](Word a, Word, Word) { return low(int64_t{s32(a)} - 17); }},
         {"add.s32 %ro, %ra, -5;", [](Word a, Word, Word) { return low(int64_t{s32(a)} - 5); }},
         {"mul.lo.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a) * u32(b); }},
         {"mul.hi.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return low((int64_t{s32(a)} * s32(b)) >> 32); }},
         {"mul.hi.u32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return (Word{u32(a)} * u32(b)) >> 32; }},
         {"mul.wide.s32 %do, %ra, %rb;", [](Word a, Word b, Word) { return static_cast<Word>(int64_t{s32(a)} * s32(b)); }},
         {"mul.wide.u32 %do, %ra, %rb;", [](Word a, Word b, Word) { return Word{u32(a)} * u32(b); }},
         {"mul.wide.s16 %ro, %ha, %hb;", [](Word a, Word b, Word) { return low(int64_t{s16(a)} * s16(b)); }},
         {"mul.wide.u16 %ro, %ha, %hb;", [](Word a, Word b, Word) { return Word{u16(a)} * u16(b); }},
         {"mad.lo.s32 %ro, %ra, %rb, %rc;", [](Word a, Word b, Word c) { return u32(a) * u32(b) + u32(c); }},
         {"mad.hi.u32 %ro, %ra, %rb, %rc;",
          [](Word a, Word b, Word c) { return u32(((Word{u32(a)} * u32(b)) >> 32) + c); }},
         {"mad.wide.s32 %do, %ra, %rb, %dc;", [](Word a, Word b, Word c) { return static_cast<Word>(int64_t{s32(a)} * s32(b)) + c; }},
         {"mad.wide.u32 %do, %ra, %rb, %dc;", [](Word a, Word b, Word c) { return Word{u32(a)} * u32(b) + c; }},
         {"or.b32 %rb, %rb, 1; div.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return low(int64_t{s32(a)} / s32(b | 1)); }},
         {"or.b32 %rb, %rb, 1; div.u32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a) / u32(b | 1); }},
         {"or.b32 %rb, %rb, 1; rem.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return low(int64_t{s32(a)} % s32(b | 1)); }},
         {"or.b32 %rb, %rb, 1; rem.u32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a) % u32(b | 1); }},
         {"min.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return low(std::min(s32(a), s32(b))); }},
         {"max.s32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return low(std::max(s32(a), s32(b))); }},
         {"min.u32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return std::min(u32(a), u32(b)); }},
         {"max.u32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return std::max(u32(a), u32(b)); }},
         {"abs.s32 %ro, %ra;", [](Word a, Word, Word) { return low(std::llabs(s32(a))); }},
         {"neg.s32 %ro, %ra;", [](Word a, Word, Word) { return low(-int64_t{s32(a)}); }},
         {"and.b32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a & b); }},
         {"or.b32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a | b); }},
         {"xor.b32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(a ^ b); }},
         {"not.b32 %ro, %ra;", [](Word a, Word, Word) { return u32(~a); }},
         {"and.b32 %rb, %rb, 63; shl.b32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return u32(shift_left(u32(a), b & 63, 32)); }},
         {"and.b32 %rb, %rb, 63; shr.u32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return (b & 63) >= 32 ? 0 : u32(a) >> (b & 63); }},
         {"and.b32 %rb, %rb, 63; shr.s32 %ro, %ra, %rb;",
          [](Word a, Word b, Word) { return low(int64_t{s32(a)} >> std::min<Word>(b & 63, 31)); }},
         {"shf.l.wrap.b32 %ro, %ra, %rb, %rc;",
          [](Word a, Word b, Word c) { return u32(((Word{u32(b)} << 32 | u32(a)) << (c & 31)) >> 32); }},
         {"shf.r.wrap.b32 %ro, %ra, %rb, %rc;", [](Word a, Word b, Word c) { return u32((Word{u32(b)} << 32 | u32(a)) >> (c & 31)); }},
         {"and.b32 %rc, %rc, 63; shf.r.clamp.b32 %ro, %ra, %rb, %rc;",
          [](Word a, Word b, Word c) { return (c & 63) >= 32 ? u32(b) : u32((Word{u32(b)} << 32 | u32(a)) >> (c & 63)); }},
         {"and.b32 %rc, %rc, 63; shf.l.clamp.b32 %ro, %ra, %rb, %rc;",
          [](Word a, Word b, Word c) { return (c & 63) >= 32 ? u32(a) : u32(((Word{u32(b)} << 32 | u32(a)) << (c & 63)) >> 32); }},
         {"bfe.u32 %ro, %ra, 5, 9;", [](Word a, Word, Word) { return field(a, 5, 9); }},
         {"bfe.u32 %ro, %ra, 28, 9;", [](Word a, Word, Word) { return field(a, 28, 9); }},
         {"bfe.s32 %ro, %ra, 5, 9;", [](Word a, Word, Word) { return low((s32(field(a, 5, 9)) ^ 256) - 256); }},
         {"bfi.b32 %ro, %ra, %rb, 6, 11;", [](Word a, Word b, Word) { return u32((b & ~(Word{2047} << 6)) | (a & 2047) << 6); }},
         {"popc.b32 %ro, %ra;", [](Word a, Word, Word) { return static_cast<Word>(__builtin_popcount(u32(a))); }},
         {"clz.b32 %ro, %ra;", [](Word a, Word, Word) { return u32(a) ? static_cast<Word>(__builtin_clz(u32(a))) : 32; }},
         {"brev.b32 %ro, %ra;",
          [](Word a, Word, Word) {
              Word r = 0;
              for (int i = 0; i < 32; ++i) r |= (a >> i & 1) << (31 - i);
              return r;
          }},
         {"prmt.b32 %ro, %ra, %rb, 0x5410;", [](Word a, Word b, Word) { return (a & 0xffff) | (b & 0xffff) << 16; }},
         {"prmt.b32 %ro, %ra, %rb, 0x3b7;",
          [](Word a, Word b, Word) {  // bytes 7, b with its sign, 3, 0
              return (b >> 24 & 0xff) | (a >> 31 & 1 ? 0xff00 : 0) | (a >> 24 & 0xff) << 16 | (a & 0xff) << 24;
          }},
         {"lop3.b32 %ro, %ra, %rb, %rc, 0xca;", [](Word a, Word b, Word c) { return u32((a & b) | (~a & c)); }},
         {"dp4a.s32.s32 %ro, %ra, %rb, %rc;", [](Word a, Word b, Word c) { return byte_dot(a, b, c, true, true); }},
         {"dp4a.u32.u32 %ro, %ra, %rb, %rc;", [](Word a, Word b, Word c) { return byte_dot(a, b, c, false, false); }},
         {"dp4a.s32.u32 %ro, %ra, %rb, %rc;", [](Word a, Word b, Word c) { return byte_dot(a, b, c, true, false); }},
         {"dp4a.u32.s32 %ro, %ra, %rb, %rc;", [](Word a, Word b, Word c) { return byte_dot(a, b, c, false, true); }}});
}

TEST_CASE("integers of 16 and 64 bits are computed as PTX defines it", "[emulator]") {
    run(some_words(), {{"add.s16 %ho, %ha, %hb;", [](Word a, Word b, Word) { return u16(a + b); }},
                       {"sub.s16 %ho, %ha, %hb;", [](Word a, Word b, Word) { return u16(a - b); }},
                       {"mul.lo.s16 %ho, %ha, %hb;", [](Word a, Word b, Word) { return u16(a * b); }},
                       {"mad.lo.s16 %ho, %ha, %hb, %hc;", [](Word a, Word b, Word c) { return u16(a * b + c); }},
                       {"min.s16 %ho, %ha, %hb;", [](Word a, Word b, Word) { return u16(std::min(s16(a), s16(b))); }},
                       {"max.u16 %ho, %ha, %hb;", [](Word a, Word b, Word) { return std::max(u16(a), u16(b)); }},
                       {"shr.s16 %ho, %ha, 3;", [](Word a, Word, Word) { return u16(s16(a) >> 3); }},
                       {"shr.u16 %ho, %ha, 3;", [](Word a, Word, Word) { return u16(a) >> 3; }},
                       {"shl.b16 %ho, %ha, 3;", [](Word a, Word, Word) { return u16(a << 3); }},
                       {"and.b16 %ho, %ha, %hb;", [](Word a, Word b, Word) { return u16(a & b); }},
                       {"not.b16 %ho, %ha;", [](Word a, Word, Word) { return u16(~a); }},
                       {"neg.s16 %ho, %ha;", [](Word a, Word, Word) { return u16(0 - a); }},
                       {"add.s64 %do, %da, %db;", [](Word a, Word b, Word) { return a + b; }},
                       {"sub.s64 %do, %da, %db;", [](Word a, Word b, Word) { return a - b; }},
                       {"mul.lo.s64 %do, %da, %db;", [](Word a, Word b, Word) { return a * b; }},
                       {"mad.lo.s64 %do, %da, %db, %dc;", [](Word a, Word b, Word c) { return a * b + c; }},
                       {"mul.hi.u64 %do, %da, %db;",
                        [](Word a, Word b, Word) { return static_cast<Word>((static_cast<unsigned __int128>(a) * b) >> 64); }},
                       {"mul.hi.s64 %do, %da, %db;",
                        [](Word a, Word b, Word) { return static_cast<Word>((static_cast<__int128>(s64(a)) * s64(b)) >> 64); }},
                       {"or.b64 %db, %db, 3; div.s64 %do, %da, %db;",
                        [](Word a, Word b, Word) { return s64(b | 3) == -1 ? 0 - a : static_cast<Word>(s64(a) / s64(b | 3)); }},
                       {"or.b64 %db, %db, 3; rem.u64 %do, %da, %db;", [](Word a, Word b, Word) { return a % (b | 3); }},
                       {"min.s64 %do, %da, %db;", [](Word a, Word b, Word) { return static_cast<Word>(std::min(s64(a), s64(b))); }},
                       {"max.u64 %do, %da, %db;", [](Word a, Word b, Word) { return std::max(a, b); }},
                       {"neg.s64 %do, %da;", [](Word a, Word, Word) { return 0 - a; }},
                       {"xor.b64 %do, %da, %db;", [](Word a, Word b, Word) { return a ^ b; }},
                       {"shl.b64 %do, %da, 37;", [](Word a, Word, Word) { return a << 37; }},
                       {"shr.u64 %do, %da, 37;", [](Word a, Word, Word) { return a >> 37; }},
                       {"shr.s64 %do, %da, 37;", [](Word a, Word, Word) { return static_cast<Word>(s64(a) >> 37); }},
                       {"popc.b64 %ro, %da;", [](Word a, Word, Word) { return static_cast<Word>(__builtin_popcountll(a)); }},
                       {"clz.b64 %ro, %da;", [](Word a, Word, Word) { return a ? static_cast<Word>(__builtin_clzll(a)) : 64; }},
                       {"bfe.u64 %do, %da, 30, 8;", [](Word a, Word, Word) { return a >> 30 & 255; }},
                       {"bfi.b64 %do, %da, %db, 40, 8;", [](Word a, Word b, Word) { return (b & ~(Word{255} << 40)) | (a & 255) << 40; }}});
}

TEST_CASE("moves take values apart and put them together", "[emulator]") {
    run(some_words(),
        {{"mov.b64 %do, %da;", [](Word a, Word, Word) { return a; }},
         {"mov.b32 %ro, 0f3F800000;", [](Word, Word, Word) { return of(1.f); }},
         {"mov.b64 %do, -7;", [](Word, Word, Word) { return ~Word{6}; }},
         {"mov.b64 %do, {%ra, %rb};", [](Word a, Word b, Word) { return u32(a) | b << 32; }},
         {"mov.b32 %ro, {%ha, %hb};", [](Word a, Word b, Word) { return u16(a) | Word{u16(b)} << 16; }},
         {"mov.b64 %do, {%ha, %hb, %hc, %ha};",
          [](Word a, Word b, Word c) { return u16(a) | Word{u16(b)} << 16 | Word{u16(c)} << 32 | Word{u16(a)} << 48; }},
         {"mov.b64 {%r1, %r2}, %da; mov.b64 %do, {%r2, %r1};", [](Word a, Word, Word) { return a >> 32 | a << 32; }},
         {"mov.b32 {_, %h1}, %ra; mov.b16 %ho, %h1;", [](Word a, Word, Word) { return u16(a >> 16); }},
         {"mov.b64 {%ra, %rb}, 0; add.s32 %ro, %ra, %rb;", [](Word, Word, Word) { return Word{0}; }},
         {".reg .b128 %q; mov.b128 %q, {%da, %db}; mov.b128 {%d1, %d2}, %q; sub.s64 %do, %d1, %d2;",
          [](Word a, Word b, Word) { return a - b; }},
         {"{ .reg .b32 %ra; mov.b32 %ra, 5; } mov.b32 %ro, %ra;",
          [](Word a, Word, Word) { return u32(a); }},  // registers of an inner scope
         {"{ .reg .b32 x<2>; mov.b32 x1, %ra; mov.b32 x0, x1; mov.b32 %ro, x0; }", [](Word a, Word, Word) { return u32(a); }}});
}

TEST_CASE("comparisons, also of numbers that are none, and logic of predicates", "[emulator]") {
    const auto selected = [](const std::string &compare) { return compare + " selp.b32 %ro, 1, 2, %pa;"; };
    const auto chosen = [](bool yes) { return Word{yes ? 1u : 2u}; };
    run(some_words(), {{selected("setp.eq.s32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(u32(a) == u32(b)); }},
                       {selected("setp.ne.b32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(u32(a) != u32(b)); }},
                       {selected("setp.lt.s32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(s32(a) < s32(b)); }},
                       {selected("setp.le.s32 %pa, %ra, 31;"), [=](Word a, Word, Word) { return chosen(s32(a) <= 31); }},
                       {selected("setp.gt.u32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(u32(a) > u32(b)); }},
                       {selected("setp.hs.u32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(u32(a) >= u32(b)); }},
                       {selected("setp.lt.s64 %pa, %da, %db;"), [=](Word a, Word b, Word) { return chosen(s64(a) < s64(b)); }},
                       {selected("setp.ge.u64 %pa, %da, %db;"), [=](Word a, Word b, Word) { return chosen(a >= b); }},
                       {selected("setp.lt.s16 %pa, %ha, %hb;"), [=](Word a, Word b, Word) { return chosen(s16(a) < s16(b)); }},
                       {selected("setp.lt.s32 %pb, %rb, %rc; setp.lt.and.s32 %pa, %ra, %rb, %pb;"),
                        [=](Word a, Word b, Word c) { return chosen(s32(a) < s32(b) && s32(b) < s32(c)); }},
                       {selected("setp.lt.s32 %pb, %rb, %rc; setp.lt.or.s32 %pa, %ra, %rb, !%pb;"),
                        [=](Word a, Word b, Word c) { return chosen(s32(a) < s32(b) || !(s32(b) < s32(c))); }},
                       {selected("setp.lt.s32 %pb|%pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(!(s32(a) < s32(b))); }},
                       {selected("setp.lt.s32 %p1, %ra, %rb; setp.lt.s32 %p2, %rb, %rc; xor.pred %pa, %p1, %p2;"),
                        [=](Word a, Word b, Word c) { return chosen((s32(a) < s32(b)) != (s32(b) < s32(c))); }},
                       {selected("setp.lt.s32 %p1, %ra, %rb; not.pred %p2, %p1; mov.pred %pa, %p2;"),
                        [=](Word a, Word b, Word) { return chosen(!(s32(a) < s32(b))); }},
                       {selected("mov.pred %pa, -1;"), [=](Word, Word, Word) { return chosen(true); }},
                       {"setp.lt.s32 %pa, %ra, %rb; @%pa mov.b32 %ro, %ra; @!%pa mov.b32 %ro, %rb;",
                        [](Word a, Word b, Word) { return low(std::min(s32(a), s32(b))); }},
                       {"setp.lt.s32 %pa, %ra, 0; selp.b64 %do, %da, %db, %pa;", [](Word a, Word b, Word) { return s32(a) < 0 ? a : b; }}});
    run(some_floats(),
        {{selected("setp.eq.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(f32(a) == f32(b)); }},
         {selected("setp.ne.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(f32(a) < f32(b) || f32(a) > f32(b)); }},
         {selected("setp.neu.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(f32(a) != f32(b)); }},
         {selected("setp.lt.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(f32(a) < f32(b)); }},
         {selected("setp.ltu.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(!(f32(a) >= f32(b))); }},
         {selected("setp.geu.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(!(f32(a) < f32(b))); }},
         {selected("setp.num.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(f32(a) == f32(a) && f32(b) == f32(b)); }},
         {selected("setp.nan.f32 %pa, %ra, %rb;"), [=](Word a, Word b, Word) { return chosen(f32(a) != f32(a) || f32(b) != f32(b)); }}});
    run(some_halves(),
        {{selected("setp.gt.f16 %pa, %ha, %hb;"), [=](Word a, Word b, Word) { return chosen(half(a & 0xffff) > half(b & 0xffff)); }},
         {selected("setp.gt.f16x2 %pb|%pa, %ra, %rb;"),
          [=](Word a, Word b, Word) { return chosen(half(a >> 16 & 0xffff) > half(b >> 16 & 0xffff)); }}});
}

TEST_CASE("f32 is computed with one rounding", "[emulator]") {
    const auto least = [](float a, float b) { return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? a : b) : std::min(a, b); };
    const auto most = [](float a, float b) { return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : std::max(a, b); };
    run(some_floats(),
        {{"add.rn.f32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return of(f32(a) + f32(b)); }},
         {"sub.rn.f32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return of(f32(a) - f32(b)); }},
         {"mul.rn.f32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return of(f32(a) * f32(b)); }},
         {"mul.f32 %ro, %ra, 0f3FC00000;", [](Word a, Word, Word) { return of(f32(a) * 1.5f); }},
         {"fma.rn.f32 %ro, %ra, %rb, %rc;", [](Word a, Word b, Word c) { return of(std::fma(f32(a), f32(b), f32(c))); }},
         {"setp.gt.f32 %pa, %ra, 0f00000000; @%pa fma.rn.f32 %ro, %ra, %rb, %rc;",
          [](Word a, Word b, Word c) { return f32(a) > 0 ? of(std::fma(f32(a), f32(b), f32(c))) : 0; }},
         {"fma.rn.sat.f32 %ro, %ra, %rb, %rc;",
          [](Word a, Word b, Word c) {
              const float r = std::fma(f32(a), f32(b), f32(c));
              return of(r > 0 ? std::min(r, 1.f) : 0.f);
          }},
         {"mul.ftz.f32 %ro, %ra, %rb;",
          [](Word a, Word b, Word) {
              const auto flush = [](float v) { return std::fabs(v) < std::numeric_limits<float>::min() ? std::copysign(0.f, v) : v; };
              return of(flush(flush(f32(a)) * flush(f32(b))));
          }},
         {"div.rn.f32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return of(f32(a) / f32(b)); }},
         {"rcp.rn.f32 %ro, %ra;", [](Word a, Word, Word) { return of(1 / f32(a)); }},
         {"sqrt.rn.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::sqrt(f32(a))); }},
         {"min.f32 %ro, %ra, %rb;", [=](Word a, Word b, Word) { return of(least(f32(a), f32(b))); }},
         {"max.f32 %ro, %ra, %rb;", [=](Word a, Word b, Word) { return of(most(f32(a), f32(b))); }},
         {"max.NaN.f32 %ro, %ra, %rb;",
          [=](Word a, Word b, Word) { return f32(a) != f32(a)   ? a
                                             : f32(b) != f32(b) ? b
                                                                : of(most(f32(a), f32(b))); }},
         {"neg.f32 %ro, %ra;", [](Word a, Word, Word) { return of(-f32(a)); }},
         {"abs.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::fabs(f32(a))); }},
         {"copysign.f32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return of(std::copysign(f32(b), f32(a))); }}},
        same_float);
    run(some_floats(),
        {{"ex2.approx.ftz.f32 %ro, %ra;",
          [](Word a, Word, Word) {
              const float r = std::exp2(f32(a));
              return of(r < 1.2e-38f ? 0.f : r);
          }},
         {"lg2.approx.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::log2(f32(a))); }},
         {"rcp.approx.f32 %ro, %ra;", [](Word a, Word, Word) { return of(1 / f32(a)); }},
         {"sqrt.approx.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::sqrt(f32(a))); }},
         {"rsqrt.approx.f32 %ro, %ra;",
          [](Word a, Word, Word) { return of(static_cast<float>(1 / std::sqrt(static_cast<double>(f32(a))))); }},
         {"sin.approx.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::sin(f32(a))); }},
         {"tanh.approx.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::tanh(f32(a))); }},
         {"div.full.f32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return of(f32(a) / f32(b)); }}},
        close);
    const auto wide = [](const std::string &op) { return "cvt.f64.f32 %d1, %ra; cvt.f64.f32 %d2, %rb; " + op; };
    run(some_floats(),
        {{wide("add.rn.f64 %do, %d1, %d2;"), [](Word a, Word b, Word) { return of64(double{f32(a)} + f32(b)); }},
         {wide("fma.rn.f64 %do, %d1, %d2, 0d3FF0000000000000;"), [](Word a, Word b, Word) { return of64(double{f32(a)} * f32(b) + 1); }},
         {wide("div.rn.f64 %do, %d1, %d2;"), [](Word a, Word b, Word) { return of64(double{f32(a)} / f32(b)); }}},
        [](Word x, Word y) { return x == y || (f64(x) != f64(x) && f64(y) != f64(y)); });
}

TEST_CASE("f16 is computed with one rounding, alone and in pairs", "[emulator]") {
    const auto least = [](double a, double b) { return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? a : b) : std::min(a, b); };
    const auto most = [](double a, double b) { return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : std::max(a, b); };
    const auto one = [](Word a, Word b, const std::function<double(double, double)> &f) {
        return nearest_half(f(half(a & 0xffff), half(b & 0xffff)));
    };
    const auto plus = [](double x, double y) { return x + y; };
    const auto minus = [](double x, double y) { return x - y; };
    const auto times = [](double x, double y) { return x * y; };
    const auto fused = [](Word a, Word b, Word c) { return nearest_half(half(a & 0xffff) * half(b & 0xffff) + half(c & 0xffff)); };
    run(some_halves(),
        {{"add.rn.f16 %ho, %ha, %hb;", [=](Word a, Word b, Word) { return one(a, b, plus); }},
         {"sub.rn.f16 %ho, %ha, %hb;", [=](Word a, Word b, Word) { return one(a, b, minus); }},
         {"mul.rn.f16 %ho, %ha, %hb;", [=](Word a, Word b, Word) { return one(a, b, times); }},
         {"min.f16 %ho, %ha, %hb;", [=](Word a, Word b, Word) { return one(a, b, least); }},
         {"max.f16 %ho, %ha, %hb;", [=](Word a, Word b, Word) { return one(a, b, most); }},
         {"neg.f16 %ho, %ha;", [=](Word a, Word b, Word) { return one(a, b, [](double x, double) { return -x; }); }},
         {"abs.f16 %ho, %ha;", [=](Word a, Word b, Word) { return one(a, b, [](double x, double) { return std::fabs(x); }); }},
         {"fma.rn.f16 %ho, %ha, %hb, %hc;", fused},
         {"fma.rn.relu.f16 %ho, %ha, %hb, %hc;",
          [=](Word a, Word b, Word c) {
              const Word r = fused(a, b, c);
              return r & 0x8000 && !is_nan_half(r) ? 0 : r;
          }}},
        same_half);
    run(some_halves(),
        {{"add.rn.f16x2 %ro, %ra, %rb;", [=](Word a, Word b, Word) { return both(a, b, plus); }},
         {"sub.rn.f16x2 %ro, %ra, %rb;", [=](Word a, Word b, Word) { return both(a, b, minus); }},
         {"mul.rn.f16x2 %ro, %ra, %rb;", [=](Word a, Word b, Word) { return both(a, b, times); }},
         {"min.f16x2 %ro, %ra, %rb;", [=](Word a, Word b, Word) { return both(a, b, least); }},
         {"max.f16x2 %ro, %ra, %rb;", [=](Word a, Word b, Word) { return both(a, b, most); }},
         {"neg.f16x2 %ro, %ra;", [=](Word a, Word b, Word) { return both(a, b, [](double x, double) { return -x; }); }},
         {"abs.f16x2 %ro, %ra;", [=](Word a, Word b, Word) { return both(a, b, [](double x, double) { return std::fabs(x); }); }},
         {"max.NaN.f16x2 %ro, %ra, %rb;",
          [=](Word a, Word b, Word) {
              return both(a, b, [=](double x, double y) { return x != x || y != y ? std::nan("") : most(x, y); });
          }},
         {"fma.rn.f16x2 %ro, %ra, %rb, %rc;",
          [=](Word a, Word b, Word c) { return fused(a, b, c) | fused(a >> 16, b >> 16, c >> 16) << 16; }},
         {"setp.lt.f16 %pa, %ha, %hb; @%pa fma.rn.f16x2 %ro, %ra, %rb, %rc;",
          [=](Word a, Word b, Word c) {
              return half(a & 0xffff) < half(b & 0xffff) ? fused(a, b, c) | fused(a >> 16, b >> 16, c >> 16) << 16 : 0;
          }}},
        same_halves);
}

TEST_CASE("conversions round and saturate as they say", "[emulator]") {
    const auto integer = [](double v, double least, double most) { return v != v ? 0. : std::min(std::max(v, least), most); };
    const auto to_s32 = [=](double v) { return low(static_cast<int64_t>(integer(v, -2147483648., 2147483647.))); };
    const auto to_u8 = [=](double v) { return static_cast<Word>(integer(v, 0, 255)); };
    run(some_floats(),
        {{"cvt.rni.s32.f32 %ro, %ra;", [=](Word a, Word, Word) { return to_s32(std::nearbyint(f32(a))); }},
         {"cvt.rzi.s32.f32 %ro, %ra;", [=](Word a, Word, Word) { return to_s32(std::trunc(f32(a))); }},
         {"cvt.rmi.s32.f32 %ro, %ra;", [=](Word a, Word, Word) { return to_s32(std::floor(f32(a))); }},
         {"cvt.rpi.s32.f32 %ro, %ra;", [=](Word a, Word, Word) { return to_s32(std::ceil(f32(a))); }},
         {"cvt.rzi.u32.f32 %ro, %ra;", [=](Word a, Word, Word) { return static_cast<Word>(integer(std::trunc(f32(a)), 0, 4294967295.)); }},
         {"cvt.rzi.sat.u8.f32 %ho, %ra;", [=](Word a, Word, Word) { return to_u8(std::trunc(f32(a))); }},
         {"cvt.rmi.f32.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::floor(f32(a))); }},
         {"cvt.rni.f32.f32 %ro, %ra;", [](Word a, Word, Word) { return of(std::nearbyint(f32(a))); }},
         {"cvt.sat.f32.f32 %ro, %ra;", [](Word a, Word, Word) { const float v = f32(a); return of(v > 0 ? std::min(v, 1.f) : 0.f); }},
         {"cvt.f64.f32 %do, %ra;", [](Word a, Word, Word) { return of64(f32(a)); }},
         {"cvt.f64.f32 %d1, %ra; cvt.rn.f32.f64 %ro, %d1;", [](Word a, Word, Word) { return a; }}},
        [](Word x, Word y) { return same_float(x, y) || (f64(x) != f64(x) && f64(y) != f64(y)); });
    run(some_floats(),
        {{"cvt.rn.f16.f32 %ho, %ra;", [](Word a, Word, Word) { return nearest_half(f32(a)); }},
         {"cvt.rz.f16.f32 %ho, %ra;", [](Word a, Word, Word) {
              const Word w = nearest_half(f32(a));
              return std::fabs(half(w)) > std::fabs(f32(a)) ? w - 1 : w;
          }},
         {"cvt.rn.relu.f16.f32 %ho, %ra;", [](Word a, Word, Word) { return f32(a) <= 0 ? 0 : nearest_half(f32(a)); }},
         // Down is towards zero for positive numbers, and one further where that has cut off something of a negative one.
         {"cvt.rm.f16.f32 %ho, %ra;", [](Word a, Word, Word) { return half_below(f32(a)); }},
         {"cvt.rp.f16.f32 %ho, %ra;", [](Word a, Word, Word) { return half_below(-f32(a)) ^ 0x8000; }}},
        same_half);
    run(some_floats(),
        {{"cvt.rn.f16x2.f32 %ro, %ra, %rb;", [](Word a, Word b, Word) { return nearest_half(f32(a)) << 16 | nearest_half(f32(b)); }}},
        same_halves);
    run(some_halves(),
        {{"cvt.f32.f16 %ro, %ha;", [](Word a, Word, Word) { return of(static_cast<float>(half(a & 0xffff))); }},
         {"cvt.rzi.s16.f16 %ho, %ha;",
          [=](Word a, Word, Word) {
              return u16(static_cast<Word>(static_cast<int64_t>(integer(std::trunc(half(a & 0xffff)), -32768, 32767))));
          }}},
        same_float);
    run(some_words(), {{"cvt.rn.f32.s32 %ro, %ra;", [](Word a, Word, Word) { return of(static_cast<float>(s32(a))); }},
                       {"cvt.rn.f32.u32 %ro, %ra;", [](Word a, Word, Word) { return of(static_cast<float>(u32(a))); }},
                       {"cvt.rn.f32.s64 %ro, %da;", [](Word a, Word, Word) { return of(static_cast<float>(s64(a))); }},
                       {"cvt.rz.f32.s32 %ro, %ra;",
                        [](Word a, Word, Word) {
                            const double v = s32(a);
                            float f = static_cast<float>(v);
                            if (std::fabs(f) > std::fabs(v)) f = std::nextafter(f, 0.f);
                            return of(f);
                        }},
                       {"cvt.rn.f16.s32 %ho, %ra;", [](Word a, Word, Word) { return nearest_half(s32(a)); }},
                       {"cvt.rn.f64.u64 %do, %da;", [](Word a, Word, Word) { return of64(static_cast<double>(a)); }},
                       {"cvt.s32.s8 %ro, %ra;", [](Word a, Word, Word) { return low(static_cast<int8_t>(a)); }},
                       {"cvt.u32.u8 %ro, %ra;", [](Word a, Word, Word) { return a & 255; }},
                       {"cvt.s64.s32 %do, %ra;", [](Word a, Word, Word) { return static_cast<Word>(int64_t{s32(a)}); }},
                       {"cvt.u64.u32 %do, %ra;", [](Word a, Word, Word) { return u32(a); }},
                       {"cvt.s64.s16 %do, %ha;", [](Word a, Word, Word) { return static_cast<Word>(int64_t{s16(a)}); }},
                       {"cvt.u32.u64 %ro, %da;", [](Word a, Word, Word) { return u32(a); }},
                       {"cvt.u16.u32 %ho, %ra;", [](Word a, Word, Word) { return u16(a); }},
                       {"cvt.s16.s8 %ho, %ha;", [](Word a, Word, Word) { return u16(static_cast<Word>(int64_t{static_cast<int8_t>(a)})); }},
                       {"cvt.s8.s32 %h1, %ra; cvt.s32.s8 %ro, %h1;", [](Word a, Word, Word) { return low(static_cast<int8_t>(a)); }},
                       {"cvt.sat.s16.s32 %ho, %ra;",
                        [](Word a, Word, Word) { return u16(static_cast<Word>(int64_t{std::clamp(s32(a), -32768, 32767)})); }},
                       {"cvt.sat.u8.s32 %ho, %ra;", [](Word a, Word, Word) { return static_cast<Word>(std::clamp(s32(a), 0, 255)); }}});
}

TEST_CASE("the emulator's halves are those of the runtime", "[emulator]") {
    size_t different = 0;
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto h = static_cast<uint16_t>(bits);
        if (is_nan_half(h)) continue;
        const float value = ptx::float_of_half(h);
        different += value != float_from_half(h);
        // Floats at it, next to it, half way to the next one, and next to that.
        const float up = ptx::float_of_half(static_cast<uint16_t>(h + 1)), middle = value + (up - value) / 2;
        for (float f : {value, middle})
            for (float near : {f, std::nextafter(f, INFINITY), std::nextafter(f, -INFINITY)})
                if (near == near) different += ptx::half_of_float(near) != half_from_float(near);
    }
    CHECK(different == 0);
}
