#include "report.h"

#include "network.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace sepal {

using Json = nlohmann::ordered_json;

const char *const flop_convention =
    "2 per multiply-add of the direct algorithm, taps on padding included, bias and activation excluded";
const char *const byte_convention =
    "compulsory traffic: input, filters, biases and output once each; the unfused pair also writes and reads its intermediate";

namespace {

// A number of a result that was timed, else null.
Json timed_number(const Result &r, double value) { return r.timed() && std::isfinite(value) ? Json(value) : Json(nullptr); }

Json kernels(const Candidate &c) {
    Json names = Json::array();
    for (const Variant *v : {c.variant, c.second})
        if (v) names.push_back(v->name);
    return names;
}

std::string csv_field(const Json &value) {
    if (value.is_null()) return "";
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

}  // namespace

Json to_json(const Result &r) {
    const Candidate &c = r.candidate;
    const bool has_roof = r.roofline_ms > 0;
    Json j;
    j["suite"] = c.suite;
    j["problem"] = c.problem.name;
    j["variant"] = c.name;
    j["provider"] = r.provider();
    j["threads"] = r.threads;
    j["cache"] = name(r.cache);
    j["median_ms"] = timed_number(r, r.milliseconds.median);
    j["min_ms"] = timed_number(r, r.milliseconds.min);
    j["spread_pct"] = timed_number(r, r.milliseconds.spread_pct);
    j["gflops"] = timed_number(r, r.gflops());
    j["gbps"] = timed_number(r, r.gbps());
    j["pct_fma_peak"] = timed_number(r, r.pct_fma_peak());
    j["pct_roofline"] = has_roof ? timed_number(r, r.pct_roofline()) : Json(nullptr);
    j["bound"] = has_roof ? Json(r.bound) : Json(nullptr);
    j["check"] = r.check;
    j["check_message"] = r.check_message;
    j["op"] = name(c.problem.op);
    j["key"] = c.problem.key();
    j["isa"] = c.variant ? Json(name(c.variant->isa)) : Json(nullptr);
    j["scheduler"] = c.variant ? Json(c.variant->scheduler) : Json(nullptr);
    // Compiled for this shape, ahead of time or in process, as opposed to any shape.
    j["specialised"] = c.variant && (c.variant->suite[0] != '\0' || c.compile_seconds > 0);
    j["kernels"] = kernels(c);
    j["problems_per_s"] = timed_number(r, r.problems_per_s());
    j["images_per_s"] = timed_number(r, r.images_per_s());
    j["samples"] = r.milliseconds.count;
    j["batch"] = r.batch;
    j["flops"] = c.problem.flops();
    j["bytes"] = c.bytes();
    j["intensity"] = c.problem.flops() / c.bytes();
    j["fma_probe_gflops"] = timed_number(r, r.fma_gflops);
    j["pct_isa_peak"] = timed_number(r, r.pct_isa_peak());
    j["roofline_ms"] = has_roof ? timed_number(r, r.roofline_ms) : Json(nullptr);
    j["copy_ms"] = timed_number(r, r.copy_ms);
    j["times_copy"] = timed_number(r, r.times_copy());
    j["streaming_copy_ms"] = r.streaming_copy_ms > 0 ? timed_number(r, r.streaming_copy_ms) : Json(nullptr);
    j["times_streaming_copy"] = r.streaming_copy_ms > 0 ? timed_number(r, r.times_streaming_copy()) : Json(nullptr);
    j["speedup"] = timed_number(r, r.speedup);
    j["times_best_sepal"] = r.times_best_sepal > 0 ? timed_number(r, r.times_best_sepal) : Json(nullptr);
    j["times_best_peer"] = r.times_best_peer > 0 ? timed_number(r, r.times_best_peer) : Json(nullptr);
    j["peer_version"] = c.peer && !r.peer_version.empty() ? Json(r.peer_version) : Json(nullptr);
    j["peer_configuration"] = c.peer && !r.peer_configuration.empty() ? Json(r.peer_configuration) : Json(nullptr);
    j["device"] = r.device;
    j["latency_ms"] = r.latency_ms > 0 ? timed_number(r, r.latency_ms) : Json(nullptr);
    j["cold_overhead_ms"] = r.cold_overhead_ms > 0 ? timed_number(r, r.cold_overhead_ms) : Json(nullptr);
    j["in_graph"] = r.on_gpu() && !c.peer && r.timed() && r.cache == CacheState::warm ? Json(r.why_no_graph.empty()) : Json(nullptr);
    j["nvml"] = r.nvml.empty() ? Json(nullptr) : Json::parse(r.nvml);
    j["winograd"] = c.peer || r.winograd ? Json(r.winograd) : Json(nullptr);
    j["relative_error"] = r.relative_error > 0 && std::isfinite(r.relative_error) ? Json(r.relative_error) : Json(nullptr);
    const bool packed = !r.packed.layout.empty();
    j["filter_layout"] = packed ? Json(r.packed.layout) : Json(nullptr);
    j["packed_bytes"] = packed ? Json(r.packed.bytes) : Json(nullptr);
    j["pack_ms"] = packed ? Json(1e3 * r.packed.seconds) : Json(nullptr);
    j["compile_seconds"] = c.compile_seconds > 0 ? Json(c.compile_seconds) : Json(nullptr);
    j["occurs"] = c.occurs > 0 ? Json(c.occurs) : Json(nullptr);
    j["reproduce"] = c.reproduce;
    j["published"] = c.published.empty() ? Json(nullptr) : Json::parse(c.published);
    return j;
}

Json report_json(const Json &machine, const std::vector<Result> &results, const RunDescription &run, bool complete) {
    Json j;
    j["machine"] = machine;
    j["complete"] = complete;
    j["results"] = Json::array();
    for (const Result &r : results) j["results"].push_back(to_json(r));
    j["network"] = Json::array();
    for (const NetworkTotal &t : network_totals(results)) j["network"].push_back(to_json(t));
    j["conventions"] = {{"flops", flop_convention}, {"bytes", byte_convention}};
    j["title"] = run.title;
    j["description"] = run.description;
    j["command"] = run.command;
    j["date"] = run.date;
    return j;
}

std::string report_csv(const std::vector<Result> &results) {
    std::string text;
    for (const Result &r : results) {
        const Json j = to_json(r);
        std::string header, line;
        for (const auto &[key, value] : j.items()) {
            header += (header.empty() ? "" : ",") + key;
            line += (header == key ? "" : ",") + csv_field(value);
        }
        if (text.empty()) text = header + "\r\n";
        text += line + "\r\n";
    }
    for (const NetworkTotal &t : network_totals(results)) {
        const Json columns = to_json(results.front()), sum = csv_columns(t);
        std::string line;
        for (const auto &[key, value] : columns.items()) line += (key == "suite" ? "" : ",") + csv_field(sum.value(key, Json(nullptr)));
        text += line + "\r\n";
    }
    return text;
}

}  // namespace sepal
