// Packed weights: the generated packers against plain loops, sharing, refusals, files.
#include "catch.h"
#include "runtime/half.h"
#include "runtime/winograd.h"
#include "support.h"
#include "tools/compile/in_process.h"
#include "tools/packed_file.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <set>

using namespace sepal;
using Kind = FilterLayout::Kind;

namespace {

constexpr int threads = 2;

// [groups * k, taps, c] -> [groups][panels][taps][c][panel].
std::vector<float> panels_by_loops(const std::vector<float> &filter, int64_t groups, int64_t k, int64_t taps, int64_t c, int64_t panel) {
    const int64_t panels = (k + panel - 1) / panel;
    std::vector<float> packed(size_t(groups * panels * taps * c * panel), 0.0f);
    for (int64_t g = 0; g < groups; g++)
        for (int64_t ki = 0; ki < k; ki++)
            for (int64_t i = 0; i < taps * c; i++)
                packed[size_t(((g * panels + ki / panel) * taps * c + i) * panel + ki % panel)] = filter[size_t((g * k + ki) * taps * c + i)];
    return packed;
}

// G g G^T: [k, 3, 3, c] -> [panels][n][n][c][panel], the column's index first.
std::vector<float> winograd_by_loops(const std::vector<float> &filter, int tile, int64_t k, int64_t c, int64_t panel) {
    const WinogradMatrices &w = winograd_matrices(tile);
    const int64_t n = w.n, taps = winograd_taps;
    std::vector<float> packed(size_t((k + panel - 1) / panel * n * n * c * panel), 0.0f);
    for (int64_t ki = 0; ki < k; ki++)
        for (int64_t ci = 0; ci < c; ci++)
            for (int64_t i = 0; i < n; i++) {
                double row[winograd_taps] = {};  // of G g^T: over the columns of the filter, for each of its rows
                for (int64_t r = 0; r < taps; r++)
                    for (int64_t s = 0; s < taps; s++) row[r] += w.g[size_t(i * taps + s)] * double(filter[size_t(((ki * taps + r) * taps + s) * c + ci)]);
                for (int64_t j = 0; j < n; j++) {
                    double sum = 0;
                    for (int64_t r = 0; r < taps; r++) sum += w.g[size_t(j * taps + r)] * row[r];
                    packed[size_t((((ki / panel * n + i) * n + j) * c + ci) * panel + ki % panel)] = float(sum);
                }
            }
    return packed;
}

ConvProblem conv2d(int64_t k, int64_t c, int64_t r = 3, int64_t s = 3, int64_t groups = 1) {
    ConvProblem p;
    p.name = "conv";
    p.op = Operator::conv2d;
    p.h = p.w = 14;
    p.k = k * groups, p.c = c * groups, p.r = r, p.s = s, p.groups = groups;
    p.max_rel_error = 1;  // whatever the algorithm
    return p;
}

// One of each packer that there is here: those that were compiled ahead of time, and the same and others compiled in process.
struct Packer {
    std::string name;
    Isa isa;
    DType dtype;
    Kind kind;
    int tile;
    KernelFunction function;

