#include "passes/load_ahead.h"

#include "catch.h"

#include <sstream>

using namespace Halide;
using namespace Halide::Internal;

namespace {

Expr var(const char *name) { return Variable::make(Int(32), name); }
Expr four(const Expr &base) { return Ramp::make(base, 1, 4); }
Stmt serial(const char *name, const Stmt &body) { return For::make(name, 0, 3, ForType::Serial, Partition::Auto, DeviceAPI::None, body); }

// Copies 4 values of a step to "staged" and uses them.
Stmt step_of(const Expr &index) {
    const Expr loaded = Load::make(Float(32, 4), "in", four(index), Buffer<>(), Parameter(), const_true(4), ModulusRemainder());
    const Stmt copy = Store::make("staged", loaded, four(0), Parameter(), const_true(4), ModulusRemainder());
    const Expr used = Load::make(Float(32), "staged", 0, Buffer<>(), Parameter(), const_true(), ModulusRemainder());
    const Stmt use = Store::make("out", used, 0, Parameter(), const_true(), ModulusRemainder());
    return Block::make(ProducerConsumer::make_produce("staged", copy), ProducerConsumer::make_consume("staged", use));
}

std::string ahead(const Stmt &s, const std::string &staged = "staged") {
    std::ostringstream text;
    text << sepal::LoadAhead({staged}).mutate(s);
    return text.str();
}

// Whether the parts stand in the text, one after another.
void check_in_turn(const std::string &text, const std::vector<std::string> &parts) {
    INFO(text);
    size_t at = 0;
    for (const std::string &part : parts) {
        INFO(part);
        const size_t found = text.find(part, at);
        REQUIRE(found != std::string::npos);
        at = found + part.size();
    }
}

}  // namespace

TEST_CASE("what a step copies is loaded in the step before, the first before the loop", "[load_ahead]") {
    const std::string text = ahead(serial("acc.channels", step_of(var("acc.channels") * 4)));
    check_in_turn(text, {"allocate staged.ahead", "[float32 * 4] in Register", "ahead", "= (float32x4)in[ramp(0*4", "for (acc.channels", "produce staged", "staged[ramp(0, 1, 4)] = staged.ahead",
                         "consume staged", "if ((acc.channels + 1) < (0 + 3))", "in[ramp((acc.channels + 1)*4", "out[0] = "});
}

TEST_CASE("rows of taps are one sequence: only its first is loaded beforehand, and nothing after its last", "[load_ahead]") {
    const Stmt inner = serial("acc.sum$y", step_of(var("row") + var("acc.sum$y") * 4));
    const std::string text = ahead(serial("acc.sum$z", LetStmt::make("row", var("acc.sum$z") * 12, inner)));
    check_in_turn(text, {"allocate staged.ahead", "for (acc.sum$z", "let row = acc.sum$z*12", "if (acc.sum$z == 0)", "in[ramp(row + (0*4)", "for (acc.sum$y",
                         "if (((acc.sum$y + 1) < (0 + 3)) || ((acc.sum$z + 1) < (0 + 3)))", "in[ramp(row + ((acc.sum$y + 1)*4)"});
    const Stmt apart = serial("acc.sum$y", step_of(var("acc.sum$z") * 16 + var("acc.sum$y") * 4));
    std::string why;
    try {
        ahead(serial("acc.sum$z", apart));
    } catch (const CompileError &error) {
        why = error.what();
    }
    CHECK_THAT(why, Catch::Matchers::Contains("the taps of staged do not follow each other"));
}

TEST_CASE("other stages stay as they are", "[load_ahead]") {
    const Stmt s = serial("acc.channels", step_of(var("acc.channels") * 4));
    std::ostringstream before;
    before << s;
    CHECK(ahead(s, "another") == before.str());
}
