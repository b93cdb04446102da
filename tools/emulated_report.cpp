#include "tools/emulated_report.h"

#include "bench/gpu/emulator/emulator.h"
#include "tools/checker.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace sepal {
namespace {

// About, of the emulator on one core.
constexpr double macs_per_second = 2.5e8, tensor_macs_per_second = 1e9;
constexpr int64_t least_side = 16;  // of an image that is made smaller

// "1 image of 112 x 112 x 64".
std::string images(const ConvProblem &p) { return fmt::format("{} image{} of {} x {} x {}", p.n, p.n == 1 ? "" : "s", p.h, p.w, p.c); }

}  // namespace

double emulator_seconds(const Variant &variant, const ConvProblem &p) {
    return p.flops() / 2 / (variant.is_on_tensor_cores() ? tensor_macs_per_second : macs_per_second);
}

ConvProblem problem_for_emulator(const Variant &variant, const ConvProblem &problem, double seconds) {
    ConvProblem p = problem;
    const auto try_with = [&](auto change) {
        if (emulator_seconds(variant, p) <= seconds) return false;
        ConvProblem smaller = p;
        change(smaller);
        if (smaller.key() == p.key() || !smaller.validate().empty() || !variant.refuses(smaller).empty()) return false;
        p = smaller;
        return true;
    };
    while (try_with([](ConvProblem &s) { s.n = std::max<int64_t>(1, s.n / 2); })) {}
    while (try_with([](ConvProblem &s) {
        s.h = std::max(std::min(s.h, least_side), s.h / 2);
        s.w = std::max(std::min(s.w, least_side), s.w / 2);
    })) {}
    return p;
}

EmulatedReport report_in_emulator(const Variant &variant, const ConvProblem &problem, const ChosenDevice &device, double seconds) {
    EmulatedReport r;
    r.variant = variant.name;
    r.asked = problem;
    r.run = problem_for_emulator(variant, problem, seconds);
    Tensors tensors = make_exact_tensors(r.run, check_seed);
    const CheckResult result = check_variant(variant, device, tensors, 1e8);
    r.check = result.passed ? "passed" : "failed";
    r.message = result.message;
    const std::vector<KernelCounts> launches = take_emulated_launches();
    for (size_t i = 0; i < launches.size(); i++) {
        std::string title = fmt::format("{} on {}", variant.name, problem.name);
        if (r.is_smaller()) title += fmt::format(", {} only", images(r.run));
        if (launches.size() > 1) title += fmt::format(", kernel {} of {}", i + 1, launches.size());
        GpuKernel kernel = shipped_kernel(title, launches[i]);
        if (problem.op == Operator::depsep && launches.size() == 1) kernel.unfused_bytes = r.run.unfused_bytes();
        r.kernels.push_back(static_report(kernel));
    }
    return r;
}

nlohmann::ordered_json to_json(const EmulatedReport &r) {
    nlohmann::ordered_json out = {{"problem", r.asked.name},
                                  {"variant", r.variant},
                                  {"check", r.check},
                                  {"check_message", r.message.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(r.message)},
                                  {"emulated_problem", r.run.key()},
                                  {"emulated_smaller", r.is_smaller()},
                                  {"kernels", nlohmann::ordered_json::array()}};
    for (const StaticReport &kernel : r.kernels) out["kernels"].push_back(to_json(kernel));
    return out;
}

std::string to_text(const EmulatedReport &r) {
    std::string text = fmt::format("{} on {}: {}{}{}\n", r.variant, r.asked.name, r.check, r.message.empty() ? "" : ": ", r.message);
    if (r.is_smaller())
        text += fmt::format("  the emulator ran {}, for {} would take it too long: counts and bounds are of those\n", images(r.run), images(r.asked));
    for (const StaticReport &kernel : r.kernels) {
        text += to_text(kernel);
        for (const std::string &complaint : complaints(kernel)) text += "  COMPLAINT: " + complaint + "\n";
    }
    return text;
}

}  // namespace sepal
