// The parts of static_report.h that are for reading: JSON and a table.
#include "static_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace sepal {

using json = nlohmann::ordered_json;

const char *const static_report_legend =
    "calculated  from machine code (ptxas, nvdisasm) and from exact counts of a launch in the emulator; nothing here is measured\n"
    "limiter     what keeps a multiprocessor (SM) from holding more blocks\n"
    "math        FFMA, HFMA2, HMMA, IMMA, IDP: their share of the instructions of the innermost loop that has most of them; on tensor\n"
    "            cores: that of HMMA and IMMA alone\n"
    "used        bytes that threads asked for over those of the sectors (32 B) that their requests touch; more than 100 %: several\n"
    "            threads ask for the same\n"
    "conflicts   passes over the banks of shared memory, over the fewest possible\n"
    "bounds      the least time of the launch, in us, that each part of the GPU allows; dram and l2: each sector once; lsu: passes\n"
    "            through L1 and shared memory; issue: of PTX instructions; cold: the longest, warm: without dram where all fits L2\n"
    "waves       blocks of the launch over those that the GPU holds at once\n";

namespace {

json mix_json(const CodeMix &m) {
    json accesses = json::object();
    for (const auto &[opcode, widths] : m.accesses)
        for (const auto &[bytes, instructions] : widths) accesses[opcode][std::to_string(8 * bytes)] = instructions;
    return {{"instructions", m.instructions},
            {"math_share", m.math_share()},
            {"tensor_share", m.tensor_share()},
            {"math", m.math},
            {"moves", m.moves},
            {"accumulations", m.accumulations},
            {"accumulator_moves", m.accumulator_moves},
            {"local_accesses", m.local_accesses},
            {"accesses_by_bits", accesses}};
}

json global_json(const GlobalCounts &g) {
    return {{"requests", g.requests},
            {"bytes", g.bytes},
            {"sectors", g.sectors},
            {"unique_sectors", g.unique_sectors},
            {"sectors_per_request", g.sectors_per_request()},
            {"useful_share", g.useful()}};
}

json shared_json(const SharedCounts &s) {
    return {{"requests", s.requests}, {"wavefronts", s.wavefronts}, {"least_wavefronts", s.least_wavefronts}, {"conflicts", s.conflicts()}};
}

json bound_json(const GpuBound &b) { return {{"us", b.microseconds}, {"bound", b.part}}; }

// "128 HMMA, 288 HFMA2".
std::string math_text(const CodeMix &m) {
    std::string text;
    for (const auto &[opcode, instructions] : m.math) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", instructions, opcode);
    return text.empty() ? "none" : text;
}

// "LDG 49 x 128 bit, 2 x 32 bit; STG 8 x 128 bit".
std::string access_text(const CodeMix &m) {
    std::string text;
    for (const auto &[opcode, widths] : m.accesses) {
        text += fmt::format("{}{} ", text.empty() ? "" : "; ", opcode);
        for (auto w = widths.rbegin(); w != widths.rend(); ++w)
            text += fmt::format("{}{} x {} bit", w == widths.rbegin() ? "" : ", ", w->second, 8 * w->first);
    }
    return text.empty() ? "none" : text;
}

// Spill bytes, which may not be known.
json spill_json(int bytes) { return bytes < 0 ? json() : json(bytes); }
std::string spill_text(const KernelResources &k) {
    return k.spill_store_bytes < 0 ? "not known" : fmt::format("{}/{}", k.spill_store_bytes, k.spill_load_bytes);
}

std::string megabytes(double bytes) { return fmt::format("{:.2f} MB", bytes / 1e6); }

const char *const parts[] = {"dram", "l2", "lsu", "issue", "fma", "dp4a", "tensor"};

}  // namespace

