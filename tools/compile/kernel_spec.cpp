#include "kernel_spec.h"

#include "schedules/derive.h"
#include "schedules/schedule_check.h"
#include "tools/command.h"
#include "tools/problem_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <tuple>

namespace sepal {
namespace {

using json = nlohmann::json;

constexpr const char *schedulers[] = {"hand", "tuned", "reference", "mullapudi2016", "adams2019", "li2018", "anderson2021"};
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

// Of a row whose kernels run on tensor cores: {"tensor_cores": 2}.
constexpr const char *tensor_cores_knob = "tensor_cores", *tensor_cores_token = "tc";

KernelSpec make_tensor_core_spec(Operator op, Isa isa, const TensorCoreTile &set, const std::vector<Condition> &when,
                                 const std::optional<ConvProblem> &problem) {
    KernelSpec spec = begin_spec(op, DType::f16, Layout::nhwc, isa, "hand", when);
    spec.generator += "_mma";
    const TensorCoreTile full = derive(set, op, problem);
    spec.knobs.emplace_back(tensor_cores_token, 2);
    for (const TensorCoreKnob &knob : tensor_core_knobs) {
        if (set.*knob.member) spec.knobs.emplace_back(knob.token, set.*knob.member);
        spec.generator_params[knob.name] = std::to_string(full.*knob.member);
    }
    const TensorCoreBlock block = block_of(full);
    spec.filter_layout = {FilterLayout::Kind::lanes, block.channels, 0};
    spec.block_pixels = block.pixels, spec.block_two_rows = block.two_rows;
    if (!problem)
        for (Field field : {Field::c, Field::k}) spec.when.push_back({field, Condition::Relation::multiple_of, 8});
    return finish_spec(std::move(spec), problem);
}

// Whether streaming stores pay and whole tiles make them possible.
bool nchw_streaming_pays(const ConvProblem &problem, Isa isa) {
    return has_streaming_stores(isa) && problem.pixels() >= streaming_pixels(problem) && has_whole_tiles(derive_nchw({}, problem.op, isa, problem), problem);
}

// One row of the table, and what to say where it is wrong.
struct Row {
    const json &row;
    std::string where;

    [[noreturn]] void fail(const std::string &what) const { throw BadInput(fmt::format("{}: {}", where, what)); }

    std::string text(const char *key) const {
        if (!row.contains(key)) fail(fmt::format("field \"{}\" is missing", key));
        if (!row[key].is_string()) fail(fmt::format("field \"{}\" is {}; a string is expected", key, row[key].dump()));
        return row[key].get<std::string>();
    }

    void only_known_keys() const {
        const std::set<std::string> known = {"op", "dtype", "layout", "isa", "scheduler", "suite", "knobs", "when"};
        for (const auto &[key, value] : row.items())
            if (!known.count(key)) fail(fmt::format("unknown field \"{}\"; allowed: op, dtype, layout, isa, scheduler, suite, knobs, when", key));
    }

    Operator op() const {
        const auto found = operator_from_name(text("op"));
        if (!found) fail(fmt::format("field \"op\" is \"{}\"; allowed: {}", text("op"), operator_names()));
        return *found;
    }

    std::string scheduler() const {
        const std::string found = text("scheduler");
        if (std::find(std::begin(schedulers), std::end(schedulers), found) == std::end(schedulers))
            fail(fmt::format("field \"scheduler\" is \"{}\"; allowed: {}", found, fmt::join(schedulers, ", ")));
        return found;
    }

    void check_scheduler(const std::string &scheduler, Isa isa) const {
        const auto check = [&](const auto &allowed) {
            if (std::find(std::begin(allowed), std::end(allowed), scheduler) == std::end(allowed))
                fail(fmt::format("field \"scheduler\" is \"{}\"; allowed for {}: {}", scheduler, name(isa), fmt::join(allowed, ", ")));
        };
        is_gpu(isa) ? check(gpu_schedulers) : check(cpu_schedulers);
    }

    std::vector<Isa> isas() const {
        if (!row.contains("isa") || !row["isa"].is_array() || row["isa"].empty()) fail("field \"isa\" is to be a list of " + isa_names());
        std::vector<Isa> out;
        for (const json &item : row["isa"]) {
            const auto isa = item.is_string() ? isa_from_name(item.get<std::string>()) : std::nullopt;
            if (!isa) fail(fmt::format("field \"isa\" holds {}; allowed: {}", item.dump(), isa_names()));
            out.push_back(*isa);
        }
        return out;
    }

