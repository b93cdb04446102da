// The installed library, through its C and C++ API: every kind of call, and every wrong one that we could think of. The program also contains
// the kernels of the build and their runtime, which the library's must not be mixed up with.
#include "api_checks.h"
#include "guarded_array.h"
#include "sepal/sepal.hpp"
#include "support.h"

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <thread>

using namespace sepal;

namespace {
std::atomic<int64_t> allocations{0};         // of the whole program
std::atomic<int64_t> allocations_left{-1};   // before one fails; negative: none does
}  // namespace

// The C library's functions, counted, and failing where a test says so.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static bool may_allocate() {
    allocations++;
    return allocations_left < 0 || allocations_left-- > 0;
}

extern "C" {
void *__libc_malloc(size_t);
void *__libc_memalign(size_t, size_t);
void *malloc(size_t bytes) { return may_allocate() ? __libc_malloc(bytes) : nullptr; }
void *aligned_alloc(size_t alignment, size_t bytes) { return may_allocate() ? __libc_memalign(alignment, bytes) : nullptr; }
}
#else
#define ALLOCATIONS_ARE_THE_SANITIZERS
#endif

namespace {

struct Environment {
    Environment(const char *variable, const char *value) : name(variable) { setenv(name, value, 1); }
    ~Environment() { unsetenv(name); }
    const char *name;
};

ConvProblem small_depsep() {
    ConvProblem p;
    p.op = Operator::depsep;
    p.n = 2, p.h = 13, p.w = 11, p.c = 24, p.k = 40, p.r = p.s = 3;
    p.mid = {true, Activation::relu6};
    p.out = {true, Activation::relu};
    return p;
}

std::unique_ptr<sepal_plan, void (*)(sepal_plan *)> make_plan(const Tensors &t, const sepal_options *options = nullptr) {
    const sepal_problem problem = to_c(t.problem);
    const sepal_weights weights = to_c(t.weights());
    sepal_plan *plan = nullptr;
    const sepal_status status = sepal_plan_create(&problem, &weights, options, &plan);
    INFO(t.problem.key() << ": " << sepal_last_error());
    REQUIRE(status == SEPAL_OK);
    return {plan, sepal_plan_destroy};
}

std::vector<float> run(const Tensors &t, const sepal_plan *plan) {
    std::vector<float> output(size_t(t.problem.output_elements()), NAN);
    sepal_run arguments;
    sepal_run_init(&arguments);
    arguments.input = t.input.data(), arguments.output = output.data();
    if (t.problem.residual) arguments.skip = t.skip.data();
    REQUIRE(sepal_plan_run_with(plan, &arguments) == SEPAL_OK);
    return output;
}

std::string create_says(const sepal_problem *problem, const sepal_weights *weights, const sepal_options *options, sepal_status expected = SEPAL_INVALID_ARGUMENT) {
    sepal_plan *plan = reinterpret_cast<sepal_plan *>(8);
    const std::string text = said(sepal_plan_create(problem, weights, options, &plan), expected);
    CHECK(plan == nullptr);
    return text;
}

}  // namespace

TEST_CASE("random problems by every ISA of the installed library", "[api]") {
    const Cpu cpu = Cpu::detect();
    for (Isa isa : cpu_isas) {
        if (!cpu.runs(isa)) {
            fmt::print("[SKIP] {}: this CPU lacks it\n", name(isa));
            continue;
        }
        const Environment limit("SEPAL_MAX_ISA", name(isa).data());
        int on_isa = 0;
        for (uint32_t seed = 0; seed < 60; seed++) {
            const Tensors t = make_exact_tensors(random_problem(seed), seed);
            sepal_options options;
            sepal_options_init(&options);
            options.allow_reference = 1;
            const auto plan = make_plan(t, &options);
            on_isa += contains(sepal_plan_variant(plan.get()), fmt::format("_{}_", name(isa)));
            CHECK(is_right(t, run(t, plan.get()), sepal_plan_variant(plan.get())));
        }
        CHECK(on_isa > 40);  // some are for narrower vectors or for the reference
    }
}

