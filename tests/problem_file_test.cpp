// Problem files: what they mean, and one clear sentence for everything that is wrong with them.
#include "catch.h"
#include "support.h"
#include "tools/problem_file.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>
#include <unistd.h>

using namespace sepal;

namespace {

ConvProblem parse_one(const std::string &fields) {
    return parse_problem_set("{\"problems\": [{" + fields + "}]}", "p.json").problems.at(0);
}

const std::string conv = R"("name": "a", "op": "conv2d", "h": 8, "w": 9, "c": 6, "k": 4, "r": 3, "s": 3)";

struct BadCase {
    std::string json;
    std::vector<std::string> parts;  // of the sentence, beside the file's name
};

void check_bad(const BadCase &bad) {
    const std::string sentence = bad_input([&] { parse_problem_set(bad.json, "p.json"); });
    INFO(bad.json);
    INFO(sentence);
    CHECK(sentence.compare(0, 6, "p.json") == 0);
    for (const std::string &part : bad.parts) CHECK(sentence.find(part) != std::string::npos);
}

// `conv` with the named field replaced (or added, or removed where `value` is empty).
std::string with(const std::string &field, const std::string &value) {
    nlohmann::ordered_json o = nlohmann::ordered_json::parse("{" + conv + "}");
    o.erase(field);
    if (!value.empty()) o[field] = nlohmann::json::parse(value);
    return nlohmann::ordered_json{{"problems", {o}}}.dump();
}

}  // namespace

TEST_CASE("defaults of a problem file", "[problem_file]") {
    const ConvProblem p = parse_one(conv);
    CHECK(p.name == "a");
    CHECK(p.key() == "conv2d n1 h8 w9 c6 k4 r3 s3 st1x1 di1x1 pad1,1,1,1 g1 m1 f32 nhwc out:none");
    CHECK(parse_one(R"("op": "depthwise", "h": 8, "w": 9, "c": 6, "r": 3, "s": 3)").out_channels() == 6);
    CHECK(p.max_rel_error == 1e-4);
    CHECK(!p.residual);
    CHECK(parse_one(std::string(conv) + R"(, "residual": true)").key() == p.key() + " residual");
    CHECK(parse_one(std::string(conv) + R"(, "residual": false)").key() == p.key());
    CHECK(to_json(p).find("residual") == std::string::npos);
    CHECK(parse_one(std::string(conv) + R"(, "max_rel_error": 1e-6)").key() == p.key() + " error:1e-06");
    const ConvProblem pointwise = parse_one(R"("op": "pointwise", "h": 8, "w": 9, "c": 6, "k": 2)");
    CHECK(pointwise.name == "problem0");
    CHECK(pointwise.pad() == Padding{});
    CHECK(pointwise.pad_mode == PadMode::valid);
}

TEST_CASE("every field of a problem file arrives", "[problem_file]") {
    const ConvProblem p =
        parse_one(R"("name": "all", "op": "depsep", "n": 2, "h": 8, "w": 9, "c": 6, "k": 4, "r": 3, "s": 5, "stride": [2, 1],
        "dilation": [1, 2], "pad": [0, 1, 2, 3], "groups": 1, "multiplier": 2, "dtype": "f32", "layout": "nhwc", "bias": true,
        "mid_bias": true, "activation": "relu6", "mid_activation": "hardswish", "published": {"x": 1})");
    CHECK(p.key() == "depsep n2 h8 w9 c6 k4 r3 s5 st2x1 di1x2 pad0,1,2,3 g1 m2 f32 nhwc mid:bias+hardswish out:bias+relu6");
    CHECK(parse_one(conv + R"(, "layout": "nchw")").layout == Layout::nchw);
    const ConvProblem both = parse_one(conv + R"(, "stride": 2, "dilation": 3, "pad": "valid")");
    CHECK(both.stride_h == 2);
    CHECK(both.stride_w == 2);
    CHECK(both.dilation_h == 3);
    CHECK(both.dilation_w == 3);
    CHECK(both.pad_mode == PadMode::valid);
}

TEST_CASE("a problem written as JSON is read back equal", "[problem_file]") {
    for (uint32_t seed = 1; seed <= 200; seed++) {
        ConvProblem p = random_problem(seed);
        if (seed % 2 == 0) p.dtype = DType::f16;
        const ConvProblem back = parse_problem_set("{\"problems\": [" + to_json(p) + "]}", "p.json").problems.at(0);
        CHECK(back.key() == p.key());
        CHECK(back.name == p.name);
    }
    ConvProblem quoted = random_problem(1);
    quoted.name = "it's \"quoted\" \\ \u00e9";
    CHECK(parse_problem_set("{\"problems\": [" + to_json(quoted) + "]}", "p.json").problems.at(0).name == quoted.name);
}

