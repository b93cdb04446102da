#include "sass.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace sepal {
namespace {

struct Instruction {
    std::string opcode;                 // "LDG.E.128.CONSTANT"
    std::vector<std::string> operands;  // "R8", "desc[UR12][R8.64]"
    std::string family() const { return opcode.substr(0, opcode.find('.')); }
    bool has(const std::string &suffix) const { return (opcode + ".").find("." + suffix + ".") != std::string::npos; }
};

struct Function {
    std::vector<Instruction> code;
    std::map<std::string, size_t> labels;  // the instruction that follows
};

// "R8.reuse" and "-R8" are R8.
std::string plain(std::string operand) {
    operand.erase(std::remove(operand.begin(), operand.end(), ' '), operand.end());
    if (!operand.empty() && (operand[0] == '-' || operand[0] == '|')) operand.erase(0, 1);
    return operand.substr(0, operand.find_first_of(".|"));
}

Function function_of(const std::string &sass, const std::string &kernel) {
    static const std::regex label(R"(^(\.L\S*):)"), section(R"(^\s*\.section\s+\.text\.([^,\s]+))"),
        instruction(R"(^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)\s*([^;]*);)");
    Function f;
    bool inside = false, found = false;
    std::istringstream stream(sass);
    std::smatch m;
    for (std::string line; std::getline(stream, line);) {
        if (std::regex_search(line, m, section)) {
            inside = m[1] == kernel;
            found = found || inside;
        } else if (inside && std::regex_search(line, m, label)) {
            f.labels[m[1]] = f.code.size();
        } else if (inside && std::regex_search(line, m, instruction)) {
            Instruction i{m[1], {}};
            std::istringstream operands(m[2]);
            for (std::string o; std::getline(operands, o, ',');) i.operands.push_back(o);
            f.code.push_back(i);
        }
    }
    if (!found) throw std::invalid_argument(fmt::format("kernel \"{}\" is not in the machine code", kernel));
    return f;
}

bool zero(const std::string &operand) { return plain(operand) == "RZ" || plain(operand) == "URZ"; }

// ptxas loads constants by HFMA2 of zeros, and moves registers by IMAD.MOV.
bool is_move(const Instruction &i) {
    const std::string family = i.family();
    if (family == "MOV" || family == "UMOV" || (family == "IMAD" && i.has("MOV"))) return true;
    return family == "HFMA2" && i.operands.size() > 2 && zero(i.operands[1]) && zero(i.operands[2]);
}

bool is_math(const Instruction &i) {
    static const char *const families[] = {"FFMA", "HFMA2", "HMMA", "IMMA", "IDP"};
    return std::count(std::begin(families), std::end(families), i.family()) && !is_move(i);
}

// Bytes that each thread accesses.
int width(const Instruction &i) {
    if (i.family() == "LDSM") return i.has("4") ? 16 : i.has("2") ? 8 : 4;  // matrices of 8 x 8 x 2 bytes
    if (i.has("128")) return 16;
    if (i.has("64")) return 8;
    if (i.has("U16") || i.has("S16")) return 2;
    return i.has("U8") || i.has("S8") ? 1 : 4;
}

// Whether it adds to a register. FFMA need not write the sum where it was, as long as the loop ends where it began.
bool accumulates(const Instruction &i) { return is_math(i) && i.operands.size() == 4 && !zero(i.operands[3]); }

// The registers that `i` adds to, where it leaves the sum in them: mma.sync has a sum in 2 or 4 registers.
void add_sums(const Instruction &i, std::set<std::string> &registers) {
    if (!accumulates(i) || plain(i.operands[0]) != plain(i.operands[3])) return;
    const std::string first = plain(i.operands[0]);
    const int number = std::atoi(first.c_str() + 1);
    const int count = i.family() == "IMMA" || (i.family() == "HMMA" && i.has("F32")) ? 4 : i.family() == "HMMA" ? 2 : 1;
    for (int r = number; r < number + count; r++) registers.insert(fmt::format("R{}", r));
}

CodeMix mix(const Function &f, size_t begin, size_t end) {
    static const char *const spaces[] = {"LDG", "STG", "LDS", "STS", "LDSM", "LDGSTS"};
    CodeMix m;
    std::set<std::string> sums;
    for (size_t at = begin; at < end; at++) add_sums(f.code[at], sums);
    for (size_t at = begin; at < end; at++) {
        const Instruction &i = f.code[at];
        const std::string family = i.family();
        if (family == "NOP") continue;
        m.instructions++;
        if (std::count(std::begin(spaces), std::end(spaces), family)) m.accesses[family][width(i)]++;
        if (family == "LDL" || family == "STL") m.local_accesses++;
        if (is_move(i)) {
            m.moves++;
            m.accumulator_moves +=
                std::any_of(i.operands.begin(), i.operands.end(), [&](const std::string &o) { return sums.count(plain(o)); });
        }
        if (is_math(i)) m.math[family]++;
        m.accumulations += accumulates(i);
    }
    return m;
}

// First instruction and the one behind the last of each loop: code that ends with a jump back to its beginning.
std::vector<std::pair<size_t, size_t>> loops(const Function &f) {
    static const std::regex target(R"(`\((\.L\S*?)\))");
    std::map<size_t, size_t> end_of;
    std::smatch m;
    for (size_t at = 0; at < f.code.size(); at++) {
        if (f.code[at].family() != "BRA" || f.code[at].operands.empty()) continue;
        if (!std::regex_search(f.code[at].operands.back(), m, target)) continue;
        const auto label = f.labels.find(m[1]);
        if (label != f.labels.end() && label->second <= at) end_of[label->second] = at + 1;
    }
    return {end_of.begin(), end_of.end()};
}

}  // namespace

int CodeMix::math_instructions() const {
    int n = 0;
    for (const auto &[opcode, instructions] : math) n += instructions;
    return n;
}

int CodeMix::tensor_instructions() const {
    int n = 0;
    for (const char *opcode : {"HMMA", "IMMA"})
        if (const auto found = math.find(opcode); found != math.end()) n += found->second;
    return n;
}

SassMix read_sass(const std::string &sass, const std::string &kernel) {
    const Function f = function_of(sass, kernel);
    SassMix result;
    result.kernel = mix(f, 0, f.code.size());
    const auto all = loops(f);
    for (const auto &[begin, end] : all) {
        const bool innermost = std::none_of(all.begin(), all.end(), [&, b = begin, e = end](const auto &other) {
            return (other.first != b || other.second != e) && b <= other.first && other.second <= e;
        });
        if (!innermost) continue;
        const CodeMix loop = mix(f, begin, end);
        if (loop.math_instructions() > result.hot_loop.math_instructions()) result.hot_loop = loop, result.in_loop = true;
    }
    if (!result.in_loop) result.hot_loop = result.kernel;
    return result;
}

}  // namespace sepal