TEST_CASE("random problems in NCHW", "[api]") {
    int direct = 0;
    for (uint32_t seed = 0; seed < 60; seed++) {
        ConvProblem p = random_problem(seed);
        p.layout = Layout::nchw;
        const Tensors t = make_exact_tensors(p, seed);
        sepal_options options;
        sepal_options_init(&options);
        options.allow_reference = 1;
        const auto plan = make_plan(t, &options);
        direct += contains(sepal_plan_variant(plan.get()), "_nchw_") && !contains(sepal_plan_variant(plan.get()), "reference");
        CHECK(is_right(t, run(t, plan.get())));
    }
    CHECK(direct > 40);
}

TEST_CASE("tensors with strides: slices of channels, rows and images that lie apart", "[api]") {
    int checked = 0;
    for (uint32_t seed = 0; seed < 120; seed++) {
        const Tensors t = make_exact_tensors(random_problem(seed), seed);
        const ConvProblem &p = t.problem;
        const auto strides = [&](int64_t h, int64_t w, int64_t c, uint32_t kind) {
            sepal_strides s{};
            if (kind == 0) return s;
            s.c = 1, s.w = c + (kind & 1 ? 5 : 0), s.h = w * s.w + (kind & 2 ? 3 : 0), s.n = h * s.h + (kind & 4 ? 7 : 0);
            return s;
        };
        sepal_problem problem = to_c(p);
        const uint32_t kinds = 1 + seed % 63;
        problem.input_strides = strides(p.h, p.w, p.c, kinds & 7);
        problem.output_strides = strides(p.p(), p.q(), p.out_channels(), kinds >> 3);
        const auto place = [](const sepal_strides &s, int64_t n, int64_t h, int64_t w, int64_t c, const auto &at) {
            const sepal_strides d = s.c ? s : sepal_strides{h * w * c, w * c, c, 1};
            for (int64_t i = 0, dense = 0; i < n; i++)
                for (int64_t y = 0; y < h; y++)
                    for (int64_t x = 0; x < w; x++)
                        for (int64_t ch = 0; ch < c; ch++, dense++) at(size_t(i * d.n + y * d.h + x * d.w + ch), size_t(dense));
        };
        std::vector<float> input(size_t(p.n * (p.h * (p.w * (p.c + 5) + 3) + 7)), NAN), output(size_t(p.n * (p.p() * (p.q() * (p.out_channels() + 5) + 3) + 7)), -77.0f);
        place(problem.input_strides, p.n, p.h, p.w, p.c, [&](size_t to, size_t from) { input[to] = t.input[from]; });
        sepal_options options;
        sepal_options_init(&options);
        options.allow_reference = 1;
        const sepal_weights weights = to_c(t.weights());
        sepal_plan *plan = nullptr;
        REQUIRE(sepal_plan_create(&problem, &weights, &options, &plan) == SEPAL_OK);
        sepal_run arguments;
        sepal_run_init(&arguments);
        arguments.input = input.data(), arguments.output = output.data();
        std::vector<float> skip(p.residual ? output.size() : 0, NAN);
        if (p.residual) {
            place(problem.output_strides, p.n, p.p(), p.q(), p.out_channels(), [&](size_t to, size_t from) { skip[to] = t.skip[from]; });
            arguments.skip = skip.data();
        }
        REQUIRE(sepal_plan_run_with(plan, &arguments) == SEPAL_OK);
        const std::string variant = sepal_plan_variant(plan);
        sepal_plan_destroy(plan);
        std::vector<float> dense(size_t(p.output_elements()));
        place(problem.output_strides, p.n, p.p(), p.q(), p.out_channels(), [&](size_t from, size_t to) { dense[to] = output[from], output[from] = -77.0f; });
        CHECK(is_right(t, dense, variant));
        CHECK(std::all_of(output.begin(), output.end(), [](float v) { return v == -77.0f; }));  // nothing between them was written
        checked++;
    }
    CHECK(checked == 120);
}

