// The part of report.h that is text for people.
#include "report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace sepal {

const char *const column_legend =
    "cache      cold: tensors and filters evicted before each run; warm: the run before was the same kernel's\n"
    "spread     interquartile range of the samples, % of the median\n"
    "% FMA      of the FMA peak of the best ISA, probed between the samples with as many threads\n"
    "% roof     attainable time / median; attainable: the longer of FLOPs at the FMA peak and compulsory bytes at the bandwidth of the\n"
    "           memory that holds them (the smallest cache when warm, DRAM when cold); bound: which of the two it is\n"
    "x copy     median / time of a plain copy that moves the problem's compulsory bytes, in the same cache state (of a problem that no cache\n"
    "           holds, the time of a copy by stores that bypass the caches is told, too)\n"
    "speed-up   over the first line of the problem in the same cache state\n"
    "variant    the bracket: the layout in which it reads its filter, the bytes of filters and biases in it, and the time to pack them, once\n";

const char *const gpu_column_legend =
    "cache      warm: runs in a row, replayed from a CUDA graph where that can be; cold: one run after L2 was overwritten, with what the device takes\n"
    "           from its event before the run to the one behind it, which is told for each problem. Both by the device's clock, on OpenCL the host's\n"
    "spread     interquartile range of the samples, % of the median\n"
    "% peak     of the measured peak: of f32 problems that of FMAs in f32, of f16 ones that of the tensor cores\n"
    "% roof     attainable time / median; attainable: the longer of FLOPs at that peak and compulsory bytes at the bandwidth of L2, where they are\n"
    "           warm and fit, else of the memory; bound: which of the two it is\n"
    "latency    of one run, microseconds, from the call until the host knows that it is done\n"
    "speed-up   over the first line of the problem in the same cache state\n"
    "variant    the bracket: the layout in which it reads its filter, the bytes of filters and biases in it, and the time to pack them, once\n";

const char *const peer_legend =
    "peers      other libraries, each in a process of its own, in turns with the kernels on the same CPUs, warm only; the bracket: their median\n"
    "           over that of Sepal's fastest kernel, then version and configuration\n";

