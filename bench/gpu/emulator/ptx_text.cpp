#include "ptx_text.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {

struct Token {
    enum class Kind { word, number, string, punctuation, end };
    Kind kind = Kind::end;
    std::string text;
    int line = 0;
    size_t begin = 0, end = 0;  // in the text
};

[[noreturn]] void bad(int line, const std::string &what) { throw BadPtx(fmt::format("line {} of the PTX: {}", line, what)); }

// Words keep their dots: "ld.global.b32", ".reg", "%tid.x". Comments are dropped.
std::vector<Token> tokens_of(const std::string &text) {
    std::vector<Token> tokens;
    int line = 1;
    const size_t size = text.size();
    const auto starts_word = [](char c) {
        return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
    };
    const auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '.'; };
    for (size_t i = 0; i < size;) {
        const char c = text[i];
        if (c == '\n') {
            ++line, ++i;
        } else if (std::isspace(static_cast<unsigned char>(c))) {
            ++i;
        } else if (text.compare(i, 2, "//") == 0) {
            while (i < size && text[i] != '\n') ++i;
        } else if (text.compare(i, 2, "/*") == 0) {
            const size_t end = text.find("*/", i);
            if (end == std::string::npos) bad(line, "a comment does not end");
            line += static_cast<int>(std::count(text.begin() + i, text.begin() + end, '\n'));
            i = end + 2;
        } else {
            Token token;
            token.line = line, token.begin = i;
            size_t end = i + 1;
            if (c == '"') {
                token.kind = Token::Kind::string;
                end = text.find('"', i + 1);
                if (end == std::string::npos) bad(line, "a string does not end");
                ++end;
            } else if (std::isdigit(static_cast<unsigned char>(c)) || starts_word(c)) {
                token.kind = std::isdigit(static_cast<unsigned char>(c)) ? Token::Kind::number : Token::Kind::word;
                while (end < size && (in_word(text[end]) || text.compare(end, 2, "::") == 0)) end += text[end] == ':' ? 2 : 1;
            } else {
                token.kind = Token::Kind::punctuation;
            }
            token.text = text.substr(i, end - i);
            token.end = i = end;
            tokens.push_back(token);
        }
    }
    Token end;
    end.line = line, end.begin = end.end = size;
    tokens.push_back(end);
    return tokens;
}

// Bytes of a type of variables, registers, parameters: ".b32"; 0 for what is none. Predicates count as one bit.
int bits_of_type(const std::string &type) {
    if (type == ".pred") return 1;
    if (type == ".f16x2") return 32;
    if (type == ".bf16") return 16;
    if (type.size() < 3 || type[0] != '.' || !std::strchr("bsuf", type[1])) return 0;
    const std::string digits = type.substr(2);
    for (const char *known : {"8", "16", "32", "64", "128"})
        if (digits == known) return std::atoi(known);
    return 0;
}

class Parser {
public:
    explicit Parser(const std::string &text) : text_(text), tokens_(tokens_of(text)) {}

    Module parse() {
        while (peek().kind != Token::Kind::end) top_level();
        return std::move(module_);
    }

private:
    const Token &peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
    bool is(const char *text, size_t ahead = 0) const { return peek(ahead).text == text && peek(ahead).kind != Token::Kind::string; }
    const Token &next() {
        const Token &token = peek();
        if (token.kind == Token::Kind::end) bad(token.line, "the text ends inside a statement");
        ++at_;
        return token;
    }
    bool accept(const char *text) {
        if (!is(text)) return false;
        ++at_;
        return true;
    }
    void expect(const char *text) {
        if (!accept(text)) bad(peek().line, fmt::format("\"{}\" where \"{}\" belongs", peek().text, text));
    }
    std::string word(const char *what) {
        if (peek().kind != Token::Kind::word) bad(peek().line, fmt::format("\"{}\" where {} belongs", peek().text, what));
        return next().text;
    }

    struct Number {
        Operand::Kind kind = Operand::Kind::integer;
        uint64_t value = 0;
    };
    Number number() {
        const bool negative = accept("-");
        const Token &token = next();
        if (token.kind != Token::Kind::number) bad(token.line, fmt::format("\"{}\" where a number belongs", token.text));
        const std::string &text = token.text;
        const char kind = text.size() > 1 && text[0] == '0' ? static_cast<char>(std::tolower(text[1])) : '\0';
        Number n;
        char *end = nullptr;
        if (kind == 'f' || kind == 'd') {
            n.kind = kind == 'f' ? Operand::Kind::f32 : Operand::Kind::f64;
            n.value = std::strtoull(text.c_str() + 2, &end, 16);
            if (negative) n.value ^= uint64_t{1} << (kind == 'f' ? 31 : 63);
        } else if (text.find('.') != std::string::npos) {
            n.kind = Operand::Kind::f64;
            const double value = (negative ? -1 : 1) * std::strtod(text.c_str(), &end);
            std::memcpy(&n.value, &value, sizeof value);
        } else {
            n.value = kind == 'b' ? std::strtoull(text.c_str() + 2, &end, 2) : std::strtoull(text.c_str(), &end, 0);
            if (*end == 'U') ++end;
            if (negative) n.value = 0 - n.value;
        }
        if (*end) bad(token.line, fmt::format("the number {} cannot be read", text));
        return n;
    }
    size_t size_number(const char *what) {
        const int line = peek().line;
        const Number n = number();
        if (n.kind != Operand::Kind::integer || n.value > uint64_t{1} << 40) bad(line, fmt::format("{} is not a size", what));
        return n.value;
    }