TEST_CASE("the caller's threads, allocator, weights' memory and workspace", "[api]") {
    const Tensors t = make_exact_tensors(small_depsep(), 1);
    struct Counts {
        std::atomic<int> calls{0}, tasks{0}, allocated{0}, released{0};
    } counts;
    sepal_options options;
    sepal_options_init(&options);
    options.threads = 3;
    options.parallel_for = [](void *context, int count, int (*task)(int, void *), void *of_task) {
        Counts &c = *static_cast<Counts *>(context);
        c.calls++;
        c.tasks += count;
        std::vector<std::thread> team;
        std::atomic<int> rc{0};
        for (int i = 0; i < count; i++)
            team.emplace_back([&, i] {
                if (const int r = task(i, of_task)) rc = r;
            });
        for (std::thread &thread : team) thread.join();
        return int(rc);
    };
    options.parallel_for_context = &counts;
    options.allocator = {&counts,
                         [](void *context, size_t bytes, size_t alignment) {
                             static_cast<Counts *>(context)->allocated++;
                             return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
                         },
                         [](void *context, void *memory) {
                             static_cast<Counts *>(context)->released++;
                             std::free(memory);
                         }};
    {
        const auto plan = make_plan(t, &options);
        CHECK(counts.allocated >= 1);
        const int weights_only = counts.allocated - counts.released;
        CHECK(weights_only == 1);
        CHECK(is_right(t, run(t, plan.get())));
        CHECK(counts.calls >= 1);
        CHECK(counts.tasks >= 2);
        CHECK(counts.tasks <= 3 * counts.calls);
        CHECK(counts.allocated - counts.released == 1);
        const int before = counts.allocated;
        CHECK(before > 1);  // the depthwise half of a strip

        size_t bytes = 0;
        REQUIRE(sepal_plan_workspace_bytes(plan.get(), &bytes) == SEPAL_OK);
        CHECK(bytes > 0);
        GuardedArray workspace((bytes + 127) / 128 * 128 / 4, Side::after);
        std::vector<float> output(size_t(t.problem.output_elements()), NAN);
        sepal_run arguments;
        sepal_run_init(&arguments);
        arguments.input = t.input.data(), arguments.output = output.data();
        arguments.workspace = workspace.data(), arguments.workspace_bytes = bytes;
        const int measured = counts.allocated;
        for (int i = 0; i < 3; i++) {
            REQUIRE(sepal_plan_run_with(plan.get(), &arguments) == SEPAL_OK);
            CHECK(is_right(t, output));
        }
        CHECK(counts.allocated == measured);

        arguments.workspace_bytes = bytes - 1;
        CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "the workspace has"));
        arguments.workspace_bytes = bytes;
        arguments.workspace = static_cast<char *>(static_cast<void *>(workspace.data())) + 4;
        CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "not aligned to 128"));
    }
    CHECK(counts.allocated == counts.released);

    // Memory for packed weights.
    const sepal_problem problem = to_c(t.problem);
    size_t bytes = 0;
    REQUIRE(sepal_weights_bytes(&problem, nullptr, &bytes) == SEPAL_OK);
    GuardedArray memory(bytes / 4, Side::after);
    sepal_options kept;
    sepal_options_init(&kept);
    kept.weights_memory = memory.data(), kept.weights_bytes = bytes;
    {
        const auto plan = make_plan(t, &kept);
        memory.forbid_writes();
        CHECK(is_right(t, run(t, plan.get())));
    }
    const sepal_weights weights = to_c(t.weights());
    kept.weights_bytes = bytes - 1;
    CHECK(says(create_says(&problem, &weights, &kept), "weights_bytes is"));
}

