#include "tools/tuning/trial.h"

#include "bench/statistics.h"
#include "tools/problem_file.h"
#include "tools/strict_json.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace sepal {
namespace {

using Json = nlohmann::json;

constexpr const char *label = "trial";

Json knobs_json(const Schedule &schedule) {
    Json j = Json::object();
    for (const Knob &k : knobs) j[std::string(k.name)] = schedule.*k.member;
    return j;
}

Schedule schedule_from(const Json &j) {
    Schedule schedule;
    for (const Knob &k : knobs) schedule.*k.member = j.at(std::string(k.name)).get<int>();
    return schedule;
}

Verdict verdict_from(const std::string &text) {
    for (Verdict v : {Verdict::ok, Verdict::wrong, Verdict::crashed, Verdict::timed_out, Verdict::refused})
        if (name(v) == text) return v;
    throw BadInput(std::string(label) + ": field \"verdict\" is \"" + text + "\"; allowed: ok, wrong, crashed, timed_out, refused");
}

// What `read` makes of the text; a value of the wrong kind or a missing one is a BadInput.
template <typename Read>
auto parse(const std::string &text, const Read &read) {
    const Json j = parse_strict_json(text, label);
    try {
        return read(j);
    } catch (const Json::exception &e) {
        throw BadInput(std::string(label) + ": " + e.what() + " in " + describe(j));
    }
}

}  // namespace

double optimistic_score(const TuningRecord &record) {
    return *std::min_element(record.samples_ms.begin(), record.samples_ms.end()) * record.fma_gflops;
}

std::string to_json(const TrialRequest &r) {
    Json schedules = Json::array();
    for (const Schedule &s : r.schedules) schedules.push_back(knobs_json(s));
    return Json{{"problem", Json::parse(to_json(r.problem))}, {"isa", name(r.isa)}, {"threads", r.threads}, {"schedules", schedules},
                {"seconds", r.seconds}, {"stop_score", r.stop_score}}
        .dump();
}

TrialRequest trial_request_from_json(const std::string &text) {
    return parse(text, [](const Json &j) {
        TrialRequest r;
        r.problem = parse_problem_set(Json{{"problems", {j.at("problem")}}}.dump(), label).problems.front();
        const auto isa = cpu_isa_from_name(j.at("isa").get<std::string>());
        if (!isa) throw BadInput(std::string(label) + ": field \"isa\" is " + j.at("isa").dump() + "; allowed: " + cpu_isa_names());
        r.isa = *isa;
        r.threads = j.at("threads").get<int>();
        for (const Json &s : j.at("schedules")) r.schedules.push_back(schedule_from(s));
        if (r.schedules.empty() || r.threads < 1) throw BadInput(std::string(label) + ": without schedules or threads");
        r.seconds = j.at("seconds").get<double>();
        r.stop_score = j.at("stop_score").get<double>();
        return r;
    });
}

std::string to_json(const TrialAnswer &a) {
    Json timings = Json::array();
    for (const Timing &t : a.timings) timings.push_back({{"verdict", name(t.verdict)}, {"error", t.error}, {"samples_ms", t.samples_ms}});
    return Json{{"timings", timings}, {"fma_gflops", a.fma_gflops}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

TrialAnswer trial_answer_from_json(const std::string &text, size_t schedules) {
    return parse(text, [&](const Json &j) {
        TrialAnswer a;
        for (const Json &t : j.at("timings")) {
            Timing timing{verdict_from(t.at("verdict").get<std::string>()), t.at("error").get<std::string>(),
                          t.at("samples_ms").get<std::vector<double>>()};
            if ((timing.verdict == Verdict::ok) == timing.samples_ms.empty() || (timing.verdict == Verdict::ok) != timing.error.empty())
                throw BadInput(std::string(label) + ": samples or error do not go with verdict " + std::string(name(timing.verdict)));
            for (double ms : timing.samples_ms)
                if (!(ms > 0)) throw BadInput(std::string(label) + ": a sample is not positive");
            a.timings.push_back(std::move(timing));
        }
        a.fma_gflops = j.at("fma_gflops").get<double>();
        if (a.timings.size() != schedules) throw BadInput(std::string(label) + ": answers for another number of schedules");
        for (const Timing &t : a.timings)
            if (t.verdict == Verdict::ok && !(a.fma_gflops > 0)) throw BadInput(std::string(label) + ": field \"fma_gflops\" is not positive");
        return a;
    });
}

}  // namespace sepal