    // A variant that takes every problem and packs by it. Its kernel is not to be run.
    Variant variant(int64_t panel) const {
        Variant v;
        v.name = name.c_str();
        v.isa = isa;
        v.dtype = dtype;
        v.kernel = [](void **) { return -1; };
        v.packer = function;
        v.filter_layout = {kind, panel, tile};
        return v;
    }
};

const std::vector<Packer> &packers() {
    static const std::vector<Packer> all = [] {
        const Cpu cpu = Cpu::detect();
        std::vector<Packer> made;
        std::set<KernelFunction> known;
        const auto add = [&](const char *from, const Variant &v) {
            if (!v.packer || !cpu.runs(v.isa) || !known.insert(v.packer).second) return;
            const FilterLayout &layout = v.filter_layout;
            made.push_back({fmt::format("{} {} {} {}", from, name(v.isa), name(v.dtype), layout.text()), v.isa, v.dtype, layout.kind, layout.tile, v.packer});
        };
        for (const Variant &v : Registry::builtin()) add("ahead of time", v);
        static std::vector<std::unique_ptr<InProcessKernel>> kernels;
        for (Isa isa : cpu_isas)
            for (int tile : {1, 2, 4, 6}) {
                if (!cpu.runs(isa)) continue;
                Schedule knobs;
                knobs.winograd = tile;
                kernels.push_back(compile_in_process(specialise(conv2d(16, 16), isa, "hand", knobs)));
                add("in process", kernels.back()->variant());
            }
        ConvProblem half = conv2d(16, 16);
        half.dtype = DType::f16;
        kernels.push_back(compile_in_process(half, Isa::x64, "reference"));
        add("in process", kernels.back()->variant());
        return made;
    }();
    return all;
}

const float *floats_of(const PackedWeights &packed) { return static_cast<const float *>(packed.data()); }

std::vector<float> some_filter(const ConvProblem &p, uint32_t seed) { return make_random_tensors(p, seed).filter; }

std::string packs_like(ConvProblem p, const Packer &packer, int64_t panel) {
    p.dtype = packer.dtype;
    const std::vector<float> filter = some_filter(p, uint32_t(p.k * 31 + p.c));
    Status status;
    const Variant variant = packer.variant(panel);
    const auto packed = PackedWeights::pack(p, variant, {filter.data(), nullptr, nullptr, nullptr}, status);
    if (!packed) return status.message;
    const int64_t k = p.k / p.groups, c = p.c / p.groups, wide = panel ? panel : k;
    std::vector<float> wanted = packer.kind == Kind::winograd ? winograd_by_loops(filter, packer.tile, k, c, wide)
                                                                    : panels_by_loops(filter, p.groups, k, p.r * p.s, c, wide);
    if (p.dtype == DType::f16) std::transform(wanted.begin(), wanted.end(), wanted.begin(), [](float v) { return rounded_to_half(v); });
    const std::vector<PackedTensor> tensors = packed_tensors(p, variant.filter_layout);
    if (tensors[0].elements() != int64_t(wanted.size())) return fmt::format("{} elements instead of {}", tensors[0].elements(), wanted.size());
    for (size_t i = 0; i < wanted.size(); i++) {
        const float got = element(packed->at(tensors[0]), p.dtype, int64_t(i));
        if (got != wanted[i]) return fmt::format("element {} is {:a} instead of {:a}", i, got, wanted[i]);
    }
    for (int64_t i = tensors[0].bytes(); i < packed->bytes(); i++)  // no biases
        if (const char got = static_cast<const char *>(packed->data())[i]; got != 0) return fmt::format("byte {} behind the filter is {}", i, int(got));
    return {};
}

// A variant that can run here and reads panels of filters, and one whose layout is another.
const Variant &panelled(Operator op) {
    const Cpu cpu = Cpu::detect();
    for (const Variant &v : Registry::builtin())
        if (v.op == op && v.kernel && cpu.runs(v.isa) && !*v.suite && v.is_hand_scheduled() && !v.is_winograd()) return v;
    throw std::runtime_error("no variant");
}
const Variant &reference_variant(Operator op) {
    for (const Variant &v : Registry::builtin())
        if (v.op == op && v.is_reference() && !v.residual) return v;
    throw std::runtime_error("no variant");
}

ConvProblem problem(Operator op) {
    ConvProblem p;
    p.name = std::string(name(op));
    p.op = op;
    p.h = 9, p.w = 11, p.c = 20;
    if (op != Operator::depthwise) p.k = 37;
    if (op == Operator::pointwise) p.pad_mode = PadMode::valid;
    if (op != Operator::pointwise) p.r = p.s = 3;
    p.out = {true, Activation::relu};
    if (op == Operator::depsep) p.mid = {true, Activation::relu6};
    return p;
}

constexpr Operator operators[] = {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep};

}  // namespace