TEST_CASE("a run in a workspace on one thread allocates nothing", "[api]") {
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep}) {
        ConvProblem p = small_depsep();
        p.op = op;
        p.mid = {};
        if (op == Operator::depsep) p.mid.bias = true;
        if (op == Operator::pointwise) p.r = p.s = 1;
        if (op == Operator::depthwise) p.k = 0;
        const Tensors t = make_exact_tensors(p, 3);
        sepal_options options;
        sepal_options_init(&options);
        options.threads = 1;
        const auto plan = make_plan(t, &options);
        size_t bytes = 0;
        REQUIRE(sepal_plan_workspace_bytes(plan.get(), &bytes) == SEPAL_OK);
        const AlignedBytes workspace = AlignedBytes::zeros(int64_t(bytes) + 128);
        std::vector<float> output(size_t(p.output_elements()), NAN);
        sepal_run arguments;
        sepal_run_init(&arguments);
        arguments.input = t.input.data(), arguments.output = output.data();
        arguments.workspace = reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(workspace.data()) + 127) / 128 * 128);
        arguments.workspace_bytes = bytes;
        const int64_t before = allocations;
        const sepal_status status = sepal_plan_run_with(plan.get(), &arguments);
        CHECK(allocations == before);
        CHECK(status == SEPAL_OK);
        CHECK(is_right(t, output));
    }
}

TEST_CASE("memory that runs out at any allocation of a plan's creation is a status, and nothing is kept", "[api]") {
#ifdef ALLOCATIONS_ARE_THE_SANITIZERS
    fmt::print("[SKIP] memory that runs out: allocations are the sanitizer's\n");
    return;
#endif
    const Tensors t = make_exact_tensors(small_depsep(), 1);
    const sepal_problem problem = to_c(t.problem);
    const sepal_weights weights = to_c(t.weights());
    sepal_options options;
    sepal_options_init(&options);
    options.threads = 1;
    make_plan(t, &options);  // what is made once
    int failures = 0;
    for (int64_t after = 0;; after++) {
        sepal_plan *plan = nullptr;
        allocations_left = after;
        const sepal_status status = sepal_plan_create(&problem, &weights, &options, &plan);
        allocations_left = -1;
        if (status == SEPAL_OK) {
            CHECK(is_right(t, run(t, plan)));
            sepal_plan_destroy(plan);
            break;
        }
        CHECK(status == SEPAL_OUT_OF_MEMORY);
        CHECK(plan == nullptr);
        CHECK(says(sepal_last_error(), "not enough memory"));
        failures++;
    }
    CHECK(failures > 10);
}

TEST_CASE("which variants there are, which is chosen, and forcing one", "[api]") {
    const Tensors t = make_exact_tensors(small_depsep(), 1);
    const sepal_problem problem = to_c(t.problem);
    const sepal_weights weights = to_c(t.weights());
    const std::vector<Candidate> all = candidates(problem);
    REQUIRE(all.size() > 20);
    int chosen = 0;
    std::string second;
    for (const Candidate &c : all) {
        chosen += c.chosen;
        CHECK(c.takes == c.why_not.empty());
        if (c.chosen) CHECK(c.name == sepal_plan_variant(make_plan(t).get()));
        if (c.takes && !c.chosen && second.empty()) second = c.name;
        if (c.name == "depsep_f32_nhwc_x64_reference") CHECK(says(c.why_not, "allow_reference"));
    }
    CHECK(chosen == 1);
    REQUIRE(!second.empty());
    Options options;
    options.variant = second.c_str();
    CHECK(sepal_plan_variant(make_plan(t, &options).get()) == second);
    CHECK(is_right(t, run(t, make_plan(t, &options).get())));
    {
        const Environment forced("SEPAL_VARIANT", second.c_str());
        CHECK(sepal_plan_variant(make_plan(t).get()) == second);
    }
    {
        const Environment forced("SEPAL_VARIANT", "depsep_f32_nhwc_nothing");
        CHECK(says(create_says(&problem, &weights, nullptr, SEPAL_UNSUPPORTED), "there is no variant \"depsep_f32_nhwc_nothing\""));
    }
    options.variant = "conv2d_f32_nhwc_x64_hand";
    CHECK(says(create_says(&problem, &weights, &options, SEPAL_UNSUPPORTED), "conv2d_f32_nhwc_x64_hand is a conv2d kernel"));
    const Environment limit("SEPAL_MAX_ISA", "mmx");
    CHECK(says(create_says(&problem, &weights, nullptr), "SEPAL_MAX_ISA is \"mmx\""));
}