    void skip_statement() {  // to its semicolon, or of a directive without one to the end of the line
        const int line = peek().line;
        while (peek().kind != Token::Kind::end && peek().line == line)
            if (next().text == ";") return;
    }
    void skip_braces() {
        expect("{");
        for (int depth = 1; depth > 0;) {
            const std::string &text = next().text;
            depth += text == "{" ? 1 : text == "}" ? -1 : 0;
        }
    }

    void top_level() {
        if (accept(".version")) {
            const std::string number = next().text;
            module_.version = std::atoi(number.c_str()) * 10 +
                              (number.find('.') == std::string::npos ? 0 : std::atoi(number.c_str() + number.find('.') + 1));
            return;
        }
        if (is(".target")) {
            if (peek(1).text.compare(0, 3, "sm_") == 0) module_.target = std::atoi(peek(1).text.c_str() + 3);
            return skip_statement();
        }
        if (is(".address_size") || is(".file") || is(".pragma") || is(".loc")) return skip_statement();
        if (accept(".section")) {
            next();
            return skip_braces();
        }
        while (accept(".visible") || accept(".weak") || accept(".common")) {}
        const bool external = accept(".extern");
        if (accept(".entry")) return kernel();
        if (accept(".func")) {  // calls are not executed: an instruction that reaches one says so
            while (!is("{") && !is(";")) next();
            if (!accept(";")) skip_braces();
            return;
        }
        for (auto &[space, variables] :
             {std::pair{".shared", &module_.shared}, {".global", &module_.global}, {".const", &module_.constant}})
            if (accept(space)) return variables->push_back(variable(external));
        bad(peek().line, fmt::format("\"{}\" where a directive, a variable or a kernel belongs", peek().text));
    }

    // Behind its state space: [.align N] .type name [count]... [= {...}];
    Variable variable(bool external) {
        Variable v = declaration(external);
        if (accept("=")) initialiser(v);
        expect(";");
        return v;
    }
    Variable declaration(bool external) {
        Variable v;
        size_t element = 0;
        while (peek().kind == Token::Kind::word && peek().text[0] == '.') {
            const std::string field = next().text;
            if (field == ".align") {
                v.align = size_number("the alignment");
            } else if (const int bits = bits_of_type(field)) {
                element = static_cast<size_t>(bits / 8);
            } else if (field != ".ptr" && field != ".global" && field != ".shared" && field != ".const" && field != ".local" &&
                       field != ".attribute") {
                bad(peek().line, fmt::format("{} in a declaration", field));
            }
        }
        if (!element) bad(peek().line, "a declaration without a type");
        v.name = word("a name");
        size_t count = 1;
        while (accept("[")) {
            if (accept("]")) {
                count = 0;
                continue;
            }
            count *= size_number("the number of elements");
            expect("]");
        }
        v.bytes = external && count == 0 ? 0 : element * count;
        v.align = std::max(v.align, element);
        element_ = element;
        return v;
    }
    void initialiser(Variable &v) {
        const auto put = [&](const Number &n) {
            for (size_t b = 0; b < element_; ++b) v.initial.push_back(b < 8 ? static_cast<uint8_t>(n.value >> (8 * b)) : 0);
        };
        if (!is("{")) return put(number());
        int depth = 0;
        do {
            if (accept("{")) ++depth;
            else if (accept("}")) --depth;
            else if (!accept(",")) put(number());
        } while (depth);
    }

    void kernel() {
        Kernel k;
        k.name = word("a kernel's name");
        if (accept("(")) {
            while (!accept(")")) {
                expect(".param");
                k.params.push_back(declaration(false));
                accept(",");
            }
        }
        while (!is("{") && !is(";")) {
            const std::string directive = word("a directive or the kernel's body");
            std::vector<uint64_t> values;
            while (peek().kind == Token::Kind::number) {
                values.push_back(size_number(directive.c_str()));
                accept(",");
            }
            if (directive == ".maxntid" || directive == ".reqntid") {
                k.max_threads = 1;
                for (uint64_t v : values) k.max_threads *= v;
            }
        }
        if (accept(";")) return;
        expect("{");
        kernel_ = &k;
        scopes_.clear();
        scopes_.emplace_back();
        words_ = predicates_ = 0;
        while (!scopes_.empty()) statement();
        module_.kernels.push_back(std::move(k));
    }

    // Registers that a pair of braces declares; they end with it.
    struct Scope {
        std::map<std::string, Register> registers;
        int words = 0, predicates = 0;  // in use before it
    };

