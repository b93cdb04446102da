// The static report of every kernel for sm80 that the hand-written schedules make: what must not be there is not.
#include "bench/gpu/emulator/emulator.h"
#include "catch.h"
#include "runtime/gpu/cuda_driver.h"
#include "runtime/plan.h"
#include "tools/edge_grid.h"
#include "tools/emulated_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

using namespace sepal;

namespace {

constexpr int64_t least_channels = 32;    // with fewer, a warp cannot use whole sectors
constexpr double most_seconds = 1;        // of a problem for the emulator, where there is a choice

ChosenDevice open_emulator() {
    ChosenDevice device;
    device.option = "cuda:emulated";
    device.emulated = true;
    use_cuda_driver(emulated_cuda_symbol);
    Status status;
    device.gpu = GpuDevice::open(Backend::cuda, 0, status);
    REQUIRE(device.gpu);
    return device;
}

// Complaints of any-shape variants that are known, by a part of the sentence; each has to come still.
struct Known {
    const char *variant, *part, *cause;
};
const std::vector<Known> known = {};

// One of some images and 64 channels, whole vectors of every kernel; a variant that is specialised takes its own.
std::optional<ConvProblem> problem_for(const Variant &v) {
    std::vector<ConvProblem> candidates;
    ConvProblem p;
    p.name = "report";
    p.op = v.op;
    p.dtype = v.dtype;
    p.h = 20, p.w = 24, p.c = 2 * least_channels;
    if (v.op != Operator::depthwise) p.k = 2 * least_channels;
    if (v.op == Operator::pointwise) p.pad_mode = PadMode::valid;
    else p.r = p.s = 3;
    p.out = {true, Activation::relu};
    candidates.push_back(p);
    for (const ConvProblem &own : problems_to_check(v))
        if (own.c >= least_channels && own.out_channels() >= least_channels) candidates.push_back(own);
    for (const ConvProblem &c : candidates)
        if (c.validate().empty() && v.refuses(c).empty()) return c;
    return std::nullopt;
}

}  // namespace

TEST_CASE("no hand-scheduled sm80 kernel spills, keeps arrays on the stack, cannot be launched, or wastes half of its sectors", "[static_report]") {
    const ChosenDevice device = open_emulator();
    set_num_threads(2);
    if (!why_no_ptxas().empty()) fmt::print("without machine code, only sectors are looked at: {}\n", why_no_ptxas());
    int reported = 0, with_machine_code = 0;
    for (const Variant &v : Registry::builtin()) {
        if (v.isa != Isa::sm80 || !v.is_hand_scheduled()) continue;
        INFO(v.name);
        CHECK(device.why_not_runnable(v) == "");
        const std::optional<ConvProblem> p = problem_for(v);
        CHECK(p.has_value());
        if (!p || !v.kernel) continue;
        const EmulatedReport r = report_in_emulator(v, *p, device, most_seconds);
        CHECK(r.message == "");
        CHECK(r.kernels.size() == 1);
        for (const StaticReport &kernel : r.kernels) {
            CHECK(kernel.counts.has_value());
            std::vector<std::string> unknown = complaints(kernel);
            for (const Known &k : known) {
                if (std::string(k.variant) != v.name) continue;
                const auto is_it = [&](const std::string &complaint) { return complaint.find(k.part) != std::string::npos; };
                const auto rest = std::remove_if(unknown.begin(), unknown.end(), is_it);
                INFO("no longer: " << k.part << ", " << k.cause);
                CHECK((rest != unknown.end() || kernel.architectures.empty()));
                unknown.erase(rest, unknown.end());
            }
            for (const std::string &complaint : unknown) CHECK(complaint == "");
            with_machine_code += !kernel.architectures.empty();
        }
        reported++;
    }
    fmt::print("{} kernels reported, {} of them with machine code\n", reported, with_machine_code);
    CHECK(reported > 0);
    if (why_no_ptxas().empty()) CHECK(with_machine_code == reported);
}