TEST_CASE("a problem that only the reference takes is refused unless it is allowed", "[api]") {
    ConvProblem p = small_depsep();
    p.op = Operator::depthwise;
    p.c = 1, p.k = 0, p.mid = {};
    const Tensors t = make_exact_tensors(p, 2);
    const sepal_problem problem = to_c(p);
    const sepal_weights weights = to_c(t.weights());
    const std::string text = create_says(&problem, &weights, nullptr, SEPAL_UNSUPPORTED);
    CHECK(says(text, "no kernel on this CPU takes depthwise"));
    CHECK(says(text, "allow_reference"));
    Options options;
    options.allow_reference = 1;
    CHECK(says(sepal_plan_variant(make_plan(t, &options).get()), "reference"));
    CHECK(is_right(t, run(t, make_plan(t, &options).get())));
}

TEST_CASE("a problem that needs more scratch memory than kernels can have is refused when the plan is created", "[api]") {
    ConvProblem p;
    p.h = 8, p.w = 1, p.c = 14, p.k = 2, p.r = p.s = 3;
    p.dilation_h = p.dilation_w = 65536;  // the padded input that one output meets has more than 2^34 pixels
    const Tensors t = make_exact_tensors(p, 2);
    const sepal_problem problem = to_c(p);
    const sepal_weights weights = to_c(t.weights());
    const std::string text = create_says(&problem, &weights, nullptr, SEPAL_UNSUPPORTED);
    CHECK(says(text, "no kernel on this CPU takes conv2d"));
    CHECK(says(text, "scratch memory of a strip of outputs may be "));
    CHECK(says(text, "allow_reference"));
    Options options;
    options.variant = "conv2d_f32_nhwc_x64_hand";
    CHECK(says(create_says(&problem, &weights, &options, SEPAL_UNSUPPORTED), "allowed: 2147483647"));
    options.variant = nullptr;
    options.allow_reference = 1;  // which has none
    CHECK(is_right(t, run(t, make_plan(t, &options).get())));
}