    void statement() {
        const Token &token = peek();
        if (accept("{")) {
            Scope scope;
            scope.words = words_, scope.predicates = predicates_;
            scopes_.push_back(std::move(scope));
        } else if (accept("}")) {
            words_ = scopes_.back().words, predicates_ = scopes_.back().predicates;
            scopes_.pop_back();
        } else if (accept(";")) {
        } else if (accept(".reg")) {
            registers();
        } else if (accept(".shared")) {
            kernel_->shared.push_back(variable(false));
        } else if (accept(".local")) {
            kernel_->local.push_back(variable(false));
        } else if (accept(".param")) {
            variable(false);  // of a call, which is not executed
        } else if (is(".loc") || is(".file") || is(".pragma")) {
            skip_statement();
        } else if (is(":", 1)) {
            const std::string label = word("a label");
            if (!kernel_->labels.emplace(label, kernel_->code.size()).second)
                bad(token.line, fmt::format("label {} is there twice", label));
            expect(":");
        } else {
            instruction();
        }
    }

    void registers() {
        const int line = peek().line;
        const std::string type = word("a register's type");
        const int bits = bits_of_type(type);
        if (!bits || bits == 8) bad(line, fmt::format("registers of type {}", type));
        do {
            const std::string name = word("a register's name");
            if (accept("<")) {
                const size_t count = size_number("the number of registers");
                expect(">");
                for (size_t i = 0; i < count; ++i) add_register(fmt::format("{}{}", name, i), bits);
            } else {
                add_register(name, bits);
            }
        } while (accept(","));
        expect(";");
    }
    void add_register(const std::string &name, int bits) {
        Register r;
        r.bits = bits;
        r.index = bits == 1 ? predicates_ : words_;
        (bits == 1 ? predicates_ : words_) += bits <= 32 ? 1 : bits / 32;
        kernel_->words = std::max(kernel_->words, words_);
        kernel_->predicates = std::max(kernel_->predicates, predicates_);
        scopes_.back().registers[name] = r;
    }
    std::optional<Register> find_register(const std::string &name) const {
        for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
            if (const auto found = scope->registers.find(name); found != scope->registers.end()) return found->second;
        return {};
    }

    void instruction() {
        Instruction i;
        i.line = peek().line;
        const size_t begin = peek().begin;
        if (accept("@")) {
            i.guard_negated = accept("!");
            const std::string name = word("a predicate");
            const auto guard = find_register(name);
            if (!guard || guard->bits != 1) bad(i.line, fmt::format("{} is not a predicate", name));
            i.guard = guard->index;
        }
        i.opcode = word("an instruction");
        for (size_t from = 0; from <= i.opcode.size();) {
            const size_t dot = std::min(i.opcode.find('.', from), i.opcode.size());
            i.fields.push_back(i.opcode.substr(from, dot - from));
            from = dot + 1;
        }
        if (i.fields[0] == "call") {  // its operands are another language
            while (!is(";")) next();
        }
        while (!is(";")) {
            i.operands.push_back(operand());
            if (!is(";")) expect(",");
        }
        expect(";");
        bool space = false;
        for (size_t c = begin; c < tokens_[at_ - 1].begin; ++c) {
            const bool blank = std::isspace(static_cast<unsigned char>(text_[c]));
            if (!blank && space) i.text += ' ';
            if (!blank) i.text += text_[c];
            space = blank;
        }
        kernel_->code.push_back(std::move(i));
    }

    Operand operand() {
        Operand o;
        if (accept("{")) {
            o.kind = Operand::Kind::vector;
            while (!accept("}")) {
                o.parts.push_back(operand());
                accept(",");
            }
        } else if (accept("[")) {
            o.kind = Operand::Kind::address;
            o.parts.push_back(operand());
            std::swap(o.offset, o.parts[0].offset);
            if (o.parts[0].kind == Operand::Kind::integer) o.offset += static_cast<int64_t>(o.parts[0].value), o.parts.clear();
            expect("]");
        } else if (peek().kind == Token::Kind::number || is("-")) {
            const Number n = number();
            o.kind = n.kind, o.value = n.value;
        } else {
            o.negated = accept("!");
            o.name = word("an operand");
            if (o.name == "_") return o;
            if (const auto r = find_register(o.name)) {
                o.kind = Operand::Kind::reg, o.reg = *r;
            } else {
                o.kind = Operand::Kind::symbol;
            }
            if (accept("|")) o.parts.push_back(operand());
            if (accept("+")) o.offset = static_cast<int64_t>(number().value);
            else if (is("-")) o.offset = static_cast<int64_t>(number().value);
        }
        return o;
    }

    const std::string &text_;
    std::vector<Token> tokens_;
    size_t at_ = 0;
    Module module_;
    Kernel *kernel_ = nullptr;
    std::vector<Scope> scopes_;
    int words_ = 0, predicates_ = 0;
    size_t element_ = 0;  // bytes of an element of the last declaration
};

}  // namespace

Module parse(const std::string &text) { return Parser(text).parse(); }

}  // namespace sepal::ptx
