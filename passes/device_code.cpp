#include "device_code.h"

#include <cstring>

using namespace Halide;
using namespace Halide::Internal;

namespace sepal {
namespace {

// As Halide's host code calls its runtime: halide_cuda_initialize_kernels(..., code, size of the code) and
// halide_cuda_run(state, kernel, 3 numbers of blocks, 3 of threads, shared bytes, ...).
constexpr const char *initialise_call = "halide_cuda_initialize_kernels", *run_call = "halide_cuda_run", *code_prefix = "cuda_gpu_source_kernels";
constexpr size_t kernel_argument = 1, threads_argument = 5, shared_argument = 8;

class ReplaceCode : public IRMutator {
public:
    ReplaceCode(std::string name, Buffer<uint8_t> code) : name_(std::move(name)), code_(std::move(code)) {}

private:
    using IRMutator::visit;
    Expr visit(const Variable *op) override {
        return op->image.defined() && op->image.name() == name_ ? Variable::make(op->type, op->name, code_) : op;
    }
    Expr visit(const Call *op) override {
        const Expr call = IRMutator::visit(op);
        const Call *changed = call.as<Call>();
        if (!changed || changed->name != initialise_call) return call;
        std::vector<Expr> arguments = changed->args;
        arguments.back() = make_const(arguments.back().type(), int64_t(code_.number_of_elements()));
        return Call::make(changed->type, changed->name, arguments, changed->call_type);
    }

    std::string name_;
    Buffer<uint8_t> code_;
};

bool holds_code(const Buffer<> &buffer) { return buffer.name().rfind(code_prefix, 0) == 0; }

}  // namespace

std::string device_code(const Module &module) {
    for (const Buffer<> &buffer : module.buffers()) {
        if (!holds_code(buffer)) continue;
        const std::string code(reinterpret_cast<const char *>(buffer.data()), buffer.size_in_bytes());
        return code.substr(0, code.find('\0'));
    }
    return {};
}

Module with_device_code(const Module &module, const std::string &code) {
    Module result(module.name(), module.target());
    result.set_any_strict_float(module.any_strict_float());
    result.set_conceptual_code_stmt(module.get_conceptual_stmt());
    std::string name;
    for (const Buffer<> &buffer : module.buffers()) {
        if (holds_code(buffer))
            name = buffer.name();
        else
            result.append(buffer);
    }
    if (name.empty()) throw CompileError("module " + module.name() + " has no device code to replace");
    Buffer<uint8_t> bytes(int(code.size()) + 1, name);  // PTX ends with a zero
    std::memcpy(bytes.data(), code.c_str(), code.size() + 1);
    result.append(bytes);
    ReplaceCode replace(name, bytes);
    for (const LoweredFunc &function : module.functions()) {
        LoweredFunc changed = function;
        changed.body = replace.mutate(function.body);
        result.append(changed);
    }
    return result;
}

std::vector<KernelLaunch> kernel_launches(const Module &module) {
    struct Launches : IRVisitor {
        using IRVisitor::visit;
        std::vector<KernelLaunch> found;
        void visit(const Call *op) override {
            IRVisitor::visit(op);
            if (op->name != run_call) return;
            KernelLaunch launch;
            if (const StringImm *name = op->args[kernel_argument].as<StringImm>()) launch.kernel = name->value;
            for (size_t i = 0; i < launch.threads.size(); i++)
                if (const auto threads = as_const_int(op->args[threads_argument + i])) launch.threads[i] = int(*threads);
            if (const auto bytes = as_const_int(op->args[shared_argument])) launch.shared_bytes = *bytes;
            found.push_back(launch);
        }
    } launches;
    for (const LoweredFunc &function : module.functions()) function.body.accept(&launches);
    return launches.found;
}

}  // namespace sepal
