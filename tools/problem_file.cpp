#include "tools/problem_file.h"

#include "tools/files.h"
#include "tools/strict_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <string_view>

namespace sepal {
namespace {

using nlohmann::json;

struct EmbeddedSuite {
    std::string_view name, text;
};
constexpr EmbeddedSuite suites[] = {
#include "sepal_suites.inc"
};

constexpr std::string_view set_keys[] = {"problems", "suite", "title", "description"};
constexpr std::string_view problem_keys[] = {
    "name",     "op",  "n",      "h",          "w",     "c",      "k",    "r",        "s",          "stride",
    "dilation", "pad", "groups", "multiplier", "dtype", "layout", "bias", "mid_bias", "activation", "mid_activation",
    "residual", "max_rel_error", "published", "occurs"};
constexpr int64_t most_occurrences = 1000000;

template<typename Keys>
std::string listed(const Keys &keys) {
    std::string out;
    for (std::string_view key : keys) out += (out.empty() ? "" : ", ") + std::string(key);
    return out;
}

// Reads the fields of one JSON object; `where` begins every message.
class Reader {
public:
    Reader(const json &object, std::string where) : object_(object), where_(std::move(where)) {}

    [[noreturn]] void fail(const std::string &sentence) const { throw BadInput(where_ + ": " + sentence); }
    [[noreturn]] void fail(const char *field, const json &found, std::string_view allowed) const {
        fail(fmt::format("field \"{}\" is {}; allowed: {}", field, describe(found), allowed));
    }

    const json *find(const char *field) const {
        const auto it = object_.find(field);
        return it == object_.end() ? nullptr : &*it;
    }
    bool has(const char *field) const { return find(field) != nullptr; }
    const json &require(const char *field, std::string_view allowed) const {
        const json *value = find(field);
        if (!value) fail(fmt::format("field \"{}\" is missing; needed: {}", field, allowed));
        return *value;
    }

    template<typename Keys>
    void allow_only(const Keys &keys) const {
        for (const auto &item : object_.items()) {
            if (std::find(std::begin(keys), std::end(keys), item.key()) != std::end(keys)) continue;
            if (item.key().compare(0, 3, "pad") == 0)
                fail(fmt::format("field {} is unknown, since \"pad\" alone gives the padding; allowed: \"same\", \"valid\" or "
                                 "[top, left, bottom, right] in \"pad\"",
                                 describe(item.key())));
            fail(fmt::format("field {} is unknown; allowed: {}", describe(item.key()), listed(keys)));
        }
    }

    int64_t integer(const char *field, const json &value) const {
        constexpr std::string_view allowed = "an integer from 0 to 2147483647";
        // Larger numbers are stored as unsigned or double; validate() knows the range of each field.
        if (!value.is_number_integer() ||
            (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max())))
            fail(field, value, allowed);
        return value.get<int64_t>();
    }
    int64_t integer(const char *field) const { return integer(field, require(field, "an integer")); }
    int64_t integer_from_to(const char *field, int64_t least, int64_t most) const {
        const std::string allowed = fmt::format("an integer from {} to {}", least, most);
        const json &value = require(field, allowed);
        const bool fits = value.is_number_integer() && value >= least && value <= most;
        if (!fits) fail(field, value, allowed);
        return value.get<int64_t>();
    }
    void optional_integer(const char *field, int64_t &to) const {
        if (has(field)) to = integer(field);
    }

    void optional_number(const char *field, double &to) const {
        if (const json *value = find(field)) {
            if (!value->is_number()) fail(field, *value, "a number");
            to = value->get<double>();
        }
    }

    // n or [height, width]
    void optional_pair(const char *field, int64_t &height, int64_t &width) const {
        const json *value = find(field);
        if (!value) return;
        const bool two = value->is_array() && value->size() == 2 && (*value)[0].is_number_integer() && (*value)[1].is_number_integer();
        if (!two && !value->is_number_integer()) fail(field, *value, "an integer or two of them, [height, width]");
        height = integer(field, two ? (*value)[0] : *value);
        width = integer(field, two ? (*value)[1] : *value);
    }

