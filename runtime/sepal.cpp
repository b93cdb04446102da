// The C API: checks what comes from outside, turns it into the classes of this folder, and lets nothing out but a status.
#include "sepal/sepal.h"

#include "plan.h"
#include "platform.h"
#include "variant_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
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
    std::unique_ptr<Plan> plan;
    Execution execution;
    TensorStrides strides;
    bool dense = true;
    std::mutex measuring;
    std::atomic<bool> measured{false};
    ScratchBytes scratch;
};

namespace {

thread_local std::string last_error;
// For when there is no memory for a sentence.
thread_local const char *last_error_text = "";

sepal_status fail(sepal_status status, std::string message) {
    last_error = std::move(message);
    last_error_text = last_error.c_str();
    return status;
}

sepal_status status_of(const Status &status) {
    switch (status.code) {
    case Status::Code::ok: return SEPAL_OK;
    case Status::Code::invalid_argument: return fail(SEPAL_INVALID_ARGUMENT, status.message);
    case Status::Code::unsupported: return fail(SEPAL_UNSUPPORTED, status.message);
    case Status::Code::out_of_memory: return fail(SEPAL_OUT_OF_MEMORY, status.message);
    case Status::Code::kernel_failed: break;
    }
    return fail(SEPAL_KERNEL_FAILED, status.message);
}

// Thrown inside, caught by guarded().
struct Failure {
    sepal_status status;
    std::string message;
};

template<typename Body>
sepal_status guarded(const Body &body) {
    try {
        return body();
    } catch (const Failure &f) {
        try {
            return fail(f.status, f.message);
        } catch (const std::bad_alloc &) {
        }
    } catch (const std::bad_alloc &) {
    } catch (const std::exception &e) {  // SEPAL_MAX_ISA holds an unknown name
        try {
            return fail(SEPAL_INVALID_ARGUMENT, e.what());
        } catch (const std::bad_alloc &) {
        }
    }
    last_error_text = "not enough memory";
    return SEPAL_OUT_OF_MEMORY;
}

[[noreturn]] void invalid(std::string message) { throw Failure{SEPAL_INVALID_ARGUMENT, std::move(message)}; }

void require(const void *pointer, const char *what) {
    if (!pointer) invalid(fmt::format("the pointer to the {} is null", what));
}

// What the caller's structure holds, as far as its version and this one know it, and defaults for the rest.
template<typename S>
S known_part(const S *given, const S &defaults, const char *what, const char *init) {
    if (!given) return defaults;
    S out = defaults;
    if (given->size < 2 * sizeof(size_t) || given->size > 65536)
        invalid(fmt::format("the field size of the {} is {}; {} sets it to {}", what, given->size, init, sizeof(S)));
    std::memcpy(&out, given, std::min(given->size, sizeof(S)));
    return out;
}

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

template<typename E>
E checked(int value, E last, const char *field) {
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
    if (o.threads == 0) o.threads = std::min(usable_cpus(), most_threads);
    if (!o.allocator.allocate != !o.allocator.release) invalid("options: of the allocator's functions allocate and release only one is set");
    if (o.kernels_count > 0) require(o.kernels, "options' kernels");
    for (size_t i = 0; i < o.kernels_count; i++) require(o.kernels[i], "table of kernels");
    if (o.output_alignment & (o.output_alignment - 1)) invalid(fmt::format("options: output_alignment is {}; a power of two is expected", o.output_alignment));
    if (!o.variant) {
        const char *const forced = std::getenv("SEPAL_VARIANT");
        if (forced && *forced) o.variant = forced;
    }
    return o;
}

// All variants in order of preference.
std::vector<Variant> all_variants(const sepal_options &o) {
    std::vector<Variant> all;
    for (size_t i = 0; i < o.kernels_count; i++) {
        std::string why_not;
        const std::vector<Variant> more = variants_of(*o.kernels[i], why_not);
        if (!why_not.empty()) throw Failure{SEPAL_UNSUPPORTED, std::move(why_not)};
        all.insert(all.end(), more.begin(), more.end());
    }
    all.insert(all.end(), Registry::builtin().begin(), Registry::builtin().end());
    return all;
}

// Empty when the variant can be used.
std::string why_not(const Variant &v, const Wanted &wanted, const sepal_options &o, const Cpu &cpu) {
    if (!v.kernel) return fmt::format("was not built: {}", v.error);
    if (is_gpu(v.isa)) return "runs on GPUs";
    if (!cpu.runs(v.isa)) return fmt::format("needs {}, which this CPU lacks or SEPAL_MAX_ISA forbids", name(v.isa));
    if (!is_dense(wanted.strides, wanted.problem) && !v.takes_strides()) return "takes dense tensors only";
    if (std::string why = v.refuses(calls_for(wanted.problem, wanted.strides).problem); !why.empty()) return why;
    if (o.output_alignment < size_t(v.output_alignment))  // both are powers of two
        return fmt::format("bypasses the caches, for which outputs are aligned to {} bytes (options: output_alignment)", v.output_alignment);
    if (o.variant) return v.name == std::string_view(o.variant) ? "" : fmt::format("is not the one that was asked for, {}", o.variant);
    if (!v.is_for(o.threads)) return fmt::format("was tuned for {} threads", v.tuned_threads);
    if (v.is_reference() && !o.allow_reference) return "is the reference, which is slow (options: allow_reference)";
    return {};
}

void check_forced(const std::vector<Variant> &all, const sepal_options &o) {
    if (!o.variant || std::any_of(all.begin(), all.end(), [&](const Variant &v) { return v.name == std::string_view(o.variant); })) return;
    throw Failure{SEPAL_UNSUPPORTED, fmt::format("there is no variant \"{}\"; sepal_candidates_create() lists those that there are", o.variant)};
}

Variant choose(const Wanted &wanted, const sepal_options &o) {
    const std::vector<Variant> all = all_variants(o);
    check_forced(all, o);
    const Cpu cpu = Cpu::detect();
    std::string named, reference;
    for (const Variant &v : all) {
        const std::string why = why_not(v, wanted, o, cpu);
        if (why.empty()) return v;
        if (o.variant && v.name == std::string_view(o.variant)) named = why;
        if (v.is_reference() && !is_gpu(v.isa) && v.refuses(wanted.problem).empty()) reference = why;
    }
    if (o.variant) throw Failure{SEPAL_UNSUPPORTED, fmt::format("variant {} {}", o.variant, named)};
    throw Failure{SEPAL_UNSUPPORTED, fmt::format("no kernel on this CPU takes {}{}", wanted.problem.key(),
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

sepal_status run_plan(const sepal_plan *plan, const sepal_run &run) {
    require(run.input, "input");
    require(run.output, "output");
    const ConvProblem &p = plan->plan->problem();
    const int64_t element = size_in_bytes(p.dtype), in = tensor_bytes(plan->strides.input, p, false), out = tensor_bytes(plan->strides.output, p, true);
    const auto check = [&](const char *what, const void *memory, int64_t needed, size_t given, size_t alignment) {
        if (reinterpret_cast<uintptr_t>(memory) % alignment != 0)
            invalid(fmt::format("the {} at {} is not aligned to {} bytes", what, memory, alignment));
        if (given != 0 && given < size_t(needed)) invalid(fmt::format("the {} has {} bytes; {} are needed for {}", what, given, needed, p.key()));
    };
    check("input", run.input, in, run.input_bytes, size_t(element));
    check("output", run.output, out, run.output_bytes, std::max(size_t(element), size_t(plan->variant.output_alignment)));
    if (run.skip) check("skip tensor", run.skip, out, run.skip_bytes, size_t(element));
    // Slices of the channels of one tensor lie between each other.
    if (plan->dense ? overlap(run.input, in, run.output, out) : run.input == run.output) invalid("input and output overlap");
    Execution e = plan->execution;
    if (run.workspace) {
        if (!plan->measured) invalid("a workspace is given; sepal_plan_workspace_bytes(), which says how large it is to be, was not called before");
        check("workspace", run.workspace, int64_t(plan->scratch.of(e.threads)), run.workspace_bytes ? run.workspace_bytes : 1, Arena::alignment);
        e.workspace = run.workspace;
        e.scratch = plan->scratch;
    }
    return status_of(plan->plan->run(run.input, run.output, run.skip, e));
}

}  // namespace

extern "C" {

const char *sepal_last_error(void) { return last_error_text; }
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
        const std::vector<Variant> all = all_variants(o);
        check_forced(all, o);
        const Cpu cpu = Cpu::detect();
        auto made = std::make_unique<sepal_candidates>();
        bool chosen = false;
        for (const Variant &v : all) {
            std::string why = why_not(v, wanted, o, cpu);
            const bool first = why.empty() && !chosen;
            chosen |= first;
            made->all.push_back({v, std::move(why), first});
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
        if (packed) made->plan = Plan::create(wanted.problem, made->variant, std::move(packed), status, wanted.strides);
        if (!made->plan) return status_of(status);
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
