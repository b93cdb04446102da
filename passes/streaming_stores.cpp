#include "streaming_stores.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace sepal {
namespace {

constexpr int least_vector_bytes = 16, most_vector_bytes = 64;  // of one instruction; LLVM cuts longer vectors into such
constexpr const char *fence = "llvm.x86.sse.sfence";

bool starts(const std::string &text, const std::string &with) { return text.compare(0, with.size(), with) == 0; }

// The number behind `marker`; -1 where there is none.
int number_after(const std::string &line, const std::string &marker) {
    const size_t at = line.find(marker);
    return at == std::string::npos || at + marker.size() >= line.size() || !std::isdigit(line[at + marker.size()])
               ? -1
               : std::atoi(line.c_str() + at + marker.size());
}

// The metadata nodes of a module, as far as type-based alias analysis has them: !7 = !{!"name", !6, i64 0}, and tags !9 = !{!7, !7, i64 0}.
class Tbaa {
public:
    explicit Tbaa(const std::string &text) {
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            if (!starts(line, "!") || line.size() < 2 || !std::isdigit(line[1])) continue;
            const int id = std::atoi(line.c_str() + 1);
            last_ = std::max(last_, id);
            const size_t begin = line.find("!{");
            if (begin == std::string::npos) continue;
            Node node;
            const std::string fields = line.substr(begin + 2);
            if (starts(fields, "!\"")) {
                const size_t end = fields.find('"', 2);
                node.name = fields.substr(2, end - 2);
                node.parent = number_after(fields.substr(end), ", !");
            } else {
                node.parent = number_after(fields, "!");
            }
            nodes_[id] = node;
        }
    }

    int last() const { return last_; }

    // Whether the tag leads to the name: by way of nodes of parts of a Func, "output.width16.base0".
    bool leads_to(int tag, const std::string &name) const {
        int steps = 0;
        for (auto node = nodes_.find(tag); node != nodes_.end() && steps < int(nodes_.size()); node = nodes_.find(node->second.parent), steps++)
            if (node->second.name == name) return true;
        return false;
    }

private:
    struct Node {
        std::string name;
        int parent = -1;
    };
    std::map<int, Node> nodes_;
    int last_ = -1;
};

// Bytes of the vector type that `text` begins with, "<16 x float> ..."; 0 when it is none of numbers.
int vector_bytes(const std::string &text) {
    if (!starts(text, "<")) return 0;
    const int count = std::atoi(text.c_str() + 1);
    const size_t type = text.find(" x ");
    const std::string element = type == std::string::npos ? "" : text.substr(type + 3, text.find('>') - type - 3);
    return count * (element == "float" || element == "i32" ? 4 : element == "double" || element == "i64" ? 8 : 0);
}

[[noreturn]] void refuse(const std::string &func, const std::string &what) {
    throw std::runtime_error("stores to \"" + func + "\" cannot stream: " + what);
}

// Whether a statement is a store to the Func; refuses it where it could not stream.
bool is_store_to(const std::string &func, const std::string &statement, const Tbaa &tbaa) {
    const bool masked = statement.find("@llvm.masked.store.") != std::string::npos || statement.find("@llvm.masked.scatter.") != std::string::npos;
    if (!masked && !starts(statement, "store ")) return false;
    const int tag = number_after(statement, "!tbaa !");
    if (tag < 0 || !tbaa.leads_to(tag, func)) return false;
    if (masked) refuse(func, "one is masked, since the channels are no whole vectors");
    const int bytes = vector_bytes(statement.substr(std::string("store ").size())), align = number_after(statement, ", align ");
    if (bytes < least_vector_bytes || bytes % least_vector_bytes != 0) refuse(func, "one is of no whole vector");
    if (align < std::min(bytes & -bytes, most_vector_bytes))
        refuse(func, "one of " + std::to_string(bytes) + " bytes is aligned to " + std::to_string(align));
    return true;
}

}  // namespace

StreamedIr stream_stores(const std::string &text, const std::string &func) {
    const Tbaa tbaa(text);
    const std::string mark = ", !nontemporal !" + std::to_string(tbaa.last() + 1);
    StreamedIr out;
    std::vector<std::string> lines;
    std::vector<size_t> returns;  // of the present function; a block with stores may stand behind one that returns
    std::set<size_t> fenced;
    bool streams = false;  // the present function does
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        const size_t begin = line.find_first_not_of(' ');
        const std::string statement = begin == std::string::npos ? "" : line.substr(begin);
        if (starts(statement, "ret ")) returns.push_back(lines.size());
        if (is_store_to(func, statement, tbaa)) {
            line += mark;
            out.stores++;
            streams = true;
        }
        if (line == "}") {
            if (streams) fenced.insert(returns.begin(), returns.end());
            returns.clear();
            streams = false;
        }
        lines.push_back(line);
    }
    if (out.stores == 0) refuse(func, "there are none");
    for (size_t i = 0; i < lines.size(); i++) {
        if (fenced.count(i)) out.text += std::string("  call void @") + fence + "()\n";
        out.text += lines[i] + '\n';
    }
    if (text.find(std::string("declare void @") + fence) == std::string::npos) out.text += std::string("\ndeclare void @") + fence + "()\n";
    out.text += "\n!" + std::to_string(tbaa.last() + 1) + " = !{i32 1}\n";
    return out;
}

}  // namespace sepal
