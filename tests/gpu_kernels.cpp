#include "gpu_kernels.h"

#include "tools/compile/assemble.h"
#include "tools/compile/build_module.h"
#include "tools/files.h"

#include <dlfcn.h>

#include <stdexcept>
#include <utility>

using namespace Halide;

namespace sepal {
namespace {

Isa isa_of(Backend backend) { return backend == Backend::cuda ? Isa::sm80 : backend == Backend::opencl ? Isa::opencl : Isa::x64; }

}  // namespace

TestKernel TestKernel::compile(const std::string &name, Backend backend, Func &func, const std::vector<Argument> &arguments, bool half) {
    TestKernel kernel;
    kernel.name_ = name + "_" + std::string(sepal::name(backend));
    kernel.backend_ = backend;
    const Target target = kernel_target(isa_of(backend));
    const ScratchFolder folder("sepal-kernel", "no temporary folder can be made for a kernel");
    const std::string object = folder.path() + "/kernel.o", library = folder.path() + "/kernel.so";
    func.compile_to_module(arguments, kernel.name_, half ? target.with_feature(Target::CLHalf) : target).compile({{OutputFileType::object, object}});
    run_tool({"ld", "-shared", "-o", library, object});
    kernel.library_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    void *const function = kernel.library_ ? dlsym(kernel.library_, (kernel.name_ + "_argv").c_str()) : nullptr;
    if (!function) throw std::runtime_error(kernel.name_ + " could not be loaded: " + dlerror());
    kernel.function_ = reinterpret_cast<KernelFunction>(function);
    return kernel;
}

TestKernel TestKernel::add(Backend backend) {
    ImageParam a(Float(32), 1, "a"), b(Float(32), 1, "b");
    Var x("x"), block("block"), thread("thread");
    Func out("out");
    out(x) = a(x) + b(x);
    out.gpu_tile(x, block, thread, 64, TailStrategy::GuardWithIf);
    return compile("add", backend, out, {a, b});
}

TestKernel TestKernel::shared(Backend backend) {
    ImageParam a(Float(32), 1, "a");
    Var x("x"), block("block"), part("part"), thread("thread");
    Func out("out"), staged("staged");
    staged(x) = 2 * a(x);
    out(x) = staged(x) + 1;
    out.split(x, block, part, 15360, TailStrategy::RoundUp).split(part, part, thread, 256).gpu_blocks(block).gpu_threads(thread);
    staged.compute_at(out, block).store_in(MemoryType::GPUShared).split(x, part, thread, 256).gpu_threads(thread);
    return compile("shared", backend, out, {a});
}

TestKernel TestKernel::two_steps(Backend backend) {
    ImageParam a(Float(32), 1, "a");
    Var x("x"), block("block"), thread("thread");
    Func out("out"), staged("staged");
    staged(x) = 2 * a(x);
    out(x) = staged(x) + 1;
    staged.compute_root().gpu_tile(x, block, thread, 64, TailStrategy::GuardWithIf);
    out.gpu_tile(x, block, thread, 64, TailStrategy::GuardWithIf);
    return compile("two_steps", backend, out, {a});
}

TestKernel TestKernel::rows(Backend backend) {
    ImageParam a(Float(32), 2, "a");
    Var x("x"), y("y"), thread("thread");
    Func out("out");
    out(x, y) = a(x, y) + 1;
    out.split(x, x, thread, 1).reorder(thread, x, y).gpu_blocks(x, y).gpu_threads(thread);
    return compile("rows", backend, out, {a});
}

TestKernel TestKernel::half(Backend backend) {
    ImageParam a(Float(32), 1, "a");
    Var x("x"), block("block"), thread("thread");
    Func out("out");
    out(x) = cast<float>(cast<float16_t>(a(x) + 1));
    out.gpu_tile(x, block, thread, 64, TailStrategy::GuardWithIf);
    return compile("half", backend, out, {a}, backend == Backend::opencl);
}

TestKernel TestKernel::depthwise(Backend backend) {
    ImageParam input(Float(32), 4, "input"), filter(Float(32), 3, "filter"), bias(Float(32), 1, "bias");
    std::vector<Argument> arguments = {input, filter, bias};
    for (const char *name : {"stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left", "multiplier", "activation"})
        arguments.push_back(Param<int32_t>(name));
    Var k("k"), x("x"), y("y"), n("n"), thread("thread");
    Func out("out");
    out(k, x, y, n) = input(k, x, y, n) * filter(k, 0, 0) + bias(k);
    out.split(k, k, thread, 32, TailStrategy::GuardWithIf).fuse(y, n, y).reorder(thread, k, x, y).gpu_blocks(k, x, y).gpu_threads(thread);
    return compile("depthwise", backend, out, arguments);
}

TestKernel::TestKernel(TestKernel &&other) noexcept
    : name_(std::move(other.name_)), backend_(other.backend_), library_(std::exchange(other.library_, nullptr)), function_(other.function_) {}

TestKernel::~TestKernel() {
    if (library_) dlclose(library_);
}

Variant TestKernel::variant() const {
    Variant v;
    v.name = name();
    v.op = Operator::depthwise;
    v.isa = isa_of(backend_);
    v.scheduler = "hand";
    v.kernel = function_;
    return v;
}

}  // namespace sepal