json to_json(const StaticReport &r) {
    json out = {{"kernel", r.title},
                {"entry", r.entry},
                {"calculated", true},
                {"block_threads", r.threads},
                {"dynamic_shared_bytes", r.dynamic_shared_bytes},
                {"architectures", json::array()}};
    for (const ArchReport &a : r.architectures) {
        const KernelResources &k = a.resources;
        const Occupancy &o = a.occupancy;
        out["architectures"].push_back({{"arch", a.arch},
                                        {"registers", k.registers},
                                        {"stack_bytes", k.stack_bytes},
                                        {"spill_store_bytes", spill_json(k.spill_store_bytes)},
                                        {"spill_load_bytes", spill_json(k.spill_load_bytes)},
                                        {"static_shared_bytes", k.shared_bytes},
                                        {"blocks_per_sm", o.blocks},
                                        {"warps_per_sm", o.warps},
                                        {"occupancy", o.share()},
                                        {"limiter", o.limiter},
                                        {"ptxas_warnings", a.warnings},
                                        {"hot_region", a.sass ? json(a.sass->in_loop ? "loop" : "kernel") : json()},
                                        {"hot_loop", a.sass ? mix_json(a.sass->hot_loop) : json()},
                                        {"code", a.sass ? mix_json(a.sass->kernel) : json()}});
    }
    out["why_no_architectures"] = r.why_no_architectures.empty() ? json() : json(r.why_no_architectures);
    out["why_no_machine_code"] = r.why_no_sass.empty() ? json() : json(r.why_no_sass);
    out["counts"] = nullptr;
    if (r.counts) {
        const KernelCounts &c = *r.counts;
        out["counts"] = {{"grid", c.grid},
                         {"block", c.block},
                         {"blocks", c.blocks},
                         {"warp_instructions", c.all_warp_instructions()},
                         {"f32_fma", c.f32_fma},
                         {"f16_fma", c.f16_fma},
                         {"dp4a", c.dp4a},
                         {"mma", c.mma},
                         {"mma_multiply_adds", c.mma_multiply_adds},
                         {"global_loads", global_json(c.global_loads)},
                         {"global_stores", global_json(c.global_stores)},
                         {"shared_loads", shared_json(c.shared_loads)},
                         {"shared_stores", shared_json(c.shared_stores)},
                         {"compulsory_bytes", compulsory_bytes(c)}};
    }
    out["bounds"] = json::array();
    for (size_t i = 0; i < r.bounds.size(); i++) {
        const GpuBounds &b = r.bounds[i];
        const GpuModel &gpu = gpu_model(b.gpu);
        json us = json::object();
        for (const GpuBound &part : b.parts) us[part.part] = part.microseconds;
        out["bounds"].push_back({{"gpu", b.gpu},
                                 {"title", gpu.title},
                                 {"rates", gpu.source},
                                 {"us", us},
                                 {"cold", bound_json(b.cold)},
                                 {"warm", bound_json(b.warm)},
                                 {"fits_l2", b.fits_l2},
                                 {"waves", r.waves[i] > 0 ? json(r.waves[i]) : json()},
                                 {"note", b.note.empty() ? json() : json(b.note)}});
    }
    out["fused_bytes"] = r.unfused_bytes > 0 ? json(r.fused_bytes) : json();
    out["unfused_bytes"] = r.unfused_bytes > 0 ? json(r.unfused_bytes) : json();
    out["complaints"] = complaints(r);
    return out;
}

