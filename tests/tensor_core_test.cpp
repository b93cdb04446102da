// Kernels on tensor cores: what they see of their arguments, their packed filter, their tiles, and the PTX that they become. None runs on a device.
#include "catch.h"
#include "passes/device_code.h"
#include "passes/fragments.h"
#include "passes/ptx_edits.h"
#include "schedules/gpu/tensor_core_tile.h"
#include "tools/compile/kernel_spec.h"

#include <Halide.h>

#include <map>
#include <regex>
#include <set>

using namespace sepal;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

namespace {

ConvProblem problem(Operator op, int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t r = 1, int64_t stride = 1) {
    ConvProblem p;
    p.op = op;
    p.n = n, p.h = h, p.w = w, p.c = c, p.k = k, p.r = p.s = r;
    p.stride_h = p.stride_w = stride;
    return p;
}

int count(const std::string &in, const std::string &pattern) {
    const std::regex expression(pattern);
    return int(std::distance(std::sregex_iterator(in.begin(), in.end(), expression), std::sregex_iterator()));
}

// The coordinates in a view and the element that they are, each in turn.
template<typename Visit>
void for_each_element(const ArgumentView &view, Visit visit) {
    std::vector<int64_t> at(view.dimensions.size(), 0);
    for (;;) {
        int64_t element = 0;
        for (size_t i = 0; i < at.size(); i++) element += at[i] * view.dimensions[i].stride;
        visit(at, element);
        size_t i = 0;
        while (i < at.size() && ++at[i] == view.dimensions[i].extent) at[i++] = 0;
        if (i == at.size()) return;
    }
}

struct Built {
    std::string ptx;
    std::vector<KernelLaunch> launches;
    int multiplications = 0;
};

Built build(Operator op, const TensorCoreTile &tile, const std::optional<ConvProblem> &fixed = std::nullopt) {
    const Halide::GeneratorContext context(Halide::Target("x86-64-linux-cuda-cuda_capability_80-no_runtime"));
    auto generator = Halide::Internal::GeneratorRegistry::create(std::string(name(op)) + "_mma", context);
    const auto set = [&](const char *param, int64_t value) { generator->set_generatorparam_value(param, std::to_string(value)); };
    for (const TensorCoreKnob &knob : tensor_core_knobs) set(knob.name, tile.*knob.member);
    if (fixed) {
        const ConvProblem &p = *fixed;
        const Padding z = p.pad();
        const std::pair<const char *, int64_t> values[] = {
            {"h", p.h}, {"w", p.w}, {"c", p.c}, {"k", p.k}, {"r", p.r}, {"s", p.s}, {"p", p.p()}, {"q", p.q()}, {"stride_h", p.stride_h},
            {"stride_w", p.stride_w}, {"dilation_h", p.dilation_h}, {"dilation_w", p.dilation_w}, {"pad_top", z.top}, {"pad_left", z.left},
            {"activation", int(p.out.activation)}, {"mid_activation", int(p.mid.activation)}};
        for (const auto &[param, value] : values) set(param, value);
    }
    const Halide::Module module = generator->build_module("kernel");
    Built built;
    built.launches = kernel_launches(module);
    built.ptx = calls_to_instructions(device_code(module), &built.multiplications);
    return built;
}

}  // namespace

TEST_CASE("the view of an output has each element of it once, as the kernels' conditions pick them", "[tensor_core]") {
    const TensorCoreBlock block =
        GENERATE(TensorCoreBlock{64, 16, false}, TensorCoreBlock{64, 8, true}, TensorCoreBlock{128, 64, false}, TensorCoreBlock{128, 32, true});
    const int64_t k = GENERATE(8, 40, 128, 136), w = GENERATE(1, 7, 16, 33);
    for (Operator op : {Operator::conv2d, Operator::pointwise, Operator::depsep}) {
        if (op == Operator::pointwise && block.two_rows) continue;
        const ConvProblem p = problem(op, 2, 3, w, 8, k);
        INFO(p.key() << " in blocks of " << block.channels << " x " << block.pixels);
        const ArgumentView view = tensor_core_arguments(p, block).output;
        std::map<int64_t, int> written;
        int64_t last = 0;
        for_each_element(view, [&](const std::vector<int64_t> &at, int64_t element) {
            last = std::max(last, element);
            const int64_t channel = at[3] * block.channels + at[2] * 64 + at[1] * 8;
            bool there = channel < k;
            if (op == Operator::depsep || block.two_rows)
                there = there && at[7] * block.pixels / 2 + at[6] * 4 + at[4] < p.q() && at[8] * 2 + at[5] < p.p();
            else
                there = there && at[7] * block.pixels + at[6] * 8 + at[4] * 2 + at[5] < p.pixels();
            if (there) written[element]++;
            if (there) CHECK(element % (k / 2) == (channel + 2 * at[0]) / 2);  // the channel that the lane computed
        });
        CHECK(view.elements() == last + 1);
        CHECK(int64_t(written.size()) == p.output_elements() / 2);
        CHECK(written.begin()->first == 0);
        CHECK(written.rbegin()->first == p.output_elements() / 2 - 1);
        CHECK(std::all_of(written.begin(), written.end(), [](const auto &e) { return e.second == 1; }));
    }
}