TEST_CASE("wrong arguments: a status and a sentence each", "[api]") {
    const Tensors t = make_exact_tensors(small_depsep(), 1);
    const sepal_problem good = to_c(t.problem);
    const sepal_weights weights = to_c(t.weights());
    const auto with = [&](const auto &change) {
        sepal_problem p = good;
        change(p);
        int64_t rows;
        said(sepal_problem_output(&p, &rows, nullptr, nullptr), SEPAL_INVALID_ARGUMENT);
        size_t bytes;
        said(sepal_weights_bytes(&p, nullptr, &bytes), SEPAL_INVALID_ARGUMENT);
        return create_says(&p, &weights, nullptr);
    };
    constexpr int64_t huge = std::numeric_limits<int64_t>::max();
    int64_t sepal_problem::*const extents[] = {&sepal_problem::n, &sepal_problem::h, &sepal_problem::w, &sepal_problem::c, &sepal_problem::r, &sepal_problem::s,
                                               &sepal_problem::stride_h, &sepal_problem::stride_w, &sepal_problem::dilation_h, &sepal_problem::dilation_w,
                                               &sepal_problem::groups, &sepal_problem::multiplier, &sepal_problem::k};
    for (auto extent : extents)
        for (int64_t value : {int64_t(0), int64_t(-1), -huge, huge, int64_t(1) << 31, int64_t(1) << 62})
            CHECK(says(with([&](sepal_problem &p) { p.*extent = value; }), "field \""));
    // H * W * C just above what 32 bits index, in one tensor or another.
    CHECK(says(with([](sepal_problem &p) { p.h = 46341, p.w = 46341, p.c = 1, p.k = 1; }), "the input has more than 2147483647 elements"));
    CHECK(says(with([](sepal_problem &p) { p.h = p.w = 6000, p.k = 40; }), "the output has more than 2147483647 elements"));
    CHECK(says(with([](sepal_problem &p) { p.op = sepal_operator(4); }), "field \"op\" is 4"));
    CHECK(says(with([](sepal_problem &p) { p.op = sepal_operator(-1); }), "field \"op\" is"));
    CHECK(says(with([](sepal_problem &p) { p.dtype = sepal_dtype(2); }), "field \"dtype\" is 2"));
    CHECK(says(with([](sepal_problem &p) { p.layout = sepal_layout(9); }), "field \"layout\" is 9"));
    CHECK(says(with([](sepal_problem &p) { p.padding = sepal_padding(3); }), "field \"padding\" is 3"));
    CHECK(says(with([](sepal_problem &p) { p.activation = sepal_activation(4); }), "field \"activation\" is 4"));
    CHECK(says(with([](sepal_problem &p) { p.mid_activation = sepal_activation(-1); }), "field \"mid_activation\" is"));
    CHECK(says(with([](sepal_problem &p) { p.max_rel_error = NAN; }), "max_rel_error"));
    CHECK(says(with([](sepal_problem &p) { p.padding = SEPAL_EXPLICIT, p.pad_left = -1; }), "pad[1] (left)"));
    CHECK(says(with([](sepal_problem &p) { p.layout = SEPAL_NCHW, p.input_strides = {9999, 24 * 11, 24, 1}; }), "strides are given, which are for nhwc"));
    CHECK(says(with([](sepal_problem &p) { p.size = 0; }), "size of the problem is 0"));
    CHECK(says(with([](sepal_problem &p) { p.size = size_t(1) << 40; }), "size of the problem"));
    CHECK(says(with([](sepal_problem &p) { p.input_strides = {0, 0, 0, 2}; }), "the input's stride of channels is 2"));
    CHECK(says(with([](sepal_problem &p) { p.input_strides = {9999, 24 * 11, 23, 1}; }), "elements would overlap"));
    CHECK(says(with([](sepal_problem &p) { p.output_strides = {huge, 40 * 11, 40, 1}; }), "stride of images"));
    CHECK(says(with([](sepal_problem &p) { p.output_strides = {-9999, 40 * 11, 40, 1}; }), "stride of images"));
    CHECK(says(with([](sepal_problem &p) { p.output_strides = {2147483647, 40 * 11, 40, 1}; }), "index with 32 bits"));
    ConvProblem half = t.problem;
    half.dtype = DType::f16;
    const sepal_problem f16 = to_c(half);
    CHECK(says(create_says(&f16, &weights, nullptr, SEPAL_UNSUPPORTED), "no kernel on this CPU takes"));

    // Pointers.
    CHECK(says(create_says(nullptr, &weights, nullptr), "the pointer to the problem is null"));
    CHECK(says(create_says(&good, nullptr, nullptr), "the pointer to the weights is null"));
    CHECK(says(said(sepal_plan_create(&good, &weights, nullptr, nullptr), SEPAL_INVALID_ARGUMENT), "the pointer to the plan is null"));
    const std::pair<const char *, const float *sepal_weights::*> pointers[] = {{"filter", &sepal_weights::filter},
                                                                               {"mid_bias", &sepal_weights::mid_bias},
                                                                               {"pointwise_filter", &sepal_weights::pointwise_filter},
                                                                               {"bias", &sepal_weights::bias}};
    for (const auto &[what, member] : pointers) {
        sepal_weights w = weights;
        w.*member = nullptr;
        CHECK(says(create_says(&good, &w, nullptr), fmt::format("the problem has a {}, but the pointer to it is null", what)));
        w.*member = reinterpret_cast<const float *>(reinterpret_cast<const char *>(weights.*member) + 1);
        CHECK(says(create_says(&good, &w, nullptr), fmt::format("the {} at", what)));
    }
    sepal_weights short_weights = weights;
    short_weights.size = 3;
    CHECK(says(create_says(&good, &short_weights, nullptr), "size of the weights is 3"));

    // Options.
    const auto options_say = [&](const auto &change, sepal_status expected = SEPAL_INVALID_ARGUMENT) {
        Options o;
        change(o);
        return create_says(&good, &weights, &o, expected);
    };
    CHECK(says(options_say([](Options &o) { o.threads = -1; }), "threads is -1"));
    CHECK(says(options_say([](Options &o) { o.threads = 100000; }), "threads is 100000"));
    CHECK(says(options_say([](Options &o) { o.kernels_count = 1; }), "kernels is null"));
    const sepal_kernels *none = nullptr;
    CHECK(says(options_say([&](Options &o) { o.kernels = &none, o.kernels_count = 1; }), "table of kernels is null"));
    const sepal_kernels old{0, 0, "old", nullptr}, *old_tables[] = {&old};
    CHECK(says(options_say([&](Options &o) { o.kernels = old_tables, o.kernels_count = 1; }, SEPAL_UNSUPPORTED), "is of version 0"));
    CHECK(says(options_say([](Options &o) { o.allocator.allocate = [](void *, size_t, size_t) -> void * { return nullptr; }; }), "only one is set"));
    CHECK(says(options_say([](Options &o) { o.output_alignment = 48; }), "output_alignment is 48"));
    CHECK(says(options_say(
        [](Options &o) {
            o.allocator.allocate = [](void *, size_t, size_t) -> void * { return nullptr; };
            o.allocator.release = [](void *, void *) {};
        },
        SEPAL_OUT_OF_MEMORY), "not enough memory"));
    std::vector<float> somewhere(100000);
    CHECK(says(options_say([&](Options &o) { o.weights_memory = reinterpret_cast<char *>(somewhere.data()) + 4, o.weights_bytes = 1 << 20; }), "not aligned to 64"));

    // Runs.
    const auto plan = make_plan(t);
    std::vector<float> output(size_t(t.problem.output_elements()));
    float *const in = const_cast<float *>(t.input.data());
    CHECK(says(said(sepal_plan_run(nullptr, in, output.data()), SEPAL_INVALID_ARGUMENT), "the pointer to the plan is null"));
    CHECK(says(said(sepal_plan_run(plan.get(), nullptr, output.data()), SEPAL_INVALID_ARGUMENT), "the pointer to the input is null"));
    CHECK(says(said(sepal_plan_run(plan.get(), in, nullptr), SEPAL_INVALID_ARGUMENT), "the pointer to the output is null"));
    CHECK(says(said(sepal_plan_run(plan.get(), in, in), SEPAL_INVALID_ARGUMENT), "input and output overlap"));
    CHECK(says(said(sepal_plan_run(plan.get(), in, in + t.input.size() - 1), SEPAL_INVALID_ARGUMENT), "input and output overlap"));
    CHECK(says(said(sepal_plan_run(plan.get(), reinterpret_cast<char *>(in) + 2, output.data()), SEPAL_INVALID_ARGUMENT), "not aligned to 4"));
    CHECK(says(said(sepal_plan_run(plan.get(), in, reinterpret_cast<char *>(output.data()) + 1), SEPAL_INVALID_ARGUMENT), "not aligned to 4"));
    CHECK(says(said(sepal_plan_run_with(plan.get(), nullptr), SEPAL_INVALID_ARGUMENT), "the pointer to the run is null"));
    sepal_run arguments;
    sepal_run_init(&arguments);
    arguments.input = in, arguments.output = output.data();
    arguments.input_bytes = t.input.size() * 4 - 1;
    CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "the input has"));
    arguments.input_bytes = t.input.size() * 4, arguments.output_bytes = output.size() * 4 - 1;
    CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "the output has"));
    arguments.output_bytes++;
    CHECK(sepal_plan_run_with(plan.get(), &arguments) == SEPAL_OK);
    CHECK(is_right(t, output));
    arguments.skip = output.data();
    CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "the problem has no residual"));
    arguments.skip = nullptr;
    arguments.workspace = output.data();
    CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "sepal_plan_workspace_bytes()"));
    CHECK(says(said(sepal_plan_workspace_bytes(nullptr, nullptr), SEPAL_INVALID_ARGUMENT), "the pointer to the plan is null"));
    CHECK(says(said(sepal_plan_workspace_bytes(plan.get(), nullptr), SEPAL_INVALID_ARGUMENT), "the pointer to the bytes is null"));

    // What takes null quietly.
    sepal_problem_init(nullptr);
    sepal_options_init(nullptr);
    sepal_run_init(nullptr);
    sepal_plan_destroy(nullptr);
    sepal_candidates_destroy(nullptr);
    CHECK(sepal_candidates_count(nullptr) == 0);
    CHECK(sepal_plan_variant(nullptr) == nullptr);
    CHECK(says(said(sepal_candidates_create(&good, nullptr, nullptr), SEPAL_INVALID_ARGUMENT), "candidates is null"));
    sepal_candidate candidate{};
    candidate.size = sizeof candidate;
    CHECK(says(said(sepal_candidates_get(nullptr, 0, &candidate), SEPAL_INVALID_ARGUMENT), "candidates is null"));
}

