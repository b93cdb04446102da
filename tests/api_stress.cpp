// sepal-stress [--problems N] [--seconds S] [--seed N]: the installed library under load, for as long as wanted.
//   random problems, each created, run between pages without access, compared with the reference and destroyed; nothing may be written beside
//   the output, and no memory may be left over
//   8 threads that share one plan, 8 with plans of their own, 8 whose runs bring their own threads and workspace: every result as the first
//   random bytes as descriptors: a status, whatever they say
#include "c_api.h"
#include "guarded_array.h"
#include "tools/edge_grid.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <malloc.h>
#include <optional>
#include <random>
#include <thread>
#include <unistd.h>

using namespace sepal;

namespace {

using Clock = std::chrono::steady_clock;

int failures = 0;

void fail(const std::string &what) {
    fmt::print("FAILED: {}\n", what);
    failures++;
}

sepal_options default_options() {
    sepal_options o;
    sepal_options_init(&o);
    o.allow_reference = 1;
    return o;
}

sepal_run arguments_of(const void *input, void *output, const void *skip) {
    sepal_run r;
    sepal_run_init(&r);
    r.input = input, r.output = output, r.skip = skip;
    return r;
}

double allowed_error(const sepal_plan *plan, const ConvProblem &p) {
    return std::string(sepal_plan_variant(plan)).find("_wm") != std::string::npos ? p.max_rel_error : 0;
}

// Bytes that the C library has given out.
size_t in_use() { return mallinfo2().uordblks; }

void random_problems(int64_t count, uint32_t seed) {
    size_t before = 0;
    for (int64_t i = 0; i < count; i++) {
        ConvProblem drawn = random_problem(uint32_t(seed + i));
        if (i % 4 == 0) drawn.layout = Layout::nchw;
        const Tensors t = make_exact_tensors(drawn, uint32_t(i));
        const ConvProblem &p = t.problem;
        const Side side = i % 2 ? Side::after : Side::before;
        GuardedArray input(t.input.size(), side), output(t.output.size(), side), skip(std::max<size_t>(1, t.skip.size()), side);
        input.fill(t.input);
        input.forbid_writes();
        if (p.residual) skip.fill(t.skip);
        sepal_options options = default_options();
        options.threads = 1 + int(i % 3);
        const sepal_problem problem = to_c(p);
        const sepal_weights weights = to_c(t.weights());
        sepal_plan *plan = nullptr;
        if (sepal_plan_create(&problem, &weights, &options, &plan) != SEPAL_OK) {
            fail(fmt::format("seed {}: {}: {}", seed + i, p.key(), sepal_last_error()));
            continue;
        }
        const sepal_run run = arguments_of(input.data(), output.data(), p.residual ? skip.data() : nullptr);
        if (sepal_plan_run_with(plan, &run) != SEPAL_OK) fail(fmt::format("seed {}: {}: {}", seed + i, p.key(), sepal_last_error()));
        const CheckResult result = check_output(t, output.data(), 1e9, allowed_error(plan, p));
        if (!result.passed) fail(fmt::format("seed {}: {} by {}: {}", seed + i, p.key(), sepal_plan_variant(plan), result.message));
        if (!output.pattern_intact()) fail(fmt::format("seed {}: {} by {}: memory beside the output was written", seed + i, p.key(), sepal_plan_variant(plan)));
        sepal_plan_destroy(plan);
        if (i == count / 10) before = in_use();
    }
    const size_t after = in_use();
    fmt::print("{} random problems, {} bytes more in use after the last than after the first tenth\n", count, int64_t(after) - int64_t(before));
    if (after > before + 65536) fail("memory is left over");
}

enum class Sharing { one_plan, plan_each, own_threads };
constexpr const char *sharing_names[] = {"one plan", "a plan each", "one plan, the caller's threads and workspaces"};

// A parallel-for of an application: threads of its own.
int on_new_threads(void *, int count, int (*task)(int, void *), void *of_task) {
    std::vector<std::thread> team;
    std::atomic<int> rc{0};
    for (int i = 1; i < count; i++)
        team.emplace_back([&, i] {
            if (const int r = task(i, of_task)) rc = r;
        });
    if (const int r = task(0, of_task)) rc = r;
    for (std::thread &thread : team) thread.join();
    return rc;
}

void on_threads(double seconds, Sharing sharing) {
    ConvProblem p;
    p.op = Operator::depsep;
    p.h = p.w = 37, p.c = 48, p.k = 64, p.r = p.s = 3;
    p.mid = {true, Activation::relu}, p.out = {true, Activation::none};
    const Tensors t = make_random_tensors(p, 5);
    const sepal_problem problem = to_c(p);
    const sepal_weights weights = to_c(t.weights());
    const auto create = [&](int threads) {
        sepal_options options = default_options();
        options.threads = threads;
        if (sharing == Sharing::own_threads) options.parallel_for = on_new_threads;
        sepal_plan *plan = nullptr;
        if (sepal_plan_create(&problem, &weights, &options, &plan) != SEPAL_OK) fail(sepal_last_error());
        return plan;
    };
    sepal_plan *const shared = create(2);
    std::vector<float> expected(t.output.size());
    if (sepal_plan_run(shared, t.input.data(), expected.data()) != SEPAL_OK) return fail(sepal_last_error());
    std::atomic<int64_t> runs{0}, wrong{0};
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    std::vector<std::thread> team;
    for (int i = 0; i < 8; i++)
        team.emplace_back([&, i] {
            sepal_plan *plan = sharing == Sharing::plan_each ? create(1 + i % 3) : shared;
            std::vector<float> output(expected.size());
            sepal_run run = arguments_of(t.input.data(), output.data(), nullptr);
            std::optional<GuardedArray> workspace;
            if (sharing == Sharing::own_threads) {
                size_t bytes = 0;  // the first thread that asks finds out
                if (sepal_plan_workspace_bytes(plan, &bytes) != SEPAL_OK) wrong++;
                workspace.emplace((bytes + 127) / 128 * 128 / sizeof(float), Side::after);
                run.workspace = workspace->data(), run.workspace_bytes = bytes;
            }
            while (Clock::now() < end) {
                std::fill(output.begin(), output.end(), -1.0f);
                if (sepal_plan_run_with(plan, &run) != SEPAL_OK || output != expected) wrong++;
                runs++;
            }
            if (sharing == Sharing::plan_each) sepal_plan_destroy(plan);
        });
    for (std::thread &thread : team) thread.join();
    sepal_plan_destroy(shared);
    fmt::print("8 threads, {}: {} runs in {:.0f} s, {} differ\n", sharing_names[int(sharing)], runs.load(), seconds, wrong.load());
    if (wrong > 0 || runs < 8) fail("threads");
}

// Values that are likely to hurt.
int64_t nasty(std::mt19937_64 &random) {
    constexpr int64_t values[] = {0, 1, 2, 3, 7, 8, 16, 31, 64, 255, -1, -2, 1 << 16, (1LL << 31) - 1, 1LL << 31, 1LL << 32, (1LL << 62), INT64_MAX, INT64_MIN};
    return random() % 4 == 0 ? int64_t(random()) : values[random() % std::size(values)];
}

// As in C, where an enumeration may hold any number.
template<typename E>
void put(E &field, int value) {
    static_assert(sizeof field == sizeof value);
    std::memcpy(&field, &value, sizeof value);
}

// Descriptors of which any field may be anything. Problems that turn out possible but large are only asked about, never allocated.
void random_descriptors(double seconds, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<float> memory(1 << 20, 1.0f), output(1 << 20);
    int64_t executed = 0, possible = 0, ran = 0;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < end) {
        for (int batch = 0; batch < 64; batch++, executed++) {
            sepal_problem p;
            sepal_problem_init(&p);
            const int op = int(random() % 5);
            put(p.op, op);
            p.h = 1 + int64_t(random() % 9), p.w = 1 + int64_t(random() % 9), p.c = 1 + int64_t(random() % 33), p.k = 1 + int64_t(random() % 33);
            if (random() % 2) p.r = p.s = 3;
            int64_t *const numbers[] = {&p.n, &p.h, &p.w, &p.c, &p.k, &p.r, &p.s, &p.stride_h, &p.stride_w, &p.dilation_h, &p.dilation_w, &p.pad_top, &p.pad_left,
                                        &p.pad_bottom, &p.pad_right, &p.groups, &p.multiplier, &p.input_strides.n, &p.input_strides.h, &p.input_strides.w,
                                        &p.input_strides.c, &p.output_strides.n, &p.output_strides.h, &p.output_strides.w, &p.output_strides.c};
            for (uint64_t changes = random() % 4; changes > 0; changes--) *numbers[random() % std::size(numbers)] = nasty(random);
            if (op == SEPAL_DEPTHWISE && random() % 2) p.k = 0;
            if (random() % 8 == 0) put(p.padding, int(random() % 5));
            if (random() % 8 == 0) put(p.activation, int(random() % 7) - 1);
            if (random() % 8 == 0) put(p.layout, int(random() % 3));
            if (random() % 16 == 0) put(p.dtype, int(random() % 3));
            if (random() % 16 == 0) p.size = size_t(nasty(random));
            if (random() % 16 == 0) p.residual = int(random());
            int64_t rows = 0, columns = 0, channels = 0;
            if (sepal_problem_output(&p, &rows, &columns, &channels) != SEPAL_OK) continue;
            possible++;
            const double weights_at_most = double(p.r) * double(p.s) * double(p.c) * double(channels) * double(p.multiplier);
            if (p.n * p.h * p.w * p.c > 20000 || p.n * rows * columns * channels > 20000 || weights_at_most > 500000) continue;
            if (p.input_strides.c || p.output_strides.c) continue;  // memory of other sizes
            const sepal_weights weights = {sizeof weights, memory.data(), memory.data(), memory.data(), memory.data()};
            sepal_options options = default_options();
            options.threads = 1;
            sepal_plan *plan = nullptr;
            if (sepal_plan_create(&p, &weights, &options, &plan) != SEPAL_OK) continue;
            const sepal_run run = arguments_of(memory.data(), output.data(), p.residual && p.size >= sizeof p ? memory.data() : nullptr);
            if (sepal_plan_run_with(plan, &run) != SEPAL_OK) fail(fmt::format("a random problem: {}", sepal_last_error()));
            sepal_plan_destroy(plan);
            ran++;
        }
    }
    fmt::print("{} random descriptors, {} of them possible, {} run\n", executed, possible, ran);
    if (possible == 0 || ran == 0) fail("no random descriptor was possible");
}

}  // namespace

int main(int argc, char **argv) {
    CLI::App app{"The installed library under load"};
    int64_t problems = 10000;
    double seconds = 60;
    uint32_t seed = 1;
    app.add_option("--problems", problems, "Random problems")->capture_default_str();
    app.add_option("--seconds", seconds, "For the threads, three times, and for the descriptors")->capture_default_str();
    app.add_option("--seed", seed)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    random_problems(problems, seed);
    for (Sharing sharing : {Sharing::one_plan, Sharing::plan_each, Sharing::own_threads}) on_threads(seconds, sharing);
    random_descriptors(seconds, seed);
    return failures ? 1 : 0;
}