TEST_CASE("constants' views have as many elements as the layout", "[tensor_core]") {
    for (Operator op : {Operator::conv2d, Operator::pointwise, Operator::depsep}) {
        const ConvProblem p = problem(op, 1, 5, 5, 40, 136, op == Operator::pointwise ? 1 : 3);
        const TensorCoreArguments a = tensor_core_arguments(p, {64, 16, false});
        FilterLayout layout;
        layout.kind = FilterLayout::Kind::lanes;
        layout.panel = 64;
        CHECK_THAT(layout.text(), Equals("lanes64"));
        const PackedExtents e = layout.extents(p);
        CHECK(e.c == 64);
        CHECK(e.padded_k() == 192);
        const ArgumentView &filter = a.constants[a.constants.size() - 2], &bias = a.constants.back();
        CHECK(filter.elements() * 2 == e.elements());
        CHECK(filter.elements() * 2 == 64 * 192 * (op == Operator::conv2d ? 9 : 1));
        CHECK(bias.elements() == 192);
        CHECK(a.input.elements() * (op == Operator::depsep ? 1 : 2) == p.input_elements());
        CHECK(a.scalars.size() == (op == Operator::pointwise ? 2 : op == Operator::conv2d ? 10 : 11));
    }
}

TEST_CASE("filters are packed by lanes as plain loops do", "[tensor_core][pack]") {
    const int c = GENERATE(8, 32, 40), k = GENERATE(8, 64, 72), panel = GENERATE(64, 128), taps = GENERATE(1, 6);
    ConvProblem p = problem(Operator::conv2d, 1, 9, 9, c, k);
    p.r = taps == 1 ? 1 : 2, p.s = taps == 1 ? 1 : 3;
    FilterLayout layout;
    layout.kind = FilterLayout::Kind::lanes;
    layout.panel = panel;
    const PackedExtents e = layout.extents(p);
    Halide::Runtime::Buffer<float> filter(c, taps, k, 1);
    filter.for_each_element([&](int x, int t, int o, int g) { filter(x, t, o, g) = float(x + 41 * t + 7 * o) / 16; });
    const halide_type_t half(halide_type_float, 16);
    Halide::Runtime::Buffer<void> packed(half, {int(e.panel), int(e.c), int(e.points), int(e.panels), 1});
    static const Halide::Callable pack =
        Halide::create_callable_from_generator(Halide::get_jit_target_from_environment(), "pack_lanes", {{"dtype", "float16"}});
    REQUIRE(pack(filter, packed) == 0);

    const uint16_t *at = static_cast<const uint16_t *>(packed.data());
    int wrong = 0;
    for (int b = 0; b < e.panels; b++)
        for (int t = 0; t < taps; t++)
            for (int step = 0; step < e.c / 32; step++)
                for (int tile = 0; tile < panel / 16; tile++)
                    for (int half = 0; half < 2; half++)
                        for (int lane = 0; lane < 32; lane++)
                            for (int word = 0; word < 4; word++)
                                for (int i = 0; i < 2; i++, at++) {
                                    const int channel = 32 * step + 8 * (lane % 4) + 4 * half + 2 * (word / 2) + i, row = word % 2;
                                    const int out = b * panel + 64 * (tile / 4) + 8 * (lane / 4) + 2 * (tile % 4) + row;
                                    const float expected = channel < c && out < k ? filter(channel, t, out, 0) : 0;
                                    wrong += *at != Halide::float16_t(expected).to_bits();
                                }
    CHECK(wrong == 0);
}