TEST_CASE("a residual is added before the activation", "[api]") {
    ConvProblem p = small_depsep();
    p.residual = true;
    const Tensors t = make_exact_tensors(p, 4);
    const auto plan = make_plan(t);
    CHECK(is_right(t, run(t, plan.get())));
    std::vector<float> output(size_t(p.output_elements()));
    CHECK(says(said(sepal_plan_run(plan.get(), t.input.data(), output.data()), SEPAL_INVALID_ARGUMENT), "the pointer to the skip tensor is null"));
    sepal_run arguments;
    sepal_run_init(&arguments);
    arguments.input = t.input.data(), arguments.output = output.data(), arguments.skip = output.data();
    CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "the skip tensor overlaps the output"));
    arguments.skip = t.skip.data(), arguments.skip_bytes = output.size() * 4 - 1;
    CHECK(says(said(sepal_plan_run_with(plan.get(), &arguments), SEPAL_INVALID_ARGUMENT), "the skip tensor has"));
}

TEST_CASE("the C++ API throws what the C API says", "[api]") {
    const Tensors t = make_exact_tensors(small_depsep(), 1);
    const sepal_problem problem = to_c(t.problem);
    const sepal_weights weights = to_c(t.weights());
    const sepal::api::Plan plan(problem, weights);
    const OutputShape shape = output_shape(problem);
    CHECK((shape.p == 13 && shape.q == 11 && shape.k == 40));
    std::vector<float> output(size_t(t.problem.output_elements()), NAN);
    plan.run(t.input.data(), output.data());
    CHECK(is_right(t, output));
    try {
        plan.run(t.input.data(), nullptr);
        FAIL("no exception");
    } catch (const Error &e) {
        CHECK(e.status() == SEPAL_INVALID_ARGUMENT);
        CHECK(std::string(e.what()) == "the pointer to the output is null");
    }
}

TEST_CASE("a thread that fails elsewhere does not change what this one's last error says", "[api]") {
    said(sepal_plan_run(nullptr, nullptr, nullptr), SEPAL_INVALID_ARGUMENT);
    const std::string before = sepal_last_error();
    std::thread([] { said(sepal_problem_output(nullptr, nullptr, nullptr, nullptr), SEPAL_INVALID_ARGUMENT); }).join();
    CHECK(sepal_last_error() == before);
}
