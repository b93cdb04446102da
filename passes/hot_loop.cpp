#include "hot_loop.h"

#include <map>
#include <sstream>
#include <vector>

namespace sepal {
namespace {

struct Instruction {
    bool multiply_add = false, jump = false, spill = false;
};

// "vmovups %zmm3, 64(%rsp)": a vector register to the stack.
bool is_spill(const std::string &text) {
    const size_t operand = text.find("mm"), stack = text.find("(%rsp)");
    return text.rfind("vmov", 0) == 0 && operand != std::string::npos && stack != std::string::npos && operand < stack;
}

}  // namespace

int hot_loop_spills(const std::string &assembly) {
    std::vector<Instruction> code;
    std::map<std::string, size_t> labels;  // and the instruction that follows
    int most = 0, spills = 0;
    std::istringstream lines(assembly);
    for (std::string line; std::getline(lines, line);) {
        const size_t start = line.find_first_not_of(" \t");
        if (start == std::string::npos || line[start] == '#') continue;
        const std::string text = line.substr(start);
        const size_t colon = text.find(':');
        if (start == 0 && colon != std::string::npos) {
            labels[text.substr(0, colon)] = code.size();
            continue;
        }
        if (text[0] == '.') continue;
        Instruction instruction;
        instruction.multiply_add = text.rfind("vfmadd", 0) == 0 || text.rfind("vfnmadd", 0) == 0;
        instruction.spill = is_spill(text);
        instruction.jump = text[0] == 'j';
        code.push_back(instruction);
        if (!instruction.jump) continue;
        const size_t name = text.find('.');
        const auto label = name == std::string::npos ? labels.end() : labels.find(text.substr(name, text.find_first_of(" \t#", name) - name));
        if (label == labels.end()) continue;  // forwards
        int multiply_adds = 0, saved = 0;
        bool innermost = true;
        for (size_t i = label->second; i + 1 < code.size(); i++) {
            multiply_adds += code[i].multiply_add;
            saved += code[i].spill;
            innermost = innermost && !code[i].jump;
        }
        if (innermost && multiply_adds > most) most = multiply_adds, spills = saved;
    }
    return spills;
}

}  // namespace sepal