namespace {

constexpr double noisy_spread_pct = 15;  // samples of an idle machine spread by a few percent

constexpr const char *columns = "{:<5} {:>10} {:>7} {:>11} {:>9} {:>8} {:>6} {:>7} {:>6} {:>7} {:>9}  {:<8} {}\n";

// Four significant digits, never in exponent form.
std::string number(double v) {
    if (!std::isfinite(v)) return "-";
    const int before = v < 1 ? 1 : int(std::log10(v)) + 1;
    return fmt::format("{:.{}f}", v, std::clamp(4 - before, 0, 4));
}

std::string bytes_text(double bytes) {
    const std::pair<double, const char *> units[] = {{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}};
    for (const auto &[unit, unit_name] : units)
        if (bytes >= unit) return number(bytes / unit) + " " + unit_name;
    return fmt::format("{:.0f} B", bytes);
}

std::string capacity_text(int64_t bytes) {
    return bytes >= (1 << 20) ? fmt::format("{:.4g} MiB", double(bytes) / (1 << 20)) : fmt::format("{} KiB", bytes >> 10);
}

std::string rate(const Rate &r) { return r.gbps > 0 ? number(r.gbps) : "-"; }

// " (1.42 x Sepal) 3.2.0, nhwc: brgconv:avx512_core" behind the name of a peer; the error of a kernel by Winograd's method and, once,
// what packing its filter took.
std::string after_name(const Result &r) {
    if (!r.timed()) return {};
    if (!r.candidate.peer) {
        const std::string error = r.winograd ? fmt::format(" (Winograd, relative error {:.1e})", r.relative_error) : "";
        if (r.packed.layout.empty() || r.cache != CacheState::warm) return error;
        return error + fmt::format(" [{}: {} packed in {} ms]", r.packed.layout, bytes_text(double(r.packed.bytes)), number(1e3 * r.packed.seconds));
    }
    std::string text = r.times_best_sepal > 0 ? fmt::format(" ({:.2f} x Sepal)", r.times_best_sepal) : "";
    text += fmt::format(" {}, {}", r.peer_version, r.peer_configuration);
    if (r.winograd) text += r.relative_error > 0 ? fmt::format(", Winograd, relative error {:.1e}", r.relative_error) : ", may use Winograd";
    return text;
}

// Where there is a peak that it is a share of.
std::string percent_of(double peak, double percent) { return peak > 0 ? fmt::format("{:.1f}", percent) : "-"; }

std::string line(const Result &r) {
    const std::string verdict = r.check.substr(0, r.check.find(':'));
    if (!r.timed()) return fmt::format(columns, "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", verdict, r.candidate.name);
    const bool roof = r.roofline_ms > 0;
    if (r.on_gpu())
        return fmt::format(columns, name(r.cache), number(r.milliseconds.median), fmt::format("{:.1f} %", r.milliseconds.spread_pct), number(r.problems_per_s()),
                           number(r.gflops() / 1e3), number(r.gbps()), percent_of(r.fma_gflops, r.pct_fma_peak()), percent_of(r.roofline_ms, r.pct_roofline()),
                           roof ? r.bound : "-", number(1e3 * r.latency_ms), number(r.speedup), verdict,
                           r.candidate.name + after_name(r) + (r.cache == CacheState::warm && r.device.rfind("cuda", 0) == 0 && !r.why_no_graph.empty() ? " (no graph: " + r.why_no_graph + ")" : ""));
    return fmt::format(columns, name(r.cache), number(r.milliseconds.median), fmt::format("{:.1f} %", r.milliseconds.spread_pct),
                       number(r.problems_per_s()), number(r.gflops()), number(r.gbps()), fmt::format("{:.1f}", r.pct_fma_peak()),
                       roof ? fmt::format("{:.1f}", r.pct_roofline()) : "-", roof ? r.bound : "-", number(r.times_copy()),
                       number(r.speedup), verdict, r.candidate.name + after_name(r));
}

// Sepal's fastest kernel against the fastest peer, and against the fastest one without Winograd's method where that is another.
std::string verdict_lines(const std::vector<Result> &results) {
    std::string text;
    const auto fastest = [&](auto accept) {
        const Result *best = nullptr;
        for (const Result &r : results)
            if (r.timed() && r.cache == CacheState::warm && accept(r) && (!best || r.milliseconds.median < best->milliseconds.median)) best = &r;
        return best;
    };
    const Result *own = fastest([](const Result &r) { return !r.candidate.peer; });
    const Result *peer = fastest([](const Result &r) { return r.candidate.peer; });
    const Result *direct = fastest([](const Result &r) { return r.candidate.peer && !r.winograd; });
    const auto compare = [&](const Result *other, const char *what) {
        const double ratio = other->milliseconds.median / own->milliseconds.median;
        text += fmt::format("  {} {}: {} ms; Sepal's fastest kernel {} ms: {}\n", what, other->candidate.name, number(other->milliseconds.median),
                            number(own->milliseconds.median), ratio >= 1 ? fmt::format("{:.2f} x as fast", ratio) : fmt::format("the peer wins, {:.2f} x as fast", 1 / ratio));
    };
    if (own && peer) compare(peer, peer == direct ? "best peer:" : "best peer (may use Winograd):");
    if (own && direct && direct != peer) compare(direct, "best peer (direct):");
    return text;
}

// "V100, f16: per_second 3585, tflops 26.5 (...)" for each published figure, in the words of the suite.
std::string published_lines(const std::string &text) {
    std::string out;
    if (text.empty()) return out;
    const auto list = nlohmann::ordered_json::parse(text);
    for (const auto &figure : list) {
        std::string values;
        for (const auto &[key, value] : figure.items())
            if (key != "source" && key != "machine" && key != "dtype")
                values += fmt::format("{}{} {}", values.empty() ? "" : ", ", key, value.is_string() ? value.get<std::string>() : value.dump());
        out += fmt::format("  published: {} {}: {} [{}]\n", figure.value("machine", ""), figure.value("dtype", ""), values, figure.value("source", ""));
    }
    return out;
}

}  // namespace

