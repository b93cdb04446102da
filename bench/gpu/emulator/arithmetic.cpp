// Arithmetic, logic, comparisons and moves: what each lane does for itself.
#include "decode.h"
#include "lane_math.h"
#include "lanes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sepal::ptx {
namespace {

// Wide enough for products of T without undefined overflow.
template<typename T>
using Wrapping = std::conditional_t<sizeof(T) < 4, uint32_t, std::make_unsigned_t<T>>;
template<typename T>
using Double = std::conditional_t<sizeof(T) == 8, std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>,
                                  std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

struct Add {
    template<typename T>
    T operator()(T a, T b) const {
        if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
        else return a + b;
    }
};
struct Sub {
    template<typename T>
    T operator()(T a, T b) const {
        if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
        else return a - b;
    }
};
struct Mul {
    template<typename T>
    T operator()(T a, T b) const {
        if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
        else return a * b;
    }
};
struct MulHigh {
    template<typename T>
    T operator()(T a, T b) const {
        return static_cast<T>((static_cast<Double<T>>(a) * static_cast<Double<T>>(b)) >> (8 * sizeof(T)));
    }
};
template<typename R>
struct MulWide {
    template<typename T>
    R operator()(T a, T b) const {
        return static_cast<R>(static_cast<R>(a) * static_cast<R>(b));
    }
};
template<typename Product>
struct ThenAdd {
    template<typename T, typename C>
    C operator()(T a, T b, C c) const {
        return Add()(static_cast<C>(Product()(a, b)), c);
    }
};
// Division by zero has an unspecified result in PTX: here all ones, as GPUs give it.
struct Div {
    template<typename T>
    T operator()(T a, T b) const {
        if constexpr (std::is_floating_point_v<T>) return a / b;
        else if (b == 0) return static_cast<T>(~T{0});
        else if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Sub()(T{0}, a);
        else return static_cast<T>(a / b);
    }
};
struct Rem {
    template<typename T>
    T operator()(T a, T b) const {
        if (b == 0) return a;
        if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
        return static_cast<T>(a % b);
    }
};
// Of a NaN and a number the number, of zeros of two signs the smaller or larger one.
struct Min {
    template<typename T>
    T operator()(T a, T b) const {
        if constexpr (std::is_floating_point_v<T>) {
            return a != a || b < a || (a == b && !std::signbit(a)) ? b : a;
        } else {
            return b < a ? b : a;
        }
    }
};
struct Max {
    template<typename T>
    T operator()(T a, T b) const {
        if constexpr (std::is_floating_point_v<T>) {
            return a != a || b > a || (a == b && std::signbit(a)) ? b : a;
        } else {
            return b > a ? b : a;
        }
    }
};
template<typename F>
struct NanWins {
    template<typename T>
    T operator()(T a, T b) const {
        return a != a || b != b ? std::numeric_limits<T>::quiet_NaN() : F()(a, b);
    }
};
struct Neg {
    template<typename T>
    T operator()(T a) const {
        if constexpr (std::is_integral_v<T>) return Sub()(T{0}, a);
        else return -a;
    }
};
struct Abs {
    template<typename T>
    T operator()(T a) const {
        if constexpr (std::is_integral_v<T>) return a < 0 ? Sub()(T{0}, a) : a;
        else return std::fabs(a);
    }
};
struct And { template<typename T> T operator()(T a, T b) const { return a & b; } };
struct Or { template<typename T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template<typename T> T operator()(T a, T b) const { return a ^ b; } };
struct Not { template<typename T> T operator()(T a) const { return static_cast<T>(~a); } };
struct ShiftLeft {
    template<typename T>
    T operator()(T a, uint32_t by) const { return by >= 8 * sizeof(T) ? T{0} : static_cast<T>(static_cast<Wrapping<T>>(a) << by); }
};
struct ShiftRight {
    template<typename T>
    T operator()(T a, uint32_t by) const {
        constexpr uint32_t bits = 8 * sizeof(T);
        return by >= bits ? (std::is_signed_v<T> ? static_cast<T>(a >> (bits - 1)) : T{0}) : static_cast<T>(a >> by);
    }
};
struct FunnelLeft {  // the high word of high:low << by
    uint32_t operator()(uint32_t low, uint32_t high, uint32_t by) const {
        return by >= 32 ? low : static_cast<uint32_t>((((static_cast<uint64_t>(high) << 32) | low) << by) >> 32);
    }
};
struct FunnelRight {
    uint32_t operator()(uint32_t low, uint32_t high, uint32_t by) const {
        return by >= 32 ? high : static_cast<uint32_t>(((static_cast<uint64_t>(high) << 32) | low) >> by);
    }
};
template<typename Funnel>
struct Wrap {
    uint32_t operator()(uint32_t low, uint32_t high, uint32_t by) const { return Funnel()(low, high, by & 31); }
};
struct Popc { template<typename T> uint32_t operator()(T a) const { return static_cast<uint32_t>(__builtin_popcountll(a)); } };
struct Clz {
    template<typename T>
    uint32_t operator()(T a) const { return a ? static_cast<uint32_t>(__builtin_clzll(a)) - (64 - 8 * sizeof(T)) : 8 * sizeof(T); }
};
struct Brev {
    template<typename T>
    T operator()(T a) const {
        T r = 0;
        for (size_t i = 0; i < 8 * sizeof(T); ++i) r |= ((a >> i) & 1) << (8 * sizeof(T) - 1 - i);
        return r;
    }
};
// The number of the highest bit that differs from the sign; all ones when there is none.
struct Bfind {
    template<typename T>
    uint32_t operator()(T a) const {
        const auto bits = static_cast<std::make_unsigned_t<T>>(a < 0 ? ~a : a);
        return bits ? 63 - static_cast<uint32_t>(__builtin_clzll(bits)) : ~0u;
    }
};
struct Bfe {
    template<typename T>
    T operator()(T a, uint32_t position, uint32_t length) const {
        constexpr uint32_t bits = 8 * sizeof(T);
        position &= 0xff, length &= 0xff;
        if (length == 0) return 0;
        const uint32_t top = std::min(position + length - 1, bits - 1);
        const bool sign = std::is_signed_v<T> && (static_cast<std::make_unsigned_t<T>>(a) >> top & 1);
        T r = 0;
        for (uint32_t i = 0; i < bits; ++i) {
            const bool bit = i < length && position + i < bits ? static_cast<std::make_unsigned_t<T>>(a) >> (position + i) & 1 : sign;
            r = static_cast<T>(r | static_cast<T>(static_cast<std::make_unsigned_t<T>>(bit) << i));
        }
        return r;
    }
};
// Of dp4a: a dot product of four bytes each.
template<typename A, typename B>
struct Dp4a {
    uint32_t operator()(uint32_t a, uint32_t b, uint32_t c) const {
        for (int i = 0; i < 4; ++i) c += static_cast<uint32_t>(static_cast<A>(a >> 8 * i) * static_cast<B>(b >> 8 * i));
        return c;
    }
};
struct Prmt {
    uint32_t operator()(uint32_t a, uint32_t b, uint32_t selector) const {
        const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
        uint32_t r = 0;
        for (int i = 0; i < 4; ++i) {
            const uint32_t s = selector >> (4 * i);
            uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (s & 7))) & 0xff;
            if (s & 8) byte = byte & 0x80 ? 0xff : 0;
            r |= byte << (8 * i);
        }
        return r;
    }
};
struct Fma { template<typename T> T operator()(T a, T b, T c) const { return std::fma(a, b, c); } };
struct Rcp { template<typename T> T operator()(T a) const { return T{1} / a; } };
struct Sqrt { template<typename T> T operator()(T a) const { return std::sqrt(a); } };
struct Rsqrt { template<typename T> T operator()(T a) const { return static_cast<T>(1 / std::sqrt(static_cast<double>(a))); } };
struct Ex2 { template<typename T> T operator()(T a) const { return static_cast<T>(std::exp2(static_cast<double>(a))); } };
struct Lg2 { template<typename T> T operator()(T a) const { return static_cast<T>(std::log2(static_cast<double>(a))); } };
struct Sin { template<typename T> T operator()(T a) const { return static_cast<T>(std::sin(static_cast<double>(a))); } };
struct Cos { template<typename T> T operator()(T a) const { return static_cast<T>(std::cos(static_cast<double>(a))); } };
struct Tanh { template<typename T> T operator()(T a) const { return static_cast<T>(std::tanh(static_cast<double>(a))); } };
struct CopySign { template<typename T> T operator()(T sign, T magnitude) const { return std::copysign(magnitude, sign); } };