    // A list of names under a key, which may be left out.
    template<typename T>
    std::vector<T> names_of(const char *key, T otherwise, std::optional<T> (*from_name)(std::string_view), const std::string &allowed) const {
        if (!row.contains(key)) return {otherwise};
        if (!row[key].is_array() || row[key].empty()) fail(fmt::format("field \"{}\" is to be a list of {}", key, allowed));
        std::vector<T> out;
        for (const json &item : row[key]) {
            const auto found = item.is_string() ? from_name(item.get<std::string>()) : std::nullopt;
            if (!found) fail(fmt::format("field \"{}\" holds {}; allowed: {}", key, item.dump(), allowed));
            out.push_back(*found);
        }
        return out;
    }
    std::vector<DType> dtypes() const { return names_of("dtype", DType::f32, dtype_from_name, dtype_names()); }
    std::vector<Layout> layouts() const { return names_of("layout", Layout::nhwc, layout_from_name, layout_names()); }

    struct RowTarget {
        DType dtype;
        Layout layout;
        Isa isa;
    };
    std::vector<RowTarget> targets() const {
        std::vector<RowTarget> out;
        for (DType dtype : dtypes())
            for (Layout layout : layouts())
                for (Isa isa : isas()) out.push_back({dtype, layout, isa});
        return out;
    }

    // The knobs that the row sets, of those in `known`.
    template<typename S, typename KnownKnobs>
    S read_knobs(const KnownKnobs &known, const std::string &besides = "") const {
        S out;
        if (!row.contains("knobs")) return out;
        if (!row["knobs"].is_object()) fail("field \"knobs\" is to be an object");
        for (const auto &[key, value] : row["knobs"].items()) {
            if (key == besides) continue;
            const auto knob = std::find_if(std::begin(known), std::end(known), [&](const auto &k) { return k.name == key; });
            if (knob == std::end(known)) fail(fmt::format("unknown knob \"{}\"", key));
            if (!value.is_number_integer() || value < 1 || value > 65536) fail(fmt::format("knob \"{}\" is {}; allowed: 1 to 65536", key, value.dump()));
            out.*(knob->member) = value.template get<int>();
        }
        return out;
    }
    Schedule schedule() const { return read_knobs<Schedule>(knobs); }
    NchwSchedule nchw_schedule() const { return read_knobs<NchwSchedule>(nchw_knobs); }
    GpuSchedule gpu_schedule() const { return read_knobs<GpuSchedule>(gpu_knobs); }
    bool on_tensor_cores() const { return row.contains("knobs") && row["knobs"].is_object() && row["knobs"].contains(tensor_cores_knob); }
    TensorCoreTile tensor_core_tile() const {
        if (row["knobs"][tensor_cores_knob] != 2) fail(fmt::format("knob \"{}\" is {}; allowed: 2, or nothing", tensor_cores_knob, row["knobs"][tensor_cores_knob].dump()));
        return read_knobs<TensorCoreTile>(tensor_core_knobs, tensor_cores_knob);
    }

    // Refuses knobs that the hand-written schedule cannot keep to; what the row leaves out is derived first.
    void check_knobs(Operator op, Isa isa, const std::string &scheduler, const std::optional<ConvProblem> &problem) const {
        if (scheduler != "hand") return;
        const Schedule full = derive(schedule(), op, isa, problem);
        const std::string why = problem ? why_not_valid(full, *problem, isa) : why_not_valid(full, op, isa);
        if (!why.empty()) fail(fmt::format("for {}{}: {}", name(isa), problem ? " and problem \"" + problem->name + "\"" : "", why));
    }

    // The same of a row for NCHW.
    void check_nchw_knobs(Operator op, Isa isa, const std::optional<ConvProblem> &problem) const {
        const NchwSchedule set = nchw_schedule();
        std::string why = why_not_valid(derive_nchw(set, op, isa, problem), op, isa);
        if (why.empty() && is_streaming(set) && !problem) why = "knob \"streaming\" is 2; allowed without \"suite\": 1, since an output of any size may stay in the caches";
        if (!why.empty()) fail(fmt::format("for {}{}: {}", name(isa), problem ? " and problem \"" + problem->name + "\"" : "", why));
    }

    // Refuses a residual where no generator or schedule has one.
    void check_residual(const std::vector<Condition> &when, Operator op, Isa isa) const {
        if (std::none_of(when.begin(), when.end(), [](const Condition &c) { return c.field == Field::residual; })) return;
        if (op == Operator::depthwise) fail("condition \"residual\" is for conv2d, pointwise and depsep");
        if (is_gpu(isa)) fail(fmt::format("condition \"residual\" is for CPUs; field \"isa\" holds {}", name(isa)));
    }