TEST_CASE("packers equal plain loops, the sign of zeros aside, around panels, channels, taps and groups", "[pack]") {
    set_num_threads(threads);
    std::map<std::pair<Kind, int>, int> kinds;
    std::set<DType> dtypes;
    for (const Packer &packer : packers()) {
        kinds[{packer.kind, packer.tile}]++;
        dtypes.insert(packer.dtype);
        const int64_t lanes = lanes_f32(packer.isa);
        const auto check = [&](const ConvProblem &p, int64_t panel) {
            const std::string why = packs_like(p, packer, panel);
            INFO(packer.name << ", panel " << panel << ": " << p.weights_key());
            CHECK(why == "");
        };
        for (int64_t panel : {int64_t(4), lanes, 2 * lanes, 3 * lanes})
            for (int64_t k : {int64_t(1), panel - 1, panel, panel + 1, 3 * panel - 1, 3 * panel})
                for (int64_t c : {1, 15, 16, 17, 40}) check(conv2d(k, c), panel);
        if (packer.kind == Kind::winograd) continue;
        for (int64_t k : {int64_t(1), lanes - 1, lanes, lanes + 1, 4 * lanes}) {
            check(conv2d(k, 19), 0);  // one panel of all
            for (int64_t groups : {2, 5}) check(conv2d(k, 7, 2, 5, groups), 0), check(conv2d(k, 7, 2, 5, groups), 2 * lanes);
            check(conv2d(k, 33, 1, 1), 2 * lanes);
        }
    }
    for (const auto &kind : {std::pair(Kind::panels, 0), std::pair(Kind::winograd, 2), std::pair(Kind::winograd, 4), std::pair(Kind::winograd, 6)})
        CHECK(kinds[kind] >= 1);
    CHECK(dtypes.size() == 2);
}

TEST_CASE("random filters are packed as by plain loops", "[pack]") {
    set_num_threads(threads);
    std::mt19937 bits(7);
    const auto draw = [&](int64_t low, int64_t high) { return low + int64_t(bits() % uint32_t(high - low + 1)); };
    for (const Packer &packer : packers())
        for (int i = 0; i < 40; i++) {
            const bool winograd = packer.kind == Kind::winograd;
            const int64_t lanes = lanes_f32(packer.isa), panel = lanes * draw(winograd ? 1 : 0, 8);
            const ConvProblem p = winograd ? conv2d(draw(1, 150), draw(1, 150)) : conv2d(draw(1, 150), draw(1, 150), draw(1, 5), draw(1, 5), draw(1, 3));
            const std::string why = packs_like(p, packer, panel);
            INFO(packer.name << ", panel " << panel << ": " << p.weights_key());
            CHECK(why == "");
        }
}

TEST_CASE("each constant stands where the kernel's arguments have it, zeros in between", "[pack]") {
    for (Operator op : operators) {
        const ConvProblem p = problem(op);
        const Variant &v = panelled(op);
        INFO(v.name);
        const Tensors t = make_exact_tensors(p, check_seed);
        Status status;
        const auto packed = PackedWeights::pack(p, v, t.weights(), status);
        REQUIRE(status.message == "");
        CHECK(packed->layout() == v.filter_layout);
        CHECK(packed->bytes() % 64 == 0);
        CHECK(packed->pack_seconds() > 0);
        std::vector<std::vector<float>> wanted;
        const int64_t panel = v.filter_layout.panel;
        if (op == Operator::depthwise || op == Operator::depsep) wanted = {t.filter, op == Operator::depsep ? t.mid_bias : t.bias};
        if (op != Operator::depthwise) {
            wanted.push_back(panels_by_loops(op == Operator::depsep ? t.pointwise_filter : t.filter, 1, p.k, op == Operator::conv2d ? 9 : 1, p.c, panel));
            wanted.push_back(t.bias);
            wanted.back().resize(size_t((p.k + panel - 1) / panel * panel), 0.0f);
        }
        const std::vector<PackedTensor> tensors = packed_tensors(p, v.filter_layout);
        REQUIRE(tensors.size() == wanted.size());
        std::vector<float> whole(size_t(packed->bytes() / 4), 0.0f);
        for (size_t i = 0; i < wanted.size(); i++) {
            CHECK(tensors[i].elements() == int64_t(wanted[i].size()));
            CHECK(tensors[i].dtype == DType::f32);
            CHECK(tensors[i].offset % 64 == 0);
            std::copy(wanted[i].begin(), wanted[i].end(), whole.begin() + tensors[i].offset / 4);
        }
        CHECK(std::equal(whole.begin(), whole.end(), floats_of(*packed)));
    }
}