// Of f32, with subnormal numbers as zeros and the result in 0 to 1.
template<typename F, bool flush, bool saturate>
struct Modified {
    static float flushed(float v) { return flush && std::fabs(v) < std::numeric_limits<float>::min() ? std::copysign(0.f, v) : v; }
    template<typename... T>
    float operator()(T... v) const {
        const float r = flushed(F()(flushed(v)...));
        return saturate ? (r > 0 ? std::min(r, 1.f) : 0.f) : r;
    }
};
// Of f16 by way of float, which has bits enough that rounding twice is rounding once (not for fma).
template<typename F>
struct OfHalf {
    template<typename... T>
    Half operator()(T... v) const {
        return {half_of_float(F()(float_of_half(v.bits)...))};
    }
};
template<typename F>
struct OfHalf2 {
    template<typename... T>
    Half2 operator()(T... v) const {
        return {OfHalf<F>()(v.low...), OfHalf<F>()(v.high...)};
    }
};
// relu: what is negative becomes zero.
template<bool relu>
struct FmaHalf {
    Half operator()(Half a, Half b, Half c) const {
        const uint16_t r = half_of_fma(float_of_half(a.bits), float_of_half(b.bits), float_of_half(c.bits));
        return {relu && r & 0x8000 ? uint16_t{0} : r};
    }
    Half2 operator()(Half2 a, Half2 b, Half2 c) const { return {(*this)(a.low, b.low, c.low), (*this)(a.high, b.high, c.high)}; }
};

void fast_fma_f32(Warp &w, const Step &s, uint32_t active) {
    if (w.whole(active)) return fma_f32(w.at<uint32_t>(s.d), w.at<uint32_t>(s.a), w.at<uint32_t>(s.b), w.at<uint32_t>(s.c));
    ternary<float, float, float, float, Fma>(w, s, active);
}
void fast_fma_f16x2(Warp &w, const Step &s, uint32_t active) {
    if (w.whole(active)) return fma_f16x2(w.at<uint32_t>(s.d), w.at<uint32_t>(s.a), w.at<uint32_t>(s.b), w.at<uint32_t>(s.c));
    ternary<Half2, Half2, Half2, Half2, FmaHalf<false>>(w, s, active);
}