    // A row of streaming kernels is for those problems of its suite that they pay for; the next row serves the others.
    bool passes_over(const ConvProblem &problem, Isa isa) const { return is_streaming(schedule()) && !streaming_pays(problem, isa); }

    // {"r": 3, "c": ">= 64"}
    std::vector<Condition> conditions() const {
        std::vector<Condition> out;
        if (!row.contains("when")) return out;
        if (!row["when"].is_object()) fail("field \"when\" is to be an object");
        for (const auto &[key, value] : row["when"].items()) {
            const auto field = field_from_name(key);
            if (!field) fail(fmt::format("unknown field \"{}\" in \"when\"", key));
            const std::string text = value.is_string() ? value.get<std::string>() : "";
            const bool least = text.rfind(">=", 0) == 0, multiple = text.rfind("%", 0) == 0;
            const int64_t number = value.is_number_integer() ? value.get<int64_t>() : std::strtoll(text.c_str() + (least ? 2 : multiple ? 1 : 0), nullptr, 10);
            if (!(value.is_number_integer() || least || multiple) || (multiple && number < 1))
                fail(fmt::format("condition \"{}\" is {}; allowed: a number, or a string such as \">= 16\" or \"% 4\"", key, value.dump()));
            if (*field == Field::residual && (!value.is_number_integer() || number != 1))
                fail(fmt::format("condition \"residual\" is {}; allowed: 1, or nothing for kernels that add none", value.dump()));
            using Relation = Condition::Relation;
            out.push_back({*field, least ? Relation::at_least : multiple ? Relation::multiple_of : Relation::equal, number});
        }
        return out;
    }
};

}  // namespace

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

std::optional<KernelSpec> specialise_for(const ConvProblem &problem, const Processor &processor, std::string &why_not,
                                         const std::vector<TuningRecord> &records, int threads, const MachineFingerprint &machine,
                                         bool streaming) {
    if (is_gpu(processor.best)) {
        why_not = why_no_gpu_schedule(problem.layout);
        if (!why_not.empty()) return std::nullopt;
        if (problem.residual) {
            why_not = "no kernel for GPUs adds a residual";
            return std::nullopt;
        }
        const bool tensor_cores = backend(processor.best) == Backend::cuda && problem.dtype == DType::f16 && why_not_on_tensor_cores(problem).empty();
        return tensor_cores ? specialise_on_tensor_cores(problem, processor.best) : specialise_on_gpu(problem, processor.best);
    }
    why_not = why_no_schedule(problem.dtype, processor.best);
    if (!why_not.empty()) return std::nullopt;
    if (problem.layout == Layout::nchw) {
        NchwSchedule set;
        if (streaming && nchw_streaming_pays(problem, processor.best)) set.streaming = 2;
        return specialise_nchw(problem, processor.best, set);
    }
    for (int i = int(processor.best); i >= 0; i--) {
        const Isa isa = Isa(i);
        if (!processor.runs(isa)) continue;
        if (const TuningRecord *record = best_record(records, problem, isa, threads, machine)) return specialise(*record);
        Schedule set;
        if (streaming && streaming_pays(problem, isa)) set.streaming = 2;
        const KernelSpec spec = specialise(problem, isa, "hand", set);
        const auto broken = std::find_if(spec.when.begin(), spec.when.end(), [&](const Condition &c) { return !c.holds(problem); });
        if (broken == spec.when.end()) return spec;
        why_not += fmt::format("{}an {} kernel compiled in process would need {}", why_not.empty() ? "" : "; ", name(spec.isa), broken->text());
    }
    return std::nullopt;
}

std::vector<KernelSpec> plan_kernels(const std::string &table_path, const std::vector<Isa> &isas, const std::vector<TuningRecord> &records) {
    std::ifstream file(table_path);
    if (!file) throw BadInput(fmt::format("{}: the table of variants cannot be read", table_path));
    json table;
    try {
        table = json::parse(file);
    } catch (const json::exception &e) {
        throw BadInput(fmt::format("{}: not valid JSON: {}", table_path, e.what()));
    }
    if (!table.is_object() || !table.contains("variants") || !table["variants"].is_array())
        throw BadInput(fmt::format("{}: an object with a list \"variants\" is expected", table_path));

    std::vector<KernelSpec> specs;
    std::map<std::string, std::string> made;  // by name: the whole spec
    const auto add = [&](const Row &row, const KernelSpec &spec) {
        const auto [at, is_new] = made.emplace(spec.name, to_json(spec));
        if (is_new)
            specs.push_back(spec);
        else if (at->second != to_json(spec))
            row.fail(fmt::format("makes a second kernel with the name {}; give it a knob or a condition of its own", spec.name));
    };
    int index = 0;
    for (const json &item : table["variants"]) {
        const Row row{item, fmt::format("{}: variant {}", table_path, index++)};
        if (!item.is_object()) row.fail("an object is expected");
        row.only_known_keys();
        const Operator op = row.op();
        const std::string scheduler = row.scheduler();
        const bool tuned = scheduler == "tuned";
        if (tuned && !item.contains("suite")) row.fail("field \"suite\" is missing; a tuned row names the suite whose problems have records");
        if (tuned && item.contains("knobs")) row.fail("has \"knobs\"; those of a tuned row come from the records");
        for (const auto &[dtype, layout, isa] : row.targets()) {
            row.check_scheduler(scheduler, isa);
            if (layout != Layout::nhwc && scheduler != "reference" && (scheduler != "hand" || is_gpu(isa) || dtype != DType::f32))
                row.fail(fmt::format("field \"layout\" holds \"{}\", for which there are schedules hand, of f32 on CPUs, and reference", name(layout)));
            row.check_residual(row.conditions(), op, isa);
            if (std::find(isas.begin(), isas.end(), isa) == isas.end()) continue;
            if (is_gpu(isa)) {
                const bool tensor_cores = row.on_tensor_cores();
                if (tensor_cores && (dtype != DType::f16 || backend(isa) != Backend::cuda || op == Operator::depthwise || scheduler != "hand"))
                    row.fail(fmt::format("knob \"{}\" is for conv2d, pointwise and depsep of f16 on CUDA by scheduler hand", tensor_cores_knob));
                if (!item.contains("suite")) {
                    if (scheduler != "hand") row.fail(fmt::format("field \"suite\" is missing; {} schedules for one shape", scheduler));
                    add(row, tensor_cores ? any_shape_on_tensor_cores(op, isa, row.tensor_core_tile(), row.conditions())
                                          : any_shape_on_gpu(op, dtype, isa, row.gpu_schedule(), row.conditions()));
                    continue;
                }
                for (const ConvProblem &problem : load_suite(row.text("suite")).problems) {
                    if (problem.op != op || problem.dtype != dtype || problem.layout != layout || problem.residual) continue;
                    if (tensor_cores && !why_not_on_tensor_cores(problem).empty()) continue;
                    KernelSpec spec = tensor_cores ? specialise_on_tensor_cores(problem, isa, row.tensor_core_tile())
                                                   : specialise_on_gpu(problem, isa, row.gpu_schedule(), scheduler);
                    spec.suite = row.text("suite");
                    add(row, spec);
                }
                continue;
            }
            if (const std::string why = why_no_schedule(dtype, isa); !why.empty() && scheduler != "reference")
                row.fail(fmt::format("field \"dtype\" holds \"{}\" with scheduler \"{}\", but {}", name(dtype), scheduler, why));
            const bool planes = layout == Layout::nchw && scheduler == "hand";
            if (!item.contains("suite")) {
                if (planes) {
                    row.check_nchw_knobs(op, isa, std::nullopt);
                    add(row, any_shape_nchw(op, isa, row.nchw_schedule(), row.conditions()));
                    continue;
                }
                if (is_streaming(row.schedule()))
                    row.fail("knob \"streaming\" is 2; allowed without \"suite\": 1, since an output of any size may stay in the caches");
                row.check_knobs(op, isa, scheduler, std::nullopt);
                add(row, any_shape(op, isa, scheduler, row.schedule(), row.conditions(), dtype, layout));
                continue;
            }
            if (item.contains("when")) row.fail("has both \"suite\" and \"when\"; the suite's problems are the conditions");
            for (const ConvProblem &problem : load_suite(row.text("suite")).problems) {
                if (problem.op != op || problem.dtype != dtype || problem.layout != layout) continue;
                if (planes) {
                    row.check_nchw_knobs(op, isa, problem);
                    if (is_streaming(row.nchw_schedule()) && !nchw_streaming_pays(problem, isa)) continue;
                    KernelSpec spec = specialise_nchw(problem, isa, row.nchw_schedule());
                    spec.suite = row.text("suite");
                    add(row, spec);
                    continue;
                }
                const TuningRecord *record = tuned ? best_record(records, problem, isa, 1, {}) : nullptr;
                if ((tuned && !record) || row.passes_over(problem, isa)) continue;
                if (!tuned) row.check_knobs(op, isa, scheduler, problem);
                KernelSpec spec = tuned ? specialise(*record) : specialise(problem, isa, scheduler, row.schedule());
                spec.suite = row.text("suite");
                add(row, spec);
            }
        }
    }
    return specs;
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
