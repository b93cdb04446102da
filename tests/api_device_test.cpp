// The installed library on devices, with kernels of `sepal compile`: through OpenCL, where there is a device, and through a libcuda.so.1 that
// executes PTX on the CPU (emulated_cuda.cpp).
#include "api_checks.h"
#include "device_kernels.h"
#include "sepal/sepal.hpp"
#include "support.h"
#include "tools/problem_file.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <thread>

using namespace sepal;

namespace {

constexpr sepal_backend backends[] = {SEPAL_CUDA, SEPAL_OPENCL};
const char *text(sepal_backend backend) { return backend == SEPAL_CUDA ? "CUDA" : "OpenCL"; }

// Null, after saying so, where there is none.
std::unique_ptr<api::Device> device_of(sepal_backend backend) {
    sepal_device *device = nullptr;
    if (sepal_device_open(backend, 0, &device) == SEPAL_OK) return std::make_unique<api::Device>(device);
    const std::string why = sepal_last_error();
    fmt::print("[SKIP] {}: {}\n", text(backend), why);
    CHECK(backend == SEPAL_OPENCL);  // the emulated one is always there
    return nullptr;
}

api::Options on(const api::Device &device) {
    static const sepal_kernels *const kernels = device_kernels();
    api::Options options;
    options.device = device.get();
    options.kernels = &kernels, options.kernels_count = 1;
    return options;
}

struct Case {
    const char *name;
    void (*problem)(sepal_problem *);
    sepal_status (*create)(const sepal_weights *, const sepal_options *, sepal_plan **);
};
const Case cases[] = {
    {"conv2d", device_kernels_conv2d_problem, device_kernels_conv2d},
    {"depthwise", device_kernels_depthwise_problem, device_kernels_depthwise},
    {"pointwise", device_kernels_pointwise_problem, device_kernels_pointwise},
    {"depsep", device_kernels_depsep_problem, device_kernels_depsep},
    {"half_depsep", device_kernels_half_depsep_problem, device_kernels_half_depsep},
    {"half_pointwise", device_kernels_half_pointwise_problem, device_kernels_half_pointwise},
    {"residual", device_kernels_residual_problem, device_kernels_residual},
    {"half_residual", device_kernels_half_residual_problem, device_kernels_half_residual},
};

// The problem of that name, with tensors whose results are exact.
Tensors tensors_of(const char *name, uint32_t seed = 1) {
    for (const ConvProblem &p : load_problem_file(SEPAL_DEVICE_PROBLEMS).problems)
        if (p.name == name) return make_exact_tensors(p, seed);
    FAIL("no problem " << name);
    return {};
}

// Uploads the input, and the skip tensor where there is one, runs, downloads the output.
std::vector<uint8_t> run(api::Device &device, const api::Plan &plan, const Tensors &t) {
    const AlignedArray input(t.problem.dtype, t.input), skip(t.problem.dtype, t.skip);
    std::vector<uint8_t> output(size_t(t.problem.output_elements() * size_in_bytes(t.problem.dtype)), unwritten_byte);
    void *const in = device.allocate(size_t(input.bytes())), *const out = device.allocate(output.size());
    device.upload(in, input.data(), size_t(input.bytes()));
    device.upload(out, output.data(), output.size());
    api::Run arguments;
    arguments.input = in, arguments.output = out;
    void *added = nullptr;
    if (t.problem.residual) {
        added = device.allocate(size_t(skip.bytes()));
        device.upload(added, skip.data(), size_t(skip.bytes()));
        arguments.skip = added;
    }
    plan.run(arguments);
    device.download(output.data(), out, output.size());
    for (void *memory : {in, out, added}) device.release(memory);
    return output;
}

}  // namespace