template<typename F>
Run integer_unary(Type t) {
    switch (t) {
    case Type::s16: return unary<int16_t, int16_t, F>;
    case Type::b16: return unary<uint16_t, uint16_t, F>;
    case Type::s32: return unary<int32_t, int32_t, F>;
    case Type::b32: return unary<uint32_t, uint32_t, F>;
    case Type::s64: return unary<int64_t, int64_t, F>;
    case Type::b64: return unary<uint64_t, uint64_t, F>;
    default: return nullptr;
    }
}
template<typename F>
Run integer_binary(Type t) {
    switch (t) {
    case Type::s16: return binary<int16_t, int16_t, int16_t, F>;
    case Type::u16: case Type::b16: return binary<uint16_t, uint16_t, uint16_t, F>;
    case Type::s32: return binary<int32_t, int32_t, int32_t, F>;
    case Type::u32: case Type::b32: return binary<uint32_t, uint32_t, uint32_t, F>;
    case Type::s64: return binary<int64_t, int64_t, int64_t, F>;
    case Type::u64: case Type::b64: return binary<uint64_t, uint64_t, uint64_t, F>;
    default: return nullptr;
    }
}
template<typename F>
Run shift(Type t) {
    switch (t) {
    case Type::s16: return binary<int16_t, int16_t, uint32_t, F>;
    case Type::u16: case Type::b16: return binary<uint16_t, uint16_t, uint32_t, F>;
    case Type::s32: return binary<int32_t, int32_t, uint32_t, F>;
    case Type::u32: case Type::b32: return binary<uint32_t, uint32_t, uint32_t, F>;
    case Type::s64: return binary<int64_t, int64_t, uint32_t, F>;
    case Type::u64: case Type::b64: return binary<uint64_t, uint64_t, uint32_t, F>;
    default: return nullptr;
    }
}
template<typename F>
Run integer_ternary(Type t) {
    switch (t) {
    case Type::s16: return ternary<int16_t, int16_t, int16_t, int16_t, F>;
    case Type::u16: return ternary<uint16_t, uint16_t, uint16_t, uint16_t, F>;
    case Type::s32: return ternary<int32_t, int32_t, int32_t, int32_t, F>;
    case Type::u32: return ternary<uint32_t, uint32_t, uint32_t, uint32_t, F>;
    case Type::s64: return ternary<int64_t, int64_t, int64_t, int64_t, F>;
    case Type::u64: return ternary<uint64_t, uint64_t, uint64_t, uint64_t, F>;
    default: return nullptr;
    }
}

struct Modifiers {
    bool flush = false, saturate = false;
};
template<typename F, template<typename, typename> typename Of>
Run modified(Modifiers m) {
    if (m.flush) return m.saturate ? Of<float, Modified<F, true, true>>::run : Of<float, Modified<F, true, false>>::run;
    return m.saturate ? Of<float, Modified<F, false, true>>::run : Of<float, F>::run;
}
template<typename T, typename F>
struct One { static constexpr Run run = unary<T, T, F>; };
template<typename T, typename F>
struct Two { static constexpr Run run = binary<T, T, T, F>; };
template<typename T, typename F>
struct Three { static constexpr Run run = ternary<T, T, T, T, F>; };

template<typename F, template<typename, typename> typename Of>
Run of_float(Type t, Modifiers m) {
    if (t == Type::f32) return modified<F, Of>(m);
    if (m.flush || m.saturate) return nullptr;
    switch (t) {
    case Type::f16: return Of<Half, OfHalf<F>>::run;
    case Type::f16x2: return Of<Half2, OfHalf2<F>>::run;
    case Type::f64: return Of<double, F>::run;
    default: return nullptr;
    }
}

