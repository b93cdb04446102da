// The C API: problems, candidates and plans, as the classes of this folder.
#include "sepal/sepal.h"

#include "api_call.h"
#include "api_device.h"
#include "gpu/gpu_plan.h"
#include "plan.h"
#include "platform.h"
#include "scratch.h"
#include "variant_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

using namespace sepal;

struct sepal_candidates {
    struct Candidate {
        Variant variant;
        std::string why_not;
        bool chosen = false;
    };
    std::vector<Candidate> all;
};

struct sepal_plan {
    Variant variant;
    std::unique_ptr<Plan> plan;  // on a CPU
    std::unique_ptr<GpuPlan> gpu_plan;  // or on a device
    Execution execution;
    TensorStrides strides;
    bool dense = true;
    std::mutex measuring;
    std::atomic<bool> measured{false};
    ScratchBytes scratch;
};

namespace {

sepal_problem default_problem() {
    sepal_problem p = {};
    p.size = sizeof p;
    const ConvProblem defaults;
    p.n = p.r = p.s = p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = p.groups = p.multiplier = 1;
    p.max_rel_error = defaults.max_rel_error;
    return p;
}

template<typename S>
S sized() {
    S s = {};
    s.size = sizeof s;
    return s;
}

// `given` is an enumeration of the C API in which a caller in C may have put any number, which C++ does not allow to be read as one.
template<typename Given, typename E>
E checked(const Given &given, E last, const char *field) {
    int value = 0;
    static_assert(sizeof given == sizeof value);
    std::memcpy(&value, &given, sizeof value);
    if (value < 0 || value > int(last)) invalid(fmt::format("problem: field \"{}\" is {}; allowed: 0 to {}", field, value, int(last)));
    return E(value);
}

Strides strides_of(const sepal_strides &s) { return {s.n, s.h, s.w, s.c}; }

struct Wanted {
    ConvProblem problem;
    TensorStrides strides;
};

Wanted problem_of(const sepal_problem *given) {
    require(given, "problem");
    const sepal_problem p = known_part(given, default_problem(), "problem", "sepal_problem_init()");
    Wanted out;
    ConvProblem &to = out.problem;
    to.op = checked(p.op, Operator::depsep, "op");
    to.dtype = checked(p.dtype, DType::f16, "dtype");
    to.layout = checked(p.layout, Layout::nchw, "layout");
    to.n = p.n, to.h = p.h, to.w = p.w, to.c = p.c, to.k = p.k, to.r = p.r, to.s = p.s;
    to.stride_h = p.stride_h, to.stride_w = p.stride_w, to.dilation_h = p.dilation_h, to.dilation_w = p.dilation_w;
    to.pad_mode = checked(p.padding, PadMode::explicit_, "padding");
    if (to.pad_mode == PadMode::explicit_) to.padding = {p.pad_top, p.pad_left, p.pad_bottom, p.pad_right};
    to.groups = p.groups, to.multiplier = p.multiplier;
    to.mid = {p.mid_bias != 0, checked(p.mid_activation, Activation::hardswish, "mid_activation")};
    to.out = {p.bias != 0, checked(p.activation, Activation::hardswish, "activation")};
    to.residual = p.residual != 0;
    to.max_rel_error = p.max_rel_error;
    if (std::string why = to.validate(); !why.empty()) invalid("problem: " + why);
    out.strides = {strides_of(p.input_strides), strides_of(p.output_strides)};
    if (!is_dense(out.strides, to))
        if (std::string why = why_not_strides(out.strides, to); !why.empty()) invalid("problem: " + why);
    return out;
}

sepal_options options_of(const sepal_options *given) {
    sepal_options o = known_part(given, sized<sepal_options>(), "options", "sepal_options_init()");
    constexpr int most_threads = 1024;
    if (o.threads < 0 || o.threads > most_threads) invalid(fmt::format("options: field threads is {}; allowed: 0 to {}", o.threads, most_threads));
    if (o.threads == 0) o.threads = std::min(int(cpus_of_process().size()), most_threads);
    if (!o.allocator.allocate != !o.allocator.release) invalid("options: of the allocator's functions allocate and release only one is set");
    if (o.kernels_count > 0) require(o.kernels, "options' kernels");
    for (size_t i = 0; i < o.kernels_count; i++) require(o.kernels[i], "table of kernels");
    if (o.device && o.weights_memory) invalid("options: weights_memory is for plans on a CPU; those of a device keep their weights there");
    if (o.output_alignment & (o.output_alignment - 1)) invalid(fmt::format("options: output_alignment is {}; a power of two is expected", o.output_alignment));
    if (!o.variant) {
        const char *const forced = std::getenv("SEPAL_VARIANT");
        if (forced && *forced) o.variant = forced;
    }
    return o;
}

// In order of preference: those of the options' tables, then the library's own, which are not copied.
struct Variants {
    std::vector<std::vector<Variant>> given;
    std::vector<const Variant *> all;
};

Variants all_variants(const sepal_options &o) {
    Variants variants;
    for (size_t i = 0; i < o.kernels_count; i++) {
        std::string why_not;
        variants.given.push_back(variants_of(*o.kernels[i], why_not));
        if (!why_not.empty()) throw Failure{SEPAL_UNSUPPORTED, std::move(why_not)};
    }
    for (const std::vector<Variant> &of_table : variants.given)
        for (const Variant &v : of_table) variants.all.push_back(&v);
    for (const Variant &v : Registry::builtin()) variants.all.push_back(&v);
    return variants;
}

// Empty when this CPU, or the options' device, runs the variant.
std::string why_not_here(const Variant &v, const sepal_options &o, const Cpu &cpu) {
    if (!o.device) {
        if (is_gpu(v.isa)) return "runs on GPUs";
        return cpu.runs(v.isa) ? "" : fmt::format("needs {}, which this CPU lacks or SEPAL_MAX_ISA forbids", name(v.isa));
    }
    const GpuDevice &device = *o.device->device;
    if (!is_gpu(v.isa)) return "runs on CPUs";
    if (!device.runs(v.isa)) return fmt::format("is for {}, not for {}", name(backend(v.isa)), device.text());
    return v.dtype != DType::f16 || device.info().half_precision ? "" : fmt::format("needs half precision, which {} lacks", device.text());
}

// Empty when the variant can be used.
std::string why_not(const Variant &v, const Wanted &wanted, const sepal_options &o, const Cpu &cpu) {
    if (!v.kernel) return fmt::format("was not built: {}", v.error);
    if (std::string why = why_not_here(v, o, cpu); !why.empty()) return why;
    if (!is_dense(wanted.strides, wanted.problem) && !v.takes_strides()) return "takes dense tensors only";
    if (std::string why = v.refuses(calls_for(wanted.problem, wanted.strides).problem); !why.empty()) return why;
    if (o.output_alignment < size_t(v.output_alignment))  // both are powers of two
        return fmt::format("bypasses the caches, for which outputs are aligned to {} bytes (options: output_alignment)", v.output_alignment);
    if (o.variant) return v.name == std::string_view(o.variant) ? "" : fmt::format("is not the one that was asked for, {}", o.variant);
    if (!v.is_for(o.threads)) return fmt::format("was tuned for {} threads", v.tuned_threads);
    if (v.is_reference() && !o.allow_reference) return "is the reference, which is slow (options: allow_reference)";
    return {};
}

void check_forced(const Variants &variants, const sepal_options &o) {
    if (!o.variant || std::any_of(variants.all.begin(), variants.all.end(), [&](const Variant *v) { return v->name == std::string_view(o.variant); })) return;
    throw Failure{SEPAL_UNSUPPORTED, fmt::format("there is no variant \"{}\"; sepal_candidates_create() lists those that there are", o.variant)};
}

Variant choose(const Wanted &wanted, const sepal_options &o) {
    const Variants variants = all_variants(o);
    check_forced(variants, o);
    const Cpu cpu = Cpu::detect();
    std::string named, reference;
    for (const Variant *of_all : variants.all) {
        const Variant &v = *of_all;
        const std::string why = why_not(v, wanted, o, cpu);
        if (why.empty()) return v;
        if (o.variant && v.name == std::string_view(o.variant)) named = why;
        if (v.is_reference() && !is_gpu(v.isa) && v.refuses(wanted.problem).empty()) reference = why;
    }
    if (o.variant) throw Failure{SEPAL_UNSUPPORTED, fmt::format("variant {} {}", o.variant, named)};
    if (o.device)
        throw Failure{SEPAL_UNSUPPORTED, fmt::format("no kernel for {} takes {}; those for GPUs come with options' tables of generated kernels (kernels)",
                                                     o.device->device->text(), wanted.problem.key())};
    const std::string too_large = why_too_much_scratch(wanted.problem);
    throw Failure{SEPAL_UNSUPPORTED, fmt::format("no kernel on this CPU takes {}{}{}", wanted.problem.key(), too_large.empty() ? "" : ", which " + too_large,
                                                 reference.empty() ? "" : "; the reference does, if options allow it (allow_reference)")};
}

Execution execution_of(const sepal_options &o) {
    Execution e;
    e.threads = o.threads;
    e.parallel_for = o.parallel_for;
    e.parallel_for_context = o.parallel_for_context;
    e.allocator = {o.allocator.context, o.allocator.allocate, o.allocator.release};
    if (!e.parallel_for && e.threads > 1) {
        // One pool for all plans, as large as any of them asks for.
        static std::mutex mutex;
        static int pool = 0;
        std::lock_guard<std::mutex> lock(mutex);
        if (e.threads > pool) set_num_threads(pool = e.threads);
    }
    return e;
}

bool overlap(const void *a, int64_t a_bytes, const void *b, int64_t b_bytes) {
    const uintptr_t x = reinterpret_cast<uintptr_t>(a), y = reinterpret_cast<uintptr_t>(b);
    return x < y + uintptr_t(b_bytes) && y < x + uintptr_t(a_bytes);
}

int64_t tensor_bytes(const Strides &s, const ConvProblem &p, bool output) {
    return size_in_bytes(p.dtype) * (output ? span(s, p.n, p.p(), p.q(), p.out_channels()) : span(s, p.n, p.h, p.w, p.c));
}

// Throws where memory that the caller gave cannot hold `needed` bytes; `given` 0: its size was not said.
void check_memory(const char *what, const void *memory, int64_t needed, size_t given, size_t alignment, const ConvProblem &p) {
    if (reinterpret_cast<uintptr_t>(memory) % alignment != 0) invalid(fmt::format("the {} at {} is not aligned to {} bytes", what, memory, alignment));
    if (given != 0 && given < size_t(needed)) invalid(fmt::format("the {} has {} bytes; {} are needed for {}", what, given, needed, p.key()));
}

sepal_status run_on_device(const GpuPlan &plan, const sepal_run &run) {
    const ConvProblem &p = plan.problem();
    const int64_t element = size_in_bytes(p.dtype), in = element * p.input_elements(), out = element * p.output_elements();
    check_memory("input", run.input, in, run.input_bytes, 1, p);
    check_memory("output", run.output, out, run.output_bytes, 1, p);
    if (run.skip) check_memory("skip tensor", run.skip, out, run.skip_bytes, 1, p);
    // Handles of OpenCL are no addresses.
    if (plan.device()->backend() == Backend::opencl ? run.input == run.output : overlap(run.input, in, run.output, out)) invalid("input and output overlap");
    const auto array = [&](const char *what, const void *memory, int64_t bytes) {
        Status status;
        GpuArray wrapped = GpuArray::wrap(plan.device(), reinterpret_cast<uint64_t>(memory), bytes, status);
        if (!status.ok()) throw Failure{status_of(status), fmt::format("the {}: {}", what, status.message)};
        return wrapped;
    };
    const GpuArray input = array("input", run.input, in);
    const GpuArray skip = run.skip ? array("skip tensor", run.skip, out) : GpuArray();
    GpuArray output = array("output", run.output, out);
    return status_of(plan.run(input, output, run.skip ? &skip : nullptr));
}

sepal_status run_plan(const sepal_plan *plan, const sepal_run &run) {
    require(run.input, "input");
    require(run.output, "output");
    if (plan->gpu_plan) return run_on_device(*plan->gpu_plan, run);
    const ConvProblem &p = plan->plan->problem();
    const int64_t element = size_in_bytes(p.dtype), in = tensor_bytes(plan->strides.input, p, false), out = tensor_bytes(plan->strides.output, p, true);
    check_memory("input", run.input, in, run.input_bytes, size_t(element), p);
    check_memory("output", run.output, out, run.output_bytes, std::max(size_t(element), size_t(plan->variant.output_alignment)), p);
    if (run.skip) check_memory("skip tensor", run.skip, out, run.skip_bytes, size_t(element), p);
    // Slices of the channels of one tensor lie between each other.
    if (plan->dense ? overlap(run.input, in, run.output, out) : run.input == run.output) invalid("input and output overlap");
    Execution e = plan->execution;
    if (run.workspace) {
        if (!plan->measured) invalid("a workspace is given; sepal_plan_workspace_bytes(), which says how large it is to be, was not called before");
        check_memory("workspace", run.workspace, int64_t(plan->scratch.of(e.threads)), run.workspace_bytes ? run.workspace_bytes : 1, Arena::alignment, p);
        e.workspace = run.workspace;
        e.scratch = plan->scratch;
    }
    return status_of(plan->plan->run(run.input, run.output, run.skip, e));
}

}  // namespace