    void optional_bool(const char *field, bool &to) const {
        if (const json *value = find(field)) {
            if (!value->is_boolean()) fail(field, *value, "true, false");
            to = value->get<bool>();
        }
    }

    // Visible text: no control characters, at most 200 bytes.
    std::string text(const char *field, const json &value, size_t limit = 200) const {
        const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
        const bool good = value.is_string() && !value.get_ref<const std::string &>().empty() &&
                          value.get_ref<const std::string &>().size() <= limit &&
                          std::none_of(value.get_ref<const std::string &>().begin(), value.get_ref<const std::string &>().end(), control);
        if (!good) fail(field, value, fmt::format("a string of 1 to {} bytes without control characters", limit));
        return value.get<std::string>();
    }
    void optional_text(const char *field, std::string &to, size_t limit) const {
        if (const json *value = find(field)) to = text(field, *value, limit);
    }

    template<typename T>
    T named(const char *field, const json &value, std::optional<T> (*from_name)(std::string_view), const std::string &names) const {
        const auto found = value.is_string() ? from_name(value.get_ref<const std::string &>()) : std::nullopt;
        if (!found) fail(field, value, names);
        return *found;
    }
    template<typename T>
    void optional_named(const char *field, T &to, std::optional<T> (*from_name)(std::string_view), const std::string &names) const {
        if (const json *value = find(field)) to = named(field, *value, from_name, names);
    }

private:
    const json &object_;
    std::string where_;
};

void read_padding(const Reader &reader, ConvProblem &p) {
    const json *value = reader.find("pad");
    p.pad_mode = p.op == Operator::pointwise ? PadMode::valid : PadMode::same;
    if (!value) return;
    constexpr std::string_view allowed = "\"same\", \"valid\", [top, left, bottom, right]";
    if (*value == "same") {
        p.pad_mode = PadMode::same;
    } else if (*value == "valid") {
        p.pad_mode = PadMode::valid;
    } else {
        const bool four = value->is_array() && value->size() == 4 &&
                          std::all_of(value->begin(), value->end(), [](const json &side) { return side.is_number_integer(); });
        if (!four) reader.fail("pad", *value, allowed);
        p.pad_mode = PadMode::explicit_;
        const auto side = [&](size_t i) { return reader.integer("pad", (*value)[i]); };
        p.padding = {side(0), side(1), side(2), side(3)};
    }
}

// `occurs` stays as it is where the problem does not say it.
ConvProblem read_problem(const json &object, const std::string &file_label, size_t index, std::optional<int64_t> &occurs) {
    std::string where = fmt::format("{}: problems[{}]", file_label, index);
    if (!object.is_object()) throw BadInput(fmt::format("{}: is {}; allowed: an object", where, describe(object)));
    ConvProblem p;
    p.name = fmt::format("problem{}", index);
    if (const auto it = object.find("name"); it != object.end()) {
        p.name = Reader(object, where).text("name", *it);
        where += " \"" + p.name + "\"";
    }
    const Reader reader(object, where);
    reader.allow_only(problem_keys);
    p.op = reader.named("op", reader.require("op", operator_names()), operator_from_name, operator_names());
    reader.optional_integer("n", p.n);
    p.h = reader.integer("h");
    p.w = reader.integer("w");
    p.c = reader.integer("c");
    if (p.op != Operator::depthwise || reader.has("k")) p.k = reader.integer("k");
    if (p.op != Operator::pointwise || reader.has("r")) p.r = reader.integer("r");
    if (p.op != Operator::pointwise || reader.has("s")) p.s = reader.integer("s");
    reader.optional_pair("stride", p.stride_h, p.stride_w);
    reader.optional_pair("dilation", p.dilation_h, p.dilation_w);
    read_padding(reader, p);
    reader.optional_integer("groups", p.groups);
    reader.optional_integer("multiplier", p.multiplier);
    reader.optional_named("dtype", p.dtype, dtype_from_name, dtype_names());
    reader.optional_named("layout", p.layout, layout_from_name, layout_names());
    reader.optional_bool("bias", p.out.bias);
    reader.optional_bool("mid_bias", p.mid.bias);
    reader.optional_named("activation", p.out.activation, activation_from_name, activation_names());
    reader.optional_bool("residual", p.residual);
    reader.optional_number("max_rel_error", p.max_rel_error);
    reader.optional_named("mid_activation", p.mid.activation, activation_from_name, activation_names());
    if (reader.has("occurs")) occurs = reader.integer_from_to("occurs", 1, most_occurrences);
    if (std::string why = p.validate(); !why.empty()) reader.fail(why);
    return p;
}

}  // namespace

