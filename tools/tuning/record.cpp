#include "tools/tuning/record.h"

#include "bench/statistics.h"
#include "runtime/winograd.h"
#include "schedules/schedule_check.h"
#include "tools/problem_file.h"
#include "tools/strict_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#define SEPAL_TEXT_OF(x) #x
#define SEPAL_TEXT(x) SEPAL_TEXT_OF(x)

namespace sepal {
namespace {

using nlohmann::json;
using Json = nlohmann::ordered_json;

constexpr std::string_view verdict_names[] = {"ok", "wrong", "crashed", "timed_out", "refused", "disturbed"};

constexpr int64_t most_threads = 4096, most_samples = 100000, most_knob = 65536;
constexpr double longest_ms = 1e9, most_gflops = 1e9, most_pct_fma_peak = 105;

// Reads the fields of one JSON object; every complaint names the place and the field.
class Fields {
public:
    // name: of the object, empty for the record itself. Its fields must be `keys`, all of them unless `some` is set.
    Fields(const json &object, std::string where, std::string name, const std::vector<std::string_view> &keys, bool some = false)
        : object_(object), where_(std::move(where)), name_(std::move(name)) {
        if (!object_.is_object()) fail(name_.empty() ? "the line" : fmt::format("field \"{}\"", name_), object_, "an object");
        for (const auto &item : object_.items())
            if (std::find(keys.begin(), keys.end(), item.key()) == keys.end())
                throw BadInput(fmt::format("{}: field {} is unknown; allowed: {}", where_, describe(json(path(item.key()))), fmt::join(keys, ", ")));
        for (std::string_view key : keys)
            if (!some && !has(key)) throw BadInput(fmt::format("{}: field \"{}\" is missing", where_, path(key)));
    }
    [[noreturn]] void fail(const std::string &what, const json &found, const std::string &allowed) const {
        throw BadInput(fmt::format("{}: {} is {}; allowed: {}", where_, what, describe(found), allowed));
    }
    [[noreturn]] void fail_at(std::string_view key, const std::string &allowed) const {
        fail(fmt::format("field \"{}\"", path(key)), at(key), allowed);
    }
    bool has(std::string_view key) const { return object_.contains(key); }
    const json &at(std::string_view key) const { return *object_.find(key); }
    std::string path(std::string_view key) const { return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key); }

    int64_t integer(std::string_view key, int64_t least, int64_t most) const {
        const json &v = at(key);
        const bool huge = v.is_number_unsigned() && v.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max());
        if (!v.is_number_integer() || huge || v.get<int64_t>() < least || v.get<int64_t>() > most)
            fail_at(key, fmt::format("an integer from {} to {}", least, most));
        return v.get<int64_t>();
    }
    // From 0 to `most`; 0 only where it is allowed.
    double number(std::string_view key, double most, bool zero_allowed) const {
        const json &v = at(key);
        if (!v.is_number() || !(v.get<double>() >= 0 && v.get<double>() <= most) || (v.get<double>() == 0 && !zero_allowed))
            fail_at(key, fmt::format("a number {}, up to {}", zero_allowed ? "of 0 or more" : "above 0", most));
        return v.get<double>();
    }
    std::string text(std::string_view key, bool empty_allowed = false) const {
        const json &v = at(key);
        if (!v.is_string() || (!empty_allowed && v.get_ref<const std::string &>().empty())) fail_at(key, empty_allowed ? "a text" : "a text that is not empty");
        return v.get<std::string>();
    }
    const json &list(std::string_view key) const {
        if (!at(key).is_array()) fail_at(key, "a list");
        return at(key);
    }

private:
    const json &object_;
    std::string where_, name_;
};

ConvProblem read_problem(const json &object, const std::string &where) {
    ConvProblem problem = parse_problem_set("{\"problems\": [" + object.dump() + "]}", where).problems.front();
    if (object.is_object() && !object.contains("name")) problem.name.clear();
    return problem;
}

Schedule read_knobs(const json &object, const std::string &where, const ConvProblem &problem, Isa isa) {
    std::vector<std::string_view> names;
    for (const Knob &knob : knobs) names.push_back(knob.name);
    const Fields fields(object, where, "knobs", names, true);
    Schedule schedule;
    for (const Knob &knob : knobs)
        if (fields.has(knob.name)) schedule.*knob.member = int(fields.integer(knob.name, 0, knob.member == &Schedule::lanes ? 64 : most_knob));
    const Schedule derived = derive(schedule, problem.op, isa, problem);
    for (const Knob &knob : knobs)
        if (!fields.has(knob.name)) schedule.*knob.member = derived.*knob.member;
    return schedule;
}

