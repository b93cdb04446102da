// Sepal's C++ API: sepal.h with objects that clean up and exceptions. C++17, header only.
//
//     sepal::Problem problem;
//     problem.op = SEPAL_POINTWISE;
//     problem.h = problem.w = 56, problem.c = 64, problem.k = 128;
//     sepal::Weights weights;
//     weights.filter = filter.data();
//     const sepal::Plan plan(problem, weights);
//     plan.run(input.data(), output.data());
#ifndef SEPAL_HPP
#define SEPAL_HPP

#include "sepal.h"

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace sepal {
inline namespace api {  // the library has classes of its own in namespace sepal

// What went wrong, as one sentence.
class Error : public std::runtime_error {
public:
    Error(sepal_status status, const char *message) : std::runtime_error(message), status_(status) {}
    sepal_status status() const noexcept { return status_; }

private:
    sepal_status status_;
};

// Throws what the calling thread's last error says, unless `status` is SEPAL_OK.
inline void check(sepal_status status) {
    if (status != SEPAL_OK) throw Error(status, sepal_last_error());
}

// The C structures with their defaults; fields as in sepal.h.
struct Problem : sepal_problem {
    Problem() { sepal_problem_init(this); }
};
struct Options : sepal_options {
    Options() { sepal_options_init(this); }
};
struct Run : sepal_run {
    Run() { sepal_run_init(this); }
};
struct Weights : sepal_weights {
    Weights() : sepal_weights{} { size = sizeof(sepal_weights); }
};

// Rows, pixels of a row and channels of a problem's output.
struct OutputShape {
    int64_t p = 0, q = 0, k = 0;
};
inline OutputShape output_shape(const sepal_problem &problem) {
    OutputShape shape;
    check(sepal_problem_output(&problem, &shape.p, &shape.q, &shape.k));
    return shape;
}

// A variant, and what it says to a problem (sepal_candidate).
struct Candidate {
    std::string name, isa, scheduler;
    bool takes = false, chosen = false;
    std::string why_not;
};
inline std::vector<Candidate> candidates(const sepal_problem &problem, const sepal_options &options = Options()) {
    sepal_candidates *made = nullptr;
    check(sepal_candidates_create(&problem, &options, &made));
    const std::unique_ptr<sepal_candidates, void (*)(sepal_candidates *)> owner(made, sepal_candidates_destroy);
    std::vector<Candidate> all;
    for (size_t i = 0; i < sepal_candidates_count(made); i++) {
        sepal_candidate c = {};
        c.size = sizeof c;
        check(sepal_candidates_get(made, i, &c));
        all.push_back({c.name, c.isa, c.scheduler, c.takes != 0, c.chosen != 0, c.why_not});
    }
    return all;
}

// Bytes of the packed weights of a plan, for Options::weights_memory.
inline size_t weights_bytes(const sepal_problem &problem, const sepal_options &options = Options()) {
    size_t bytes = 0;
    check(sepal_weights_bytes(&problem, &options, &bytes));
    return bytes;
}

// A GPU and a queue of work on it (sepal_device), for Options::device. Can be moved, not copied.
class Device {
public:
    explicit Device(sepal_backend backend, int index = 0) {
        sepal_device *made = nullptr;
        check(sepal_device_open(backend, index, &made));
        device_.reset(made);
    }
    // The caller's CUcontext and CUstream.
    static Device adopt(void *cuda_context, void *cuda_stream) {
        sepal_device *made = nullptr;
        check(sepal_device_adopt(cuda_context, cuda_stream, &made));
        return Device(made);
    }
    explicit Device(sepal_device *made) : device_(made) {}

    std::string name() const { return sepal_device_name(device_.get()); }
    void synchronize() const { check(sepal_device_synchronize(device_.get())); }
    void *allocate(size_t bytes) {
        void *memory = nullptr;
        check(sepal_device_allocate(device_.get(), bytes, &memory));
        return memory;
    }
    void release(void *memory) { check(sepal_device_release(device_.get(), memory)); }
    void upload(void *memory, const void *from, size_t bytes) { check(sepal_device_upload(device_.get(), memory, from, bytes)); }
    void download(void *to, const void *memory, size_t bytes) { check(sepal_device_download(device_.get(), to, memory, bytes)); }
    sepal_device *get() const noexcept { return device_.get(); }

private:
    struct Destroy {
        void operator()(sepal_device *device) const { sepal_device_destroy(device); }
    };
    std::unique_ptr<sepal_device, Destroy> device_;
};

// A variant bound to a problem and its packed weights. Can be moved, not copied; a moved-from plan can only be destroyed or assigned to.
class Plan {
public:
    Plan(const sepal_problem &problem, const sepal_weights &weights, const sepal_options &options = Options()) {
        sepal_plan *made = nullptr;
        check(sepal_plan_create(&problem, &weights, &options, &made));
        plan_.reset(made);
    }
    // Takes one over that was made by sepal_plan_create() or by a generated function.
    explicit Plan(sepal_plan *made) : plan_(made) {}

    // See sepal_plan_run(); may be called from several threads at once.
    void run(const void *input, void *output) const { check(sepal_plan_run(plan_.get(), input, output)); }
    // Without allocating; `workspace` of workspace_bytes() bytes, aligned to 128, used by one run at a time.
    void run(const void *input, void *output, void *workspace, size_t bytes) const {
        Run arguments;
        arguments.input = input, arguments.output = output, arguments.workspace = workspace, arguments.workspace_bytes = bytes;
        run(arguments);
    }
    // All that there is to say.
    void run(const sepal_run &run) const { check(sepal_plan_run_with(plan_.get(), &run)); }
    size_t workspace_bytes() const {
        size_t bytes = 0;
        check(sepal_plan_workspace_bytes(plan_.get(), &bytes));
        return bytes;
    }
    std::string variant() const { return sepal_plan_variant(plan_.get()); }
    sepal_plan *get() const noexcept { return plan_.get(); }

private:
    struct Destroy {
        void operator()(sepal_plan *plan) const { sepal_plan_destroy(plan); }
    };
    std::unique_ptr<sepal_plan, Destroy> plan_;
};

}  // namespace api
}  // namespace sepal

#endif