TEST_CASE("generated kernels run on devices", "[api_device]") {
    for (sepal_backend backend : backends) {
        const auto device = device_of(backend);
        if (!device) continue;
        CHECK(says(device->name(), std::string(text(backend)) + " device 0 ("));
        int ran = 0;
        for (const Case &c : cases) {
            const Tensors t = tensors_of(c.name);
            const sepal_weights weights = to_c(t.weights());
            sepal_plan *made = nullptr;
            const api::Options options = on(*device);
            const sepal_status status = c.create(&weights, &options, &made);
            if (status == SEPAL_UNSUPPORTED && backend == SEPAL_OPENCL && t.problem.dtype == DType::f16) {
                fmt::print("[SKIP] {} on OpenCL: {}\n", c.name, sepal_last_error());
                continue;
            }
            INFO(c.name << " on " << text(backend) << ": " << sepal_last_error());
            REQUIRE(status == SEPAL_OK);
            const api::Plan plan(made);
            CHECK(says(plan.variant(), backend == SEPAL_CUDA ? "_sm80_hand_" : "_opencl_hand_"));
            if (backend == SEPAL_CUDA && t.problem.dtype == DType::f16) CHECK(says(plan.variant(), "_tc2_"));
            for (int again = 0; again < 2; again++) CHECK(is_right(t, run(*device, plan, t).data()));
            CHECK(plan.workspace_bytes() == 0);
            ran++;
        }
        CHECK(ran >= (backend == SEPAL_CUDA ? 8 : 5));
    }
}

TEST_CASE("a plan outlives its device, which several threads share", "[api_device]") {
    for (sepal_backend backend : backends) {
        const auto device = device_of(backend);
        if (!device) continue;
        const Tensors t = tensors_of("depsep");
        std::optional<api::Plan> plan;
        {
            const api::Device first(backend);
            plan.emplace(to_c(t.problem), to_c(t.weights()), on(first));
        }
        // Memory of another device on the same GPU: of CUDA in the same context, of OpenCL not.
        if (backend == SEPAL_CUDA) {
            CHECK(is_right(t, run(*device, *plan, t).data()));
        } else {
            CHECK_THROWS_WITH(run(*device, *plan, t), Catch::Contains("belongs to another OpenCL context"));
        }
        const api::Plan shared(to_c(t.problem), to_c(t.weights()), on(*device));
        std::vector<std::thread> threads;
        std::vector<std::vector<uint8_t>> outputs(4);
        for (auto &output : outputs) threads.emplace_back([&] { output = run(*device, shared, t); });
        for (std::thread &thread : threads) thread.join();
        for (const auto &output : outputs) CHECK(is_right(t, output.data()));
    }
}

TEST_CASE("the caller's CUDA context, stream and memory are used", "[api_device]") {
    const auto owner = device_of(SEPAL_CUDA);
    void *const context = sepal_device_context(owner->get()), *const stream = sepal_device_queue(owner->get());
    CHECK((context && stream));
    api::Device adopted = api::Device::adopt(context, stream);
    CHECK(sepal_device_context(adopted.get()) == context);
    CHECK(sepal_device_queue(adopted.get()) == stream);
    const Tensors t = tensors_of("pointwise");
    const api::Plan plan(to_c(t.problem), to_c(t.weights()), on(adopted));
    CHECK(is_right(t, run(*owner, plan, t).data()));
    sepal_device *none = reinterpret_cast<sepal_device *>(8);
    CHECK(says(said(sepal_device_adopt(nullptr, nullptr, &none), SEPAL_INVALID_ARGUMENT), "the CUDA context is null"));
    CHECK(none == nullptr);
    int no_context = 0;
    CHECK(says(said(sepal_device_adopt(&no_context, nullptr, &none), SEPAL_INVALID_ARGUMENT), "the CUDA context cannot be used"));
}