TEST_CASE("derived tiles are valid, and small where there are few pixels", "[tensor_core]") {
    for (Operator op : {Operator::conv2d, Operator::pointwise, Operator::depsep}) {
        int problems = 0;
        for (int64_t side : {1, 7, 14, 56, 224})
            for (int64_t c : {8, 32, 72, 128, 512, 2048})
                for (int64_t k : {8, 24, 64, 136, 256, 1000}) {
                    const ConvProblem p = problem(op, 1, side, side, c, k, op == Operator::pointwise ? 1 : 3);
                    const TensorCoreTile t = derive({}, op, p);
                    INFO(p.key());
                    CHECK_THAT(why_not_on_tensor_cores(p, t), Equals(""));
                    CHECK(t.k_tiles % 4 == 0);
                    CHECK(threads_of(t) <= 256);
                    CHECK(t.k_tiles * t.m_tiles <= 16);
                    CHECK(65536 / (threads_of(t) * t.blocks) >= 128);  // registers of a lane
                    if (op == Operator::depsep) CHECK(divides_rows(t, int((c + 31) / 32)));
                    problems++;
                }
        CHECK(problems == 180);
        const TensorCoreTile any = derive({}, op, std::nullopt);
        if (op == Operator::depsep) CHECK(divides_rows(any, 0));
        TensorCoreTile set;
        set.m_tiles = 3;
        CHECK(derive(set, op, std::nullopt).m_tiles == 3);
        const ConvProblem small = problem(op, 1, 7, 7, 512, 512), large = problem(op, 16, 224, 224, 128, 128);
        CHECK(block_of(derive({}, op, small)).pixels < block_of(derive({}, op, large)).pixels);
        const ConvProblem filtered = problem(op, 16, 224, 224, 128, 128, op == Operator::pointwise ? 1 : 3), deep = problem(op, 16, 56, 56, 1024, 128, 3);
        CHECK(derive({}, op, filtered).staging == (op == Operator::conv2d ? 2 : 1));
        if (op == Operator::conv2d) CHECK(derive({}, op, deep).staging == 1);  // too much for shared memory
    }
}

TEST_CASE("what tensor cores cannot take is said in one sentence", "[tensor_core]") {
    const auto why = [](const ConvProblem &p) { return why_not_on_tensor_cores(p); };
    CHECK_THAT(why(problem(Operator::pointwise, 1, 4, 4, 8, 8)), Equals(""));
    CHECK_THAT(why(problem(Operator::pointwise, 1, 4, 4, 12, 8)), Contains("c = 12"));
    CHECK_THAT(why(problem(Operator::conv2d, 1, 4, 4, 8, 12)), Contains("k = 12"));
    CHECK_THAT(why(problem(Operator::depthwise, 1, 4, 4, 8, 0)), Contains("depthwise"));
    ConvProblem grouped = problem(Operator::conv2d, 1, 4, 4, 16, 16);
    grouped.groups = 2;
    CHECK_THAT(why(grouped), Contains("groups = 2"));
    ConvProblem multiplied = problem(Operator::depsep, 1, 4, 4, 16, 16);
    multiplied.multiplier = 2;
    CHECK_THAT(why(multiplied), Contains("multiplier = 2"));
    CHECK_THAT(why(problem(Operator::depsep, 1, 4, 4, 8192, 16)), Contains("shared memory"));
    TensorCoreTile wide = derive({}, Operator::depsep, std::nullopt);
    wide.m_tiles = 8;
    CHECK_THAT(why_not_on_tensor_cores(problem(Operator::depsep, 1, 4, 4, 2048, 16), wide), Contains("shared memory"));
    TensorCoreTile staged;
    staged.staging = 2, staged.m_tiles = 8;
    const ConvProblem deep = problem(Operator::conv2d, 1, 56, 56, 1024, 128, 3);
    staged = derive(staged, Operator::conv2d, deep);
    CHECK_THAT(why_not_on_tensor_cores(deep, staged), Contains("shared memory"));
    CHECK_THAT(why_not_on_tensor_cores(deep), Equals(""));
}

TEST_CASE("a depsep of any shape takes as many channels as every architecture has shared memory for", "[tensor_core]") {
    const TensorCoreTile any = derive({}, Operator::depsep, std::nullopt);
    const int64_t most = most_depsep_channels(any);
    CHECK(most > 1024);
    CHECK_THAT(why_not_on_tensor_cores(problem(Operator::depsep, 1, 4, 4, most, 16), any), Equals(""));
    CHECK_THAT(why_not_on_tensor_cores(problem(Operator::depsep, 1, 4, 4, most + 32, 16), any), Contains("shared memory"));
    const KernelSpec spec = any_shape_on_tensor_cores(Operator::depsep, Isa::sm80, {}, {{Field::multiplier, Condition::Relation::equal, 1}});
    const auto limit = std::find_if(spec.when.begin(), spec.when.end(), [](const Condition &c) { return c.relation == Condition::Relation::at_most; });
    REQUIRE(limit != spec.when.end());
    CHECK(limit->text() == "c <= " + std::to_string(most));
    const KernelSpec conv = any_shape_on_tensor_cores(Operator::conv2d, Isa::sm80, {}, {});
    CHECK(std::none_of(conv.when.begin(), conv.when.end(), [](const Condition &c) { return c.relation == Condition::Relation::at_most; }));
}

