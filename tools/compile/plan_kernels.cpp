#include "plan_kernels.h"

#include "schedules/schedule_check.h"
#include "tools/bad_input.h"
#include "tools/problem_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

namespace sepal {
namespace {

using json = nlohmann::json;

constexpr const char *schedulers[] = {"hand", "tuned", "reference", "mullapudi2016", "adams2019", "li2018", "anderson2021"};

// Of a row whose kernels run on tensor cores: {"tensor_cores": 2}.
constexpr const char *tensor_cores_knob = "tensor_cores";

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
        if (const std::string why = why_no_scheduler(scheduler, isa); !why.empty()) fail(fmt::format("field \"scheduler\": {}", why));
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

    // Refuses a residual where no generator has one.
    void check_residual(const std::vector<Condition> &when, Operator op) const {
        const bool residual = std::any_of(when.begin(), when.end(), [](const Condition &c) { return c.field == Field::residual; });
        if (residual && op == Operator::depthwise) fail("condition \"residual\" is for conv2d, pointwise and depsep");
    }

    // The same of a row for GPUs.
    void check_gpu_knobs(Operator op, const std::optional<ConvProblem> &problem) const {
        const std::string why = on_tensor_cores() ? why_not_valid(tensor_core_tile(), op, problem) : why_not_valid(derive_gpu(gpu_schedule(), op, problem), op, problem);
        if (!why.empty()) fail((problem ? fmt::format("for problem \"{}\": ", problem->name) : "") + why);
    }
    void check_tensor_cores(Operator op, DType dtype, Isa isa, const std::string &scheduler) const {
        if (on_tensor_cores() && (dtype != DType::f16 || backend(isa) != Backend::cuda || op == Operator::depthwise || scheduler != "hand"))
            fail(fmt::format("knob \"{}\" is for conv2d, pointwise and depsep of f16 on CUDA by scheduler hand", tensor_cores_knob));
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
            const bool least = text.rfind(">=", 0) == 0, most = text.rfind("<=", 0) == 0, multiple = text.rfind("%", 0) == 0;
            const int64_t number = value.is_number_integer() ? value.get<int64_t>() : std::strtoll(text.c_str() + (least || most ? 2 : multiple ? 1 : 0), nullptr, 10);
            if (!(value.is_number_integer() || least || most || multiple) || (multiple && number < 1))
                fail(fmt::format("condition \"{}\" is {}; allowed: a number, or a string such as \">= 16\", \"<= 64\" or \"% 4\"", key, value.dump()));
            if (*field == Field::residual && (!value.is_number_integer() || number != 1))
                fail(fmt::format("condition \"residual\" is {}; allowed: 1, or nothing for kernels that add none", value.dump()));
            using Relation = Condition::Relation;
            out.push_back({*field, least ? Relation::at_least : most ? Relation::at_most : multiple ? Relation::multiple_of : Relation::equal, number});
        }
        return out;
    }
};

// A file of rows: {"variants": [...]}.
json read_table(const std::string &path) {
    std::ifstream file(path);
    if (!file) throw BadInput(fmt::format("{}: the table of variants cannot be read", path));
    json table;
    try {
        table = json::parse(file);
    } catch (const json::exception &e) {
        throw BadInput(fmt::format("{}: not valid JSON: {}", path, e.what()));
    }
    if (!table.is_object() || !table.contains("variants") || !table["variants"].is_array())
        throw BadInput(fmt::format("{}: an object with a list \"variants\" is expected", path));
    return table;
}

// A hand-scheduled row's kernel for one problem, or none where it is for others.
std::optional<KernelSpec> specialise_row(const Row &row, const ConvProblem &problem, Isa isa) {
    if (is_gpu(isa)) {
        if (problem.residual || problem.layout != Layout::nhwc) return std::nullopt;
        row.check_tensor_cores(row.op(), problem.dtype, isa, "hand");
        row.check_gpu_knobs(row.op(), problem);
        if (row.on_tensor_cores()) {
            const TensorCoreTile tile = row.tensor_core_tile();
            const bool allowed = tile.half_sums < 2 || half_sums_rel_error(problem) <= problem.max_rel_error;
            return allowed && why_not_on_tensor_cores(problem).empty() ? std::optional(specialise_on_tensor_cores(problem, isa, tile)) : std::nullopt;
        }
        return specialise_on_gpu(problem, isa, row.gpu_schedule());
    }
    if (const std::string why = why_no_schedule(problem.dtype, isa); !why.empty()) row.fail(fmt::format("field \"dtype\" holds \"{}\", but {}", name(problem.dtype), why));
    if (problem.layout == Layout::nchw) {
        row.check_nchw_knobs(row.op(), isa, problem);
        return specialise_nchw(problem, isa, row.nchw_schedule());
    }
    row.check_knobs(row.op(), isa, "hand", problem);
    return specialise(problem, isa, "hand", row.schedule());
}

}  // namespace

std::vector<KernelSpec> plan_candidates(const std::string &path, const ConvProblem &problem, Isa isa) {
    std::vector<KernelSpec> specs;
    const json table = read_table(path);
    int index = 0;
    for (const json &item : table["variants"]) {
        const Row row{item, fmt::format("{}: variant {}", path, index++)};
        if (!item.is_object()) row.fail("an object is expected");
        row.only_known_keys();
        for (const char *key : {"suite", "when"})
            if (item.contains(key)) row.fail(fmt::format("has \"{}\"; a candidate is for every problem that is measured", key));
        if (row.scheduler() != "hand") row.fail(fmt::format("field \"scheduler\" is \"{}\"; allowed for a candidate: hand", row.scheduler()));
        for (const auto &[dtype, layout, row_isa] : row.targets()) {
            row.check_scheduler("hand", row_isa);
            if (row.op() != problem.op || dtype != problem.dtype || layout != problem.layout || row_isa != isa) continue;
            const std::optional<KernelSpec> spec = specialise_row(row, problem, isa);
            const auto is_same = [&](const KernelSpec &s) { return s.name == spec->name; };
            if (spec && std::none_of(specs.begin(), specs.end(), is_same)) specs.push_back(*spec);
        }
    }
    return specs;
}

std::vector<KernelSpec> plan_kernels(const std::string &table_path, const std::vector<Isa> &isas, const std::vector<TuningRecord> &records) {
    const json table = read_table(table_path);
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
            row.check_residual(row.conditions(), op);
            if (std::find(isas.begin(), isas.end(), isa) == isas.end()) continue;
            if (is_gpu(isa)) {
                const bool tensor_cores = row.on_tensor_cores();
                row.check_tensor_cores(op, dtype, isa, scheduler);
                if (!item.contains("suite")) {
                    if (scheduler != "hand") row.fail(fmt::format("field \"suite\" is missing; {} schedules for one shape", scheduler));
                    row.check_gpu_knobs(op, std::nullopt);
                    add(row, tensor_cores ? any_shape_on_tensor_cores(op, isa, row.tensor_core_tile(), row.conditions())
                                          : any_shape_on_gpu(op, dtype, isa, row.gpu_schedule(), row.conditions()));
                    continue;
                }
                for (const ConvProblem &problem : load_suite(row.text("suite")).problems) {
                    if (problem.op != op || problem.dtype != dtype || problem.layout != layout) continue;
                    if (tensor_cores && !why_not_on_tensor_cores(problem).empty()) continue;
                    if (scheduler == "hand") row.check_gpu_knobs(op, problem);
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

}  // namespace sepal
