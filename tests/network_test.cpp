// A network's total from the results of its problems.
#include "bench/network.h"
#include "bench/report.h"
#include "catch.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

using namespace sepal;
using Catch::Matchers::Contains;

namespace {

const Variant kernel_a, kernel_b;

Result result(const std::string &problem, int64_t occurs, const Variant *variant, CacheState cache, double ms) {
    Result r;
    r.candidate.problem.name = problem;
    r.candidate.problem.op = Operator::pointwise;
    r.candidate.problem.h = r.candidate.problem.w = 1;
    r.candidate.problem.c = r.candidate.problem.k = 1000;
    r.candidate.suite = "net";
    r.candidate.name = variant == &kernel_a ? "a" : "b";
    r.candidate.variant = variant;
    r.candidate.occurs = occurs;
    r.threads = 2;
    r.cache = cache;
    r.check = "passed";
    if (ms > 0) r.milliseconds = summarise({ms});
    r.flops = 2e6;
    r.bytes = 4e6;
    r.fma_gflops = 100;  // 2 MFLOP take 0.02 ms
    r.isa_gflops = 100;
    r.copy_ms = 0.01;
    r.roofline_ms = 0.03;
    r.bound = "L2";
    return r;
}

// Two problems, one of which occurs three times; the second kernel is quicker on the first, slower on the second.
std::vector<Result> two_layers() {
    const CacheState warm = CacheState::warm, cold = CacheState::cold;
    return {result("x", 1, &kernel_a, warm, 0.10), result("x", 1, &kernel_a, cold, 0.50), result("x", 1, &kernel_b, warm, 0.05),
            result("x", 1, &kernel_b, cold, 0.20), result("y", 3, &kernel_a, warm, 0.04), result("y", 3, &kernel_a, cold, 0.10),
            result("y", 3, &kernel_b, warm, 0.08), result("y", 3, &kernel_b, cold, 0.30)};
}

}  // namespace

TEST_CASE("a network's total counts each problem as often as it occurs", "[network]") {
    const std::vector<NetworkTotal> totals = network_totals(two_layers());
    REQUIRE(totals.size() == 4);
    const double ms[] = {0.10 + 3 * 0.04, 0.05 + 3 * 0.04, 0.50 + 3 * 0.10, 0.20 + 3 * 0.10};
    for (size_t i = 0; i < totals.size(); i++) {
        const NetworkTotal &t = totals[i];
        CHECK(t.choice == (i % 2 == 0 ? "first" : "best"));
        CHECK(t.cache == (i < 2 ? CacheState::warm : CacheState::cold));
        CHECK(t.suite == "net");
        CHECK(t.threads == 2);
        CHECK(t.problems == 2);
        CHECK(t.layers == 4);
        CHECK(t.flops == 8e6);
        CHECK(t.milliseconds == Approx(ms[i]));
        CHECK(t.gflops() == Approx(8e6 / ms[i] / 1e6));
        CHECK(t.pct_fma_peak() == Approx(100 * 0.08 / ms[i]));
        CHECK(t.pct_roofline() == Approx(100 * 0.12 / ms[i]));
        CHECK(t.missing.empty());
    }
}

TEST_CASE("the peak of a network's total is that probed beside each problem", "[network]") {
    std::vector<Result> results = {result("x", 1, &kernel_a, CacheState::warm, 0.1), result("y", 1, &kernel_a, CacheState::warm, 0.1)};
    results[1].fma_gflops = 50;
    CHECK(network_totals(results).at(0).pct_fma_peak() == Approx(100 * (0.02 + 0.04) / 0.2));
    results[0].roofline_ms = 0;  // unknown for one layer: unknown for the sum
    CHECK(network_totals(results).at(0).roofline_milliseconds == 0);
    CHECK(to_json(network_totals(results).at(0))["pct_roofline"].is_null());
    CHECK_THAT(network_text(network_totals(results)), !Contains("roof"));
}

TEST_CASE("a problem without a timed kernel is named and is not part of the total; other problems and providers are left out", "[network]") {
    std::vector<Result> results = two_layers();
    results.push_back(result("z", 2, &kernel_a, CacheState::warm, 0));
    results.push_back(result("z", 2, &kernel_a, CacheState::cold, 0));
    results.push_back(result("other", 0, &kernel_a, CacheState::warm, 7));
    results.push_back(result("y2", 1, nullptr, CacheState::warm, 0.001));
    const NetworkTotal total = network_totals(results).at(0);
    CHECK(total.layers == 4);
    CHECK(total.milliseconds == Approx(0.22));
    CHECK(total.missing == std::vector<std::string>{"z", "y2"});
    CHECK_THAT(network_text({total}), Contains("Not in the total, since no kernel was timed: z, y2\n"));
    CHECK(network_totals({}).empty());
    CHECK(network_totals({result("other", 0, &kernel_a, CacheState::warm, 7)}).empty());
    CHECK(network_totals({result("z", 2, &kernel_a, CacheState::warm, 0)}).empty());
    CHECK(network_text({}).empty());
}

TEST_CASE("a network's total in the table, JSON and CSV", "[network]") {
    const std::vector<NetworkTotal> totals = network_totals(two_layers());
    const std::string text = network_text(totals);
    CHECK_THAT(text, Contains("2 problems") && Contains("4 convolutions") && Contains("0.008 GFLOP"));
    CHECK_THAT(text, Contains("warm        0.22 ms     36.36 GFLOP/s   36.4 % FMA   54.5 % roof  first kernel of each problem\n"));
    const nlohmann::ordered_json j = to_json(totals.at(1));
    CHECK(j["choice"] == "best");
    CHECK(j["cache"] == "warm");
    CHECK(j["layers"] == 4);
    CHECK(j["ms"].get<double>() == Approx(0.17));
    CHECK(csv_columns(totals.at(1))["median_ms"].get<double>() == Approx(0.17));
    CHECK(csv_columns(totals.at(1))["occurs"] == 4);
}

TEST_CASE("reports of a network end with its totals, other reports have none", "[network]") {
    const auto lines = [](const std::vector<Result> &results) {
        std::vector<std::string> out;
        std::istringstream text(report_csv(results));
        for (std::string line; std::getline(text, line);) out.push_back(line);
        return out;
    };
    const std::vector<std::string> all = lines(two_layers());
    REQUIRE(all.size() == 1 + 8 + 4);
    // Commas outside quotes.
    const auto separators = [](const std::string &line) {
        bool quoted = false;
        return std::count_if(line.begin(), line.end(), [&](char c) { return c == '"' ? (quoted = !quoted, false) : c == ',' && !quoted; });
    };
    for (const std::string &line : all) CHECK(separators(line) == separators(all[0]));
    CHECK(all[9].rfind("net,(total),first of each problem,sepal,2,warm,0.22", 0) == 0);
    CHECK(report_json({}, two_layers(), {})["network"].size() == 4);
    CHECK(report_json({}, two_layers(), {})["results"][4]["occurs"] == 3);

    std::vector<Result> plain = two_layers();
    for (Result &r : plain) r.candidate.occurs = 0;
    CHECK(lines(plain).size() == 1 + 8);
    CHECK(report_json({}, plain, {})["network"].empty());
    CHECK(report_json({}, plain, {})["results"][4]["occurs"].is_null());
}
