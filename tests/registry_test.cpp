// The table of variants and the choice from it.
#include "catch.h"
#include "support.h"
#include "tools/selection.h"

#include <cstdlib>
#include <cstring>
#include <set>

using namespace sepal;

namespace {

Cpu cpu_up_to(Isa isa) {
    Cpu cpu;
    cpu.best = isa;
    return cpu;
}

// Sets SEPAL_MAX_ISA for as long as it lives.
struct MaxIsa {
    std::string before;
    bool had = false;
    explicit MaxIsa(const char *value) {
        if (const char *old = std::getenv("SEPAL_MAX_ISA")) before = old, had = true;
        setenv("SEPAL_MAX_ISA", value, 1);
    }
    ~MaxIsa() { had ? setenv("SEPAL_MAX_ISA", before.c_str(), 1) : unsetenv("SEPAL_MAX_ISA"); }
};

}  // namespace

TEST_CASE("variants have different names that begin with their fields, and are found by them", "[registry]") {
    const Registry &all = Registry::builtin();
    REQUIRE(all.size() > 0);
    std::set<std::string> names;
    for (const Variant &v : all) {
        INFO(v.name);
        CHECK(names.insert(v.name).second);
        CHECK(all.find(v.name) == &v);
        std::string prefix;
        for (std::string_view field : {name(v.op), name(v.dtype), name(v.layout), name(v.isa), std::string_view(v.scheduler)})
            prefix += (prefix.empty() ? "" : "_") + std::string(field);
        const std::string text = v.name;
        CHECK(text.compare(0, prefix.size(), prefix) == 0);
        CHECK((text.size() == prefix.size() || text[prefix.size()] == '_'));
        CHECK((v.kernel != nullptr) == (*v.error == '\0'));
    }
    CHECK(all.find("nonesuch") == nullptr);
    CHECK(all.find("") == nullptr);
}

TEST_CASE("the last variant of each operator, type and layout is the reference, which takes everything and is built; so is one for those with a residual",
          "[registry]") {
    for (Operator op : {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep})
        for (DType dtype : {DType::f32, DType::f16})
            for (Layout layout : {Layout::nhwc, Layout::nchw}) {
                const Variant *last = nullptr, *adding = nullptr;
                for (const Variant &v : Registry::builtin()) {
                    if (v.op != op || v.dtype != dtype || v.layout != layout) continue;
                    last = &v;
                    if (v.residual) adding = &v;
                }
                INFO(name(op) << " " << name(dtype) << " " << name(layout));
                REQUIRE(last);
                CHECK(last->is_reference());
                CHECK(last->isa == Isa::x64);
                CHECK(last->when_count == 0);
                CHECK(last->kernel != nullptr);
                REQUIRE((adding != nullptr) == (op != Operator::depthwise));
                if (!adding) continue;
                CHECK(adding->is_reference());
                CHECK(adding->kernel != nullptr);
                CHECK(adding->when_count == 1);  // the residual
            }
}

TEST_CASE("select takes the first that is built, runs on the CPU and takes the problem, and always answers", "[registry]") {
    for (Isa isa : cpu_isas)
        for (uint32_t seed = 1; seed <= 200; seed++) {
            ConvProblem p = random_problem(seed);
            if (seed % 4 == 0) p.dtype = DType::f16;
            if (seed % 3 == 0) p.layout = Layout::nchw;
            const Variant *first = nullptr;
            for (const Variant &v : Registry::builtin())
                if (!first && v.kernel && v.is_for(1) && v.refuses(p).empty() && int(v.isa) <= int(isa)) first = &v;
            INFO(p.key());
            REQUIRE(first);
            CHECK(Registry::builtin().select(p, cpu_up_to(isa), 1) == first);
        }
}

// Filters of kernels for GPUs are packed on the CPU, whichever it is.
Isa packing_isa(const Variant &v) { return is_gpu(v.isa) ? Isa::x64 : v.isa; }

TEST_CASE("the table says which layout a variant reads and what packs it", "[registry]") {
    std::set<std::string> layouts;
    for (const Variant &v : Registry::builtin()) {
        INFO(v.name);
        const std::string layout = v.filter_layout.text();
        layouts.insert(layout);
        CHECK((layout == "as_given") == (v.op == Operator::depthwise));
        CHECK((v.packer == nullptr) == (layout == "as_given"));
        CHECK((layout.find("winograd4_panels") == 0) == (std::string(v.name).find("_wm4") != std::string::npos));
        if (!v.is_hand_scheduled() && v.op != Operator::depthwise) CHECK(layout == "one_panel");
        for (const Variant &other : Registry::builtin())  // one packer for each kind of layout, type and ISA
            if (v.packer && v.packer == other.packer) CHECK((packing_isa(v) == packing_isa(other) && v.dtype == other.dtype && v.filter_layout.tile == other.filter_layout.tile));
    }
    CHECK(layouts.size() >= 4);
}

