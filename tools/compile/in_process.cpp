#include "in_process.h"

#include "assemble.h"
#include "build_module.h"
#include "compile_object.h"
#include "runtime/kernel_error.h"
#include "tools/files.h"

#include <dlfcn.h>

#include <chrono>
#include <map>
#include <mutex>
#include <stdexcept>

using namespace Halide;

// Of Halide's runtime for kernels compiled ahead of time; weak, for the driver that makes this runtime has none.
extern "C" __attribute__((weak)) int halide_do_par_for(void *, int (*)(void *, int, uint8_t *), int, int, uint8_t *);

namespace sepal {
namespace {

void on_jit_error(JITUserContext *, const char *message) { record_kernel_error(message); }

using JitTask = int (*)(JITUserContext *, int, uint8_t *);

// One pool of threads for all kernels.
int on_jit_par_for(JITUserContext *context, JitTask task, int min, int size, uint8_t *closure) {
    return halide_do_par_for(context, reinterpret_cast<int (*)(void *, int, uint8_t *)>(task), min, size, closure);
}

// A kernel that is no matter for Halide's compiler in memory (one for GPUs, or of assemble.h), as a shared library. It finds Halide's runtime
// in the program, which exports it.
class LoadedKernel {
public:
    LoadedKernel() = default;
    LoadedKernel(const LoadedKernel &) = delete;
    ~LoadedKernel() {
        if (library_) dlclose(library_);
    }
    KernelFunction load(const KernelSpec &spec, const std::string &arch) {
        const ScratchFolder folder("sepal-kernel", "no temporary folder can be made for a kernel");
        const std::string object = folder.path() + "/kernel.o", library = folder.path() + "/kernel.so";
        compile_object(spec, object, arch);
        run_tool({"ld", "-shared", "-o", library, object});
        library_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
        void *const function = library_ ? dlsym(library_, (spec.name + "_argv").c_str()) : nullptr;
        if (!function) throw std::runtime_error(spec.name + " could not be loaded: " + dlerror());
        return reinterpret_cast<KernelFunction>(function);
    }

private:
    void *library_ = nullptr;
};

Target jit_target(Isa isa) { return kernel_target(isa).without_feature(Target::NoRuntime).with_feature(Target::JIT); }

Internal::JITModule compile_in_memory(const Module &module, const std::string &name, const Target &target) {
    static const bool handler_set = [] {
        JITHandlers handlers;
        handlers.custom_error = on_jit_error;
        if (halide_do_par_for) handlers.custom_do_par_for = on_jit_par_for;
        Internal::JITSharedRuntime::set_default_handlers(handlers);
        return true;
    }();
    (void)handler_set;
    return Internal::JITModule(module, module.get_function_by_name(name), Internal::JITSharedRuntime::get(nullptr, target));
}

// There are few packers, each for many kernels: they are kept until the program ends.
KernelFunction packer_in_process(const FunctionSpec &spec) {
    static std::mutex mutex;
    static auto &packers = *new std::map<std::string, Internal::JITModule>;  // not destroyed, for Halide's own state may be by then
    std::lock_guard<std::mutex> lock(mutex);
    auto found = packers.find(spec.name);
    if (found == packers.end())
        found = packers.emplace(spec.name, compile_in_memory(build_module(spec, jit_target(spec.isa)), spec.name, jit_target(spec.isa))).first;
    return reinterpret_cast<KernelFunction>(found->second.argv_function());
}

}  // namespace

struct InProcessKernel::Contents {
    KernelSpec spec;
    Internal::JITModule module;
    LoadedKernel loaded;
    Variant variant;
    double seconds = 0;
};

InProcessKernel::InProcessKernel(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
InProcessKernel::~InProcessKernel() = default;
const Variant &InProcessKernel::variant() const { return contents_->variant; }
double InProcessKernel::compile_seconds() const { return contents_->seconds; }

std::unique_ptr<InProcessKernel> compile_in_process(const KernelSpec &spec, const std::string &arch) {
    const auto start = std::chrono::steady_clock::now();
    auto contents = std::make_unique<InProcessKernel::Contents>();
    contents->spec = spec;
    try {
        if (const auto packer = packer_for(spec.filter_layout, spec.isa, spec.dtype)) contents->variant.packer = packer_in_process(*packer);
        if (!is_gpu(spec.isa) && spec.output_alignment == 0) {
            const Target target = jit_target(spec.isa);
            const Module module = build_module(spec, target);
            if (!has_prefetches(module)) {
                contents->module = compile_in_memory(module, spec.name, target);
                contents->variant.kernel = reinterpret_cast<KernelFunction>(contents->module.argv_function());
            }
        }
        if (!contents->variant.kernel) contents->variant.kernel = contents->loaded.load(spec, arch);
    } catch (const Halide::Error &e) {
        throw std::runtime_error(spec.name + " could not be compiled: " + e.what());
    }
    Variant &v = contents->variant;
    const KernelSpec &kept = contents->spec;
    v.name = kept.name.c_str();
    v.op = kept.op;
    v.dtype = kept.dtype;
    v.layout = kept.layout;
    v.isa = kept.isa;
    v.scheduler = kept.scheduler.c_str();
    v.suite = kept.suite.c_str();
    v.tuned_threads = kept.tuned_threads;
    for (size_t i = 0; i < kept.knobs.size(); i++) v.knobs[i] = {kept.knobs[i].first.c_str(), kept.knobs[i].second};
    for (const Condition &c : kept.when) v.when[size_t(v.when_count++)] = c;
    v.filter_layout = kept.filter_layout;
    v.block_pixels = kept.block_pixels, v.block_two_rows = kept.block_two_rows;
    v.residual = kept.residual;
    v.output_alignment = kept.output_alignment;
    contents->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::unique_ptr<InProcessKernel>(new InProcessKernel(std::move(contents)));
}

}  // namespace sepal