TEST_CASE("packers round to half as half.h does, around every half", "[pack]") {
    const std::vector<float> filter = values_around_halves();
    ConvProblem p = conv2d(8, int64_t(filter.size()) / 8, 1, 1);
    p.dtype = DType::f16;
    REQUIRE(p.filter_elements() == int64_t(filter.size()));
    const std::vector<float> wanted = panels_by_loops(filter, 1, 8, 1, p.c, 8);
    int halves = 0;
    for (const Packer &packer : packers()) {
        if (packer.dtype != DType::f16) continue;
        INFO(packer.name);
        for (int64_t panel : {0, 8}) {  // of one panel, and by whole vectors
            const Variant variant = packer.variant(panel);
            Status status;
            const auto packed = PackedWeights::pack(p, variant, {filter.data(), nullptr, nullptr, nullptr}, status);
            REQUIRE(status.message == "");
            const uint16_t *const got = static_cast<const uint16_t *>(packed->data());
            for (size_t i = 0; i < wanted.size(); i++)
                if (got[i] != half_from_float(wanted[i])) FAIL(fmt::format("{:a} is packed as {:#x} instead of {:#x}", wanted[i], got[i], half_from_float(wanted[i])));
        }
        halves++;
    }
    CHECK(halves > 0);
}

TEST_CASE("filters of an f16 problem are halves, its biases floats, each at the start of a cache line", "[pack]") {
    const TemporaryFolder folder;
    for (Operator op : operators) {
        ConvProblem p = problem(op);
        p.dtype = DType::f16;
        const Variant *const v = Registry::builtin().select(p, Cpu::detect(), 1);
        REQUIRE(v);
        INFO(v->name);
        Tensors t = make_random_tensors(p, check_seed);  // filters are no halves yet
        Status status;
        const auto packed = PackedWeights::pack(p, *v, t.weights(), status);
        REQUIRE(status.message == "");
        std::vector<std::vector<float>> wanted;
        if (op == Operator::depthwise || op == Operator::depsep) wanted = {t.filter, op == Operator::depsep ? t.mid_bias : t.bias};
        if (op != Operator::depthwise) {
            wanted.push_back(panels_by_loops(op == Operator::depsep ? t.pointwise_filter : t.filter, 1, p.k, op == Operator::conv2d ? 9 : 1, p.c, p.k));
            wanted.push_back(t.bias);
        }
        const std::vector<PackedTensor> tensors = packed_tensors(p, v->filter_layout);
        REQUIRE(tensors.size() == wanted.size());
        int64_t end = 0;
        for (size_t i = 0; i < tensors.size(); i++) {
            const bool bias = i % 2 == 1;
            CHECK(tensors[i].dtype == (bias ? DType::f32 : DType::f16));
            CHECK(tensors[i].elements() == int64_t(wanted[i].size()));
            CHECK(tensors[i].offset == (end + 63) / 64 * 64);
            end = tensors[i].offset + tensors[i].elements() * (bias ? 4 : 2);
            int64_t wrong = 0;
            for (size_t e = 0; e < wanted[i].size(); e++)
                wrong += element(packed->at(tensors[i]), tensors[i].dtype, int64_t(e)) != (bias ? wanted[i][e] : rounded_to_half(wanted[i][e]));
            CHECK(wrong == 0);
        }
        CHECK(packed->bytes() == (end + 63) / 64 * 64);

        const std::string path = folder.path("w.packed");
        write_packed_file(path, *packed);
        CHECK(std::memcmp(read_packed_file(path, p, *v)->data(), packed->data(), size_t(packed->bytes())) == 0);
        ConvProblem floats = p;
        floats.dtype = DType::f32;
        const std::string refused = bad_input([&] { read_packed_file(path, floats, reference_variant(op)); });
        CHECK_THAT(refused, Catch::Contains(p.weights_key()) && Catch::Contains(floats.weights_key()));
    }
}