TEST_CASE("select never picks a variant whose error is above the problem's", "[registry]") {
    ConvProblem p;
    p.op = Operator::conv2d;
    p.h = p.w = 28, p.c = p.k = 128, p.r = p.s = 3;
    const Variant *const free = Registry::builtin().select(p, cpu_up_to(Isa::avx2), 1);
    REQUIRE(free);
    CHECK(free->filter_layout.tile == 4);
    CHECK(free->rel_error(p) > 2.4e-6);  // what was measured
    p.max_rel_error = 3e-6;
    CHECK_THAT(free->refuses(p), Catch::Contains("has a relative error of 4.5e-06 on 128 channels, the problem allows 3e-06"));
    const Variant *const exact = Registry::builtin().select(p, cpu_up_to(Isa::avx2), 1);
    REQUIRE(exact);
    CHECK(exact->rel_error(p) == 0);
}

TEST_CASE("variants specialised to a suite take one of its problems", "[registry]") {
    for (const Variant &v : Registry::builtin()) {
        if (!*v.suite) continue;
        int taken = 0;
        for (const ConvProblem &p : load_suite(v.suite).problems) taken += v.refuses(p).empty();
        INFO(v.name);
        CHECK(taken > 0);
    }
}

TEST_CASE("a table of one's own is searched in order, passing over what is not built or refuses", "[registry]") {
    const KernelFunction kernel = [](void **) { return 0; };
    Variant rows[4];
    for (Variant &v : rows) v.op = Operator::pointwise, v.kernel = kernel;
    rows[0].name = "not_built";
    rows[0].kernel = nullptr;
    rows[0].error = "no";
    rows[1].name = "wide";
    rows[1].isa = Isa::avx512;
    rows[2].name = "many";
    rows[2].when[0] = {Field::c, Condition::Relation::at_least, 16};
    rows[2].when_count = 1;
    rows[3].name = "any";
    const Registry table(rows, 4);
    ConvProblem p;
    p.op = Operator::pointwise;
    p.pad_mode = PadMode::valid;
    p.h = p.w = 4;
    p.k = 3;
    p.c = 16;
    CHECK(table.select(p, cpu_up_to(Isa::avx512), 1) == &rows[1]);
    CHECK(table.select(p, cpu_up_to(Isa::avx2), 1) == &rows[2]);
    p.c = 15;
    CHECK(table.select(p, cpu_up_to(Isa::avx2), 1) == &rows[3]);
    CHECK(rows[2].refuses(p) == "needs c >= 16, the problem has 15");
    p.op = Operator::conv2d;
    CHECK(table.select(p, cpu_up_to(Isa::avx512), 1) == nullptr);
    CHECK(rows[3].refuses(p) == "is a pointwise kernel, the problem is conv2d");
}

TEST_CASE("a GPU gets the variants of its backend, a CPU none of them", "[registry]") {
    Variant rows[4];
    for (Variant &v : rows) v.op = Operator::pointwise, v.kernel = [](void **) { return 0; };
    const Isa isas[] = {Isa::opencl, Isa::sm80, Isa::x64, Isa::sm80};
    const char *const names[] = {"on_opencl", "on_cuda", "on_cpu", "on_cuda_too"};
    for (int i = 0; i < 4; i++) rows[i].isa = isas[i], rows[i].name = names[i];
    const Registry table(rows, 4);
    ConvProblem p;
    p.op = Operator::pointwise;
    p.h = p.w = p.c = p.k = 4;
    CHECK(table.select(p, Processor(Backend::opencl), 1) == &rows[0]);
    CHECK(table.select(p, Processor(Backend::cuda), 1) == &rows[1]);
    CHECK(table.select(p, cpu_up_to(Isa::avx512), 1) == &rows[2]);
    CHECK(Registry(rows, 2).select(p, cpu_up_to(Isa::avx512), 1) == nullptr);
    CHECK(why_none(p, Registry(rows, 1), Processor(Backend::cuda)) == "no cuda kernel takes f32");
    ConvProblem planes = p;
    planes.layout = Layout::nchw;
    CHECK(table.select(planes, Processor(Backend::cuda), 1) == nullptr);
    CHECK(why_none(planes, table, Processor(Backend::cuda)) == "no cuda kernel takes nchw");

    size_t others = 0;
    CHECK(variants_matching(table, "on_*", Processor(Backend::cuda), others) == std::vector<const Variant *>{&rows[1], &rows[3]});
    CHECK(others == 2);
    CHECK(bad_input([&] { (void)variants_matching(table, "on_cuda*", Processor(Backend::opencl), others); }) ==
          "--variants \"on_cuda*\" matches variants for another device only: on_cuda runs on --device cuda, not on opencl");
}