enum Comparison { eq, ne, lt, le, gt, ge, lo, ls, hi, hs, equ, neu, ltu, leu, gtu, geu, num, nan_, comparisons };
const std::vector<const char *> comparison_names{"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs",
                                                 "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
enum Combination { none, with_and, with_or, with_xor };

template<typename T, typename Test>
uint32_t compared(const Slot<T> *a, const Slot<T> *b, Test test) {
    uint32_t mask = 0;
    for (int l = 0; l < lanes; ++l) mask |= static_cast<uint32_t>(test(get<T>(a[l]), get<T>(b[l]))) << l;
    return mask;
}
template<typename T>
uint32_t compared(Comparison c, const Slot<T> *a, const Slot<T> *b) {
    switch (c) {
    case eq: return compared<T>(a, b, [](T x, T y) { return x == y; });
    case ne: return compared<T>(a, b, [](T x, T y) { return x < y || x > y; });
    case lt: case lo: return compared<T>(a, b, [](T x, T y) { return x < y; });
    case le: case ls: return compared<T>(a, b, [](T x, T y) { return x <= y; });
    case gt: case hi: return compared<T>(a, b, [](T x, T y) { return x > y; });
    case ge: case hs: return compared<T>(a, b, [](T x, T y) { return x >= y; });
    case equ: return compared<T>(a, b, [](T x, T y) { return !(x < y || x > y); });
    case neu: return compared<T>(a, b, [](T x, T y) { return !(x == y); });
    case ltu: return compared<T>(a, b, [](T x, T y) { return !(x >= y); });
    case leu: return compared<T>(a, b, [](T x, T y) { return !(x > y); });
    case gtu: return compared<T>(a, b, [](T x, T y) { return !(x <= y); });
    case geu: return compared<T>(a, b, [](T x, T y) { return !(x < y); });
    case num: return compared<T>(a, b, [](T x, T y) { return x == x && y == y; });
    case nan_: return compared<T>(a, b, [](T x, T y) { return x != x || y != y; });
    case comparisons: break;
    }
    return 0;
}

// option: comparison, combination << 8, whether the predicate to combine with is negated << 16. c: that predicate.
uint32_t combined(const Warp &w, const Step &s, uint32_t mask) {
    const auto how = static_cast<Combination>(s.option >> 8 & 0xff);
    if (how == none) return mask;
    const uint32_t other = w.predicates[static_cast<size_t>(s.c)] ^ (s.option >> 16 ? all_lanes : 0);
    return how == with_and ? mask & other : how == with_or ? mask | other : mask ^ other;
}
void assign(Warp &w, int predicate, uint32_t mask, uint32_t active) {
    if (predicate < 0) return;
    uint32_t &p = w.predicates[static_cast<size_t>(predicate)];
    p = (p & ~active) | (mask & active);
}
template<typename T>
void set_predicate(Warp &w, const Step &s, uint32_t active) {
    const uint32_t mask = compared<T>(static_cast<Comparison>(s.option & 0xff), w.at<Slot<T>>(s.a), w.at<Slot<T>>(s.b));
    const uint32_t p = combined(w, s, mask), q = combined(w, s, ~mask);
    assign(w, s.d, p, active);
    assign(w, s.predicate, q, active);
}
// Of halves: widened first; of pairs the second predicate is that of the high halves.
void widened(const uint32_t *from, int shift, uint32_t *to) {
    for (int l = 0; l < lanes; ++l) to[l] = bits_as<uint32_t>(float_of_half(static_cast<uint16_t>(from[l] >> shift)));
}
template<bool pair>
void set_predicate_half(Warp &w, const Step &s, uint32_t active) {
    uint32_t mask[2], a[lanes], b[lanes];
    for (int half = 0; half < 1 + pair; ++half) {
        widened(w.at<uint32_t>(s.a), 16 * half, a), widened(w.at<uint32_t>(s.b), 16 * half, b);
        mask[half] = compared<float>(static_cast<Comparison>(s.option & 0xff), a, b);
    }
    const uint32_t p = combined(w, s, mask[0]), q = combined(w, s, pair ? mask[1] : ~mask[0]);
    assign(w, s.d, p, active);
    assign(w, s.predicate, q, active);
}
Run set_predicate_of(Type t) {
    switch (t) {
    case Type::s16: return set_predicate<int16_t>;
    case Type::u16: case Type::b16: return set_predicate<uint16_t>;
    case Type::s32: return set_predicate<int32_t>;
    case Type::u32: case Type::b32: return set_predicate<uint32_t>;
    case Type::s64: return set_predicate<int64_t>;
    case Type::u64: case Type::b64: return set_predicate<uint64_t>;
    case Type::f32: return set_predicate<float>;
    case Type::f64: return set_predicate<double>;
    case Type::f16: return set_predicate_half<false>;
    case Type::f16x2: return set_predicate_half<true>;
    default: return nullptr;
    }
}

template<typename T>
void select(Warp &w, const Step &s, uint32_t active) {
    T *d = w.at<T>(s.d);
    const T *a = w.at<T>(s.a), *b = w.at<T>(s.b);
    const uint32_t p = w.predicates[static_cast<size_t>(s.c)];
    for_lanes(w, active, [&](int l) { d[l] = p >> l & 1 ? a[l] : b[l]; });
}

// option: 0 and, 1 or, 2 xor, 3 not, 4 move, 5 move the constant `a`.
void logic_of_predicates(Warp &w, const Step &s, uint32_t active) {
    const uint32_t a = s.option == 5 ? static_cast<uint32_t>(-s.a) : w.predicates[static_cast<size_t>(s.a)];
    const uint32_t b = s.b < 0 ? 0 : w.predicates[static_cast<size_t>(s.b)];
    assign(w, s.d, s.option == 0 ? a & b : s.option == 1 ? a | b : s.option == 2 ? a ^ b : s.option == 3 ? ~a : a, active);
}

void bit_field_insert(Warp &w, const Step &s, uint32_t active) {
    const int length = s.list[0];
    const auto mask = [](uint32_t position, uint32_t count) {
        uint64_t m = 0;
        for (uint32_t i = 0; i < count && position + i < 64; ++i) m |= uint64_t{1} << (position + i);
        return m;
    };
    for_lanes(w, active, [&](int l) {
        const uint32_t position = w.at<uint32_t>(s.c)[l] & 0xff, count = w.at<uint32_t>(length)[l] & 0xff;
        const uint64_t m = mask(position, count);
        const uint64_t a = s.wide ? w.at<uint64_t>(s.a)[l] : w.at<uint32_t>(s.a)[l],
                       b = s.wide ? w.at<uint64_t>(s.b)[l] : w.at<uint32_t>(s.b)[l];
        const uint64_t r = (b & ~m) | ((position < 64 ? a << position : 0) & m);
        if (s.wide) w.at<uint64_t>(s.d)[l] = r;
        else w.at<uint32_t>(s.d)[l] = static_cast<uint32_t>(r);
    });
}

void logic3(Warp &w, const Step &s, uint32_t active) {
    const uint32_t *a = w.at<uint32_t>(s.a), *b = w.at<uint32_t>(s.b), *c = w.at<uint32_t>(s.c);
    for_lanes(w, active, [&](int l) {
        uint32_t r = 0;
        for (uint32_t m = 0; m < 8; ++m)
            if (s.option >> m & 1) r |= (m & 4 ? a[l] : ~a[l]) & (m & 2 ? b[l] : ~b[l]) & (m & 1 ? c[l] : ~c[l]);
        w.at<uint32_t>(s.d)[l] = r;
    });
}

template<typename T>
void copy(Warp &w, const Step &s, uint32_t active) {
    T *d = w.at<T>(s.d);
    const T *a = w.at<T>(s.a);
    for_lanes(w, active, [&](int l) { d[l] = a[l]; });
}
void copy128(Warp &w, const Step &s, uint32_t active) {
    uint64_t *d = w.at<uint64_t>(s.d);
    const uint64_t *a = w.at<uint64_t>(s.a);
    for_lanes(w, active, [&](int l) { d[l] = a[l], d[l + lanes] = a[l + lanes]; });
}

// A value of `bits` bits from parts, or into them. option: bits of a part.
template<int bits>
uint64_t value_at(const Warp &w, int word, int l, int part_bits, int part) {
    const int from = part * part_bits;
    const uint64_t *wide = w.at<uint64_t>(word);
    const uint64_t v = bits == 32 ? w.at<uint32_t>(word)[l] : wide[l + (bits == 128 ? from / 64 * lanes : 0)];
    return v >> from % 64 & (part_bits == 64 ? ~uint64_t{0} : (uint64_t{1} << part_bits) - 1);
}
template<int bits>
void unpack(Warp &w, const Step &s, uint32_t active) {
    const int part_bits = static_cast<int>(s.option), parts = bits / part_bits;
    each_lane(active, [&](int l) {
        uint64_t values[8];
        for (int p = 0; p < parts; ++p) values[p] = value_at<bits>(w, s.a, l, part_bits, p);  // all before the first is written over
        for (int p = 0; p < parts; ++p) {
            const int d = s.list[static_cast<size_t>(p)];
            if (d < 0) continue;
            if (part_bits == 64) w.at<uint64_t>(d)[l] = values[p];
            else w.at<uint32_t>(d)[l] = static_cast<uint32_t>(values[p]);
        }
    });
}
template<int bits>
void pack(Warp &w, const Step &s, uint32_t active) {
    const int part_bits = static_cast<int>(s.option), parts = bits / part_bits;
    each_lane(active, [&](int l) {
        uint64_t low = 0, high = 0;
        for (int p = 0; p < parts; ++p) {
            const int a = s.list[static_cast<size_t>(p)], to = p * part_bits;
            const uint64_t v = part_bits == 64   ? w.at<uint64_t>(a)[l]
                               : part_bits == 32 ? w.at<uint32_t>(a)[l]
                                                 : w.at<uint32_t>(a)[l] & 0xffff;
            (to >= 64 ? high : low) |= v << to % 64;
        }
        if (bits == 32) w.at<uint32_t>(s.d)[l] = static_cast<uint32_t>(low);
        else w.at<uint64_t>(s.d)[l] = low;
        if (bits == 128) w.at<uint64_t>(s.d)[l + lanes] = high;
    });
}

void unpack_two(Warp &w, const Step &s, uint32_t active) {  // 64 bits
    const uint64_t *a = w.at<uint64_t>(s.a);
    uint32_t *low = w.at<uint32_t>(s.list[0]), *high = w.at<uint32_t>(s.list[1]);
    for_lanes(w, active, [&](int l) {
        const uint64_t v = a[l];
        low[l] = static_cast<uint32_t>(v), high[l] = static_cast<uint32_t>(v >> 32);
    });
}
void pack_two(Warp &w, const Step &s, uint32_t active) {
    uint64_t *d = w.at<uint64_t>(s.d);
    const uint32_t *low = w.at<uint32_t>(s.list[0]), *high = w.at<uint32_t>(s.list[1]);
    for_lanes(w, active, [&](int l) { d[l] = low[l] | static_cast<uint64_t>(high[l]) << 32; });
}
void pack_halves(Warp &w, const Step &s, uint32_t active) {
    uint32_t *d = w.at<uint32_t>(s.d);
    const uint32_t *low = w.at<uint32_t>(s.list[0]), *high = w.at<uint32_t>(s.list[1]);
    for_lanes(w, active, [&](int l) { d[l] = (low[l] & 0xffff) | high[l] << 16; });
}

void decode_move(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    s.kind = InstructionClass::move;
    const Type t = op.need_type();
    d.expect_operands(i, 2, 2);
    const Operand &to = i.operands[0], &from = i.operands[1];
    const int bits = bits_of(t);
    if (t == Type::pred) {
        s.run = logic_of_predicates;
        s.d = d.predicate(to);
        s.option = from.kind == Operand::Kind::integer ? 5 : 4;
        s.a = s.option == 5 ? (from.value & 1) : d.predicate(from);
        if (from.negated) s.option = 3;
        return;
    }
    const bool into = to.kind == Operand::Kind::vector;
    if (into || from.kind == Operand::Kind::vector) {
        const std::vector<Operand> &parts = into ? to.parts : from.parts;
        const int count = static_cast<int>(parts.size());
        if (count < 2 || count > 8 || bits % count || bits / count < 16) throw Unknown("parts that do not make up the value");
        s.option = static_cast<uint32_t>(bits / count);
        for (const Operand &part : parts) s.list.push_back(into ? d.droppable(part, bits / count) : d.source(part, bits / count));
        if (into) s.a = d.source(from, bits);
        else s.d = d.destination(to, bits);
        s.run = bits == 32 ? (into ? unpack<32> : pack<32>) : bits == 64 ? (into ? unpack<64> : pack<64>) : into ? unpack<128> : pack<128>;
        // The usual ones.
        if (bits == 64 && count == 2) s.run = !into ? pack_two : s.list[0] < 0 || s.list[1] < 0 ? unpack<64> : unpack_two;
        if (bits == 32 && count == 2 && !into) s.run = pack_halves;
        return;
    }
    s.a = d.source(from, bits), s.d = d.destination(to, bits);
    s.run = bits <= 32 ? copy<uint32_t> : bits == 64 ? copy<uint64_t> : copy128;
}

void decode_compare(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    s.kind = InstructionClass::compare;
    const int comparison = op.take_one_of(comparison_names);
    if (comparison < 0) throw Unknown("no comparison");
    const int combination = op.take_one_of({"and", "or", "xor"}) + 1;
    const Type t = op.need_type();
    if (op.take("ftz") && t != Type::f32) throw Unknown("ftz of another type than f32");
    s.run = set_predicate_of(t);
    d.expect_operands(i, combination ? 4 : 3, combination ? 4 : 3);
    s.d = i.operands[0].kind == Operand::Kind::sink ? -1 : d.predicate(i.operands[0]);
    if (!i.operands[0].parts.empty() && i.operands[0].parts[0].kind != Operand::Kind::sink)
        s.predicate = d.predicate(i.operands[0].parts[0]);
    s.a = d.source(i, 1, bits_of(t)), s.b = d.source(i, 2, bits_of(t));
    s.option = static_cast<uint32_t>(comparison | combination << 8);
    if (combination) {
        s.c = d.predicate(i.operands[3]);
        s.option |= static_cast<uint32_t>(i.operands[3].negated) << 16;
    }
}

// Whether the type is a whole number of 16 bits or more.
bool is_integer(Type t) { return !is_float(t) && t != Type::pred && t != Type::none && bits_of(t) >= 16; }

void decode_logic(Decoder &d, const Instruction &i, Opcode &op, Step &s, Type t) {
    const std::string &name = op.name();
    if (t != Type::pred) {
        s.run = name == "and" ? integer_binary<And>(t) : name == "or" ? integer_binary<Or>(t) : name == "xor" ? integer_binary<Xor>(t)
                                                                                             : integer_unary<Not>(t);
        return;
    }
    s.kind = InstructionClass::compare;
    s.run = logic_of_predicates;
    s.option = name == "and" ? 0 : name == "or" ? 1 : name == "xor" ? 2 : 3;
    s.d = d.predicate(d.operand(i, 0)), s.a = d.predicate(d.operand(i, 1));
    if (name != "not") s.b = d.predicate(d.operand(i, 2));
}

// mul and mad, of which the latter has a third source.
void decode_product(Decoder &d, const Instruction &i, Opcode &op, Step &s, Type t) {
    const bool add = op.name() == "mad";
    const int part = op.take_one_of({"lo", "hi", "wide"});
    if (part < 0) throw Unknown("an integer product of neither lo, hi nor wide");
    if (part == 0) s.run = add ? integer_ternary<ThenAdd<Mul>>(t) : integer_binary<Mul>(t);
    if (part == 1) s.run = add ? integer_ternary<ThenAdd<MulHigh>>(t) : integer_binary<MulHigh>(t);
    const int bits = bits_of(t), result = part == 2 ? 2 * bits : bits;
    if (part == 2) {
        const auto choose = [&](auto narrow, auto wide) -> Run {
            using N = decltype(narrow);
            using W = decltype(wide);
            return add ? static_cast<Run>(ternary<W, N, N, W, ThenAdd<MulWide<W>>>) : static_cast<Run>(binary<W, N, N, MulWide<W>>);
        };
        s.run = t == Type::u16 ? choose(uint16_t{}, uint32_t{}) : t == Type::s16 ? choose(int16_t{}, int32_t{})
              : t == Type::u32 ? choose(uint32_t{}, uint64_t{}) : t == Type::s32 ? choose(int32_t{}, int64_t{}) : nullptr;
    }
    s.kind = result == 64 ? InstructionClass::integer64 : InstructionClass::integer;
    s.d = d.destination(i, 0, result), s.a = d.source(i, 1, bits), s.b = d.source(i, 2, bits);
    if (add) s.c = d.source(i, 3, result);
    d.expect_operands(i, add ? 4 : 3, add ? 4 : 3);
}

}  // namespace