std::string to_text(const StaticReport &r) {
    std::string text = fmt::format("{}: blocks of {} threads, {} B of dynamic shared memory (calculated, not measured)\n", r.title,
                                   r.threads, r.dynamic_shared_bytes);
    if (r.architectures.empty()) text += "  machine code: " + r.why_no_architectures + "\n";
    constexpr const char *columns = "  {:<6} {:>9} {:>7} {:>11} {:>10} {:>10} {:>9} {:>10}  {}\n";
    if (!r.architectures.empty())
        text += fmt::format(columns, "arch", "registers", "stack B", "spill st/ld", "static B", "blocks/SM", "warps/SM", "occupancy",
                            "limiter");
    for (const ArchReport &a : r.architectures) {
        const KernelResources &k = a.resources;
        text += fmt::format(columns, a.arch, k.registers, k.stack_bytes, spill_text(k),
                            k.shared_bytes, a.occupancy.blocks, a.occupancy.warps, fmt::format("{:.0f} %", 100 * a.occupancy.share()),
                            a.occupancy.limiter);
        for (const std::string &warning : a.warnings) text += fmt::format("         ptxas warns: {}\n", warning);
    }
    if (!r.why_no_sass.empty()) text += "  instructions: " + r.why_no_sass + "\n";
    for (const ArchReport &a : r.architectures) {
        if (!a.sass) continue;
        const CodeMix &hot = a.sass->hot_loop, &all = a.sass->kernel;
        text += fmt::format("  {} {}: {} instructions, {:.1f} % math ({}), {:.1f} % on tensor cores, {} moves, {} of them of accumulators, local accesses {}\n",
                            a.arch, a.sass->in_loop ? "hottest loop" : "kernel (no loop has math)", hot.instructions,
                            100 * hot.math_share(), math_text(hot), 100 * hot.tensor_share(), hot.moves, hot.accumulator_moves, hot.local_accesses);
        text += fmt::format("  {} accesses: {}; local accesses {}\n", a.arch, access_text(all), all.local_accesses);
    }
    if (!r.counts) return text + "  counts: the kernel was not run in the emulator, so there are no sectors, conflicts and bounds\n";
    const KernelCounts &c = *r.counts;
    for (const auto &[what, g] : {std::make_pair("loads", &c.global_loads), std::make_pair("stores", &c.global_stores)})
        text += fmt::format("  global {:<6} {} requests, {:.2f} sectors each, {:.0f} % used\n", what, g->requests, g->sectors_per_request(),
                            100 * g->useful());
    for (const auto &[what, s] : {std::make_pair("loads", &c.shared_loads), std::make_pair("stores", &c.shared_stores)})
        if (s->requests)
            text +=
                fmt::format("  shared {:<6} {} requests, {} passes, conflicts {:.2f}\n", what, s->requests, s->wavefronts, s->conflicts());
    text += fmt::format("  {:<8}", "bounds");
    for (const char *part : parts) text += fmt::format(" {:>9}", part);
    text += fmt::format(" {:>18} {:>18} {:>7}\n", "cold", "warm", "waves");
    for (size_t i = 0; i < r.bounds.size(); i++) {
        const GpuBounds &b = r.bounds[i];
        text += fmt::format("  {:<8}", b.gpu);
        for (const char *part : parts) {
            const bool known = std::any_of(b.parts.begin(), b.parts.end(), [&](const GpuBound &p) { return p.part == part; });
            text += fmt::format(" {:>9}", known ? fmt::format("{:.2f}", b.microseconds(part)) : "-");
        }
        for (const GpuBound *longest : {&b.cold, &b.warm})
            text += fmt::format(" {:>18}", fmt::format("{:.2f} {}", longest->microseconds, longest->part));
        text +=
            fmt::format(" {:>7}{}\n", r.waves[i] > 0 ? fmt::format("{:.1f}", r.waves[i]) : "-", b.note.empty() ? "" : "  (" + b.note + ")");
    }
    if (r.unfused_bytes > 0)
        text += fmt::format("  fused {} against {} unfused: {:.2f} x\n", megabytes(r.fused_bytes), megabytes(r.unfused_bytes),
                            r.fused_bytes / r.unfused_bytes);
    return text;
}

std::string summary_text(const std::vector<StaticReport> &reports) {
    size_t longest = 6;
    for (const StaticReport &r : reports) longest = std::max(longest, r.title.size());
    constexpr const char *columns = "{:<{}} {:>6} {:>5} {:>9} {:>6} {:>7} {:>7} {:>17} {:>17} {:>13}\n";
    std::string text = fmt::format(columns, "kernel", longest, "arch", "regs", "occupancy", "math", "tensor", "used", "cold us", "warm us", "unfused/fused");
    for (const StaticReport &r : reports) {
        const ArchReport *a = r.architectures.empty() ? nullptr : &r.architectures.back();
        const auto share = [](bool known, double value) { return known ? fmt::format("{:.0f} %", 100 * value) : "-"; };
        const auto time = [&](const GpuBound GpuBounds::*bound) {
            return r.bounds.empty() ? "-" : fmt::format("{:.2f} {}", (r.bounds.front().*bound).microseconds, (r.bounds.front().*bound).part);
        };
        const double used = r.counts ? std::min(r.counts->global_loads.useful(), r.counts->global_stores.useful()) : 0;
        text += fmt::format(columns, r.title, longest, a ? a->arch : "-", a ? std::to_string(a->resources.registers) : "-",
                            share(a, a ? a->occupancy.share() : 0), share(a && a->sass, a && a->sass ? a->sass->hot_loop.math_share() : 0),
                            share(a && a->sass, a && a->sass ? a->sass->hot_loop.tensor_share() : 0), share(r.counts.has_value(), used),
                            time(&GpuBounds::cold), time(&GpuBounds::warm),
                            r.unfused_bytes > 0 ? fmt::format("{:.2f}", r.unfused_bytes / r.fused_bytes) : "-");
    }
    return text;
}

}  // namespace sepal
