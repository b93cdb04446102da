#include "tools/tuning/display.h"

#include "bench/progress.h"
#include "bench/report.h"
#include "bench/roofline.h"
#include "bench/timer.h"
#include "tools/tuning/trial.h"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace sepal {
namespace {

std::string gain_text(const TuneOutcome &o) {
    return o.gain() > 0 ? fmt::format("{:.3f}x the hand schedule", o.gain()) : "the hand schedule has no time";
}

}  // namespace

double TuneOutcome::gain() const { return hand && best ? time_ratio(*hand, *best) : 0; }

std::string rate_text(const TuningRecord &record, const Machine &machine) {
    const double ms = record.median_ms();
    std::string text = fmt::format("{:.4g} ms, {:.1f} % of the FMA peak", ms, record.pct_fma_peak());
    const auto roof = roofline(machine, record.threads, record.fma_gflops, record.problem.flops(), record.problem.bytes(), CacheState::warm);
    if (roof) text += fmt::format(", {:.1f} % of the roofline ({})", 1e5 * roof->seconds / ms, roof->bound);
    return text;
}

Display::Display(const Machine &machine) : machine_(machine), terminal_(isatty(STDERR_FILENO)) {}
Display::~Display() { clear(); }

void Display::trying(const TuneOutcome &state, const std::string &what, double share, double seconds) {
    const std::string best = state.best ? fmt::format("best {}, {}", rate_text(*state.best, machine_), gain_text(state)) : "nothing timed yet";
    upper_ = fmt::format("{}, {} trials: {}", state.problem.name, state.trials, best);
    lower_ = "trying " + what;
    share_ = share;
    elapsed_ = seconds;
    started_ = now();
    tick();
}

void Display::result(const TuneOutcome &state, const TuningRecord &record, bool is_new_best) {
    if (terminal_ && record.verdict == Verdict::ok && !is_new_best) return;
    const std::string what = fmt::format("{}  trial {}, {} {}", state.problem.name, record.trial, record.proposed_by, knobs_text(record.schedule));
    if (record.verdict != Verdict::ok) return line(fmt::format("{}: {}: {}", what, name(record.verdict), record.error));
    std::string text = fmt::format("{}: {}", what, rate_text(record, machine_));
    if (is_new_best)
        text += fmt::format("; the best so far, {}", gain_text(state));
    else if (state.best)
        text += fmt::format("; best {:.4g} ms, {}", state.best->median_ms(), gain_text(state));
    line(text);
}

void Display::line(const std::string &text) {
    clear();
    fmt::print("{}\n", text);
    std::fflush(stdout);
    last_drawn_ = 0;
}

void Display::tick() {
    if (!terminal_ || upper_.empty() || now() - last_drawn_ < redraw_seconds) return;
    clear();
    last_drawn_ = now();
    const double share = std::clamp(share_, 0.0, 1.0);
    std::string left = "?";  // by the pace so far
    if (share > 0.01) left = duration(std::max(0.0, elapsed_ / share * (1 - share) - (now() - started_)));
    std::string lower = fmt::format("{} {} left, {}", bar(share), left, lower_), upper = upper_;
    const size_t width = line_width();
    if (lower.size() > width) lower.resize(width);
    if (upper.size() > width) upper.resize(width);
    fmt::print(stderr, "{}\n{}\r", upper, lower);
    std::fflush(stderr);
    drawn_ = true;
}

void Display::clear() {
    if (!drawn_) return;
    fmt::print(stderr, "\r\033[K\033[A\r\033[K");
    std::fflush(stderr);
    drawn_ = false;
}

std::string outcome_table(const std::vector<TuneOutcome> &outcomes) {
    size_t widest = 7;
    for (const TuneOutcome &o : outcomes) widest = std::max(widest, o.problem.name.size());
    std::string text = fmt::format("{:<{}}  {:>7} {:>6} {:>7} {:>10} {:>10} {:>7}  {}\n", "problem", widest, "isa", "trials", "failed",
                                   "hand ms", "best ms", "gain", "knobs");
    for (const TuneOutcome &o : outcomes) {
        const auto ms = [](const std::optional<TuningRecord> &r) { return r ? fmt::format("{:.4g}", r->median_ms()) : std::string("-"); };
        text += fmt::format("{:<{}}  {:>7} {:>6} {:>7} {:>10} {:>10} {:>7}  {}{}\n", o.problem.name, widest, name(o.isa), o.trials,
                            o.failed, ms(o.hand), ms(o.best), o.gain() > 0 ? fmt::format("{:.3f}x", o.gain()) : "-",
                            o.best ? knobs_text(o.best->schedule) : "no schedule took this problem",
                            o.best && !o.confirmed ? " (not yet timed against the hand schedule at the end)" : "");
    }
    return text;
}

}  // namespace sepal
