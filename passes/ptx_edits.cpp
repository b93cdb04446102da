#include "ptx_edits.h"

#include "fragments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <regex>
#include <set>
#include <stdexcept>
#include <vector>

namespace sepal {
namespace {

[[noreturn]] void fail(const std::string &sentence) { throw std::runtime_error(sentence); }

// `text` with each match of `pattern` replaced by what `edit` makes of it.
template<typename Edit>
std::string replace_each(const std::string &text, const std::regex &pattern, Edit edit) {
    std::string result;
    auto rest = text.cbegin();
    for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
        result.append(rest, (*match)[0].first);
        result += edit(*match);
        rest = (*match)[0].second;
    }
    return result.append(rest, text.cend());
}

// Registers and numbers of "{%r1, %r2}" or "%r1".
std::vector<std::string> operands(const std::string &text) {
    static const std::regex operand(R"([%\w.\-]+)");
    return {std::sregex_token_iterator(text.begin(), text.end(), operand), {}};
}

// What one call hands over and takes back, by position.
struct CallSequence {
    std::string function;
    std::vector<std::vector<std::string>> arguments;
    std::vector<std::string> results;
};

// "{ // callseq ... st.param.b32 [param0], %r1; ... call.uni (retval0), f, (param0, ...); ld.param.v2.b64 {%rd1, %rd2}, [retval0]; } // callseq".
CallSequence read_call(const std::string &text) {
    static const std::regex call(R"(call(?:\.uni)?\s+\((\w+)\),\s*(\w+),\s*\(([^)]*)\))");
    static const std::regex given(R"(st\.param\S*\s+\[(\w+)\],\s*([^;]+);)"), taken(R"(ld\.param\S*\s+([^;]+?),\s*\[(\w+)\];)");
    CallSequence sequence;
    std::smatch match;
    if (!std::regex_search(text, match, call)) return sequence;
    sequence.function = match[2];
    std::map<std::string, std::vector<std::string>> values;
    for (std::sregex_iterator i(text.begin(), text.end(), given), end; i != end; ++i) values[(*i)[1]] = operands((*i)[2]);
    for (const std::string &name : operands(match[3])) sequence.arguments.push_back(values[name]);
    if (std::smatch result; std::regex_search(text, result, taken)) sequence.results = operands(result[1]);
    return sequence;
}

// A braced block of its own, so that its registers need no other names than those of the next one. Operands of mma are registers.
std::string mma_block(const CallSequence &call) {
    constexpr size_t words = 6, sum = 6;  // of a and b; the position of the sum
    bool right = call.arguments.size() == sum + 1 && call.arguments[sum].size() == 2 && call.results.size() == 2;
    for (size_t i = 0; right && i < words; i++) right = call.arguments[i].size() == 1;
    if (!right) fail(fmt::format("a call of {} does not have six words and a fragment, and return a fragment", mma_call));
    std::string text = "{ // a * b + sum\n\t.reg .b32 %word<6>;\n\t.reg .b64 %pair<2>;\n\t.reg .f32 %sum<4>, %result<4>;\n";
    std::array<std::string, words> word;
    for (size_t i = 0; i < words; i++) {
        word[i] = call.arguments[i][0];
        if (word[i][0] == '%') continue;
        text += fmt::format("\tmov.b32 %word{}, {};\n", i, word[i]);
        word[i] = fmt::format("%word{}", i);
    }
    for (size_t i = 0; i < 2; i++) {
        std::string pair = call.arguments[sum][i];
        if (pair[0] != '%') {
            text += fmt::format("\tmov.b64 %pair{}, {};\n", i, pair);
            pair = fmt::format("%pair{}", i);
        }
        text += fmt::format("\tmov.b64 {{%sum{}, %sum{}}}, {};\n", 2 * i, 2 * i + 1, pair);
    }
    text += fmt::format("\tmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {{%result0, %result1, %result2, %result3}}, {{{}, {}, {}, {}}}, "
                        "{{{}, {}}}, {{%sum0, %sum1, %sum2, %sum3}};\n", word[0], word[1], word[2], word[3], word[4], word[5]);
    for (size_t i = 0; i < 2; i++) text += fmt::format("\tmov.b64 {}, {{%result{}, %result{}}};\n", call.results[i], 2 * i, 2 * i + 1);
    return text + "\t}";
}

std::string halves(const CallSequence &call) {
    bool right = call.arguments.size() == 2 && call.results.size() == 1;
    for (const auto &argument : call.arguments) right = right && argument.size() == 1;
    if (!right) fail(fmt::format("a call of {} does not have two values and return a word", halves_call));
    return fmt::format("cvt.rn.f16x2.f32 \t{}, {}, {};", call.results[0], call.arguments[1][0], call.arguments[0][0]);  // the higher half first
}

// Of 64-bit registers that are halves of fragments, as two of 32 bits each: %rd7 -> %even7, %odd7.
std::string even(const std::string &number) { return "%even" + number; }
std::string odd(const std::string &number) { return "%odd" + number; }

// A kernel with halves of fragments in pairs of 32-bit registers, so that ptxas keeps the four of a fragment next to
// each other: of 64-bit ones that go round a loop it moves all of them in every iteration. The text as it is where a half is used in another way
// than those below.
std::string fragments_in_words(const std::string &kernel) {
    static const std::regex seed(R"(mov\.b64\s+(?:\{%sum\d, %sum\d\}, %rd(\d+)|%rd(\d+), \{%result\d, %result\d\});)"), wide(R"(%rd(\d+)\b)");
    static const std::regex copy(R"(\s*mov\.b64\s+%rd(\d+), %rd(\d+);)"), constant(R"(\s*mov\.b64\s+%rd(\d+), (-?\d+|0x[0-9A-Fa-f]+);)");
    static const std::regex apart(R"(\s*mov\.b64\s+\{([%\w]+), ([%\w]+)\}, %rd(\d+);)"), together(R"(\s*mov\.b64\s+%rd(\d+), \{([%\w]+), ([%\w]+)\};)");
    static const std::regex load(R"(\s*(ld\.global\S*)\.v2\.b64\s+\{%rd(\d+), %rd(\d+)\}, (\[[^\]]*\]);)"), declaration(R"(\s*\.reg \.b64\s+%rd<(\d+)>;)");
    std::vector<std::string> lines;
    for (size_t at = 0; at < kernel.size();) {
        const size_t end = std::min(kernel.find('\n', at), kernel.size() - 1) + 1;
        lines.push_back(kernel.substr(at, end - at));
        at = end;
    }
    const auto matches = [](const std::string &line, std::smatch &match, const std::regex &form) {
        return std::regex_search(line, match, form, std::regex_constants::match_continuous);
    };
    std::set<std::string> halves;
    for (std::sregex_iterator i(kernel.begin(), kernel.end(), seed), end; i != end; ++i) halves.insert((*i)[1].matched ? (*i)[1] : (*i)[2]);
    if (halves.empty()) return kernel;
    for (size_t before = 0; before != halves.size();) {  // and what they are copied from and to
        before = halves.size();
        for (const std::string &line : lines) {
            std::smatch m;
            const bool copied = matches(line, m, copy);
            if (!copied && !matches(line, m, load)) continue;
            const std::string a = m[copied ? 1 : 2], b = m[copied ? 2 : 3];
            if (halves.count(a) || halves.count(b)) halves.insert({a, b});
        }
    }
    std::string result;
    for (const std::string &line : lines) {
        std::smatch m;
        bool has_half = false;
        for (std::sregex_iterator i(line.begin(), line.end(), wide), end; i != end; ++i) has_half = has_half || halves.count((*i)[1]);
        if (matches(line, m, declaration)) {
            result += line + fmt::format("\t.reg .b32 \t%even<{0}>, %odd<{0}>;\n", m[1].str());
        } else if (!has_half) {
            result += line;
        } else if (matches(line, m, copy)) {
            result += fmt::format("\tmov.b32 \t{}, {};\n\tmov.b32 \t{}, {};\n", even(m[1]), even(m[2]), odd(m[1]), odd(m[2]));
        } else if (matches(line, m, constant)) {
            const std::string digits = m[2];
            const uint64_t value = digits[0] == '-' ? uint64_t(std::stoll(digits)) : std::stoull(digits, nullptr, 0);
            result += fmt::format("\tmov.b32 \t{}, {};\n\tmov.b32 \t{}, {};\n", even(m[1]), uint32_t(value), odd(m[1]), uint32_t(value >> 32));
        } else if (matches(line, m, apart)) {
            result += fmt::format("\tmov.b32 \t{}, {};\n\tmov.b32 \t{}, {};\n", m[1].str(), even(m[3]), m[2].str(), odd(m[3]));
        } else if (matches(line, m, together)) {
            result += fmt::format("\tmov.b32 \t{}, {};\n\tmov.b32 \t{}, {};\n", even(m[1]), m[2].str(), odd(m[1]), m[3].str());
        } else if (matches(line, m, load)) {
            result += fmt::format("\t{}.v4.b32 \t{{{}, {}, {}, {}}}, {};\n", m[1].str(), even(m[2]), odd(m[2]), even(m[3]), odd(m[3]), m[4].str());
        } else {
            return kernel;
        }
    }
    return result;
}

// The part of a module that begins an entry, up to the brace of its body; 1: up to the name, 2: the name, 3: from there to the brace.
const std::regex &entry_pattern() {
    static const std::regex pattern(R"((\.entry\s+)(\w+)(\s*\([^)]*\)[^{]*)\{)");
    return pattern;
}

}  // namespace

