#include "kernel_spec.h"

#include "schedules/derive.h"
#include "schedules/schedule_check.h"
#include "tools/problem_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <tuple>

namespace sepal {
namespace {

using json = nlohmann::json;

constexpr const char *gpu_schedulers[] = {"hand", "mullapudi2016", "li2018", "anderson2021"};
constexpr const char *cpu_schedulers[] = {"hand", "tuned", "reference", "mullapudi2016", "adams2019", "li2018"};

static_assert(std::size(knobs) <= std::tuple_size_v<decltype(Variant::knobs)>, "a tuned variant carries all knobs");

// The value that a field has when a problem does not mention it; no name carries it.
int64_t default_value(Field field) {
    switch (field) {
    case Field::stride_h: case Field::stride_w: case Field::dilation_h: case Field::dilation_w: case Field::groups: case Field::multiplier:
        return 1;
    case Field::pad_top: case Field::pad_left: case Field::pad_bottom: case Field::pad_right: case Field::activation: case Field::mid_activation:
    case Field::residual:
        return 0;
    default: return -1;
    }
}

// Conditions on these say when a kernel is chosen; its code does not depend on them (the output's extents already say it all).
constexpr Field run_time_only[] = {Field::n, Field::pad_bottom, Field::pad_right, Field::pixels};

// The fields that a kernel specialised to a problem of this operator fixes.
std::vector<Field> specialised_fields(Operator op) {
    if (op == Operator::pointwise) return {Field::c, Field::k, Field::activation};
    std::vector<Field> fields = {Field::h, Field::w, Field::c};
    if (op != Operator::depthwise) fields.push_back(Field::k);
    for (Field f : {Field::r, Field::s, Field::stride_h, Field::stride_w, Field::dilation_h, Field::dilation_w, Field::pad_top,
                    Field::pad_left, Field::pad_bottom, Field::pad_right})
        fields.push_back(f);
    fields.push_back(op == Operator::conv2d ? Field::groups : Field::multiplier);
    if (op == Operator::depsep) fields.push_back(Field::mid_activation);
    fields.push_back(Field::activation);
    return fields;
}

std::vector<Condition> specialised_to(const ConvProblem &problem) {
    std::vector<Condition> when;
    for (Field f : specialised_fields(problem.op)) when.push_back({f, Condition::Relation::equal, value(problem, f)});
    if (problem.residual) when.push_back({Field::residual, Condition::Relation::equal, 1});
    return when;
}

// The generators' parameter "dtype"; they leave it out for f32, which is its default.
void set_dtype(FunctionSpec &spec, DType dtype) {
    if (dtype == DType::f16) spec.generator_params["dtype"] = "float16";
}

// The generators' parameter "layout" likewise.
void set_layout(KernelSpec &spec, Layout layout) {
    spec.layout = layout;
    if (layout != Layout::nhwc) spec.generator_params["layout"] = name(layout);
}

KernelSpec begin_spec(Operator op, DType dtype, Layout layout, Isa isa, const std::string &scheduler, const std::vector<Condition> &when) {
    KernelSpec spec;
    spec.op = op;
    spec.dtype = dtype;
    set_dtype(spec, dtype);
    set_layout(spec, layout);
    spec.isa = isa;
    spec.scheduler = scheduler;
    spec.when = when;
    spec.residual = std::any_of(when.begin(), when.end(), [](const Condition &c) { return c.field == Field::residual; });
    spec.generator = name(op);
    spec.filter_layout.kind = op == Operator::depthwise ? FilterLayout::Kind::as_given : FilterLayout::Kind::panels;
    return spec;
}

// What follows from conditions and knobs.
KernelSpec finish_spec(KernelSpec spec, const std::optional<ConvProblem> &problem) {
    for (const Condition &c : spec.when)
        if (c.relation == Condition::Relation::equal && std::find(std::begin(run_time_only), std::end(run_time_only), c.field) == std::end(run_time_only))
            spec.generator_params[std::string(name(c.field))] = std::to_string(c.value);
    if (problem) {
        const char *const params[] = {"stride_h", "stride_w", "dilation_h", "dilation_w"};  // in the order of geometry()
        for (size_t i = 0; i < std::size(params); i++)
            if (const auto at = spec.generator_params.find(params[i]); at != spec.generator_params.end()) at->second = std::to_string(problem->geometry()[i]);
        spec.generator_params["p"] = std::to_string(problem->p());
        spec.generator_params["q"] = std::to_string(problem->q());
    }

    spec.name = fmt::format("{}_{}_{}_{}_{}", name(spec.op), name(spec.dtype), name(spec.layout), name(spec.isa), spec.scheduler);
    for (const auto &[token, value] : spec.knobs) spec.name += fmt::format("_{}{}", token, value);
    for (const Condition &c : spec.when)
        if (c.relation == Condition::Relation::equal && !(problem && c.value == default_value(c.field)))
            spec.name += fmt::format("_{}{}", token(c.field), c.value);
    return spec;
}

KernelSpec make_spec(Operator op, DType dtype, Layout layout, Isa isa, const std::string &scheduler, const Schedule &set, const std::vector<Condition> &when,
                     const std::optional<ConvProblem> &problem) {
    KernelSpec spec = begin_spec(op, dtype, layout, isa, scheduler, when);
    const bool tuned = scheduler == "tuned", hand = scheduler == "hand" || tuned;
    const Schedule full = tuned ? set : derive(set, op, isa, problem);
    Schedule named = set;  // whoever chose it, a result that is less exact has the algorithm in its kernel's name
    if (hand && is_winograd(full)) named.winograd = full.winograd;
    for (const Knob &knob : knobs)
        if (named.*knob.member) spec.knobs.emplace_back(knob.token, named.*knob.member);
    if (hand) {
        spec.filter_layout.panel = panel(full, op);
        if (is_winograd(full)) {
            spec.generator = "winograd";
            spec.filter_layout.kind = FilterLayout::Kind::winograd;
            spec.filter_layout.tile = full.winograd;
        }
        if (is_streaming(full)) {
            spec.output_alignment = streaming_alignment;
            // The kernel takes any batch size, but an output that stays in the caches is not to stream.
            if (problem) spec.when.push_back({Field::pixels, Condition::Relation::at_least, streaming_pixels(*problem)});
        }
        for (const Knob &knob : knobs) spec.generator_params[std::string(knob.name)] = std::to_string(full.*knob.member);
        spec.generator_params["panel"] = std::to_string(spec.filter_layout.panel);
        if (const auto least = least_extent(op)) spec.when.push_back({least->field, Condition::Relation::at_least, full.*least->knob});
    } else if (scheduler == "reference") {
        spec.generator_params["unscheduled"] = "true";
    } else if (problem && op == Operator::pointwise) {
        // An autoscheduler's tiles of pixels are no larger than the image that it was told of.
        spec.when.push_back({Field::pixels, Condition::Relation::at_least, problem->p() * problem->q()});
    }
    return finish_spec(std::move(spec), problem);
}

KernelSpec make_nchw_spec(Operator op, Isa isa, const NchwSchedule &set, const std::vector<Condition> &when, const std::optional<ConvProblem> &problem) {
    KernelSpec spec = begin_spec(op, DType::f32, Layout::nchw, isa, "hand", when);
    const NchwSchedule full = derive_nchw(set, op, isa, problem);
    for (const NchwKnob &knob : nchw_knobs) {
        if (set.*knob.member) spec.knobs.emplace_back(knob.token, set.*knob.member);
        if (knob.member != &NchwSchedule::k_tile) spec.generator_params[std::string(knob.name)] = std::to_string(full.*knob.member);
    }
    spec.filter_layout.panel = full.k_tile;
    spec.generator_params["panel"] = std::to_string(full.k_tile);
    if (is_streaming(full)) {
        spec.output_alignment = streaming_alignment;
        // As in make_spec().
        if (problem) spec.when.push_back({Field::pixels, Condition::Relation::at_least, streaming_pixels(*problem)});
    }
    return finish_spec(std::move(spec), problem);
}

KernelSpec make_gpu_spec(Operator op, DType dtype, Isa isa, const std::string &scheduler, const GpuSchedule &set, const std::vector<Condition> &when,
                         const std::optional<ConvProblem> &problem) {
    KernelSpec spec = begin_spec(op, dtype, Layout::nhwc, isa, scheduler, when);
    if (scheduler != "hand") return finish_spec(std::move(spec), problem);  // the filter is one panel
    const GpuSchedule full = derive_gpu(set, op, problem);
    for (const GpuKnob &knob : gpu_knobs) {
        if (set.*knob.member) spec.knobs.emplace_back(knob.token, set.*knob.member);
        spec.generator_params[std::string(knob.name)] = std::to_string(full.*knob.member);
    }
    if (op != Operator::depthwise) {
        spec.filter_layout.panel = block_channels(full);
        spec.generator_params["panel"] = std::to_string(spec.filter_layout.panel);
    }
    if (!problem) {  // whole vectors, of which groups have none in general
        if (full.c_vector > 1) spec.when.push_back({Field::c, Condition::Relation::multiple_of, full.c_vector});
        if (full.k_tile > 1) spec.when.push_back({Field::k, Condition::Relation::multiple_of, full.k_tile});
    }
    return finish_spec(std::move(spec), problem);
}

constexpr const char *tensor_cores_token = "tc";  // of the knob tensor_cores, in names

KernelSpec make_tensor_core_spec(Operator op, Isa isa, const TensorCoreTile &set, const std::vector<Condition> &when,
                                 const std::optional<ConvProblem> &problem) {
    KernelSpec spec = begin_spec(op, DType::f16, Layout::nhwc, isa, "hand", when);
    spec.generator += "_mma";
    const TensorCoreTile full = derive(set, op, problem);
    spec.knobs.emplace_back(tensor_cores_token, 2);
    for (const TensorCoreKnob &knob : tensor_core_knobs) {
        // What is derived and changes the result is told by the name too.
        const bool is_told = set.*knob.member || (std::string_view(knob.token) == half_sums_token && full.*knob.member > 1);
        if (is_told) spec.knobs.emplace_back(knob.token, full.*knob.member);
        spec.generator_params[knob.name] = std::to_string(full.*knob.member);
    }
    const TensorCoreBlock block = block_of(full);
    spec.filter_layout = {FilterLayout::Kind::lanes, block.channels, 0};
    spec.block_pixels = block.pixels, spec.block_two_rows = block.two_rows;
    if (!problem)
        for (Field field : {Field::c, Field::k}) spec.when.push_back({field, Condition::Relation::multiple_of, 8});
    if (!problem && op == Operator::depsep) spec.when.push_back({Field::c, Condition::Relation::at_most, most_depsep_channels(full)});
    return finish_spec(std::move(spec), problem);
}

}  // namespace

std::string why_no_scheduler(const std::string &scheduler, Isa isa) {
    const auto check = [&](const auto &allowed) {
        return std::find(std::begin(allowed), std::end(allowed), scheduler) != std::end(allowed)
                   ? ""
                   : fmt::format("\"{}\" is no scheduler for {}; allowed: {}", scheduler, name(isa), fmt::join(allowed, ", "));
    };
    return is_gpu(isa) ? check(gpu_schedulers) : check(cpu_schedulers);
}

bool nchw_streaming_pays(const ConvProblem &problem, Isa isa) {
    return has_streaming_stores(isa) && problem.pixels() >= streaming_pixels(problem) && has_whole_tiles(derive_nchw({}, problem.op, isa, problem), problem);
}

KernelSpec any_shape(Operator op, Isa isa, const std::string &scheduler, const Schedule &set, const std::vector<Condition> &when, DType dtype,
                     Layout layout) {
    return make_spec(op, dtype, layout, isa, scheduler, set, when, std::nullopt);
}

KernelSpec any_shape_nchw(Operator op, Isa isa, const NchwSchedule &set, const std::vector<Condition> &when) {
    return make_nchw_spec(op, isa, set, when, std::nullopt);
}

KernelSpec specialise_nchw(const ConvProblem &problem, Isa isa, const NchwSchedule &set) {
    std::vector<Condition> when = specialised_to(problem);
    if (problem.op == Operator::pointwise)  // the planes of channels are as far apart as an image is large
        for (Field f : {Field::h, Field::w}) when.push_back({f, Condition::Relation::equal, value(problem, f)});
    return make_nchw_spec(problem.op, isa, set, when, problem);
}

KernelSpec any_shape_on_gpu(Operator op, DType dtype, Isa isa, const GpuSchedule &set, const std::vector<Condition> &when) {
    return make_gpu_spec(op, dtype, isa, "hand", set, when, std::nullopt);
}

KernelSpec specialise_on_gpu(const ConvProblem &problem, Isa isa, const GpuSchedule &set, const std::string &scheduler) {
    return make_gpu_spec(problem.op, problem.dtype, isa, scheduler, set, specialised_to(problem), problem);
}

KernelSpec any_shape_on_tensor_cores(Operator op, Isa isa, const TensorCoreTile &set, const std::vector<Condition> &when) {
    return make_tensor_core_spec(op, isa, set, when, std::nullopt);
}

KernelSpec specialise_on_tensor_cores(const ConvProblem &problem, Isa isa, const TensorCoreTile &set) {
    return make_tensor_core_spec(problem.op, isa, set, specialised_to(problem), problem);
}

KernelSpec specialise(const ConvProblem &problem, Isa isa, const std::string &scheduler, const Schedule &set) {
    return make_spec(problem.op, problem.dtype, problem.layout, isa, scheduler, set, specialised_to(problem), problem);
}

KernelSpec specialise(const TuningRecord &record) {
    const ConvProblem &problem = record.problem;
    std::vector<Condition> when = specialised_to(problem);
    const Field size = problem.op == Operator::pointwise ? Field::pixels : Field::n;
    when.push_back({size, Condition::Relation::equal, value(problem, size)});
    KernelSpec spec = make_spec(problem.op, problem.dtype, problem.layout, record.isa, "tuned", record.schedule, when, problem);
    spec.tuned_threads = record.threads;
    return spec;
}

std::vector<KernelSpec> specialised_kernels(const ConvProblem &problem, Isa isa, const std::string &scheduler, bool streaming, std::string &why_not) {
    const bool hand = scheduler == "hand";
    why_not = why_no_scheduler(scheduler, isa);
    if (why_not.empty()) why_not = is_gpu(isa) ? why_no_gpu_schedule(problem, isa) : why_no_schedule(problem.dtype, isa);
    if (why_not.empty() && problem.layout != Layout::nhwc && !hand) why_not = fmt::format("{} schedules nhwc only, not {}", scheduler, name(problem.layout));
    if (!why_not.empty()) return {};
    if (is_gpu(isa)) {
        const bool tensor_cores = hand && backend(isa) == Backend::cuda && problem.dtype == DType::f16 && why_not_on_tensor_cores(problem).empty();
        return {tensor_cores ? specialise_on_tensor_cores(problem, isa) : specialise_on_gpu(problem, isa, {}, scheduler)};
    }
    std::vector<KernelSpec> specs;
    if (problem.layout == Layout::nchw) {
        NchwSchedule set;
        set.streaming = 2;
        if (streaming && nchw_streaming_pays(problem, isa)) specs.push_back(specialise_nchw(problem, isa, set));
        specs.push_back(specialise_nchw(problem, isa));
        return specs;
    }
    if (hand && streaming && streaming_pays(problem, isa)) {
        Schedule set;
        set.streaming = 2;
        specs.push_back(specialise(problem, isa, scheduler, set));
    }
    specs.push_back(specialise(problem, isa, scheduler));
    for (const Condition &c : specs.back().when)
        if (!c.holds(problem)) {
            why_not = fmt::format("an {} kernel would need {}", name(isa), c.text());
            return {};
        }
    return specs;
}

std::optional<KernelSpec> specialise_for(const ConvProblem &problem, const Processor &processor, std::string &why_not,
                                         const std::vector<TuningRecord> &records, int threads, const MachineFingerprint &machine,
                                         bool streaming) {
    why_not.clear();
    const int last = is_gpu(processor.best) ? int(processor.best) : 0;
    for (int i = int(processor.best); i >= last; i--) {
        const Isa isa = Isa(i);
        if (!processor.runs(isa)) continue;
        if (const TuningRecord *record = best_record(records, problem, isa, threads, machine)) return specialise(*record);
        std::string why;
        if (const std::vector<KernelSpec> specs = specialised_kernels(problem, isa, "hand", streaming, why); !specs.empty()) return specs.front();
        if (why_not.find(why) == std::string::npos) why_not += (why_not.empty() ? "" : "; ") + why;
    }
    return std::nullopt;
}

std::optional<FunctionSpec> packer_for(const FilterLayout &layout, Isa isa, DType dtype) {
    FunctionSpec packer;
    packer.isa = is_gpu(isa) ? Isa::x64 : isa;  // filters are packed on the CPU, once
    packer.scheduler = "hand";
    set_dtype(packer, dtype);
    const std::string prefix = fmt::format("pack_{}_{}_", name(dtype), name(packer.isa));
    switch (layout.kind) {
    case FilterLayout::Kind::as_given: return std::nullopt;
    case FilterLayout::Kind::panels:
        packer.name = prefix + "panels";
        packer.generator = "pack_panels";
        break;
    case FilterLayout::Kind::lanes:
        packer.name = prefix + "lanes";
        packer.generator = "pack_lanes";
        break;
    case FilterLayout::Kind::winograd:
        packer.name = prefix + fmt::format("winograd{}", layout.tile);
        packer.generator = "pack_winograd";
        packer.generator_params["winograd"] = std::to_string(layout.tile);
        break;
    }
    return packer;
}

std::vector<FunctionSpec> packers_for(const std::vector<KernelSpec> &kernels) {
    std::map<std::string, FunctionSpec> packers;
    for (const KernelSpec &kernel : kernels)
        if (auto packer = packer_for(kernel.filter_layout, kernel.isa, kernel.dtype)) {
            packer->os = kernel.os;
            packers.emplace(packer->name, *packer);
        }
    std::vector<FunctionSpec> all;
    for (const auto &[name, packer] : packers) all.push_back(packer);
    return all;
}

namespace {

json function_json(const FunctionSpec &spec) {
    return {{"name", spec.name}, {"isa", name(spec.isa)}, {"os", name(spec.os)}, {"scheduler", spec.scheduler}, {"generator", spec.generator},
            {"generator_params", spec.generator_params}, {"output_alignment", spec.output_alignment}};
}

void read_function(const json &j, FunctionSpec &spec) {
    spec.output_alignment = j.at("output_alignment");
    spec.name = j.at("name");
    spec.isa = isa_from_name(j.at("isa").get<std::string>()).value();
    spec.os = os_from_name(j.at("os").get<std::string>()).value();
    spec.scheduler = j.at("scheduler");
    spec.generator = j.at("generator");
    spec.generator_params = j.at("generator_params").get<std::map<std::string, std::string>>();
}

}  // namespace

std::string to_json(const FunctionSpec &spec) { return function_json(spec).dump(1) + "\n"; }

FunctionSpec function_spec_from_json(const std::string &text) {
    FunctionSpec spec;
    read_function(json::parse(text), spec);
    return spec;
}

std::string to_json(const KernelSpec &spec) {
    json when = json::array(), knob_list = json::array();
    for (const Condition &c : spec.when)
        when.push_back({{"field", name(c.field)}, {"relation", int(c.relation)}, {"value", c.value}});
    for (const auto &[token, value] : spec.knobs) knob_list.push_back({{"knob", token}, {"value", value}});
    json j = function_json(spec);
    j.update({{"op", name(spec.op)}, {"dtype", name(spec.dtype)}, {"layout", name(spec.layout)}, {"suite", spec.suite},
              {"tuned_threads", spec.tuned_threads}, {"knobs", knob_list}, {"when", when},
              {"filter_layout", {{"kind", int(spec.filter_layout.kind)}, {"panel", spec.filter_layout.panel}, {"tile", spec.filter_layout.tile}}},
              {"block_pixels", spec.block_pixels}, {"block_two_rows", spec.block_two_rows}, {"residual", spec.residual}});
    return j.dump(1) + "\n";
}

KernelSpec kernel_spec_from_json(const std::string &text) {
    const json j = json::parse(text);
    KernelSpec spec;
    read_function(j, spec);
    spec.op = operator_from_name(j.at("op").get<std::string>()).value();
    spec.dtype = dtype_from_name(j.at("dtype").get<std::string>()).value();
    spec.layout = layout_from_name(j.at("layout").get<std::string>()).value();
    spec.suite = j.at("suite");
    spec.tuned_threads = j.at("tuned_threads");
    for (const json &k : j.at("knobs")) spec.knobs.emplace_back(k.at("knob").get<std::string>(), k.at("value").get<int64_t>());
    for (const json &c : j.at("when"))
        spec.when.push_back({field_from_name(c.at("field").get<std::string>()).value(),
                             Condition::Relation(c.at("relation").get<int>()),
                             c.at("value").get<int64_t>()});
    const json &layout = j.at("filter_layout");
    spec.filter_layout = {FilterLayout::Kind(layout.at("kind").get<int>()), layout.at("panel"), layout.at("tile")};
    spec.block_pixels = j.at("block_pixels");
    spec.block_two_rows = j.at("block_two_rows");
    spec.residual = j.at("residual");
    return spec;
}

}  // namespace sepal