TEST_CASE("a tuned variant is selected on as many threads as it was tuned for", "[registry]") {
    Variant rows[4];
    for (Variant &v : rows) v.op = Operator::pointwise, v.kernel = [](void **) { return 0; };
    rows[0].tuned_threads = 1;
    rows[1].tuned_threads = 4;
    rows[2].suite = "s";
    const Registry table(rows, 4);
    ConvProblem p;
    p.op = Operator::pointwise;
    p.h = p.w = p.c = p.k = 4;
    const auto selected = [&](int threads) { return table.select(p, cpu_up_to(Isa::x64), threads) - rows; };
    CHECK(selected(1) == 0);
    CHECK(selected(2) == 2);
    CHECK(selected(4) == 1);
    CHECK(table.select(p, cpu_up_to(Isa::x64), 1, [](const Variant &v) { return *v.suite == '\0' && v.tuned_threads == 0; }) == &rows[3]);
    CHECK(table.select(p, cpu_up_to(Isa::x64), 2, [](const Variant &v) { return v.tuned_threads != 0; }) == nullptr);
    for (const Variant &v : rows) CHECK(v.refuses(p).empty());  // it is right on any number of threads
}

TEST_CASE("conditions look at the field they name", "[registry]") {
    ConvProblem p = random_problem(1);
    for (int i = 0; i < field_count; i++) {
        const Field field = Field(i);
        CHECK(field_from_name(name(field)) == field);
        CHECK(!token(field).empty());
        const int64_t v = value(p, field);
        CHECK(Condition{field, Condition::Relation::equal, v}.holds(p));
        CHECK(!Condition{field, Condition::Relation::equal, v + 1}.holds(p));
        CHECK(Condition{field, Condition::Relation::at_least, v}.holds(p));
        CHECK(!Condition{field, Condition::Relation::at_least, v + 1}.holds(p));
        CHECK(Condition{field, Condition::Relation::at_most, v}.holds(p));
        CHECK(!Condition{field, Condition::Relation::at_most, v - 1}.holds(p));
    }
    CHECK(!field_from_name("nonesuch"));
}

TEST_CASE("SEPAL_MAX_ISA imitates a lesser CPU", "[registry]") {
    {
        const MaxIsa masked("x64");
        CHECK(Cpu::detect().best == Isa::x64);
    }
    {
        const MaxIsa masked("mmx");
        CHECK_THROWS_AS(Cpu::detect(), std::invalid_argument);
    }
    for (Isa isa : cpu_isas) {
        CHECK(isa_from_name(name(isa)) == isa);
        CHECK(lanes_f32(isa) >= 4);
        const MaxIsa masked(std::string(name(isa)).c_str());
        CHECK(int(Cpu::detect().best) <= int(isa));
    }
}

TEST_CASE("CPUs run the ISAs of their own family only", "[registry]") {
    for (Isa isa : cpu_isas) {
        CHECK(Cpu{isa}.runs(isa));
        CHECK_FALSE(Cpu{isa}.runs(Isa::neon));
        CHECK_FALSE(Cpu{Isa::neon}.runs(isa));
        CHECK_FALSE(Processor(Cpu{isa}).runs(Isa::neon));
        CHECK_FALSE(Processor(Cpu{Isa::neon}).runs(isa));
    }
    CHECK(Cpu{Isa::neon}.runs(Isa::neon));
    CHECK(isa_from_name("neon") == Isa::neon);
    CHECK_FALSE(cpu_isa_from_name("neon"));
    const MaxIsa masked("neon");
    CHECK_THROWS_WITH(Cpu::detect(), Catch::Contains("allowed: x64, avx2, avx512"));
    CHECK(halide_target(Isa::neon) == "arm-64-linux");
    CHECK(halide_target(Isa::avx2, Os::windows) == "x86-64-windows-avx-avx2-f16c-fma-sse41");
    CHECK(os_from_name("windows") == Os::windows);
    CHECK_FALSE(os_from_name("plan9"));
}