TEST_CASE("fields with a bad value are named, with what was found and what is allowed", "[problem_file]") {
    const BadCase cases[] = {
        {with("h", "-3"), {"problems[0]", "\"a\"", "\"h\"", "-3", "allowed"}},
        {with("max_rel_error", "-1e-6"), {"problems[0]", "\"max_rel_error\" is -1e-06", "0 to 1"}},
        {with("max_rel_error", "2"), {"\"max_rel_error\" is 2", "0 to 1"}},
        {with("max_rel_error", "\"little\""), {"\"max_rel_error\"", "little", "a number"}},
        {with("h", "1.5"), {"\"h\"", "1.5", "integer"}},
        {with("h", "2.0"), {"\"h\"", "2.0", "integer"}},
        {with("h", "\"8\""), {"\"h\"", "is \"8\""}},
        {with("h", "null"), {"\"h\"", "null"}},
        {with("h", "true"), {"\"h\"", "true"}},
        {with("h", "1e300"), {"\"h\"", "1e+300"}},
        {with("h", "18446744073709551615"), {"\"h\"", "18446744073709551615"}},
        {with("h", "99999999999999999999999"), {"\"h\""}},
        {with("h", ""), {"\"h\"", "missing"}},
        {with("op", ""), {"\"op\"", "missing", "conv2d, depthwise, pointwise, depsep"}},
        {with("k", ""), {"\"k\"", "missing"}},
        {with("r", ""), {"\"r\"", "missing"}},
        {with("s", ""), {"\"s\"", "missing"}},
        {with("op", "\"conv3d\""), {"\"op\"", "conv3d", "conv2d, depthwise, pointwise, depsep"}},
        {with("dtype", "\"f64\""), {"\"dtype\"", "f64", "f32, f16"}},
        {with("layout", "\"nwhc\""), {"\"layout\"", "nwhc", "nhwc, nchw"}},
        {with("activation", "\"tanh\""), {"\"activation\"", "tanh", "none, relu, relu6, hardswish"}},
        {with("activation", "1"), {"\"activation\"", "1"}},
        {with("bias", "1"), {"\"bias\"", "1", "true, false"}},
        {with("stride", "[1]"), {"\"stride\"", "[1]", "[height, width]"}},
        {with("stride", "[1, 1, 1]"), {"\"stride\"", "[1,1,1]"}},
        {with("stride", "\"fast\""), {"\"stride\"", "fast"}},
        {with("stride", "[0, 1]"), {"\"stride[0]\"", "0"}},
        {with("dilation", "0"), {"\"dilation[0]\"", "0"}},
        {with("pad", "\"SAME\""), {"\"pad\"", "SAME", "\"same\", \"valid\", [top, left, bottom, right]"}},
        {with("pad", "[1, 1]"), {"\"pad\"", "[1,1]"}},
        {with("pad", "1"), {"\"pad\"", "1"}},
        {with("pad", "[\"same\", 1, 1, 1]"), {"\"pad\""}},
        {with("pad", "[1, 1, 1, -1]"), {"pad[3]", "-1"}},
        {with("padding", "[1, 1, 1, 1]"), {"\"padding\"", "\"pad\" alone"}},
        {with("pad_top", "1"), {"\"pad_top\"", "\"pad\" alone"}},
        {with("kernel", "3"), {"\"kernel\"", "unknown", "dilation"}},
        {with("groups", "4"), {"\"groups\"", "4", "c = 6"}},
        {with("multiplier", "2"), {"\"multiplier\"", "2"}},
        {with("name", "7"), {"problems[0]", "\"name\"", "7"}},
        {with("name", "\"\""), {"problems[0]", "\"name\""}},
        {with("name", "\"a\\nb\""), {"problems[0]", "\"name\"", "control"}},
        {with("occurs", "0"), {"problems[0]", "\"a\"", "\"occurs\"", "is 0", "1 to 1000000"}},
        {with("occurs", "-2"), {"\"occurs\"", "is -2", "1 to 1000000"}},
        {with("occurs", "1000001"), {"\"occurs\"", "1000001", "1 to 1000000"}},
        {with("occurs", "18446744073709551615"), {"\"occurs\"", "18446744073709551615", "1 to 1000000"}},
        {with("occurs", "1.5"), {"\"occurs\"", "1.5", "integer"}},
        {with("occurs", "\"2\""), {"\"occurs\"", "is \"2\"", "integer"}},
        {with("occurs", "null"), {"\"occurs\"", "null", "integer"}},
    };
    for (const BadCase &bad : cases) check_bad(bad);
}

TEST_CASE("problems that say how often they occur make a network", "[problem_file]") {
    const auto parse = [](const std::string &problems) { return parse_problem_set("{\"problems\": [" + problems + "]}", "p.json"); };
    const std::string plain = R"({"name": "p", "op": "pointwise", "h": 1, "w": 1, "c": 2, "k": 3})";
    const std::string thrice = R"({"name": "q", "op": "pointwise", "h": 1, "w": 1, "c": 2, "k": 3, "occurs": 3})";
    CHECK(parse(plain).occurs == std::vector<int64_t>{1});
    CHECK(!parse(plain).network);
    CHECK(parse(plain + "," + thrice).occurs == std::vector<int64_t>{1, 3});
    CHECK(parse(plain + "," + thrice).network);
    const TemporaryFolder folder;
    const std::string file = folder.write("p.json", "{\"problems\": [" + plain + "," + thrice + "]}");
    CHECK(problems_matching(file, "", "q").occurs == std::vector<int64_t>{3});
    CHECK(problems_matching(file, "", "p").network);
}

