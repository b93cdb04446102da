// An application with threads of its own: Sepal starts none, runs its tasks there, and allocates nothing while it runs.
#include <sepal/sepal.hpp>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace {

class ThreadPool {
public:
    explicit ThreadPool(int threads) {
        for (int i = 0; i < threads; i++) team_.emplace_back([this] { work(); });
    }
    ~ThreadPool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        for (std::thread &t : team_) t.join();
    }
    int run(int count, int (*task)(int, void *), void *of_task) {
        std::unique_lock<std::mutex> lock(mutex_);
        task_ = task, of_task_ = of_task, next_ = 0, count_ = left_ = count, result_ = 0;
        jobs_++;
        changed_.notify_all();
        changed_.wait(lock, [&] { return left_ == 0; });
        return result_;
    }
    int jobs() const { return jobs_; }

private:
    void work() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return ending_ || next_ < count_; });
            if (ending_) return;
            const int index = next_++;
            lock.unlock();
            const int result = task_(index, of_task_);
            lock.lock();
            if (result) result_ = result;
            if (--left_ == 0) changed_.notify_all();
        }
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::thread> team_;
    int (*task_)(int, void *) = nullptr;
    void *of_task_ = nullptr;
    int next_ = 0, count_ = 0, left_ = 0, result_ = 0, jobs_ = 0;
    bool ending_ = false;
};

}  // namespace

int main() try {
    constexpr int threads = 3, size = 40, channels = 32;
    ThreadPool pool(threads);
    sepal::Problem problem;
    problem.op = SEPAL_DEPSEP;
    problem.h = problem.w = size, problem.c = problem.k = channels;
    problem.r = problem.s = 3;
    sepal::Options options;
    options.threads = threads;
    options.parallel_for = [](void *context, int count, int (*task)(int, void *), void *of_task) {
        return static_cast<ThreadPool *>(context)->run(count, task, of_task);
    };
    options.parallel_for_context = &pool;
    // The depthwise filter takes the pixel itself, the pointwise one reverses the channels: the output is known.
    std::vector<float> filter(9 * channels), pointwise(channels * channels), input(size * size * channels), output(input.size());
    for (int c = 0; c < channels; c++) filter[size_t(4 * channels + c)] = 1, pointwise[size_t(c * channels + channels - 1 - c)] = 1;
    for (size_t i = 0; i < input.size(); i++) input[i] = float(i % 251);
    sepal::Weights weights;
    weights.filter = filter.data(), weights.pointwise_filter = pointwise.data();
    const sepal::Plan plan(problem, weights, options);
    const size_t bytes = plan.workspace_bytes();
    std::vector<char> memory(bytes + 127);
    void *const workspace = reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(memory.data()) + 127) / 128 * 128);
    const int before = pool.jobs();
    for (int i = 0; i < 10; i++) plan.run(input.data(), output.data(), workspace, bytes);
    for (size_t pixel = 0; pixel < size_t(size) * size; pixel++)
        for (size_t c = 0; c < channels; c++)
            if (output[pixel * channels + c] != input[pixel * channels + channels - 1 - c]) {
                std::fprintf(stderr, "pixel %zu, channel %zu is wrong\n", pixel, c);
                return 1;
            }
    std::printf("%d jobs of the application's pool, %zu bytes of workspace\n", pool.jobs() - before, bytes);
    if (pool.jobs() == before) return 1;
    std::puts("right");
    return 0;
} catch (const sepal::Error &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
}
