// Which schedules are refused, before anything is compiled, and in which words.
#include "catch.h"
#include "schedules/schedule_check.h"
#include "support.h"
#include "tools/compile/plan_kernels.h"

using namespace sepal;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

namespace {

Schedule derived(Operator op, Isa isa) { return derive({}, op, isa, std::nullopt); }

Schedule with(Schedule s, int Schedule::*knob, int value) {
    s.*knob = value;
    return s;
}

constexpr Operator all_operators[] = {Operator::conv2d, Operator::depthwise, Operator::pointwise, Operator::depsep};

}  // namespace

TEST_CASE("derived schedules are valid for every ISA, for any shape and for every problem of the suites", "[schedule]") {
    int checked = 0;
    for (Isa isa : {Isa::x64, Isa::avx2, Isa::avx512, Isa::neon}) {
        for (Operator op : all_operators) {
            INFO(name(op) << " " << name(isa));
            CHECK_THAT(why_not_valid(derived(op, isa), op, isa), Equals(""));
        }
        for (const std::string &suite : suite_names())
            for (const ConvProblem &p : load_suite(suite).problems) {
                INFO(p.name << " " << name(isa));
                CHECK_THAT(why_not_valid(derive({}, p.op, isa, p), p.op, isa), Equals(""));
                checked++;
            }
    }
    CHECK(checked > 300);
}

TEST_CASE("registers are counted as the schedules stage them", "[schedule]") {
    Schedule s = derived(Operator::conv2d, Isa::avx512);
    s.k_vectors = 2;
    s.q_tile = 14;
    CHECK(registers_needed(s, Operator::conv2d, Isa::avx512) == 31);  // 28 accumulators, 2 of the filter, 1 of the input
    CHECK(registers_needed(with(s, &Schedule::lanes, 32), Operator::conv2d, Isa::avx512) == 61);
    CHECK(registers_needed(with(s, &Schedule::s_unroll, 3), Operator::conv2d, Isa::avx512) == 35);  // 6 of the filter
    s.lanes = 4;
    s.q_tile = 4;
    CHECK(registers_needed(s, Operator::conv2d, Isa::x64) == 12);  // 8 + 2 + 1 and the product
    Schedule d = derived(Operator::depthwise, Isa::avx2);
    d.q_tile = 7;
    d.p_tile = 2;
    CHECK(registers_needed(d, Operator::depthwise, Isa::avx2) == 16);
    CHECK(depthwise_half_registers(d, Isa::avx2) == 2 * d.mid_q_tile + 2);
}

TEST_CASE("the widest tile that fits is allowed, the next is not", "[schedule]") {
    const struct {
        Operator op;
        Isa isa;
        int k_vectors, widest;
    } cases[] = {{Operator::conv2d, Isa::avx512, 2, 14}, {Operator::pointwise, Isa::avx512, 1, 30}, {Operator::depsep, Isa::avx2, 2, 6},
                 {Operator::conv2d, Isa::avx2, 3, 4},    {Operator::pointwise, Isa::x64, 2, 6}};
    for (const auto &c : cases) {
        Schedule s = derived(c.op, c.isa);
        s.k_vectors = c.k_vectors;
        s.q_tile = s.q_strip = c.widest;
        INFO(name(c.op) << " " << name(c.isa));
        CHECK_THAT(why_not_valid(s, c.op, c.isa), Equals(""));
        s.q_tile = s.q_strip = c.widest + 1;
        CHECK_THAT(why_not_valid(s, c.op, c.isa), Contains("\"q_tile\" is " + std::to_string(c.widest + 1)) && Contains("vector registers"));
    }
}

