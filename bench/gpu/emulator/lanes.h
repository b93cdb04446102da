// Values of a warp's lanes: how types live in words, and loops over lanes.
#pragma once

#include "half.h"
#include "machine.h"

#include <type_traits>

namespace sepal::ptx {

struct Half {
    uint16_t bits = 0;
};
struct Half2 {
    Half low, high;
};

template<typename T>
using Slot = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template<typename T>
inline T get(Slot<T> slot) {
    if constexpr (std::is_same_v<T, Half>) return {static_cast<uint16_t>(slot)};
    else if constexpr (std::is_same_v<T, Half2>) return {{static_cast<uint16_t>(slot)}, {static_cast<uint16_t>(slot >> 16)}};
    else if constexpr (std::is_floating_point_v<T>) return bits_as<T>(slot);
    else return static_cast<T>(slot);
}
template<typename T>
inline Slot<T> put(T value) {
    if constexpr (std::is_same_v<T, Half>) return value.bits;
    else if constexpr (std::is_same_v<T, Half2>) return value.low.bits | static_cast<uint32_t>(value.high.bits) << 16;
    else if constexpr (std::is_floating_point_v<T>) return bits_as<Slot<T>>(value);
    else return static_cast<Slot<T>>(value);
}

// f(lane) for the active lanes; for all 32 where the others are nobody's, in a loop that the compiler can vectorise: f must not depend on
// what it did for other lanes, nor fail.
template<typename F>
inline __attribute__((always_inline)) void for_lanes(const Warp &w, uint32_t active, F f) {
    if (w.whole(active)) {
#pragma GCC ivdep
        for (int l = 0; l < lanes; ++l) f(l);
    } else {
        each_lane(active, f);
    }
}

template<typename R, typename A, typename F>
void unary(Warp &w, const Step &s, uint32_t active) {
    Slot<R> *d = w.at<Slot<R>>(s.d);
    const Slot<A> *a = w.at<Slot<A>>(s.a);
    for_lanes(w, active, [&](int l) { d[l] = put<R>(F()(get<A>(a[l]))); });
}
template<typename R, typename A, typename B, typename F>
void binary(Warp &w, const Step &s, uint32_t active) {
    Slot<R> *d = w.at<Slot<R>>(s.d);
    const Slot<A> *a = w.at<Slot<A>>(s.a);
    const Slot<B> *b = w.at<Slot<B>>(s.b);
    for_lanes(w, active, [&](int l) { d[l] = put<R>(F()(get<A>(a[l]), get<B>(b[l]))); });
}
template<typename R, typename A, typename B, typename C, typename F>
void ternary(Warp &w, const Step &s, uint32_t active) {
    Slot<R> *d = w.at<Slot<R>>(s.d);
    const Slot<A> *a = w.at<Slot<A>>(s.a);
    const Slot<B> *b = w.at<Slot<B>>(s.b);
    const Slot<C> *c = w.at<Slot<C>>(s.c);
    for_lanes(w, active, [&](int l) { d[l] = put<R>(F()(get<A>(a[l]), get<B>(b[l]), get<C>(c[l]))); });
}

}  // namespace sepal::ptx