ProblemSet parse_problem_set(const std::string &json_text, const std::string &file_label) {
    const json root = parse_strict_json(json_text, file_label);
    if (!root.is_object()) throw BadInput(fmt::format("{}: is {}; allowed: an object with \"problems\"", file_label, describe(root)));
    const Reader reader(root, file_label);
    reader.allow_only(set_keys);
    ProblemSet set;
    reader.optional_text("suite", set.suite, 200);
    reader.optional_text("title", set.title, 1000);
    reader.optional_text("description", set.description, 10000);
    const json &problems = reader.require("problems", "an array of problems");
    if (!problems.is_array() || problems.empty()) reader.fail("problems", problems, "an array of one problem or more");
    std::set<std::string> names;
    for (size_t i = 0; i < problems.size(); i++) {
        std::optional<int64_t> occurs;
        set.problems.push_back(read_problem(problems[i], file_label, i, occurs));
        set.occurs.push_back(occurs.value_or(1));
        set.network |= occurs.has_value();
        const std::string &name = set.problems.back().name;
        if (!names.insert(name).second)
            throw BadInput(
                fmt::format("{}: problems[{}]: field \"name\" is \"{}\", which another problem has; allowed: one that no other has",
                            file_label, i, name));
        const auto published = problems[i].find("published");
        set.published.push_back(published == problems[i].end() ? "" : published->dump());
    }
    return set;
}

ProblemSet load_problem_file(const std::string &path) { return parse_problem_set(read_file(path), path); }

ProblemSet load_suite(const std::string &name) {
    for (const EmbeddedSuite &suite : suites)
        if (suite.name == name) return parse_problem_set(std::string(suite.text), "suite " + name);
    throw BadInput(fmt::format("suite \"{}\" is unknown; allowed: {}", name, listed(suite_names())));
}

std::vector<std::string> suite_names() {
    std::vector<std::string> names;
    for (const EmbeddedSuite &suite : suites) names.emplace_back(suite.name);
    return names;
}

std::string to_json(const ConvProblem &p) {
    nlohmann::ordered_json o;
    if (!p.name.empty()) o["name"] = p.name;
    o["op"] = name(p.op);
    o["n"] = p.n;
    o["h"] = p.h;
    o["w"] = p.w;
    o["c"] = p.c;
    if (p.op != Operator::depthwise) o["k"] = p.k;
    if (p.op != Operator::pointwise) {
        o["r"] = p.r;
        o["s"] = p.s;
        o["stride"] = {p.stride_h, p.stride_w};
        o["dilation"] = {p.dilation_h, p.dilation_w};
        const Padding &z = p.padding;
        if (p.pad_mode == PadMode::explicit_)
            o["pad"] = {z.top, z.left, z.bottom, z.right};
        else
            o["pad"] = name(p.pad_mode);
    }
    if (p.op == Operator::conv2d) o["groups"] = p.groups;
    if (p.op == Operator::depthwise || p.op == Operator::depsep) o["multiplier"] = p.multiplier;
    o["dtype"] = name(p.dtype);
    o["layout"] = name(p.layout);
    if (p.op == Operator::depsep) {
        o["mid_bias"] = p.mid.bias;
        o["mid_activation"] = name(p.mid.activation);
    }
    o["bias"] = p.out.bias;
    o["activation"] = name(p.out.activation);
    if (p.residual) o["residual"] = true;
    if (p.max_rel_error != ConvProblem().max_rel_error) o["max_rel_error"] = p.max_rel_error;
    return o.dump();
}

}  // namespace sepal