MachineFingerprint read_machine(const json &object, const std::string &where) {
    const Fields fields(object, where, "machine", {"cpu", "features", "logical_cpus", "caches"});
    MachineFingerprint machine;
    machine.cpu = fields.text("cpu");
    machine.logical_cpus = int(fields.integer("logical_cpus", 1, std::numeric_limits<int>::max()));
    for (const json &feature : fields.list("features")) {
        if (!feature.is_string()) fields.fail_at("features", "a list of texts");
        machine.features.push_back(feature.get<std::string>());
    }
    for (const json &cache : fields.list("caches")) {
        const Fields level(cache, where, "machine.caches", {"level", "bytes", "shared_by"});
        machine.caches.push_back({level.text("level"), level.integer("bytes", 1, std::numeric_limits<int64_t>::max()),
                                  int(level.integer("shared_by", 1, std::numeric_limits<int>::max()))});
    }
    return machine;
}

// A record has times if and only if it is ok, and an error only if it is not.
void read_outcome(TuningRecord &record, const Fields &fields) {
    const std::string verdict = fields.text("verdict");
    const auto found = std::find(std::begin(verdict_names), std::end(verdict_names), verdict);
    if (found == std::end(verdict_names)) fields.fail_at("verdict", fmt::format("{}", fmt::join(verdict_names, ", ")));
    record.verdict = Verdict(found - std::begin(verdict_names));
    const bool ok = record.verdict == Verdict::ok;
    record.error = fields.text("error", true);
    if (ok && !record.error.empty()) fields.fail_at("error", "an empty text, since \"verdict\" is \"ok\"");
    const json &samples = fields.list("samples_ms");
    if (ok == samples.empty() || samples.size() > size_t(most_samples))
        fields.fail_at("samples_ms", ok ? fmt::format("1 to {} times, since \"verdict\" is \"ok\"", most_samples)
                                        : fmt::format("an empty list, since \"verdict\" is \"{}\"", verdict));
    for (const json &sample : samples) {
        if (!sample.is_number() || !(sample.get<double>() > 0 && sample.get<double>() <= longest_ms))
            fields.fail("a time of field \"samples_ms\"", sample, fmt::format("a number above 0, up to {}", longest_ms));
        record.samples_ms.push_back(sample.get<double>());
    }
    record.fma_gflops = fields.number("fma_gflops", most_gflops, !ok);
}

double pct_of(const ConvProblem &problem, double ms, double gflops) { return 100 * problem.flops() / (ms * 1e6) / gflops; }

}  // namespace

std::string_view name(Verdict verdict) { return verdict_names[int(verdict)]; }

const char *halide_version() { return SEPAL_TEXT(SEPAL_HALIDE_VERSION); }

std::string MachineFingerprint::key() const {
    std::string text = fmt::format("{}|{}|", cpu, fmt::join(features, " "));
    for (const CacheLevel &cache : caches) text += fmt::format("{} {} ", cache.level, cache.bytes);
    return text;
}

MachineFingerprint fingerprint(const Machine &machine) { return {machine.cpu, machine.features, machine.caches, machine.logical_cpus}; }

double TuningRecord::median_ms() const { return verdict == Verdict::ok && !samples_ms.empty() ? summarise(samples_ms).median : 0; }

double TuningRecord::pct_fma_peak() const {
    const double ms = median_ms();
    return ms > 0 && fma_gflops > 0 ? pct_of(problem, ms, fma_gflops) : 0;
}

std::string why_disturbed(const ConvProblem &problem, const Schedule &schedule, double median_ms, double fma_gflops) {
    double spared = problem.flops() / problem.flops_inside();
    if (is_winograd(schedule)) spared = std::pow(double(winograd_taps * schedule.winograd) / winograd_points(schedule.winograd), 2);
    const double pct = pct_of(problem, median_ms, fma_gflops), most = most_pct_fma_peak * spared;
    if (pct <= most) return {};
    return fmt::format("the time is {:.1f} % of the FMA peak, probed beside it at {:.4g} GFLOP/s; allowed: up to {:.4g} %, since no kernel is quicker, and "
                       "something else slowed the probe down", pct, fma_gflops, most);
}

