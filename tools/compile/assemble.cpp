#include "assemble.h"

#include "tools/files.h"
#include "tools/program.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

class FindPrefetch : public IRVisitor {
public:
    bool found = false;

private:
    using IRVisitor::visit;
    void visit(const Call *op) override {
        if (op->is_intrinsic(Call::prefetch)) found = true;
        IRVisitor::visit(op);
    }
};

}  // namespace

bool has_prefetches(const Module &module) {
    FindPrefetch find;
    for (const LoweredFunc &function : module.functions()) function.body.accept(&find);
    return find.found;
}

void run_tool(const std::vector<std::string> &command) {
    const int status = run_program(command);
    if (status < 0)
        throw std::runtime_error(command[0] + " (GNU binutils), which a kernel that fetches its filter ahead needs: " + std::strerror(errno));
    if (status > 0) throw std::runtime_error(command[0] + " (GNU binutils) failed on " + command.back());
}

void assemble(const Module &module, const std::string &object) {
    const std::string assembly = object + ".s";
    module.compile({{OutputFileType::assembly, assembly}});
    std::string text = read_file(assembly);
    const std::string bypassing_l2 = "prefetchnta", into_l2 = "prefetcht1";
    for (size_t at = 0; (at = text.find(bypassing_l2, at)) != std::string::npos; at += into_l2.size()) text.replace(at, bypassing_l2.size(), into_l2);
    write_file(assembly, {text});
    run_tool({"as", "-o", object, assembly});
    std::remove(assembly.c_str());
}

}  // namespace sepal