TEST_CASE("files with a bad form are refused", "[problem_file]") {
    const std::string one = "{" + conv + "}";
    const BadCase cases[] = {
        {"", {"empty"}},
        {" \n", {"empty"}},
        {"[]", {"[]", "problems"}},
        {"{}", {"\"problems\"", "missing"}},
        {"{\"problems\": []}", {"\"problems\"", "[]", "one problem or more"}},
        {"{\"problems\": {}}", {"\"problems\"", "{}"}},
        {"{\"problems\": [3]}", {"problems[0]", "3", "object"}},
        {"{\"problems\": [" + one + "], \"extra\": 1}", {"\"extra\"", "unknown"}},
        {"{\"problems\": [" + one + ", " + one + "]}", {"problems[1]", "\"name\"", "\"a\""}},
        {"{\"problems\": [{" + conv + ", \"h\": 9}]}", {"\"h\"", "twice"}},
        {"{\"problems\": [" + one + "]", {"not valid JSON", "line 1"}},
        {"{\"problems\":\n [{\"name\": \"a\",\n \"h\": 0x10}]}", {"not valid JSON", "line 3, column 8"}},
        {"{\"problems\": [" + one + "]} trailing", {"not valid JSON"}},
        {"{\"problems\": [" + one + ",]}", {"not valid JSON"}},
        {"{\"problems\": [{\"name\": \"\xff\xfe\"}]}", {"not valid JSON", "UTF-8"}},
        {std::string("\0\0\0\0", 4), {"not valid JSON"}},
        {std::string(100000, '['), {"not valid JSON"}},
        {"{\"suite\": 3, \"problems\": [" + one + "]}", {"\"suite\"", "3"}},
    };
    for (const BadCase &bad : cases) check_bad(bad);
    // Cut anywhere, it is still one sentence.
    const std::string whole = "{\"problems\": [" + one + "]}";
    for (size_t cut = 0; cut < whole.size(); cut++) check_bad({whole.substr(0, cut), {}});
}

TEST_CASE("files that cannot be read are named with the reason", "[problem_file]") {
    const TemporaryFolder folder;
    const auto sentence = [](const std::string &path) { return bad_input([&] { load_problem_file(path); }); };
    CHECK(sentence(folder.path("absent.json")) == folder.path("absent.json") + ": cannot be read: No such file or directory");
    CHECK(sentence(folder.path(".")).find("directory") != std::string::npos);
    CHECK(sentence("/dev/zero").find("bytes allowed") != std::string::npos);
    const std::string locked = folder.write("locked.json", "{}");
    std::filesystem::permissions(locked, std::filesystem::perms::none);
    if (geteuid() != 0) CHECK(sentence(locked).find("Permission denied") != std::string::npos);
    CHECK(load_problem_file(folder.write("good.json", "{\"problems\": [{" + conv + "}]}")).problems.size() == 1);
}

TEST_CASE("the suites are part of the program", "[problem_file]") {
    std::set<std::string> names;
    for (const std::string &name : suite_names()) {
        const ProblemSet set = load_suite(name);
        names.insert(name);
        CHECK(set.suite == name);
        CHECK(!set.title.empty());
        CHECK(set.published.size() == set.problems.size());
        CHECK(set.occurs.size() == set.problems.size());
    }
    for (const char *name : {"microbenchmark", "channel_sweep", "halide_questions"}) CHECK(names.count(name) == 1);
    const ProblemSet micro = load_suite("microbenchmark");
    const ProblemSet half = load_suite("microbenchmark_f16");
    REQUIRE(half.problems.size() == micro.problems.size());
    for (size_t i = 0; i < half.problems.size(); i++) {
        ConvProblem p = half.problems[i];
        CHECK(p.dtype == DType::f16);
        p.dtype = DType::f32;
        CHECK(to_json(p) == to_json(micro.problems[i]));  // the same, in half precision
        CHECK(half.published[i].find("Xeon") == std::string::npos);
        CHECK((half.published[i].find("V100") != std::string::npos) == (micro.published[i].find("V100") != std::string::npos));
        CHECK((half.published[i].find("TPUv2 chip") != std::string::npos) == (micro.published[i].find("TPUv2 chip") != std::string::npos));
    }
    CHECK(micro.problems.size() == 8);
    for (size_t i = 0; i < micro.problems.size(); i++) {
        const Operator op = micro.problems[i].op;
        CHECK(micro.published[i].empty() == (op == Operator::depthwise || op == Operator::pointwise));
    }
    CHECK(load_suite("channel_sweep").problems.size() == 18);
    const std::string sentence = bad_input([] { load_suite("nonesuch"); });
    CHECK(sentence.find("nonesuch") != std::string::npos);
    CHECK(sentence.find("microbenchmark") != std::string::npos);
}