TEST_CASE("plans of other images, batch sizes and variants of the same layout share packed weights", "[pack]") {
    const Cpu cpu = Cpu::detect();
    set_num_threads(threads);
    for (Operator op : operators) {
        const ConvProblem p = problem(op);
        const Variant &v = panelled(op);
        Tensors t = make_exact_tensors(p, check_seed);
        int with_residual = 0;
        Status status;
        std::shared_ptr<const PackedWeights> packed = PackedWeights::pack(p, v, t.weights(), status);
        REQUIRE(status.message == "");
        const PackedWeights *const address = packed.get();
        std::vector<std::unique_ptr<Plan>> plans;
        for (const Variant &other : Registry::builtin())
            for (const auto &[n, h] : {std::pair<int64_t, int64_t>{1, 9}, {3, 9}, {2, 24}}) {
                ConvProblem q = p;
                q.n = n, q.h = h, q.residual = other.residual;
                if (other.op != op || other.filter_layout != v.filter_layout || !other.kernel || !cpu.runs(other.isa) || !other.refuses(q).empty()) continue;
                plans.push_back(Plan::create(q, other, packed, status));
                REQUIRE(status.message == "");
                CHECK(&plans.back()->weights() == address);
                with_residual += other.residual;
            }
        CHECK(plans.size() >= 3);
        CHECK((with_residual > 0) == (op != Operator::depthwise));
        packed.reset();
        for (const auto &plan : plans) {  // the plans keep them
            Tensors mine = t;
            mine.problem = plan->problem();
            const Tensors of_its_images = make_exact_tensors(mine.problem, check_seed);
            mine.input = of_its_images.input, mine.skip = of_its_images.skip;
            mine.output.assign(size_t(mine.problem.output_elements()), std::numeric_limits<float>::quiet_NaN());
            REQUIRE(plan->run(mine.input.data(), mine.output.data(), mine.problem.residual ? mine.skip.data() : nullptr).message == "");
            INFO(plan->variant().name << " " << mine.problem.key());
            CHECK(check_output(mine, mine.output.data()).message == "");
        }
    }
}

TEST_CASE("weights packed for another layout or other filters are refused, with both named", "[pack]") {
    const ConvProblem p = problem(Operator::conv2d);
    const Variant &v = panelled(Operator::conv2d), &reference = reference_variant(Operator::conv2d);
    const Tensors t = make_exact_tensors(p, check_seed);
    Status status;
    const auto packed = PackedWeights::pack(p, v, t.weights(), status);
    REQUIRE(packed);
    CHECK(packed->weights_key() == "conv2d c20 k37 r3 s3 g1 m1 f32 nhwc out:bias");
    const auto refused = [&](const ConvProblem &problem, const Variant &variant, const std::shared_ptr<const PackedWeights> &weights) {
        CHECK(!Plan::create(problem, variant, weights, status));
        CHECK(status.code == Status::Code::invalid_argument);
        CHECK(!status.message.empty());
        return status.message;
    };
    CHECK(refused(p, reference, packed) ==
          fmt::format("the packed weights are in layout {}, variant {} reads one_panel", v.filter_layout.text(), reference.name));
    const auto other = [&](const std::function<void(ConvProblem &)> &change) {
        ConvProblem q = p;
        change(q);
        REQUIRE(q.validate() == "");
        CHECK(refused(q, v, packed) == fmt::format("the packed weights are those of {}, the problem's are those of {}", p.weights_key(), q.weights_key()));
    };
    other([](ConvProblem &q) { q.k = 38; });
    other([](ConvProblem &q) { q.c = 21; });
    other([](ConvProblem &q) { q.r = 1, q.s = 9; });
    other([](ConvProblem &q) { q.c = 40, q.k = 74, q.groups = 2; });
    other([](ConvProblem &q) { q.out.bias = false; });
    CHECK(refused(p, v, nullptr) == "the pointer to the packed weights is null");
    ConvProblem bad = p;
    bad.h = -1;
    CHECK(refused(bad, v, packed).find("\"h\"") != std::string::npos);

    for (Operator op : operators) {
        const ConvProblem q = problem(op);
        const Tensors all = make_exact_tensors(q, check_seed);
        const Variant &variant = panelled(op);
        const auto without = [&](const char *name, const float *Weights::*member) {
            Weights w = all.weights();
            w.*member = nullptr;
            CHECK(!PackedWeights::pack(q, variant, w, status));
            CHECK(status.code == Status::Code::invalid_argument);
            CHECK(status.message == fmt::format("the problem has a {}, but the pointer to it is null", name));
        };
        without("filter", &Weights::filter);
        without("bias", &Weights::bias);
        if (op == Operator::depsep) without("pointwise_filter", &Weights::pointwise_filter), without("mid_bias", &Weights::mid_bias);
        Variant lame = variant;
        lame.packer = nullptr;
        CHECK(bool(PackedWeights::pack(q, lame, all.weights(), status)) == (op == Operator::depthwise));
        if (op != Operator::depthwise) CHECK(status.message == fmt::format("variant {} has no function that packs its filter", lame.name));
        lame = variant;
        lame.packer = [](void **) { return -7; };
        if (op != Operator::depthwise) {
            CHECK(!PackedWeights::pack(q, lame, all.weights(), status));
            CHECK(status.code == Status::Code::kernel_failed);
            CHECK(status.message == fmt::format("packing for kernel {} failed: error code -7", lame.name));
        }
    }
    CHECK(!PackedWeights::restore(p, v, AlignedBytes::zeros(64), status));
    CHECK(status.message.find("have 64 bytes") != std::string::npos);
}