TEST_CASE("a depsep's depthwise half is summed up in f16 where the problem allows what that costs", "[tensor_core]") {
    ConvProblem p = problem(Operator::depsep, 1, 28, 28, 128, 128, 3);
    p.dtype = DType::f16;
    p.max_rel_error = half_sums_rel_error(p);
    CHECK(p.max_rel_error == Approx(9.0 / 2048));
    CHECK(derive({}, Operator::depsep, p).half_sums == 2);
    const KernelSpec lax = specialise_on_tensor_cores(p, Isa::sm80);
    CHECK_THAT(lax.name, Contains("_tc2_hs2_h28"));
    CHECK(lax.generator_params.at("half_sums") == "2");
    p.max_rel_error /= 2;
    CHECK(derive({}, Operator::depsep, p).half_sums == 1);
    CHECK_THAT(specialise_on_tensor_cores(p, Isa::sm80).name, Contains("_tc2_h28"));
    Variant kernel;
    kernel.op = p.op, kernel.dtype = p.dtype;
    kernel.knobs[0] = {"tc", 2}, kernel.knobs[1] = {half_sums_token, 2};
    CHECK_THAT(kernel.refuses(p), Contains("has a relative error of 0.0044 on 128 channels, the problem allows 0.0022"));
    p.max_rel_error *= 2;
    CHECK_THAT(kernel.refuses(p), Equals(""));
}

TEST_CASE("kernels multiply on tensor cores, and load and store 128 bits at once", "[tensor_core]") {
    const std::string any = R"(\b(ld|st)\.global)", shared = R"(\b(ld|st)\.shared)";
    for (Operator op : {Operator::conv2d, Operator::pointwise, Operator::depsep}) {
        for (int64_t c : {0, 128, 512, 64}) {  // 0: any shape
            std::optional<ConvProblem> p;
            if (c) p = problem(op, 16, 28, 28, c, 136, op == Operator::pointwise ? 1 : 3);
            TensorCoreTile tile;
            tile.staging = op == Operator::conv2d && c == 64 ? 2 : 1;
            tile = derive(tile, op, p);
            INFO(name(op) << ", c = " << c);
            const Built built = build(op, tile, p);
            // Or 64, of lanes of a depthwise half that have 4 channels.
            const std::string wide = tile.mid_channels == 4 && op == Operator::depsep ? R"((v4\.b32|v4\.f32|v2\.b64|b64|v4\.b16|v2\.b32)\s)" : R"((v4\.b32|v4\.f32|v2\.b64)\s)";
            const std::string all = R"(\b(ld|st)\.global(\.nc)?\.)" + wide, all_shared = R"(\b(ld|st)\.shared\.)" + wide;
            const bool one = !c || (op == Operator::conv2d && tile.staging == 1);
            const int steps = one ? 1 : op != Operator::conv2d && c != 64 ? 4 : 2;  // that are unrolled
            CHECK(built.multiplications == 2 * tile.k_tiles * tile.m_tiles * steps);
            CHECK(count(built.ptx, R"(mma\.sync\.aligned\.m16n8k16)") == built.multiplications);
            CHECK(count(built.ptx, R"(\bcall\b|\btrap\b)") == 0);
            CHECK(count(built.ptx, any) > 0);
            CHECK(count(built.ptx, all) == count(built.ptx, any));
            CHECK(count(built.ptx, R"(st\.global)") == tile.k_tiles / 4 * tile.m_tiles * 2);  // two pixels of a lane
            CHECK(count(built.ptx, all_shared) == count(built.ptx, shared));
            CHECK((count(built.ptx, shared) > 0) == (op == Operator::depsep || tile.staging > 1));
            CHECK(count(built.ptx, R"(\bbar\.sync)") == (count(built.ptx, shared) > 0));
            CHECK(count(built.ptx, R"(%sum\d\}, %rd)") == 0);  // accumulators are in 32-bit registers
            CHECK(count(built.ptx, R"(\.local\b)") == 0);
            REQUIRE(built.launches.size() == 1);
            CHECK(built.launches[0].threads == std::array<int, 3>{32, threads_of(tile) / 32, 1});
        }
    }
}