std::string machine_table(const Machine &m, int threads) {
    std::string text = fmt::format("{}, {} CPUs, best ISA {}", m.cpu, m.logical_cpus, name(m.isa));
    if (m.clock_ghz > 0) text += fmt::format(", {:.2f} GHz measured", m.clock_ghz);
    text += "\n";
    for (const CacheLevel &c : m.caches)
        text += fmt::format("  {} {}{}", c.level, capacity_text(c.bytes), c.shared_by > 1 ? fmt::format(" for {} CPUs", c.shared_by) : "");
    text += "\nFMA peak, f32, GFLOP/s (2 for each multiply-add)\n";
    const auto shown = [&](int t) { return threads == 0 || t == 1 || t == threads; };
    for (const FmaPeak &p : m.fma)
        if (shown(p.threads))
            text += fmt::format("  {:<7} {:>3} thread{} {:>9}   spread {:.1f} %\n", name(p.isa), p.threads, p.threads == 1 ? " " : "s",
                                number(p.gflops), p.spread_pct);
    text += fmt::format("Bandwidth, GB/s (copy counts both ways)\n  {:<5} {:>11} {:>12} {:>8} {:>8} {:>8} {:>16} {:>15}\n", "level", "threads",
                        "working set", "read", "write", "copy", "streaming write", "streaming copy");
    for (const Bandwidth &b : m.bandwidth)
        if (shown(b.threads))
            text += fmt::format("  {:<5} {:>11} {:>12} {:>8} {:>8} {:>8} {:>16} {:>15}\n", b.level, b.threads, capacity_text(b.working_set_bytes),
                                rate(b.read), rate(b.write), rate(b.copy), rate(b.write_streaming), rate(b.copy_streaming));
    double widest = 0;
    for (const FmaPeak &p : m.fma)
        if (shown(p.threads)) widest = std::max(widest, p.spread_pct);
    for (const Bandwidth &b : m.bandwidth)
        if (shown(b.threads)) widest = std::max({widest, b.read.spread_pct, b.write.spread_pct, b.copy.spread_pct});
    if (widest > noisy_spread_pct)
        text += fmt::format("Note: the samples of some peak spread by {:.0f} %, so the machine was not idle; `sepal peak` measures again.\n", widest);
    return text;
}

std::string table_header(bool gpu) {
    if (gpu)
        return fmt::format(columns, "cache", "median ms", "spread", "conv/s", "TFLOP/s", "GB/s", "% peak", "% roof", "bound", "latency", "speed-up", "check", "variant");
    return fmt::format(columns, "cache", "median ms", "spread", "problems/s", "GFLOP/s", "GB/s", "% FMA", "% roof", "bound", "x copy",
                       "speed-up", "check", "variant");
}

std::string table_block(const std::vector<Result> &results) {
    if (results.empty()) return {};
    const Candidate &first = results.front().candidate;
    const ConvProblem &p = first.problem;
    std::string text = fmt::format("\n{}: {}\n  {} GFLOP, {} compulsory, {} FLOP/byte", p.name, p.key(), number(p.flops() / 1e9),
                                   bytes_text(p.bytes()), number(p.intensity()));
    for (CacheState state : {CacheState::warm, CacheState::cold})
        for (const Result &r : results)
            if (r.timed() && r.cache == state && r.on_gpu()) {
                if (r.cold_overhead_ms > 0) text += fmt::format("; an empty cold sample {} us", number(1e3 * r.cold_overhead_ms));
                break;
            } else if (r.timed() && r.cache == state) {
                text += fmt::format("; plain copy {} {} ms", name(state), number(r.copy_ms));
                if (state == CacheState::warm && r.streaming_copy_ms > 0) text += fmt::format(", streaming {} ms", number(r.streaming_copy_ms));
                if (state == CacheState::cold) text += fmt::format("; FMA peak now {} GFLOP/s", number(r.fma_gflops));
                break;
            }
    text += "\n";
    for (const Result &r : results) {
        if (r.timed() || r.cache == CacheState::warm) text += line(r);
        if (r.cache != CacheState::warm || r.check == "passed") continue;
        if (r.check == "failed")
            text += fmt::format("  FAILED: {}\n  reproduce: {}\n", r.check_message, r.candidate.reproduce);
        else
            text += fmt::format("  {}\n", r.check);
    }
    return text + verdict_lines(results) + published_lines(first.published);
}

std::string duration(double seconds) {
    const int64_t s = int64_t(std::ceil(std::max(0.0, seconds)));
    if (s < 60) return fmt::format("{} s", s);
    if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
    return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
}

}  // namespace sepal