TEST_CASE("which kernels a device has, and why not the others", "[api_device]") {
    for (sepal_backend backend : backends) {
        const auto device = device_of(backend);
        if (!device) continue;
        const Tensors t = tensors_of("depsep");
        int chosen = 0;
        for (const api::Candidate &c : api::candidates(to_c(t.problem), on(*device))) {
            chosen += c.chosen;
            if (c.chosen) CHECK(c.isa == (backend == SEPAL_CUDA ? "sm80" : "opencl"));
            if (c.isa == "avx2") CHECK(c.why_not == "runs on CPUs");
            if (backend == SEPAL_CUDA && c.isa == "opencl") CHECK(c.why_not == "is for opencl, not for " + device->name());
        }
        CHECK(chosen == 1);
        // Without a device they are as little of use.
        api::Options on_cpu = on(*device);
        on_cpu.device = nullptr;
        for (const api::Candidate &c : api::candidates(to_c(t.problem), on_cpu))
            if (c.isa == "sm80" || c.isa == "opencl") CHECK(c.why_not == "runs on GPUs");
    }
}

TEST_CASE("wrong calls for a device: a status and a sentence each", "[api_device]") {
    const auto device = device_of(SEPAL_CUDA);
    const Tensors t = tensors_of("pointwise");
    const sepal_problem problem = to_c(t.problem);
    const sepal_weights weights = to_c(t.weights());
    const auto create_says = [&](const sepal_problem &p, const sepal_options &options, sepal_status expected) {
        sepal_plan *plan = reinterpret_cast<sepal_plan *>(8);
        const std::string text = said(sepal_plan_create(&p, &weights, &options, &plan), expected);
        CHECK(plan == nullptr);
        return text;
    };
    // The library's own kernels are for CPUs.
    api::Options options;
    options.device = device->get();
    CHECK(says(create_says(problem, options, SEPAL_UNSUPPORTED), "those for GPUs come with options' tables of generated kernels (kernels)"));
    options = on(*device);
    sepal_problem other = problem;
    other.k = 48;
    CHECK(says(create_says(other, options, SEPAL_UNSUPPORTED), "no kernel for CUDA device 0 ("));
    other = problem, other.input_strides = {7 * 5 * 128, 5 * 128, 128, 1};
    CHECK(says(create_says(other, options, SEPAL_UNSUPPORTED), "no kernel for CUDA device 0 ("));
    options.allow_reference = 1;
    other = problem, other.k = 48;
    CHECK(says(create_says(other, options, SEPAL_UNSUPPORTED), "no kernel for CUDA device 0 ("));
    options = on(*device);
    alignas(64) static char memory[1 << 20];
    options.weights_memory = memory, options.weights_bytes = sizeof memory;
    CHECK(says(create_says(problem, options, SEPAL_INVALID_ARGUMENT), "weights_memory is for plans on a CPU"));
    options = on(*device);
    options.variant = "conv2d_f32_nhwc_avx2_hand_g1";
    CHECK(says(create_says(problem, options, SEPAL_UNSUPPORTED), "there is no variant"));

    const size_t in_bytes = size_t(t.problem.input_elements()) * 4, out_bytes = size_t(t.problem.output_elements()) * 4;
    const api::Plan plan(problem, weights, on(*device));
    void *const in = device->allocate(in_bytes), *const out = device->allocate(out_bytes);
    const auto run_says = [&](const void *input, void *output, size_t input_bytes = 0, const void *skip = nullptr) {
        api::Run run;
        run.input = input, run.output = output, run.input_bytes = input_bytes, run.skip = skip;
        return said(sepal_plan_run_with(plan.get(), &run), SEPAL_INVALID_ARGUMENT);
    };
    CHECK(says(run_says(nullptr, out), "the pointer to the input is null"));
    CHECK(says(run_says(in, nullptr), "the pointer to the output is null"));
    CHECK(says(run_says(in, in), "input and output overlap"));
    CHECK(says(run_says(t.input.data(), out), "the input: "));
    CHECK(says(run_says(t.input.data(), out), "is no pointer to memory of a GPU"));
    CHECK(says(run_says(in, memory), "the output: "));
    CHECK(says(run_says(in, out, in_bytes - 1), fmt::format("the input has {} bytes; {} are needed", in_bytes - 1, in_bytes)));
    CHECK(says(run_says(out, in), fmt::format("has {} bytes, the array is to have {}", out_bytes, in_bytes)));  // it is smaller
    CHECK(says(run_says(static_cast<char *>(in) + 4, out), fmt::format("has {} bytes, the array is to have {}", in_bytes - 4, in_bytes)));
    void *const roomy = device->allocate(in_bytes + 16);
    CHECK(says(run_says(static_cast<char *>(roomy) + 4, out), "the input is aligned to 4 bytes; kernels of GPUs need 16"));
    device->release(roomy);
    CHECK(says(run_says(in, out, 0, out), "the problem has no residual"));
    {
        const Tensors added = tensors_of("residual");
        const api::Plan adding(to_c(added.problem), to_c(added.weights()), on(*device));
        const size_t bytes = size_t(added.problem.output_elements()) * 4;
        api::Run run;
        void *const from = device->allocate(bytes), *const to = device->allocate(bytes);
        run.input = from, run.output = to;
        CHECK(says(said(sepal_plan_run_with(adding.get(), &run), SEPAL_INVALID_ARGUMENT), "the pointer to the skip tensor is null"));
        run.skip = to;
        CHECK(says(said(sepal_plan_run_with(adding.get(), &run), SEPAL_INVALID_ARGUMENT), "the skip tensor overlaps the output"));
        run.skip = memory;
        CHECK(says(said(sepal_plan_run_with(adding.get(), &run), SEPAL_INVALID_ARGUMENT), "the skip tensor: "));
        device->release(from), device->release(to);
    }

    const auto device_says = [](sepal_status status) { return said(status, SEPAL_INVALID_ARGUMENT); };
    sepal_device *none = reinterpret_cast<sepal_device *>(8);
    CHECK(says(device_says(sepal_device_open(sepal_backend(3), 0, &none)), "the backend is 3"));
    CHECK(none == nullptr);
    CHECK(says(device_says(sepal_device_open(SEPAL_CUDA, -1, &none)), "CUDA device -1 does not exist; there is 1: 0"));
    CHECK(says(device_says(sepal_device_open(SEPAL_CUDA, 1, &none)), "CUDA device 1 does not exist"));
    CHECK(says(device_says(sepal_device_open(SEPAL_CUDA, 0, nullptr)), "the pointer to the device is null"));
    CHECK(says(device_says(sepal_device_synchronize(nullptr)), "the pointer to the device is null"));
    CHECK(sepal_device_name(nullptr) == nullptr);
    CHECK(sepal_device_context(nullptr) == nullptr);
    CHECK(sepal_device_queue(nullptr) == nullptr);
    sepal_device_destroy(nullptr);
    void *got = memory;
    CHECK(says(device_says(sepal_device_allocate(nullptr, 4, &got)), "device is null"));
    CHECK(says(device_says(sepal_device_allocate(device->get(), 4, nullptr)), "memory is null"));
    CHECK(says(device_says(sepal_device_allocate(device->get(), 0, &got)), "0 bytes"));
    CHECK(got == nullptr);
    CHECK(says(said(sepal_device_allocate(device->get(), size_t(1) << 50, &got), SEPAL_OUT_OF_MEMORY), "cannot be allocated on CUDA device 0"));
    CHECK(says(device_says(sepal_device_release(device->get(), memory)), "was not allocated by this device"));
    CHECK(sepal_device_release(device->get(), nullptr) == SEPAL_OK);
    float x = 0;
    CHECK(says(device_says(sepal_device_upload(device->get(), in, nullptr, 4)), "the pointer to the host's memory is null"));
    CHECK(says(device_says(sepal_device_upload(device->get(), nullptr, &x, 4)), "memory is null"));
    CHECK(says(device_says(sepal_device_upload(device->get(), in, &x, in_bytes + 1)), fmt::format("has {} bytes", in_bytes)));
    CHECK(says(device_says(sepal_device_download(device->get(), &x, memory, 4)), "is no pointer to memory of a GPU"));
    CHECK(says(device_says(sepal_device_download(device->get(), &x, in, 0)), "0 bytes are to be copied"));
    device->release(in);
    device->release(out);
    CHECK(says(device_says(sepal_device_release(device->get(), in)), "was not allocated by this device"));
    CHECK_THROWS_AS(device->release(in), api::Error);
}
