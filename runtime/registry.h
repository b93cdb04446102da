// Variant: one compiled row of schedules/variants.json. Registry: all of them, in order of preference.
#pragma once

#include "filter_layout.h"
#include "isa.h"
#include "problem.h"

#include <array>
#include <functional>
#include <string>
#include <string_view>

namespace sepal {

// The fields of a ConvProblem that a row of the table may put a condition on. In a variant's name each has a token.
enum class Field {
    n, h, w, c, k, r, s, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left, pad_bottom, pad_right,
    groups, multiplier, mid_activation, activation,
    residual,  // 1: with one, 0: without
    pixels     // n * p * q
};
constexpr int field_count = int(Field::pixels) + 1;

std::string_view name(Field field);   // as in variants.json: "stride_h"
std::string_view token(Field field);  // as in a variant's name: "sh"
std::optional<Field> field_from_name(std::string_view text);
int64_t value(const ConvProblem &problem, Field field);  // groups, channels ... of the problem; activations as their number

// One clause of a row's `when`: the generator is compiled under it and the registry refuses a problem that breaks it.
struct Condition {
    enum class Relation { equal, at_least, multiple_of, at_most };
    Field field = Field::n;
    Relation relation = Relation::equal;
    int64_t value = 0;
    bool holds(const ConvProblem &problem) const;
    std::string text() const;  // "c >= 16", "c <= 3104", "c in multiples of 4"
};

// A knob of the schedule that the row sets; 0 and absent mean "derived from the target and the problem".
struct KnobValue {
    const char *knob = "";  // a token as in schedules/schedule.h: "tq"
    int64_t value = 0;
};

// A generated function: Halide's argv calling convention. Arguments of kernels: see kernel_arguments.h; of packers: packed_weights.cpp.
using KernelFunction = int (*)(void **argv);

// Plain data; the strings live as long as the program (or, for kernels compiled in process, as long as their owner).
struct Variant {
    const char *name = "";  // <op>_<dtype>_<layout>_<isa>_<scheduler>[_<knob or field><n>]*
    Operator op = Operator::conv2d;
    DType dtype = DType::f32;
    Layout layout = Layout::nhwc;
    Isa isa = Isa::x64;
    const char *scheduler = "";  // hand, tuned, reference, or the name of an autoscheduler: mullapudi2016, adams2019, li2018
    const char *suite = "";      // the suite whose problem this is specialised to; empty for any-shape variants
    int tuned_threads = 0;       // tuned: those that its knobs were measured with; 0 otherwise
    std::array<KnobValue, 16> knobs = {};  // up to the first with an empty token
    std::array<Condition, field_count> when = {};
    int when_count = 0;
    FilterLayout filter_layout;  // that it reads; of a kernel by Winograd's algorithm a winograd one
    int64_t block_pixels = 0;  // of a kernel on tensor cores: TensorCoreBlock::pixels and two_rows
    bool block_two_rows = false;
    bool residual = false;  // it adds one: its arguments have a skip tensor
    KernelFunction packer = nullptr;  // packs filters into that layout (generators/pack_generator.cpp); null for as_given
    // Bytes that the output has to be aligned to, which bypasses the caches by streaming stores, for problems whose output would not stay
    // there; 0: those of an element.
    int output_alignment = 0;
    KernelFunction kernel = nullptr;  // null when it could not be built; `error` then says why
    const char *error = "";
    int64_t code_bytes = 0;  // machine code and constants in the object file

    // The largest difference from the exact result that is to be expected on the problem, as a share of the largest output (before the
    // activation), beyond what the direct algorithm in f32 has: see winograd_rel_error() and half_sums_rel_error(). 0 else.
    double rel_error(const ConvProblem &problem) const;
    bool is_winograd() const { return filter_layout.kind == FilterLayout::Kind::winograd; }
    bool is_on_tensor_cores() const { return filter_layout.kind == FilterLayout::Kind::lanes; }
    // Whether its input and output may have strides: kernels for CPUs, for any shape.
    bool takes_strides() const;
    bool is_reference() const { return std::string_view(scheduler) == "reference"; }
    // By the hand-written schedule, with derived knobs (hand) or those of a tuning record (tuned).
    bool is_hand_scheduled() const { return std::string_view(scheduler) == "hand" || std::string_view(scheduler) == "tuned"; }
    // Whether it is preferred on so many threads. Its result is right on any number; its knobs were found to be the quickest on one.
    bool is_for(int threads) const { return tuned_threads == 0 || tuned_threads == threads; }
    // Why the variant cannot take the problem ("needs c >= 16, the problem has c = 3"), or empty when it can.
    std::string refuses(const ConvProblem &problem) const;
};

class Registry {
public:
    // The kernels that were compiled ahead of time into this program.
    static const Registry &builtin();
    constexpr Registry(const Variant *first, size_t count) : first_(first), count_(count) {}

    const Variant *begin() const { return first_; }
    const Variant *end() const { return first_ + count_; }
    size_t size() const { return count_; }

    // Null when there is none of that name.
    const Variant *find(std::string_view name) const;
    // The first variant in order of preference that is built, that takes the problem, that the CPU or GPU runs and that was not tuned
    // for another number of threads than `threads`, with which it will run (set_num_threads(); on a GPU it has none); and that is `wanted`, where
    // that is given. On a CPU never null for a valid problem on a complete table without `wanted`, since the reference variants of each operator,
    // one with a residual and one without, take everything.
    const Variant *select(const ConvProblem &problem, const Processor &processor, int threads,
                          const std::function<bool(const Variant &)> &wanted = {}) const;

private:
    const Variant *first_;
    size_t count_;
};

}  // namespace sepal