TEST_CASE("a packer that is given panels it was not made for says so", "[pack]") {
    Status status;
    int refused = 0;
    for (const Packer &packer : packers()) {
        if (packer.kind != Kind::winograd) continue;
        const ConvProblem p = conv2d(8, 3);
        const std::vector<float> filter = some_filter(p, 1);
        CHECK(!PackedWeights::pack(p, packer.variant(lanes_f32(packer.isa) + 1), {filter.data(), nullptr, nullptr, nullptr}, status));
        CHECK(status.code == Status::Code::kernel_failed);
        refused++;
    }
    CHECK(refused > 0);
}

TEST_CASE("a file of packed weights brings them back; another or a damaged one is refused in one sentence", "[pack]") {
    const TemporaryFolder folder;
    for (Operator op : operators) {
        const ConvProblem p = problem(op);
        const Variant &v = panelled(op);
        Status status;
        const auto packed = PackedWeights::pack(p, v, make_exact_tensors(p, check_seed).weights(), status);
        REQUIRE(packed);
        const std::string path = folder.path("w.packed");
        write_packed_file(path, *packed);
        const std::string bytes = bytes_of(path);
        REQUIRE(bytes.size() % 64 == 0);
        ConvProblem batch = p;
        batch.n = 5;
        const auto back = read_packed_file(path, batch, v);
        CHECK(back->layout() == packed->layout());
        CHECK(back->weights_key() == packed->weights_key());
        CHECK(back->bytes() == packed->bytes());
        CHECK(std::memcmp(back->data(), packed->data(), size_t(packed->bytes())) == 0);

        const auto refused = [&](const std::string &text, const std::vector<std::string> &parts) {
            const std::string bad = folder.write("bad.packed", text), sentence = bad_input([&] { read_packed_file(bad, p, v); });
            INFO(sentence);
            CHECK(sentence.find(bad) == 0);
            for (const std::string &part : parts) CHECK(sentence.find(part) != std::string::npos);
        };
        refused("", {"no file of packed weights", "--save-packed"});
        refused("\x93NUMPY", {"no file of packed weights"});
        refused(bytes.substr(0, 30), {"truncated", "header"});
        const size_t header = bytes.size() - size_t(packed->bytes());
        for (size_t size : {header - 1, header, header + 1, bytes.size() - 1})
            refused(bytes.substr(0, size), {"truncated", fmt::format("needs {} bytes", packed->bytes()), fmt::format("found {}", size > header ? size - header : 0)});
        refused(bytes + "x", {"has bytes after its elements"});
        const auto replaced = [&](const std::string &from, const std::string &to) {
            std::string text = bytes;
            REQUIRE(text.find(from) != std::string::npos);
            return text.replace(text.find(from), from.size(), to);
        };
        refused(replaced("weights 1\n", "weights 2\n"), {"version 2", "allowed: 1"});
        refused(replaced("\nlayout ", "\nlayuot "), {"damaged", "\"layout\""});
        refused(replaced("layout " + v.filter_layout.text(), "layout panels5"), {"in layout panels5", v.name, "reads " + v.filter_layout.text()});
        refused(replaced(p.weights_key(), "conv2d c1 k1"), {"those of conv2d c1 k1", p.weights_key()});
        std::string damaged = bytes;
        damaged[header] = char(damaged[header] ^ 1);
        refused(damaged, {"damaged", "checksum"});
        CHECK(bad_input([&] { read_packed_file(folder.path("absent"), p, v); }).find("No such file") != std::string::npos);
        CHECK(bad_input([&] { read_packed_file(folder.path("."), p, v); }).find("cannot be read") != std::string::npos);
        if (op != Operator::depthwise)
            CHECK(bad_input([&] { read_packed_file(path, p, reference_variant(op)); }).find("one_panel") != std::string::npos);
    }
    CHECK(folder.files() == std::vector<std::string>{"bad.packed", "w.packed"});
}
