// cvt, and cvta between address spaces.
#include "decode.h"
#include "lanes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sepal::ptx {
namespace {

// option of a cvt: the rounding, whether it is to an integer, and the modifiers.
constexpr uint32_t rounding_mask = 3, to_integer = 4, saturate = 8, flush = 16, relu = 32;

template<typename T>
constexpr bool is_real = std::is_floating_point_v<T> || std::is_same_v<T, Half>;

template<typename T>
auto wide(T v) {
    if constexpr (std::is_same_v<T, Half>) return static_cast<double>(float_of_half(v.bits));
    else if constexpr (std::is_floating_point_v<T>) return static_cast<double>(v);
    else return v;
}

template<typename D, typename S>
D converted(S from, uint32_t option) {
    const auto mode = static_cast<Rounding>(option & rounding_mask);
    if constexpr (is_real<S>) {
        double v = wide(from);
        if ((option & flush) && std::fabs(v) < std::numeric_limits<float>::min()) v = std::copysign(0., v);
        if constexpr (is_real<D>) {
            if (option & to_integer) v = round_to_integer(v, mode);
            if (option & saturate) v = v > 0 ? std::min(v, 1.) : 0;
            if ((option & relu) && v <= 0) v = 0;
            if constexpr (std::is_same_v<D, Half>) return {half_of_double(v, option & to_integer ? Rounding::nearest : mode)};
            else if constexpr (std::is_same_v<D, float>) return float_of_double(v, option & to_integer ? Rounding::nearest : mode);
            else return v;
        } else {
            // Out of range is the nearest integer of the type; not a number is 0.
            v = round_to_integer(v, mode);
            if (v != v) return 0;
            if (v <= static_cast<double>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
            if (v >= static_cast<double>(std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
            return static_cast<D>(v);
        }
    } else if constexpr (is_real<D>) {
        // Integers of up to 32 bits are exact in double; those of 64 go to float in one rounding, and to half where they overflow or are
        // exact.
        if constexpr (std::is_same_v<D, Half>) return {half_of_double(static_cast<double>(from), mode)};
        else if constexpr (std::is_same_v<D, float>)
            return mode == Rounding::nearest ? static_cast<float>(from) : float_of_double(static_cast<double>(from), mode);
        else return static_cast<double>(from);
    } else {
        if (option & saturate) {
            using Common = __int128;
            const auto v = static_cast<Common>(from);
            if (v < static_cast<Common>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
            if (v > static_cast<Common>(std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
        }
        return static_cast<D>(from);
    }
}

template<typename T>
uint64_t extended(T v) {  // to a register of 64 bits
    if constexpr (std::is_integral_v<T>) return static_cast<uint64_t>(static_cast<int64_t>(v));
    else return put<T>(v);
}

template<typename D, typename S>
void convert(Warp &w, const Step &s, uint32_t active) {
    const Slot<S> *a = w.at<Slot<S>>(s.a);
    const uint32_t option = s.option;
    if (s.wide) {
        uint64_t *d = w.at<uint64_t>(s.d);
        for_lanes(w, active, [&](int l) { d[l] = extended(converted<D>(get<S>(a[l]), option)); });
    } else if (option == 0) {
        Slot<D> *d = w.at<Slot<D>>(s.d);
        for_lanes(w, active, [&](int l) { d[l] = put<D>(converted<D>(get<S>(a[l]), 0)); });
    } else {
        Slot<D> *d = w.at<Slot<D>>(s.d);
        for_lanes(w, active, [&](int l) { d[l] = put<D>(converted<D>(get<S>(a[l]), option)); });
    }
}

// The two that f16 kernels are full of.
void half_to_float(Warp &w, const Step &s, uint32_t active) {
    uint32_t *d = w.at<uint32_t>(s.d);
    const uint32_t *a = w.at<uint32_t>(s.a);
    for_lanes(w, active, [&](int l) { d[l] = bits_as<uint32_t>(float_of_half(static_cast<uint16_t>(a[l]))); });
}
void float_to_half(Warp &w, const Step &s, uint32_t active) {
    uint32_t *d = w.at<uint32_t>(s.d);
    const uint32_t *a = w.at<uint32_t>(s.a);
    for_lanes(w, active, [&](int l) { d[l] = half_of_float(bits_as<float>(a[l])); });
}
// cvt.f16x2.f32 d, high, low
void floats_to_half2(Warp &w, const Step &s, uint32_t active) {
    const auto mode = static_cast<Rounding>(s.option & rounding_mask);
    const auto half = [&](uint32_t bits) {
        const float v = bits_as<float>(bits);
        return static_cast<uint32_t>(half_of_double((s.option & relu) && v <= 0 ? 0.f : v, mode));
    };
    for_lanes(w, active, [&](int l) { w.at<uint32_t>(s.d)[l] = half(w.at<uint32_t>(s.a)[l]) << 16 | half(w.at<uint32_t>(s.b)[l]); });
}

template<typename S>
Run convert_to(Type d) {
    switch (d) {
    case Type::u8: case Type::b8: return convert<uint8_t, S>;
    case Type::s8: return convert<int8_t, S>;
    case Type::u16: case Type::b16: return convert<uint16_t, S>;
    case Type::s16: return convert<int16_t, S>;
    case Type::u32: case Type::b32: return convert<uint32_t, S>;
    case Type::s32: return convert<int32_t, S>;
    case Type::u64: case Type::b64: return convert<uint64_t, S>;
    case Type::s64: return convert<int64_t, S>;
    case Type::f16: return convert<Half, S>;
    case Type::f32: return convert<float, S>;
    case Type::f64: return convert<double, S>;
    default: return nullptr;
    }
}
Run conversion(Type d, Type s) {
    switch (s) {
    case Type::u8: case Type::b8: return convert_to<uint8_t>(d);
    case Type::s8: return convert_to<int8_t>(d);
    case Type::u16: case Type::b16: return convert_to<uint16_t>(d);
    case Type::s16: return convert_to<int16_t>(d);
    case Type::u32: case Type::b32: return convert_to<uint32_t>(d);
    case Type::s32: return convert_to<int32_t>(d);
    case Type::u64: case Type::b64: return convert_to<uint64_t>(d);
    case Type::s64: return convert_to<int64_t>(d);
    case Type::f16: return convert_to<Half>(d);
    case Type::f32: return convert_to<float>(d);
    case Type::f64: return convert_to<double>(d);
    default: return nullptr;
    }
}

// option: the window to subtract, and << 8 that to add, as numbers of this table.
constexpr uint64_t windows[] = {0, shared_window, local_window};
void change_space(Warp &w, const Step &s, uint32_t active) {
    const uint64_t add = windows[s.option >> 8], subtract = windows[s.option & 0xff];
    for_lanes(w, active, [&](int l) { w.at<uint64_t>(s.d)[l] = w.at<uint64_t>(s.a)[l] + add - subtract; });
}

}  // namespace

bool decode_conversion(Decoder &d, const Instruction &i, Opcode &op, Step &s) {
    if (op.name() == "cvta") {
        s.kind = InstructionClass::move;
        const bool to = op.take("to");
        const int space = op.take_one_of({"global", "shared", "local", "param", "const"});
        if (op.need_type() != Type::u64 || space < 0) throw Unknown("addresses of another size or space");
        const uint32_t window = space == 1 ? 1 : space == 2 ? 2 : 0;
        s.option = to ? window : window << 8;
        s.run = change_space;
        d.expect_operands(i, 2, 2);
        s.d = d.destination(i, 0, 64), s.a = d.source(i, 1, 64);
        return true;
    }
    if (op.name() != "cvt") return false;

    s.kind = InstructionClass::convert;
    const int near = op.take_one_of({"rn", "rz", "rm", "rp"}), whole = op.take_one_of({"rni", "rzi", "rmi", "rpi"});
    if (near >= 0) s.option |= static_cast<uint32_t>(near);
    if (whole >= 0) s.option |= static_cast<uint32_t>(whole) | to_integer;
    if (op.take("ftz")) s.option |= flush;
    if (op.take("sat")) s.option |= saturate;
    if (op.take("relu")) s.option |= relu;
    const Type to = op.need_type(), from = op.need_type();
    if (to == Type::f16x2) {
        if (from != Type::f32 || near < 0 || s.option & ~(rounding_mask | relu))
            throw Unknown("another conversion to pairs than with a rounding from f32");
        s.run = floats_to_half2;
        d.expect_operands(i, 3, 3);
        s.d = d.destination(i, 0, 32), s.a = d.source(i, 1, 32), s.b = d.source(i, 2, 32);
        return true;
    }
    if ((s.option & relu) && (to != Type::f16 || from != Type::f32)) throw Unknown("relu of another conversion than from f32 to f16");
    s.run = conversion(to, from);
    if (to == Type::f32 && from == Type::f16 && !s.option) s.run = half_to_float;
    if (to == Type::f16 && from == Type::f32 && !s.option) s.run = float_to_half;
    if (is_float(from) && !is_float(to) && whole < 0) throw Unknown("a conversion to an integer without its rounding");
    if (!is_float(from) && !is_float(to) && bits_of(from) == bits_of(to)) s.kind = InstructionClass::move;
    d.expect_operands(i, 2, 2);
    const Operand &destination = i.operands[0];
    // Registers may be wider than the types.
    s.wide = destination.kind == Operand::Kind::reg && destination.reg.bits == 64 && bits_of(to) < 64;
    s.d = d.destination(destination, s.wide ? 64 : bits_of(to));
    const Operand &source = i.operands[1];
    if (source.kind == Operand::Kind::reg && source.reg.bits == 64 && bits_of(from) < 64)
        throw Unknown("a source register of 64 bits for a narrower type");
    s.a = d.source(i, 1, bits_of(from));
    return true;
}

}  // namespace sepal::ptx