std::string require_ptx_version(const std::string &ptx, int major, int minor) {
    static const std::regex version(R"(\.version\s+(\d+)\.(\d+))");
    std::smatch match;
    if (!std::regex_search(ptx, match, version)) fail("the PTX does not say of which version it is");
    const int has_major = std::stoi(match[1]), has_minor = std::stoi(match[2]);
    if (has_major > major || (has_major == major && has_minor >= minor)) return ptx;
    return match.prefix().str() + fmt::format(".version {}.{}", major, minor) + match.suffix().str();
}

std::string calls_to_instructions(const std::string &ptx, int *count) {
    const std::regex declaration(fmt::format(R"(\.extern\s+\.func[^;]*\b(?:{}|{}|{})\b[^;]*;)", mma_call, warp_sync_call, halves_call));
    const std::string declared = replace_each(ptx, declaration, [](const std::smatch &) { return std::string(); });
    const std::string begin = "{ // callseq ", end = "} // callseq ";
    std::string result;
    size_t at = 0;
    int made = 0;
    for (;;) {
        const size_t from = declared.find(begin, at);
        result.append(declared, at, from == std::string::npos ? from : from - at);
        if (from == std::string::npos) break;
        const size_t closing = declared.find(end, from);
        if (closing == std::string::npos) fail("a call sequence of the PTX has no end");
        at = std::min(declared.find('\n', closing), declared.size());
        const std::string text = declared.substr(from, at - from);
        const CallSequence call = read_call(text);
        if (call.function == mma_call)
            result += mma_block(call);
        else if (call.function == halves_call)
            result += halves(call);
        else
            result += call.function == warp_sync_call ? "bar.warp.sync \t0xffffffff;" : text;
        made += call.function == mma_call;
    }
    for (const char *function : {mma_call, warp_sync_call, halves_call})
        if (result.find(function) != std::string::npos) fail(fmt::format("a call of {} in the PTX is not understood", function));
    if (count) *count = made;
    // Registers are a kernel's own.
    std::string text;
    size_t from = 0;
    for (std::sregex_iterator entry(result.begin(), result.end(), entry_pattern()), last; entry != last; ++entry) {
        text += fragments_in_words(result.substr(from, size_t(entry->position()) - from));
        from = size_t(entry->position());
    }
    return text + fragments_in_words(result.substr(from));
}