TEST_CASE("knobs out of their range or no multiple are named, with what was found and what is allowed", "[schedule]") {
    const struct {
        Operator op;
        int Schedule::*knob;
        int value;
        const char *found, *allowed;
    } cases[] = {
        {Operator::conv2d, &Schedule::lanes, 12, "\"lanes\" is 12", "power of two"},
        {Operator::conv2d, &Schedule::lanes, 128, "\"lanes\" is 128", "1 to 64"},
        {Operator::conv2d, &Schedule::lanes, 0, "\"lanes\" is 0", "1 to 64"},
        {Operator::depthwise, &Schedule::k_vectors, 2, "\"k_vectors\" is 2", "depthwise: 1 to 1"},
        {Operator::pointwise, &Schedule::q_tile, 0, "\"q_tile\" is 0", "1 to"},
        {Operator::conv2d, &Schedule::q_tile, -1, "\"q_tile\" is -1", "1 to"},
        {Operator::depsep, &Schedule::p_tile, 0, "\"p_tile\" is 0", "1 to"},
        {Operator::depsep, &Schedule::p_tile, 5, "\"p_tile\" is 5", "mid_q_tile 7 in the depthwise half takes 37 vector registers"},
        {Operator::depthwise, &Schedule::p_tile, 5, "p_tile 5", "takes 37 vector registers"},
        {Operator::conv2d, &Schedule::q_strip, 15, "\"q_strip\" is 15", "multiple of q_tile, which is 7"},
        {Operator::depsep, &Schedule::q_strip, 13, "\"q_strip\" is 13", "multiple of q_tile, which is 7"},
        {Operator::pointwise, &Schedule::q_strip, 0, "\"q_strip\" is 0", "1 to 65536"},
        {Operator::conv2d, &Schedule::p_strip, 0, "\"p_strip\" is 0", "1 to 65536"},
        {Operator::conv2d, &Schedule::c_block, -4, "\"c_block\" is -4", "0 to 65536"},
        {Operator::conv2d, &Schedule::c_unroll, 65, "\"c_unroll\" is 65", "1 to 64"},
        {Operator::conv2d, &Schedule::s_unroll, 0, "\"s_unroll\" is 0", "1 to 64"},
        {Operator::conv2d, &Schedule::s_unroll, 13, "and s_unroll 13 takes 41 vector registers", "32"},
        {Operator::pointwise, &Schedule::staging, 3, "\"staging\" is 3", "1 to 2"},
        {Operator::pointwise, &Schedule::read_ahead, 3, "\"read_ahead\" is 3", "1 to 2"},
        {Operator::depsep, &Schedule::k_strip, -1, "\"k_strip\" is -1", "0 to 65536"},
    };
    for (const auto &c : cases) {
        const std::string why = why_not_valid(with(derived(c.op, Isa::avx512), c.knob, c.value), c.op, Isa::avx512);
        CHECK_THAT(why, Contains(c.found) && Contains(c.allowed));
    }
    Schedule blocks = derived(Operator::conv2d, Isa::avx512);
    blocks.c_unroll = 4;
    blocks.c_block = 6;
    CHECK_THAT(why_not_valid(blocks, Operator::conv2d, Isa::avx512), Contains("\"c_block\" is 6") && Contains("c_unroll, which is 4"));
    blocks.c_block = 8;
    CHECK_THAT(why_not_valid(blocks, Operator::conv2d, Isa::avx512), Equals(""));
    const Schedule tiles = derive(with({}, &Schedule::winograd, 4), Operator::conv2d, Isa::avx512, std::nullopt);
    CHECK_THAT(why_not_valid(tiles, Operator::conv2d, Isa::avx512), Equals(""));
    const auto why = [&](int Schedule::*knob, int value) { return why_not_valid(with(tiles, knob, value), Operator::conv2d, Isa::avx512); };
    CHECK_THAT(why(&Schedule::winograd, 3), Equals("knob \"winograd\" is 3; allowed: 1, 2, 4 and 6"));
    CHECK_THAT(why(&Schedule::k_strip, 2), Equals("knob \"k_strip\" is 2; allowed with winograd 4: 0 and 1"));
    CHECK_THAT(why(&Schedule::s_unroll, 3), Equals("knob \"s_unroll\" is 3; allowed with winograd 4: 1"));
    CHECK_THAT(why(&Schedule::p_strip, 1), Contains("\"q_tile\" is 14; allowed with winograd 4: up to the 7 tiles of a block"));
}

TEST_CASE("for a problem, a tile is no larger than it, and one block of all channels is none", "[schedule]") {
    ConvProblem p;
    p.op = Operator::pointwise;
    p.h = 1;
    p.w = 5;
    p.c = p.k = 16;
    Schedule s = derive(with({}, &Schedule::q_tile, 6), p.op, Isa::avx2, p);
    CHECK_THAT(why_not_valid(s, p.op, Isa::avx2), Equals(""));
    CHECK_THAT(why_not_valid(s, p, Isa::avx2), Equals("knob \"q_tile\" is 6; allowed: up to 5, the problem's pixels"));
    p.n = 2;
    CHECK_THAT(why_not_valid(s, p, Isa::avx2), Equals(""));
    CHECK_THAT(why_not_valid(with(s, &Schedule::q_strip, 7), p, Isa::avx2), Contains("multiple of q_tile, which is 6"));
    ConvProblem d;
    d.op = Operator::depthwise;
    d.h = d.w = 9;
    d.c = 7;
    d.r = d.s = 3;
    CHECK_THAT(why_not_valid(derive({}, d.op, Isa::avx2, d), d, Isa::avx2), Equals("knob \"lanes\" is 8; allowed: up to 7, the problem's channels"));
    ConvProblem odd = d;
    odd.op = Operator::conv2d;
    odd.c = 27;
    odd.k = 16;
    s = derive({}, odd.op, Isa::avx2, odd);
    REQUIRE(s.c_unroll == 2);
    s.c_block = 27;
    CHECK_THAT(why_not_valid(s, odd.op, Isa::avx2), Contains("\"c_block\" is 27"));
    CHECK_THAT(why_not_valid(s, odd, Isa::avx2), Equals(""));
    s.c_block = 9;
    CHECK_THAT(why_not_valid(s, odd, Isa::avx2), Contains("\"c_block\" is 9"));
}

TEST_CASE("the planner refuses such a row with the table, the row and the knob in one sentence", "[schedule]") {
    const TemporaryFolder folder;
    const auto table = [&](const std::string &row) { return folder.write("variants.json", "{\"variants\": [" + row + "]}"); };
    const std::string good = R"({"op": "conv2d", "isa": ["avx512"], "scheduler": "hand", "knobs": {"q_tile": 10, "q_strip": 20}})";
    CHECK(plan_kernels(table(good), {Isa::avx512}).size() == 1);
    const std::string bad = R"({"op": "conv2d", "isa": ["avx512"], "scheduler": "hand", "knobs": {"q_tile": 10, "q_strip": 25}})";
    const std::string sentence = bad_input([&] { plan_kernels(table(good + "," + bad), {Isa::avx512}); });
    CHECK_THAT(sentence, Equals(folder.path("variants.json") + ": variant 1: for avx512: knob \"q_strip\" is 25; allowed: a multiple of q_tile, which is 10"));
    CHECK(plan_kernels(table(bad), {Isa::avx2}).empty());  // a row for another ISA is not planned
    const std::string suite = R"({"op": "conv2d", "isa": ["avx512"], "scheduler": "hand", "suite": "halide_questions", "knobs": {"q_tile": 20}})";
    CHECK_THAT(bad_input([&] { plan_kernels(table(suite), {Isa::avx512}); }),
               Contains("problem \"conv2d.n5\"") && Contains("\"q_tile\" is 20") && Contains("43 vector registers"));
}
