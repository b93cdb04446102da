// Kernels touch nothing but their tensors: pages without access lie directly before or after the input, the filters, the skip tensor and the
// output. Each variant runs in a child process, so that a forbidden access is a failure with a name and not the end of the tests. This
// process itself never runs a kernel, so the children do not inherit threads that are not there.
#include "catch.h"
#include "guarded_array.h"
#include "runtime/scratch.h"
#include "support.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <limits>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace sepal;

namespace {

constexpr int threads = 2;

// Shared with the child: what it is doing, and what went wrong.
struct Report {
    char doing[4096];
    char failure[4096];
};

template<size_t N>
void put(char (&to)[N], const std::string &text) {
    std::memcpy(to, text.c_str(), std::min(text.size() + 1, N));
    to[N - 1] = '\0';
}

// In the child: one variant on one problem.
std::string run_guarded(const Variant &variant, const ConvProblem &p, Side side) {
    Tensors t = make_exact_tensors(p, check_seed);
    GuardedArray input(t.input.size(), side, p.dtype), skip(t.skip.size(), side, p.dtype), output(t.output.size(), side, p.dtype);
    GuardedArray filter(t.filter.size(), side), pointwise(t.pointwise_filter.size(), side);
    const std::pair<GuardedArray *, const std::vector<float> *> given[] = {
        {&input, &t.input}, {&skip, &t.skip}, {&filter, &t.filter}, {&pointwise, &t.pointwise_filter}};
    for (const auto &[guarded, values] : given) {
        guarded->fill(*values);
        guarded->forbid_writes();
    }
    Weights weights = t.weights();
    weights.filter = filter.data();
    weights.pointwise_filter = pointwise.data();
    output.fill(t.output);  // NaN
    Status status;
    const std::unique_ptr<Plan> plan = Plan::create(p, variant, weights, status);
    if (plan) status = plan->run(input.bytes(), output.bytes(), p.residual ? skip.bytes() : nullptr);
    if (!status.ok()) return status.message;
    if (!output.pattern_intact()) return "memory beside the output was written";
    return check_output(t, output.bytes(), 1e6, variant.rel_error(p)).message;
}

// Runs `body` in a child; returns what went wrong.
std::string in_child(Report &report, const std::function<std::string()> &body) {
    report = {};
    const pid_t child = fork();
    if (child < 0) return "fork failed";
    if (child == 0) {
        for (int signal : {SIGSEGV, SIGBUS, SIGABRT}) std::signal(signal, SIG_DFL);
        std::string failure;
        try {
            failure = body();
        } catch (const std::exception &e) {
            failure = e.what();
        }
        put(report.failure, failure);
        _exit(failure.empty() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) return fmt::format("signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0) return *report.failure ? report.failure : fmt::format("exit code {}", WEXITSTATUS(status));
    return {};
}

Report &shared_report() {
    static Report *report = [] {
        void *at = mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) throw std::bad_alloc();
        return static_cast<Report *>(at);
    }();
    return *report;
}

void check_guarded(Side side) {
    Report &report = shared_report();
    for (const Variant *v : runnable_variants()) {
        const std::string failure = in_child(report, [&]() -> std::string {
            set_num_threads(threads);
            for (const ConvProblem &p : problems_to_check(*v)) {
                if (is_large(p) && side == Side::before) continue;
                put(report.doing, p.name + "|" + to_json(p));
                if (std::string why = run_guarded(*v, p, side); !why.empty()) return why;
            }
            return {};
        });
        if (failure.empty()) continue;
        const std::string doing = report.doing, json = doing.substr(doing.find('|') + 1);
        const ConvProblem p = parse_problem_set("{\"problems\": [" + json + "]}", "the child's problem").problems.at(0);
        const char *where = side == Side::before ? "before" : "after";
        CHECK(sepal::report(false, *v, p, fmt::format("{}, with a page without access {} the tensors", failure, where),
                            test_command("memory")));
    }
}

}  // namespace

TEST_CASE("nothing beyond the end of the tensors is touched", "[memory]") { check_guarded(Side::after); }
TEST_CASE("nothing before the begin of the tensors is touched", "[memory]") { check_guarded(Side::before); }

TEST_CASE("kernels for any shape have no more scratch memory than problems are refused by", "[memory]") {
    Report &report = shared_report();
    for (const Variant *v : runnable_variants()) {
        if (!v->takes_strides() || v->is_reference()) continue;
        CHECK(in_child(report, [&]() -> std::string {
            for (const ConvProblem &p : problems_to_check(*v)) {
                if (is_large(p)) continue;
                const Tensors t = make_exact_tensors(p, check_seed);
                Status status;
                const std::unique_ptr<Plan> plan = Plan::create(p, *v, t.weights(), status);
                ScratchBytes scratch;
                Execution execution;
                execution.threads = 1;
                execution.measured = &scratch;
                std::vector<float> output(t.output.size());
                if (plan) status = plan->run(t.input.data(), output.data(), p.residual ? t.skip.data() : nullptr, execution);
                if (!status.ok()) return status.message;
                if (double(scratch.of(1)) > most_scratch_bytes(p))
                    return fmt::format("{} needs {} bytes for {}; the most is said to be {:.0f}", v->name, scratch.of(1), p.key(), most_scratch_bytes(p));
            }
            return {};
        }) == "");
    }
}

TEST_CASE("no suite has a problem that comes near what scratch memory can be", "[memory]") {
    int problems = 0;
    for (const std::string &suite : suite_names())
        for (const ConvProblem &p : load_suite(suite).problems) {
            CHECK(most_scratch_bytes(p) < 2147483647.0 / 16);
            problems++;
        }
    CHECK(problems > 100);
}

TEST_CASE("the guards notice a forbidden access", "[memory]") {
    Report &report = shared_report();
    const auto touch = [&](Side side, std::ptrdiff_t index, bool write) {
        return in_child(report, [=]() -> std::string {
            GuardedArray floats(10, side);
            volatile float *at = floats.data() + index;
            if (write)
                *at = 1;
            else
                (void)*at;
            return floats.pattern_intact() ? "" : "the pattern was overwritten";
        });
    };
    CHECK(touch(Side::after, 9, true) == "");
    CHECK(touch(Side::before, 0, true) == "");
    CHECK(touch(Side::after, 10, true) != "");
    CHECK(touch(Side::after, 10, false) != "");
    CHECK(touch(Side::before, -1, true) != "");
    CHECK(touch(Side::before, -1, false) != "");
    CHECK(touch(Side::after, -1, true) == "the pattern was overwritten");
    CHECK(touch(Side::before, 10, true) == "the pattern was overwritten");
}