std::string shared_memory_where_it_is(const std::string &ptx) {
    static const std::regex access(R"(((?:ld|st)\.(?:volatile\.)?shared\S*\s[^\[\];]*)\[([^\]]+)\])"), begins(R"(\.address_size\s+64)");
    static const std::regex by_register(R"((%rd\d+)\s*(?:\+\s*(-?\d+))?)"), by_number(R"(-?\d+)");
    if (!std::regex_search(ptx, access)) return ptx;
    // An access is an instruction of its own behind the addition, which no predicate may separate from it: Halide's have none.
    std::string edited = replace_each(ptx, std::regex(R"((@[^;\n]*)?\b((?:ld|st)\.(?:volatile\.)?shared[^;]*;))"), [&](const std::smatch &instruction) {
        if (instruction[1].matched) fail("an access to shared memory is predicated: " + instruction.str());
        const std::string text = instruction[2];
        std::smatch match, address;
        if (!std::regex_search(text, match, access)) fail("an access to shared memory is not understood: " + text);
        const std::string where = match[2];
        if (std::regex_match(where, by_number)) return match.prefix().str() + match[1].str() + "[%shared_base+" + where + "]" + match.suffix().str();
        if (!std::regex_match(where, address, by_register)) fail("an address of shared memory is not understood: " + where);
        return fmt::format("add.s64 \t%shared_at, {}, %shared_base;\n\t", address[1].str()) + match.prefix().str() + match[1].str() +
               fmt::format("[%shared_at+{}]", address[2].matched ? address[2].str() : "0") + match.suffix().str();
    });
    std::smatch size;
    if (!std::regex_search(edited, size, begins)) fail("the PTX does not say that its addresses have 64 bits");
    edited = size.prefix().str() + size.str() + fmt::format("\n.extern .shared .align 128 .b8 {}[];", shared_memory_symbol) + size.suffix().str();
    return replace_each(edited, entry_pattern(), [](const std::smatch &entry) {
        return entry.str() + fmt::format("\n\t.reg .b64 %shared_base, %shared_at;\n\tmov.u64 \t%shared_base, {};", shared_memory_symbol);
    });
}

std::string with_launch_bounds(const std::string &ptx, const std::map<std::string, LaunchBounds> &bounds) {
    size_t found = 0;
    const std::string result = replace_each(ptx, entry_pattern(), [&](const std::smatch &entry) {
        const auto kernel = bounds.find(entry[2]);
        if (kernel == bounds.end()) return entry.str();
        found++;
        const LaunchBounds &b = kernel->second;
        std::string text = entry[1].str() + entry[2].str() + entry[3].str() +
                           fmt::format(".maxntid {}, {}, {}\n", b.threads[0], b.threads[1], b.threads[2]);
        if (b.blocks > 0) text += fmt::format(".minnctapersm {}\n", b.blocks);
        return text + "{";
    });
    if (found != bounds.size()) fail(fmt::format("of {} kernels with launch bounds the PTX has {}", bounds.size(), found));
    return result;
}

}  // namespace sepal
