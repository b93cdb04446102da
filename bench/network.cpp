#include "network.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace sepal {
namespace {

// The results of one problem by Sepal's kernels in one cache state, in order.
struct Layer {
    std::string name;
    int64_t occurs = 1;
    std::vector<const Result *> timed;
};

std::vector<Layer> layers_of(const std::vector<Result> &results, CacheState cache) {
    std::vector<Layer> layers;
    for (const Result &r : results) {
        if (r.candidate.occurs == 0 || r.cache != cache) continue;
        if (layers.empty() || layers.back().name != r.candidate.problem.name) layers.push_back({r.candidate.problem.name, r.candidate.occurs, {}});
        if (r.timed() && r.candidate.variant) layers.back().timed.push_back(&r);
    }
    return layers;
}

void add(NetworkTotal &total, const Result &r, int64_t occurs) {
    const bool roofs_known = total.problems == 0 || total.roofline_milliseconds > 0, peaks_known = total.problems == 0 || total.peak_milliseconds > 0;
    total.suite = r.candidate.suite;
    total.threads = r.threads;
    total.problems++;
    total.layers += occurs;
    total.flops += double(occurs) * r.flops;
    total.milliseconds += double(occurs) * r.milliseconds.median;
    total.peak_milliseconds = peaks_known && r.fma_gflops > 0 ? total.peak_milliseconds + double(occurs) * r.flops / r.fma_gflops / 1e6 : 0;
    total.roofline_milliseconds = roofs_known && r.roofline_ms > 0 ? total.roofline_milliseconds + double(occurs) * r.roofline_ms : 0;
}

}  // namespace

std::vector<NetworkTotal> network_totals(const std::vector<Result> &results) {
    std::vector<NetworkTotal> totals;
    for (CacheState cache : {CacheState::warm, CacheState::cold})
        for (const char *choice : {"first", "best"}) {
            NetworkTotal total;
            total.choice = choice;
            total.cache = cache;
            const bool first = total.choice == "first";
            for (const Layer &layer : layers_of(results, cache)) {
                if (layer.timed.empty()) {
                    total.missing.push_back(layer.name);
                    continue;
                }
                const Result *best = *std::min_element(layer.timed.begin(), layer.timed.end(), [](const Result *a, const Result *b) {
                    return a->milliseconds.median < b->milliseconds.median;
                });
                add(total, first ? *layer.timed.front() : *best, layer.occurs);
            }
            if (total.problems > 0) totals.push_back(total);
        }
    return totals;
}

std::string network_text(const std::vector<NetworkTotal> &totals) {
    if (totals.empty()) return {};
    const NetworkTotal &t = totals.front();
    std::string text = fmt::format("\nTotal: {} problem{}, each as often as the network has it, {} convolutions, {:.4g} GFLOP\n", t.problems,
                                   t.problems == 1 ? "" : "s", t.layers, t.flops / 1e9);
    for (const NetworkTotal &n : totals)
        text += fmt::format("{:<5} {:>10.4g} ms {:>9.4g} GFLOP/s{}{}  {} kernel of each problem\n", name(n.cache), n.milliseconds, n.gflops(),
                            n.peak_milliseconds > 0 ? fmt::format(" {:>6.1f} % FMA", n.pct_fma_peak()) : "", n.roofline_milliseconds > 0 ? fmt::format(" {:>6.1f} % roof", n.pct_roofline()) : "", n.choice);
    if (!t.missing.empty()) text += fmt::format("Not in the total, since no kernel was timed: {}\n", fmt::join(t.missing, ", "));
    return text;
}

nlohmann::ordered_json to_json(const NetworkTotal &t) {
    nlohmann::ordered_json j;
    j["choice"] = t.choice;
    j["threads"] = t.threads;
    j["cache"] = name(t.cache);
    j["problems"] = t.problems;
    j["layers"] = t.layers;
    j["flops"] = t.flops;
    j["ms"] = t.milliseconds;
    j["gflops"] = t.gflops();
    j["pct_fma_peak"] = t.peak_milliseconds > 0 ? nlohmann::ordered_json(t.pct_fma_peak()) : nlohmann::ordered_json(nullptr);
    j["pct_roofline"] = t.roofline_milliseconds > 0 ? nlohmann::ordered_json(t.pct_roofline()) : nlohmann::ordered_json(nullptr);
    j["missing"] = t.missing;
    return j;
}

nlohmann::ordered_json csv_columns(const NetworkTotal &t) {
    nlohmann::ordered_json j;
    j["suite"] = t.suite;
    j["problem"] = "(total)";
    j["variant"] = t.choice + " of each problem";
    j["provider"] = "sepal";
    j["threads"] = t.threads;
    j["cache"] = name(t.cache);
    j["median_ms"] = t.milliseconds;
    j["gflops"] = t.gflops();
    if (t.peak_milliseconds > 0) j["pct_fma_peak"] = t.pct_fma_peak();
    if (t.roofline_milliseconds > 0) j["pct_roofline"] = t.pct_roofline();
    j["flops"] = t.flops;
    j["occurs"] = t.layers;
    return j;
}

}  // namespace sepal
