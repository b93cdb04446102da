#include "assemble.h"

#include "llc.h"
#include "passes/streaming_stores.h"
#include "tools/files.h"
#include "tools/program.h"

#include <cerrno>
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

// Of the Func that the module computes. (In a process that has had one of the same name, it has another.)
std::string output_name(const Module &module) {
    for (const LoweredArgument &argument : module.get_function_by_name(module.name()).args)
        if (argument.is_output()) return argument.name;
    throw std::runtime_error(module.name() + " has no output");
}

}  // namespace

bool has_prefetches(const Module &module) {
    FindPrefetch find;
    for (const LoweredFunc &function : module.functions()) function.body.accept(&find);
    return find.found;
}

void run_tool(const std::vector<std::string> &command) {
    const int status = run_program(command);
    if (status < 0) throw std::runtime_error(command[0] + " (GNU binutils), which this kernel needs besides Halide: " + std::strerror(errno));
    if (status > 0) throw std::runtime_error(command[0] + " (GNU binutils) failed on " + command.back());
}

void assemble(const Module &module, const std::string &object, bool streaming) {
    const ScratchFolder folder("sepal-assemble", "no temporary folder can be made for a kernel");
    const std::string emitted = folder.path() + "/kernel.ll", assembly = folder.path() + "/kernel.s";
    std::string text;
    if (streaming) {
        module.compile({{OutputFileType::llvm_assembly, emitted}});
        text = compile_ir(stream_stores(read_file(emitted), output_name(module)).text);
        if (text.find("movnt") == std::string::npos) throw std::runtime_error(module.name() + ": llc made plain stores of the streaming ones");
    } else {
        module.compile({{OutputFileType::assembly, assembly}});
        text = read_file(assembly);
    }
    const std::string bypassing_l2 = "prefetchnta", into_l2 = "prefetcht1";
    for (size_t at = 0; (at = text.find(bypassing_l2, at)) != std::string::npos; at += into_l2.size()) text.replace(at, bypassing_l2.size(), into_l2);
    write_file(assembly, {text});
    run_tool({"as", "-o", object, assembly});
}

}  // namespace sepal