TEST_CASE("a variant of another type refuses, and where there is none of a type that is said", "[registry]") {
    ConvProblem p;
    p.op = Operator::pointwise;
    p.h = p.w = 3, p.c = 5, p.k = 2, p.pad_mode = PadMode::valid;
    const Variant *const floats = Registry::builtin().select(p, cpu_up_to(Isa::x64), 1);
    REQUIRE(floats);
    p.dtype = DType::f16;
    CHECK(floats->refuses(p) == "takes f32, the problem is f16");
    CHECK(Registry::builtin().select(p, cpu_up_to(Isa::x64), 1)->dtype == DType::f16);
    const Registry only_floats(floats, 1);
    CHECK(only_floats.select(p, cpu_up_to(Isa::x64), 1) == nullptr);
    CHECK(why_none(p, only_floats, cpu_up_to(Isa::x64)) == "no CPU kernel takes f16");
    p.dtype = DType::f32;
    CHECK(why_none(p, only_floats, cpu_up_to(Isa::x64)) == "no variant takes it");
}

TEST_CASE("a variant adds a residual or does not, and refuses the other problems", "[registry]") {
    int with = 0;
    for (const Variant &v : Registry::builtin()) {
        INFO(v.name);
        const std::string text = v.name;
        CHECK(v.residual == (text.find("_res1") != std::string::npos));
        CHECK(!(v.residual && v.op == Operator::depthwise));
        with += v.residual;
    }
    CHECK(with > 0);
    ConvProblem p;
    p.op = Operator::pointwise;
    p.h = p.w = 6, p.c = 5, p.k = 2, p.pad_mode = PadMode::valid;
    const Variant *const plain = Registry::builtin().select(p, cpu_up_to(Isa::x64), 1);
    p.residual = true;
    const Variant *const adding = Registry::builtin().select(p, cpu_up_to(Isa::x64), 1);
    REQUIRE((plain && adding));
    CHECK(adding->residual);
    CHECK(plain->refuses(p) == "adds no residual, the problem has one");
    Status status;
    std::vector<float> filter(10), input(180), output(72), skip(72);
    const Weights weights = {filter.data(), nullptr, nullptr, nullptr};
    CHECK(!Plan::create(p, *plain, weights, status));
    CHECK(status.code == Status::Code::unsupported);
    CHECK(status.message.find("adds no residual, the problem has one") != std::string::npos);
    CHECK(Registry::builtin().select(p, Processor(Backend::cuda), 1) == nullptr);
    CHECK(why_none(p, Registry(plain, 1), cpu_up_to(Isa::x64)) == "no CPU kernel adds a residual");

    const auto plan = Plan::create(p, *adding, weights, status);
    REQUIRE(plan);
    const auto refused = [&](const Plan &of, const void *added) {
        const Status s = of.run(input.data(), output.data(), added);
        CHECK(s.code == Status::Code::invalid_argument);
        return s.message;
    };
    CHECK(plan->run(input.data(), output.data(), skip.data()).message == "");
    CHECK(refused(*plan, nullptr) == "the pointer to the skip tensor is null, but the problem has a residual");
    CHECK_THAT(refused(*plan, output.data()), Catch::Contains("the skip tensor overlaps the output"));
    CHECK_THAT(refused(*plan, output.data() + 71), Catch::Contains("the skip tensor overlaps the output"));
    p.residual = false;
    CHECK(adding->refuses(p) == "adds a residual, the problem has none");
    const auto without = Plan::create(p, *plain, weights, status);
    REQUIRE(without);
    CHECK(refused(*without, skip.data()) == "a skip tensor is given, but the problem has no residual; leave it out");
}

TEST_CASE("a plan refuses what it cannot do, with the reason", "[registry]") {
    ConvProblem p = random_problem(3);
    const Tensors t = make_exact_tensors(p, 1);
    const Variant &reference = *Registry::builtin().select(p, cpu_up_to(Isa::x64), 1);
    Status status;
    CHECK(Plan::create(p, reference, t.weights(), status));
    CHECK(status.ok());
    CHECK(!Plan::create(p, reference, Weights(), status));
    CHECK(status.code == Status::Code::invalid_argument);
    CHECK(status.message.find("filter") != std::string::npos);
    ConvProblem bad = p;
    bad.h = -1;
    CHECK(!Plan::create(bad, reference, t.weights(), status));
    CHECK(status.message.find("\"h\"") != std::string::npos);
    Variant unbuilt = reference;
    unbuilt.kernel = nullptr;
    unbuilt.error = "the reason";
    CHECK(!Plan::create(p, unbuilt, t.weights(), status));
    CHECK(status.message.find("the reason") != std::string::npos);
    Variant picky = reference;
    picky.when[0] = {Field::c, Condition::Relation::equal, p.c + 1};
    picky.when_count = 1;
    CHECK(!Plan::create(p, picky, t.weights(), status));
    CHECK(status.code == Status::Code::unsupported);
    CHECK(Plan::create(p, reference, t.weights(), status)->run(nullptr, nullptr).code == Status::Code::invalid_argument);
}