extern "C" {

const char *sepal_version(void) { return SEPAL_VERSION; }

void sepal_problem_init(sepal_problem *problem) {
    if (problem) *problem = default_problem();
}
void sepal_options_init(sepal_options *options) {
    if (options) *options = sized<sepal_options>();
}
void sepal_run_init(sepal_run *run) {
    if (run) *run = sized<sepal_run>();
}

sepal_status sepal_problem_output(const sepal_problem *problem, int64_t *p, int64_t *q, int64_t *k) {
    return guarded([&] {
        const ConvProblem of = problem_of(problem).problem;
        if (p) *p = of.p();
        if (q) *q = of.q();
        if (k) *k = of.out_channels();
        return SEPAL_OK;
    });
}

sepal_status sepal_candidates_create(const sepal_problem *problem, const sepal_options *options, sepal_candidates **candidates) {
    return guarded([&] {
        require(candidates, "candidates");
        *candidates = nullptr;
        const Wanted wanted = problem_of(problem);
        const sepal_options o = options_of(options);
        const Variants variants = all_variants(o);
        check_forced(variants, o);
        const Cpu cpu = Cpu::detect();
        auto made = std::make_unique<sepal_candidates>();
        bool chosen = false;
        for (const Variant *v : variants.all) {
            std::string why = why_not(*v, wanted, o, cpu);
            const bool first = why.empty() && !chosen;
            chosen |= first;
            made->all.push_back({*v, std::move(why), first});
        }
        *candidates = made.release();
        return SEPAL_OK;
    });
}

size_t sepal_candidates_count(const sepal_candidates *candidates) { return candidates ? candidates->all.size() : 0; }

sepal_status sepal_candidates_get(const sepal_candidates *candidates, size_t index, sepal_candidate *candidate) {
    return guarded([&] {
        require(candidates, "candidates");
        require(candidate, "candidate");
        if (index >= candidates->all.size()) invalid(fmt::format("candidate {} is asked for; there are {}", index, candidates->all.size()));
        const auto &c = candidates->all[index];
        sepal_candidate out = known_part(candidate, sized<sepal_candidate>(), "candidate", "sizeof");
        out.name = c.variant.name, out.isa = name(c.variant.isa).data(), out.scheduler = c.variant.scheduler;
        out.takes = c.why_not.empty(), out.chosen = c.chosen, out.why_not = c.why_not.c_str();
        std::memcpy(candidate, &out, std::min(candidate->size, sizeof out));
        return SEPAL_OK;
    });
}

void sepal_candidates_destroy(sepal_candidates *candidates) { delete candidates; }

sepal_status sepal_weights_bytes(const sepal_problem *problem, const sepal_options *options, size_t *bytes) {
    return guarded([&] {
        require(bytes, "bytes");
        const Wanted wanted = problem_of(problem);
        *bytes = size_t(packed_bytes(packed_tensors(wanted.problem, choose(wanted, options_of(options)).filter_layout)));
        return SEPAL_OK;
    });
}

sepal_status sepal_plan_create(const sepal_problem *problem, const sepal_weights *weights, const sepal_options *options, sepal_plan **plan) {
    return guarded([&] {
        require(plan, "plan");
        *plan = nullptr;
        const Wanted wanted = problem_of(problem);
        require(weights, "weights");
        const sepal_weights w = known_part(weights, sized<sepal_weights>(), "weights", "sizeof");
        const sepal_options o = options_of(options);
        auto made = std::make_unique<sepal_plan>();
        made->variant = choose(wanted, o);
        made->strides = resolved(wanted.strides, wanted.problem);
        made->dense = is_dense(wanted.strides, wanted.problem);
        made->execution = execution_of(o);
        const Weights tensors{w.filter, w.mid_bias, w.pointwise_filter, w.bias};
        const std::pair<const char *, const float *> pointers[] = {
            {"filter", w.filter}, {"mid_bias", w.mid_bias}, {"pointwise_filter", w.pointwise_filter}, {"bias", w.bias}};
        for (const auto &[what, pointer] : pointers)
            if (reinterpret_cast<uintptr_t>(pointer) % alignof(float) != 0)
                invalid(fmt::format("the {} at {} is not aligned to {} bytes", what, static_cast<const void *>(pointer), alignof(float)));
        const ConvProblem called = calls_for(wanted.problem, wanted.strides).problem;
        Status status;
        std::shared_ptr<const PackedWeights> packed;
        {
            const UseExecution use(made->execution);
            if (o.weights_memory) {
                const int64_t needed = packed_bytes(packed_tensors(called, made->variant.filter_layout));
                if (reinterpret_cast<uintptr_t>(o.weights_memory) % 64 != 0)
                    invalid(fmt::format("options: weights_memory at {} is not aligned to 64 bytes", o.weights_memory));
                if (o.weights_bytes < size_t(needed))
                    invalid(fmt::format("options: weights_bytes is {}; variant {} needs {}", o.weights_bytes, made->variant.name, needed));
                packed = PackedWeights::pack(called, made->variant, tensors, status, AlignedBytes::wrap(o.weights_memory, needed));
            } else {
                packed = PackedWeights::pack(called, made->variant, tensors, status, made->execution.allocator);
            }
        }
        if (packed && o.device)
            made->gpu_plan = GpuPlan::create(wanted.problem, made->variant, std::move(packed), o.device->device, status);
        else if (packed)
            made->plan = Plan::create(wanted.problem, made->variant, std::move(packed), status, wanted.strides);
        if (!made->plan && !made->gpu_plan) return status_of(status);
        *plan = made.release();
        return SEPAL_OK;
    });
}

const char *sepal_plan_variant(const sepal_plan *plan) { return plan ? plan->variant.name : nullptr; }

sepal_status sepal_plan_run(const sepal_plan *plan, const void *input, void *output) {
    return guarded([&] {
        require(plan, "plan");
        sepal_run run = {};
        run.input = input, run.output = output;
        return run_plan(plan, run);
    });
}

sepal_status sepal_plan_run_with(const sepal_plan *plan, const sepal_run *run) {
    return guarded([&] {
        require(plan, "plan");
        require(run, "run");
        return run_plan(plan, known_part(run, sized<sepal_run>(), "run", "sepal_run_init()"));
    });
}

sepal_status sepal_plan_workspace_bytes(sepal_plan *plan, size_t *bytes) {
    return guarded([&] {
        require(plan, "plan");
        require(bytes, "bytes");
        if (plan->gpu_plan) {
            *bytes = 0;
            return SEPAL_OK;
        }
        std::lock_guard<std::mutex> lock(plan->measuring);
        if (!plan->measured) {
            const ConvProblem &p = plan->plan->problem();
            const AlignedBytes input = AlignedBytes::zeros(tensor_bytes(plan->strides.input, p, false));
            AlignedBytes output(tensor_bytes(plan->strides.output, p, true));
            const AlignedBytes skip = AlignedBytes::zeros(p.residual ? tensor_bytes(plan->strides.output, p, true) : 0);
            Execution e = plan->execution;
            ScratchBytes scratch;
            e.measured = &scratch;
            if (const Status status = plan->plan->run(input.data(), output.data(), p.residual ? skip.data() : nullptr, e); !status.ok()) return status_of(status);
            plan->scratch = scratch;
            plan->measured = true;
        }
        *bytes = std::max(plan->scratch.of(plan->execution.threads), Arena::alignment);
        return SEPAL_OK;
    });
}

void sepal_plan_destroy(sepal_plan *plan) { delete plan; }

}  // extern "C"
