#include "tools/tuning/trial_runner.h"

#include "bench/line_process.h"
#include "bench/threads.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

namespace sepal {
namespace {

TrialAnswer all(size_t schedules, Verdict verdict, const std::string &error) {
    TrialAnswer answer;
    answer.timings.assign(schedules, Timing{verdict, error, {}});
    return answer;
}

}  // namespace

TrialRunner::TrialRunner(std::vector<std::string> command, std::function<bool()> stop) : command_(std::move(command)), stop_(std::move(stop)) {}

TrialAnswer TrialRunner::run(const TrialRequest &request, const TrialLimits &limits) const {
    const size_t schedules = request.schedules.size();
    std::optional<LineProcess> process;
    try {
        process.emplace(command_, allowed_cpus(), stop_);
    } catch (const std::runtime_error &e) {
        throw BadInput(fmt::format("a trial's process {}", e.what()));
    }
    const auto failed = [&](const char *doing, double limit) {
        if (process->timed_out()) return all(schedules, Verdict::timed_out, fmt::format("{} took longer than {:.3g} s", doing, limit));
        TrialAnswer answer = all(schedules, Verdict::crashed, "the trial " + process->error());
        answer.interrupted = process->given_up();
        return answer;
    };
    const double compile_seconds = limits.compile_seconds * double(schedules);
    const std::optional<std::string> compiled = process->ask(to_json(request), compile_seconds);
    if (!compiled) return failed("compiling it", compile_seconds);
    if (*compiled != trial_compiled_line)
        return all(schedules, Verdict::crashed, fmt::format("the trial's answer is not understood: {}", compiled->substr(0, 100)));
    const std::optional<std::string> answer = process->ask("", limits.run_seconds);
    if (!answer) return failed("checking and timing it", limits.run_seconds);
    try {
        return trial_answer_from_json(*answer, schedules);
    } catch (const BadInput &e) {
        return all(schedules, Verdict::crashed, fmt::format("the trial's answer is not understood: {}", e.what()));
    }
}

// The link still leads to this program when its file has been replaced meanwhile.
std::vector<std::string> own_trial_command() { return {"/proc/self/exe", "tune-trial"}; }

}  // namespace sepal