bool decode_arithmetic(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    const std::string &name = op.name();
    if (name == "mov") return decode_move(d, i, op, s), true;
    if (name == "setp") return decode_compare(d, i, op, s), true;
    if (name == "dp4a") {
        s.kind = InstructionClass::dp4a;
        const Type a = op.need_type(), b = op.need_type();
        const bool sa = a == Type::s32, sb = b == Type::s32;
        if ((!sa && a != Type::u32) || (!sb && b != Type::u32)) throw Unknown("types");
        s.run = sa ? (sb ? ternary<uint32_t, uint32_t, uint32_t, uint32_t, Dp4a<int8_t, int8_t>>
                         : ternary<uint32_t, uint32_t, uint32_t, uint32_t, Dp4a<int8_t, uint8_t>>)
                   : (sb ? ternary<uint32_t, uint32_t, uint32_t, uint32_t, Dp4a<uint8_t, int8_t>>
                         : ternary<uint32_t, uint32_t, uint32_t, uint32_t, Dp4a<uint8_t, uint8_t>>);
        d.expect_operands(i, 4, 4);
        s.d = d.destination(i, 0, 32), s.a = d.source(i, 1, 32), s.b = d.source(i, 2, 32), s.c = d.source(i, 3, 32);
        return true;
    }
    static const std::vector<const char *> names{"add", "sub",  "mul",   "mad", "div", "rem",  "min",  "max",  "neg",
                                                 "abs", "and",  "or",    "xor", "not", "shl",  "shr",  "shf",  "popc",
                                                 "clz", "brev", "bfind", "bfe", "bfi", "prmt", "lop3", "selp", "fma",
                                                 "rcp", "sqrt", "rsqrt", "ex2", "lg2", "sin",  "cos",  "tanh", "copysign"};
    if (std::none_of(names.begin(), names.end(), [&](const char *n) { return name == n; })) return false;

    // The modifiers that several have. Approximations are as exact as can be.
    Modifiers m;
    m.flush = op.take("ftz"), m.saturate = op.take("sat");
    const bool nan = op.take("NaN"), relu = name == "fma" && op.take("relu");
    const bool approximate = op.take_one_of({"approx", "full"}) >= 0, nearest = op.take("rn");
    const int funnel = name == "shf" ? op.take_one_of({"l", "r"}) : -1, clamp = name == "shf" ? op.take_one_of({"clamp", "wrap"}) : -1;
    const bool product = name == "mul" || name == "mad";
    const Type t = op.need_type();
    const int bits = bits_of(t);
    if (bits < 16 && t != Type::pred) throw Unknown("a type of fewer than 16 bits");
    const bool real = is_float(t), whole = is_integer(t);
    if ((m.flush || m.saturate || approximate || nearest) && !real) throw Unknown("a modifier of floating point");
    if (nan && name != "min" && name != "max") throw Unknown("NaN");
    s.kind = t == Type::f64 ? InstructionClass::f64
           : t == Type::f16 || t == Type::f16x2 ? InstructionClass::arith_f16
           : real ? InstructionClass::other_f32 : bits == 64 ? InstructionClass::integer64 : InstructionClass::integer;
    if (whole && product) return decode_product(d, i, op, s, t), true;
    if (name == "and" || name == "or" || name == "xor" || name == "not") {
        decode_logic(d, i, op, s, t);
        if (t == Type::pred) return true;
    }

    size_t sources = 2;
    int second_bits = bits, result_bits = bits;
    if (name == "add") s.run = real ? of_float<Add, Two>(t, m) : integer_binary<Add>(t);
    else if (name == "sub") s.run = real ? of_float<Sub, Two>(t, m) : integer_binary<Sub>(t);
    else if (name == "mul") s.run = of_float<Mul, Two>(t, m);
    else if (name == "div") s.run = real ? of_float<Div, Two>(t, m) : integer_binary<Div>(t);
    else if (name == "rem" && whole) s.run = integer_binary<Rem>(t);
    else if (name == "min") s.run = !real ? integer_binary<Min>(t) : nan ? of_float<NanWins<Min>, Two>(t, m) : of_float<Min, Two>(t, m);
    else if (name == "max") s.run = !real ? integer_binary<Max>(t) : nan ? of_float<NanWins<Max>, Two>(t, m) : of_float<Max, Two>(t, m);
    else if (name == "copysign" && real) s.run = of_float<CopySign, Two>(t, m);
    else if (name == "fma" || name == "mad") {
        sources = 3;
        if (t == Type::f16 && !m.saturate && !m.flush) s.run = relu ? Three<Half, FmaHalf<true>>::run : Three<Half, FmaHalf<false>>::run;
        else if (t == Type::f16x2 && !m.saturate && !m.flush)
            s.run = relu ? Three<Half2, FmaHalf<true>>::run : static_cast<Run>(fast_fma_f16x2);
        else if (relu) throw Unknown("relu of another type than f16");
        else if (t == Type::f64) s.run = Three<double, Fma>::run;
        else if (t == Type::f32) s.run = m.flush || m.saturate ? modified<Fma, Three>(m) : static_cast<Run>(fast_fma_f32);
        if (!nearest) s.run = nullptr;
    } else if (name == "shl" || name == "shr") {
        s.run = name == "shl" ? shift<ShiftLeft>(t) : shift<ShiftRight>(t);
        second_bits = 32;
    } else if (name == "shf" && t == Type::b32) {
        sources = 3;
        if (funnel == 0) s.run = clamp == 0 ? integer_ternary<FunnelLeft>(Type::u32) : integer_ternary<Wrap<FunnelLeft>>(Type::u32);
        if (funnel == 1) s.run = clamp == 0 ? integer_ternary<FunnelRight>(Type::u32) : integer_ternary<Wrap<FunnelRight>>(Type::u32);
        if (clamp < 0) s.run = nullptr;
    } else if (name == "bfe") {
        sources = 3, second_bits = 32;
        s.run = t == Type::u32   ? ternary<uint32_t, uint32_t, uint32_t, uint32_t, Bfe>
                : t == Type::s32 ? ternary<int32_t, int32_t, uint32_t, uint32_t, Bfe>
                : t == Type::u64 ? ternary<uint64_t, uint64_t, uint32_t, uint32_t, Bfe>
                : t == Type::s64 ? ternary<int64_t, int64_t, uint32_t, uint32_t, Bfe>
                                 : nullptr;
    } else if (name == "bfi" && (t == Type::b32 || t == Type::b64)) {
        s.run = bit_field_insert;
        s.wide = bits == 64;
        d.expect_operands(i, 5, 5);
        s.d = d.destination(i, 0, bits), s.a = d.source(i, 1, bits), s.b = d.source(i, 2, bits), s.c = d.source(i, 3, 32);
        s.list.push_back(d.source(i, 4, 32));
        return true;
    } else if (name == "prmt" && t == Type::b32) {
        sources = 3;
        s.run = integer_ternary<Prmt>(Type::u32);
    } else if (name == "lop3" && t == Type::b32) {
        s.run = logic3;
        d.expect_operands(i, 5, 5);
        if (i.operands[4].kind != Operand::Kind::integer) throw Unknown("a table that is no constant");
        s.option = static_cast<uint32_t>(i.operands[4].value);
        s.d = d.destination(i, 0, 32), s.a = d.source(i, 1, 32), s.b = d.source(i, 2, 32), s.c = d.source(i, 3, 32);
        return true;
    } else if (name == "selp") {
        s.kind = InstructionClass::compare;
        s.run = bits <= 32 ? select<uint32_t> : bits == 64 ? select<uint64_t> : nullptr;
        d.expect_operands(i, 4, 4);
        s.d = d.destination(i, 0, bits), s.a = d.source(i, 1, bits), s.b = d.source(i, 2, bits), s.c = d.predicate(i.operands[3]);
        return true;
    } else if (name == "neg" || name == "abs") {
        sources = 1;
        if (real) s.run = name == "neg" ? of_float<Neg, One>(t, m) : of_float<Abs, One>(t, m);
        else if (is_signed(t)) s.run = name == "neg" ? integer_unary<Neg>(t) : integer_unary<Abs>(t);
    } else if (name == "not") {
        sources = 1;
    } else if (name == "popc" || name == "clz" || name == "bfind") {
        sources = 1, result_bits = 32;
        if (name == "popc")
            s.run = t == Type::b32 ? unary<uint32_t, uint32_t, Popc> : t == Type::b64 ? unary<uint32_t, uint64_t, Popc> : nullptr;
        if (name == "clz")
            s.run = t == Type::b32 ? unary<uint32_t, uint32_t, Clz> : t == Type::b64 ? unary<uint32_t, uint64_t, Clz> : nullptr;
        if (name == "bfind")
            s.run = t == Type::u32   ? unary<uint32_t, uint32_t, Bfind>
                    : t == Type::s32 ? unary<uint32_t, int32_t, Bfind>
                    : t == Type::u64 ? unary<uint32_t, uint64_t, Bfind>
                    : t == Type::s64 ? unary<uint32_t, int64_t, Bfind>
                                     : nullptr;
    } else if (name == "brev") {
        sources = 1;
        s.run = t == Type::b32 ? unary<uint32_t, uint32_t, Brev> : t == Type::b64 ? unary<uint64_t, uint64_t, Brev> : nullptr;
    } else if (real && (name == "rcp" || name == "sqrt" || name == "rsqrt" || name == "ex2" || name == "lg2" || name == "sin" ||
                        name == "cos" || name == "tanh")) {
        sources = 1;
        if (t != Type::f64) s.kind = InstructionClass::special;
        if (!approximate && !nearest) throw Unknown("neither approx nor rn");
        s.run = name == "rcp"     ? of_float<Rcp, One>(t, m)
                : name == "sqrt"  ? of_float<Sqrt, One>(t, m)
                : name == "rsqrt" ? of_float<Rsqrt, One>(t, m)
                : name == "ex2"   ? of_float<Ex2, One>(t, m)
                : name == "lg2"   ? of_float<Lg2, One>(t, m)
                : name == "sin"   ? of_float<Sin, One>(t, m)
                : name == "cos"   ? of_float<Cos, One>(t, m)
                                  : of_float<Tanh, One>(t, m);
    }
    if (t == Type::f32 && (name == "fma" || name == "mad" || name == "add" || name == "sub" || name == "mul"))
        s.kind = InstructionClass::fma_f32;
    d.expect_operands(i, 1 + sources, 1 + sources);
    s.d = d.destination(i, 0, result_bits), s.a = d.source(i, 1, bits);
    if (sources > 1) s.b = d.source(i, 2, second_bits);
    if (sources > 2) s.c = d.source(i, 3, name == "bfe" ? 32 : bits);
    return true;
}

}  // namespace sepal::ptx