std::string to_json_line(const TuningRecord &r) {
    Json knob_values = Json::object(), caches = Json::array();
    for (const Knob &knob : knobs) knob_values[std::string(knob.name)] = r.schedule.*knob.member;
    for (const CacheLevel &c : r.machine.caches) caches.push_back({{"level", c.level}, {"bytes", c.bytes}, {"shared_by", c.shared_by}});
    Json j;
    j["format"] = tuning_format;
    j["problem"] = Json::parse(to_json(r.problem));
    j["isa"] = name(r.isa);
    j["threads"] = r.threads;
    j["knobs"] = knob_values;
    j["verdict"] = name(r.verdict);
    j["error"] = r.error;
    j["samples_ms"] = r.samples_ms;
    j["fma_gflops"] = r.fma_gflops;
    j["machine"] = {{"cpu", r.machine.cpu}, {"features", r.machine.features}, {"logical_cpus", r.machine.logical_cpus}, {"caches", caches}};
    j["machine_fma_gflops"] = r.machine_fma_gflops;
    j["halide"] = r.halide;
    j["commit"] = r.commit;
    j["seed"] = r.seed;
    j["trial"] = r.trial;
    j["proposed_by"] = r.proposed_by;
    // An error may quote bytes that are no UTF-8.
    return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

TuningRecord tuning_record_from_json(const std::string &line, const std::string &where) {
    json j;
    try {
        j = parse_strict_json(line, where);
    } catch (const BadInput &e) {  // `where` knows the line
        std::string sentence = e.what();
        if (const size_t at = sentence.find(" at line 1, column", where.size()); at != std::string::npos) sentence.replace(at, 11, " at");
        throw BadInput(sentence);
    }
    // Before the other fields, which another format may have others of.
    if (j.is_object() && j.contains("format") && j["format"] != tuning_format)
        throw BadInput(fmt::format("{}: field \"format\" is {}; allowed: {}, that of this Sepal", where, describe(j["format"]), tuning_format));
    const Fields fields(j, where, "", {"format", "problem", "isa", "threads", "knobs", "verdict", "error", "samples_ms", "fma_gflops", "machine",
                                       "machine_fma_gflops", "halide", "commit", "seed", "trial", "proposed_by"});
    TuningRecord r;
    r.problem = read_problem(fields.at("problem"), where);
    const auto isa = cpu_isa_from_name(fields.text("isa"));
    if (!isa) fields.fail_at("isa", cpu_isa_names());
    r.isa = *isa;
    r.threads = int(fields.integer("threads", 1, most_threads));
    r.schedule = read_knobs(fields.at("knobs"), where, r.problem, r.isa);
    read_outcome(r, fields);
    if (const std::string why = r.verdict == Verdict::ok ? why_not_valid(r.schedule, r.problem, r.isa) : ""; !why.empty())
        throw BadInput(fmt::format("{}: {}", where, why));
    if (const std::string why = r.verdict == Verdict::ok ? why_disturbed(r.problem, r.schedule, r.median_ms(), r.fma_gflops) : ""; !why.empty())
        throw BadInput(fmt::format("{}: {}", where, why));
    r.machine = read_machine(fields.at("machine"), where);
    r.machine_fma_gflops = fields.number("machine_fma_gflops", most_gflops, true);
    r.halide = fields.text("halide");
    r.commit = fields.text("commit");
    r.seed = uint32_t(fields.integer("seed", 0, std::numeric_limits<uint32_t>::max()));
    r.trial = fields.integer("trial", 0, std::numeric_limits<int64_t>::max());
    r.proposed_by = fields.text("proposed_by");
    return r;
}

double score(const TuningRecord &record) { return record.median_ms() * record.fma_gflops; }

bool timed_in_turns(const TuningRecord &incumbent, const TuningRecord &challenger) {
    return incumbent.proposed_by == by_incumbent && challenger.proposed_by != by_incumbent && challenger.trial == incumbent.trial &&
           challenger.fma_gflops == incumbent.fma_gflops && incumbent.verdict == Verdict::ok && challenger.verdict == Verdict::ok &&
           challenger.machine.key() == incumbent.machine.key();
}

double time_ratio(const TuningRecord &a, const TuningRecord &b) {
    if (a.trial != b.trial || a.fma_gflops != b.fma_gflops || a.samples_ms.size() != b.samples_ms.size()) return score(a) / score(b);
    std::vector<double> ratios;
    for (size_t i = 0; i < a.samples_ms.size(); i++) ratios.push_back(a.samples_ms[i] / b.samples_ms[i]);
    return summarise(ratios).median;
}

}  // namespace sepal
