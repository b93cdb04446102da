// GPUs: the driver, devices, arrays and plans. CUDA without a GPU: against a driver that fails on demand (fake_cuda.h); OpenCL: for real,
// where there is a device.
#include "bench/gpu/emulator/emulator.h"
#include "bench/gpu/gpu_timer.h"
#include "fake_cuda.h"
#include "gpu_kernels.h"
#include "runtime/gpu/cuda_driver.h"
#include "runtime/gpu/device.h"
#include "runtime/gpu/gpu_plan.h"
#include "runtime/plan.h"

#include "catch.h"
#include <HalideRuntime.h>
#include <HalideRuntimeOpenCL.h>
#include <fmt/format.h>

#include <dlfcn.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

using namespace sepal;

namespace {

// Buffers of one or two dimensions on a device.
struct DeviceBuffer {
    halide_buffer_t buffer = {};
    halide_dimension_t dims[2];
    DeviceBuffer(const GpuArray &array, int32_t x, int32_t y = 0) : dims{{0, x, 1}, {0, y, x}} {
        buffer.device = array.memory().halide;
        buffer.device_interface = array.device()->halide_interface();
        buffer.type = halide_type_of<float>();
        buffer.dimensions = y ? 2 : 1;
        buffer.dim = dims;
    }
};

Status run_add(const GpuDevice &device, const TestKernel &kernel, const GpuArray &a, const GpuArray &b, const GpuArray &out) {
    const int32_t n = int32_t(out.bytes() / 4);
    DeviceBuffer in_a(a, n), in_b(b, n), sum(out, n);
    void *argv[] = {&in_a.buffer, &in_b.buffer, &sum.buffer};
    return device.call(kernel.function(), argv, kernel.name());
}

// Of shared and two_steps.
Status run_staged(const GpuDevice &device, const TestKernel &kernel, const GpuArray &a, const GpuArray &out) {
    DeviceBuffer in(a, int32_t(a.bytes() / 4)), result(out, int32_t(out.bytes() / 4));
    void *argv[] = {&in.buffer, &result.buffer};
    return device.call(kernel.function(), argv, kernel.name());
}

GpuArray allocated(const std::shared_ptr<GpuDevice> &device, int64_t floats) {
    Status status;
    GpuArray array = GpuArray::allocate(device, 4 * floats, status);
    INFO(status.message);
    REQUIRE(status.ok());
    return array;
}

GpuArray uploaded(const std::shared_ptr<GpuDevice> &device, const std::vector<float> &values) {
    GpuArray array = allocated(device, int64_t(values.size()));
    REQUIRE(array.upload(values.data(), array.bytes()).message == "");
    return array;
}

std::vector<float> downloaded(const GpuArray &array) {
    std::vector<float> values(size_t(array.bytes()) / 4);
    REQUIRE(array.download(values.data(), array.bytes()).message == "");
    return values;
}

std::shared_ptr<GpuDevice> opened(Backend backend, int index = 0) {
    Status status;
    std::shared_ptr<GpuDevice> device = GpuDevice::open(backend, index, status);
    INFO(status.message);
    REQUIRE(device);
    CHECK(status.ok());
    return device;
}

std::string why_not_opened(Backend backend, int index = 0) {
    Status status;
    CHECK(GpuDevice::open(backend, index, status) == nullptr);
    CHECK_FALSE(status.ok());
    return status.message;
}

// Null, and told, where there is no OpenCL.
std::shared_ptr<GpuDevice> opencl_device() {
    Status status;
    std::shared_ptr<GpuDevice> device = GpuDevice::open(Backend::opencl, 0, status);
    if (!device) fmt::print("[SKIP] kernels on OpenCL: {}\n", status.message);
    return device;
}

// out = a + b, and 2 a + 1 by shared memory and by an intermediate, on numbers that are exact.
void check_sums(const std::shared_ptr<GpuDevice> &device) {
    const TestKernel add = TestKernel::add(device->backend()), shared = TestKernel::shared(device->backend()), two_steps = TestKernel::two_steps(device->backend());
    std::vector<float> a(15360), b(15360);
    for (size_t i = 0; i < a.size(); i++) a[i] = float(i), b[i] = float(3 * i);
    const GpuArray on_a = uploaded(device, a), on_b = uploaded(device, b);
    GpuArray out = allocated(device, 15360);
    const auto check = [&](const Status &status, const auto &right) {
        REQUIRE(status.message == "");
        REQUIRE(device->synchronize().message == "");
        const std::vector<float> values = downloaded(out);
        size_t wrong = 0;
        for (size_t i = 0; i < a.size(); i++) wrong += values[i] != right(i);
        CHECK(wrong == 0);
        REQUIRE(out.fill(0xff).message == "");
    };
    const auto sum = [&](size_t i) { return a[i] + b[i]; };
    const auto twice_and_1 = [&](size_t i) { return 2 * a[i] + 1; };
    REQUIRE(out.fill(0xff).message == "");
    check(run_add(*device, add, on_a, on_b, out), sum);
    check(run_staged(*device, shared, on_a, out), twice_and_1);
    for (int i = 0; i < 2; i++) check(run_staged(*device, two_steps, on_a, out), twice_and_1);
}

// Two threads on each of the devices, all at the same time.
void check_in_threads(const std::vector<std::shared_ptr<GpuDevice>> &devices, const TestKernel &add) {
    std::atomic<int> wrong{0};
    std::vector<std::thread> team;
    for (size_t t = 0; t < 2 * devices.size(); t++)
        team.emplace_back([&, t] {
            const std::shared_ptr<GpuDevice> &mine = devices[t % devices.size()];
            Status status;
            GpuArray a = GpuArray::allocate(mine, 4000, status), b = GpuArray::allocate(mine, 4000, status), out = GpuArray::allocate(mine, 4000, status);
            const std::vector<float> ones(1000, 1.0f), ts(1000, float(t));
            std::vector<float> sum(1000);
            for (int i = 0; i < 20; i++) {
                const bool ok = a.upload(ones.data(), 4000).ok() && b.upload(ts.data(), 4000).ok() && run_add(*mine, add, a, b, out).ok() &&
                                out.download(sum.data(), 4000).ok();
                if (!ok || sum != std::vector<float>(1000, float(1 + t))) wrong++;
            }
        });
    for (std::thread &t : team) t.join();
    CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("the system's CUDA driver is used, or what is missing of it is said", "[gpu][driver]") {
    use_cuda_driver(nullptr);
    const Status status = cuda_available();
    if (void *const library = dlopen("libcuda.so.1", RTLD_NOW)) {
        dlclose(library);
        fmt::print("[SKIP] a system without an NVIDIA driver: this one has one ({})\n", status.ok() ? "it can be used" : status.message);
        return;
    }
    CHECK(status.code == Status::Code::unsupported);
    CHECK(status.message.find("there is no NVIDIA driver: neither libcuda.so.1 nor libcuda.so can be loaded (libcuda.so.1: ") == 0);
    CHECK(why_not_opened(Backend::cuda) == status.message);
    Status adopted;
    CHECK(GpuDevice::adopt(&adopted, nullptr, adopted) == nullptr);
    CHECK(adopted.message == status.message);
}

TEST_CASE("what a CUDA driver cannot do is one sentence", "[gpu][driver]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    CHECK(cuda_available().message == "");

    SECTION("no functions") {
        fake.without = {"cuInit"};
        use_cuda_driver(fake_cuda_symbol);
        CHECK(cuda_available().message == "the NVIDIA driver cannot be started: the CUDA driver has no function cuInit");
    }
    SECTION("no device at cuInit") {
        fake.fails["cuInit"] = {1, 100};
        use_cuda_driver(fake_cuda_symbol);
        CHECK(cuda_available().message == "the NVIDIA driver finds no GPU: cuInit: CUDA_ERROR_NO_DEVICE");
        CHECK(cuda_available().code == Status::Code::unsupported);
    }
    SECTION("library and kernel module differ") {
        fake.fails["cuInit"] = {1, 803};
        use_cuda_driver(fake_cuda_symbol);
        CHECK(cuda_available().message ==
              "libcuda.so and the NVIDIA kernel module are of different versions; a restart of the machine mostly helps after an update: cuInit: "
              "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH");
    }
    SECTION("an error without a name") {
        fake.fails["cuInit"] = {1, 998};
        use_cuda_driver(fake_cuda_symbol);
        CHECK(cuda_available().message == "the NVIDIA driver cannot be started: cuInit: CUDA error 998");
    }
    SECTION("too old a driver") {
        fake.version = 10020;
        use_cuda_driver(fake_cuda_symbol);
        CHECK(cuda_available().message ==
              "the NVIDIA driver is too old: it is of CUDA 10.2, and the kernels' PTX of ISA 7.0 needs one of CUDA 11.0 or later");
        fake.version = 11000;
        use_cuda_driver(fake_cuda_symbol);
        CHECK(cuda_available().message == "");
    }
    SECTION("no device") {
        fake.devices = 0;
        CHECK(cuda_available().message == "the NVIDIA driver finds no GPU");
    }
    SECTION("too old a device") {
        fake.compute_capability = 75;
        const char *const sentence = "CUDA device 0 (Fake GPU) is too old: its compute capability is 7.5, and the kernels need 8.0 or later";
        CHECK(cuda_available().message == sentence);
        CHECK(why_not_opened(Backend::cuda) == sentence);
        fake.compute_capability = 80;
        CHECK(opened(Backend::cuda)->info().compute_capability == 80);
    }
    SECTION("devices that do not exist") {
        CHECK(why_not_opened(Backend::cuda, 7) == "CUDA device 7 does not exist; there are 2: 0 to 1");
        CHECK(why_not_opened(Backend::cuda, -1) == "CUDA device -1 does not exist; there are 2: 0 to 1");
        fake.devices = 1;
        CHECK(why_not_opened(Backend::cuda, 1) == "CUDA device 1 does not exist; there is 1: 0");
        CHECK(why_not_opened(Backend::cpu) == "a CPU is no GpuDevice; allowed: cuda, opencl");
    }
    SECTION("a context or a stream that cannot be had") {
        fake.fails["cuDevicePrimaryCtxRetain"] = {1, 2};
        CHECK(why_not_opened(Backend::cuda) == "CUDA device 0 (Fake GPU) cannot be opened: cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY");
        fake.fails.clear();
        fake.fails["cuStreamCreate"] = {1, 2};
        CHECK(why_not_opened(Backend::cuda) == "CUDA device 0 (Fake GPU) cannot be opened: cuStreamCreate: CUDA_ERROR_OUT_OF_MEMORY");
        CHECK(fake.calls["cuDevicePrimaryCtxRelease_v2"] == 1);
    }
}

TEST_CASE("a CUDA device is described, and runs kernels of its kind", "[gpu][device]") {
    const UseFakeCuda use;
    const std::shared_ptr<GpuDevice> device = opened(Backend::cuda, 1);
    CHECK(device->backend() == Backend::cuda);
    CHECK(device->text() == "CUDA device 1 (Fake GPU)");
    CHECK(device->info().name == "Fake GPU");
    CHECK(device->info().compute_capability == 90);
    CHECK(device->info().multiprocessors == 7);
    CHECK(device->info().driver_version == 12040);
    CHECK(device->info().memory_bytes == int64_t(80) << 30);
    CHECK(device->runs(Isa::sm80));
    CHECK_FALSE(device->runs(Isa::opencl));
    CHECK_FALSE(device->runs(Isa::avx512));
    CHECK_FALSE(Cpu::detect().runs(Isa::sm80));
}

TEST_CASE("arrays of a CUDA device hold what is written, and say what is wrong", "[gpu][device]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
    {
        GpuArray array = uploaded(device, {1, 2, 3});
        CHECK(downloaded(array) == std::vector<float>{1, 2, 3});
        REQUIRE(array.fill(0).ok());
        CHECK(downloaded(array) == std::vector<float>{0, 0, 0});
        GpuArray moved = std::move(array);
        CHECK(moved.bytes() == 12);
        CHECK(array.device() == nullptr);
        float x = 0;
        CHECK(array.upload(&x, 4).message == "the array on the GPU is empty");
        CHECK(array.fill(0).message == "the array on the GPU is empty");
        CHECK(moved.upload(nullptr, 4).message == "the pointer to the host's memory is null");
        CHECK(moved.upload(&x, 16).message == "16 bytes are to be uploaded, the array on the GPU has 12");
        CHECK(moved.download(&x, -1).message == "-1 bytes are to be downloaded, the array on the GPU has 12");

        Status status;
        const GpuArray wrapped = GpuArray::wrap(device, moved.memory().native, 8, status);
        CHECK(status.message == "");
        CHECK(wrapped.bytes() == 8);
        GpuArray::wrap(device, reinterpret_cast<uint64_t>(&x), 4, status);
        CHECK(status.code == Status::Code::invalid_argument);
        CHECK(status.message == fmt::format("{} is no pointer to memory of a GPU: cuPointerGetAttribute: CUDA_ERROR_INVALID_VALUE", static_cast<void *>(&x)));
        GpuArray::wrap(opened(Backend::cuda, 1), moved.memory().native, 8, status);
        CHECK(status.message == fmt::format("{:#x} is a pointer to memory of CUDA device 0 (Fake GPU), and is to be used on CUDA device 1 (Fake GPU)",
                                            moved.memory().native));
        GpuArray::wrap(device, 0, 8, status);
        CHECK(status.message == "the pointer to the memory of the GPU is null");
        GpuArray::allocate(device, 0, status);
        CHECK(status.message == "an array on a GPU is to have 0 bytes; allowed: 1 or more");
        GpuArray::allocate(nullptr, 1, status);
        CHECK(status.message == "the pointer to the GpuDevice is null");
    }
    CHECK(fake.memory.empty());  // the wrapped one was not freed twice

    // Out of memory at the third allocation; later ones work.
    fake.calls.clear();
    fake.fails["cuMemAlloc_v2"] = {3, 2};
    Status status;
    {
        const GpuArray first = allocated(device, 1), second = allocated(device, 1);
        const GpuArray third = GpuArray::allocate(device, 4000, status);
        CHECK(status.code == Status::Code::out_of_memory);
        CHECK(status.message == "4000 bytes cannot be allocated on CUDA device 0 (Fake GPU): cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY; 1000 of 85899345920 bytes are free");
        CHECK(third.device() == nullptr);
        fake.fails.clear();
        CHECK(allocated(device, 1).bytes() == 4);
    }

    GpuArray array = allocated(device, 1);
    float x = 0;
    fake.fails = {{"cuMemcpyHtoDAsync_v2", {1, 999}}, {"cuMemcpyDtoHAsync_v2", {1, 999}}, {"cuMemsetD8Async", {1, 999}}};
    CHECK(array.upload(&x, 4).message == "4 bytes cannot be copied to CUDA device 0 (Fake GPU): cuMemcpyHtoDAsync: CUDA error 999");
    CHECK(array.download(&x, 4).message == "4 bytes cannot be copied from CUDA device 0 (Fake GPU): cuMemcpyDtoHAsync: CUDA error 999");
    CHECK(array.fill(1).message == "4 bytes of CUDA device 0 (Fake GPU) cannot be filled: cuMemsetD8Async: CUDA error 999");

    // The array keeps its device open.
    fake.fails.clear();
    device.reset();
    CHECK(fake.streams.size() == 1);
    array = GpuArray();
    CHECK(fake.streams.empty());
}

TEST_CASE("a part of an array is memory of it", "[gpu][device]") {
    const auto check = [](const std::shared_ptr<GpuDevice> &device) {
        GpuArray whole = allocated(device, 3 * 1024);
        REQUIRE(whole.fill(0).ok());
        Status status;
        {
            GpuArray part = GpuArray::part(whole, GpuArray::part_alignment, 4000, status);
            REQUIRE(status.message == "");
            CHECK(part.bytes() == 4000);
            REQUIRE(part.fill(1).message == "");
            REQUIRE(device->synchronize().message == "");
        }
        std::vector<uint8_t> bytes(size_t(whole.bytes()));
        REQUIRE(whole.download(bytes.data(), whole.bytes()).message == "");
        size_t wrong = 0;
        for (size_t i = 0; i < bytes.size(); i++) wrong += bytes[i] != (i >= 4096 && i < 8096);
        CHECK(wrong == 0);

        for (const auto &[offset, size] : {std::pair<int64_t, int64_t>(100, 4), {-4096, 4}, {8192, 4097}, {4096 * 4, 1}}) {
            GpuArray::part(whole, offset, size, status);
            CHECK(status.message == fmt::format("{} bytes from byte {} on are to be a part of an array of 12288 on a GPU; allowed: bytes of it, from a multiple of 4096 on",
                                                size, offset));
        }
        GpuArray::part(GpuArray(), 0, 4, status);
        CHECK(status.message == "the pointer to the GpuDevice is null");
    };
    {
        const UseFakeCuda use;
        check(opened(Backend::cuda));
        CHECK(use.fake.memory.empty());
    }
    if (const std::shared_ptr<GpuDevice> device = opencl_device()) check(device);
}

TEST_CASE("kernels run on the stream of their device, with all registers and the shared memory that they need", "[gpu][device]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    const TestKernel add = TestKernel::add(Backend::cuda), shared = TestKernel::shared(Backend::cuda);
    {
        const std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
        const GpuArray a = allocated(device, 15360), b = allocated(device, 15360), out = allocated(device, 15360);
        REQUIRE(run_add(*device, add, a, b, out).message == "");
        REQUIRE(fake.launches.size() == 1);
        CHECK(fake.launches[0].context == device->native_context());
        CHECK(fake.launches[0].stream == device->native_queue());
        CHECK(fake.launches[0].kernel != "");
        CHECK(fake.module_options == std::vector<int>{5, 6});  // the log of errors; not 0, which limits the registers
        CHECK(fake.opted_in.empty());
        const std::optional<CudaLaunch> launch = last_cuda_launch();
        REQUIRE(launch);
        CHECK(launch->kernel == fake.launches[0].kernel);
        CHECK(launch->grid == std::array<unsigned, 3>{240, 1, 1});
        CHECK(launch->block == std::array<unsigned, 3>{64, 1, 1});
        CHECK(launch->shared_bytes == 0);

        for (int i = 0; i < 3; i++) REQUIRE(run_staged(*device, shared, a, out).message == "");
        CHECK(fake.launches.back().shared_bytes == 61440);
        CHECK(last_cuda_launch()->shared_bytes == 61440);
        REQUIRE(fake.opted_in.size() == 1);
        CHECK(fake.opted_in[0].second == 61440);
        CHECK(fake.modules.size() == 2);
    }
    // With the last device of a context its modules go.
    CHECK(fake.modules.empty());
    CHECK(fake.streams.empty());
    CHECK(fake.memory.empty());
}

TEST_CASE("kernels that fail on a CUDA device are a status with a sentence", "[gpu][device]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    const TestKernel add = TestKernel::add(Backend::cuda), shared = TestKernel::shared(Backend::cuda), rows = TestKernel::rows(Backend::cuda);
    const std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
    const GpuArray a = allocated(device, 15360), b = allocated(device, 15360), out = allocated(device, 15360);

    SECTION("device code that the driver does not take, with what its compiler says") {
        fake.fails["cuModuleLoadDataEx"] = {1, 218};
        fake.jit_log = "ptxas application ptx input, line 9; error   : Unknown symbol 'x'\nptxas fatal   : Ptx assembly aborted\n";
        CHECK(run_add(*device, add, a, b, out).message ==
              "kernel add_cuda failed on CUDA device 0 (Fake GPU): the driver, of CUDA 12.4, does not take its device code: cuModuleLoadDataEx: "
              "CUDA_ERROR_INVALID_PTX: ptxas application ptx input, line 9; error : Unknown symbol 'x' ptxas fatal : Ptx assembly aborted");
        fake.fails.clear();
        CHECK(run_add(*device, add, a, b, out).message == "");
    }
    SECTION("a launch that fails") {
        fake.fails["cuLaunchKernel"] = {1, 701};
        const Status status = run_add(*device, add, a, b, out);
        CHECK(status.code == Status::Code::kernel_failed);
        CHECK(status.message == "kernel add_cuda failed on CUDA device 0 (Fake GPU): cuLaunchKernel: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES");
        fake.fails.clear();
        CHECK(run_add(*device, add, a, b, out).message == "");
    }
    SECTION("more shared memory than the device has") {
        fake.fails["cuFuncSetAttribute"] = {1, 1};
        CHECK(run_staged(*device, shared, a, out).message ==
              "kernel shared_cuda failed on CUDA device 0 (Fake GPU): it needs 61440 bytes of shared memory for each block, which the device does not give: "
              "cuFuncSetAttribute: CUDA_ERROR_INVALID_VALUE");
        CHECK(fake.launches.empty());
    }
    SECTION("more blocks than a launch can have") {
        const GpuArray many = allocated(device, 70000);
        DeviceBuffer in(many, 1, 70000), result(many, 1, 70000);
        void *argv[] = {&in.buffer, &result.buffer};
        CHECK(device->call(rows.function(), argv, rows.name()).message ==
              "kernel rows_cuda failed on CUDA device 0 (Fake GPU): the problem is too large for it: it would launch 1 x 70000 x 1 blocks, and a GPU takes "
              "at most 65535 in y and z");
        CHECK(fake.launches.empty());
        CHECK(last_cuda_launch()->grid == std::array<unsigned, 3>{1, 70000, 1});
    }
    SECTION("an error that is found when the device is waited for, and does not go away") {
        fake.fails["cuStreamSynchronize"] = {1, 700};
        CHECK(run_add(*device, add, a, b, out).message == "");
        CHECK(device->synchronize().message ==
              "work queued on CUDA device 0 (Fake GPU) failed: cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS; it may be the fault of a kernel that was "
              "started before, and a new process is needed to use CUDA again");
        fake.fails["cuLaunchKernel"] = {1, 700};
        CHECK(run_add(*device, add, a, b, out).message ==
              "kernel add_cuda failed on CUDA device 0 (Fake GPU): cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS; it may be the fault of a kernel that was "
              "started before, and a new process is needed to use CUDA again");
        float x = 0;
        CHECK(out.download(&x, 4).message ==
              "4 bytes cannot be copied from CUDA device 0 (Fake GPU): cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS; it may be the fault of a kernel "
              "that was started before, and a new process is needed to use CUDA again");
    }
    SECTION("a context that was destroyed") {
        REQUIRE(run_add(*device, add, a, b, out).message == "");
        fake.contexts.clear();
        CHECK(run_add(*device, add, a, b, out).message ==
              "kernel add_cuda failed on CUDA device 0 (Fake GPU): its CUDA context was destroyed: CUDA_ERROR_INVALID_CONTEXT");
        CHECK(device->synchronize().message ==
              "work queued on CUDA device 0 (Fake GPU) failed: its CUDA context was destroyed: CUDA_ERROR_INVALID_CONTEXT");
        Status status;
        GpuArray::allocate(device, 4, status);
        CHECK(status.message == "4 bytes cannot be allocated on CUDA device 0 (Fake GPU): its CUDA context was destroyed: CUDA_ERROR_INVALID_CONTEXT");
    }
}

TEST_CASE("what a kernel allocates on a CUDA device is kept for its next call, and given up for others", "[gpu][device]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    const TestKernel two_steps = TestKernel::two_steps(Backend::cuda);
    {
        const std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
        const GpuArray a = allocated(device, 1000), out = allocated(device, 1000);
        for (int i = 0; i < 3; i++) REQUIRE(run_staged(*device, two_steps, a, out).message == "");
        CHECK(fake.launches.size() == 6);
        CHECK(fake.memory.size() == 3);
        CHECK(fake.calls["cuMemAlloc_v2"] == 3);
        fake.fails["cuMemAlloc_v2"] = {1, 2};
        Status status;
        GpuArray::allocate(device, 4, status);
        CHECK(status.code == Status::Code::out_of_memory);
        CHECK(fake.memory.size() == 2);
        CHECK(run_staged(*device, two_steps, a, out).message ==
              "kernel two_steps_cuda failed on CUDA device 0 (Fake GPU): cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY");
        fake.fails.clear();
        CHECK(run_staged(*device, two_steps, a, out).message == "");
    }
    CHECK(fake.memory.empty());
}

TEST_CASE("a GPU whose context was destroyed can be opened anew", "[gpu][device]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    const TestKernel add = TestKernel::add(Backend::cuda);
    for (int round = 0; round < 2; round++) {
        const std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
        const GpuArray a = allocated(device, 64), b = allocated(device, 64), out = allocated(device, 64);
        // Not with a module of the context of the first round, which has the same address.
        REQUIRE(run_add(*device, add, a, b, out).message == "");
        CHECK(fake.calls["cuModuleLoadDataEx"] == round + 1);
        fake.contexts.clear();
        fake.modules.clear();
        fake.streams.clear();
    }
}

TEST_CASE("the caller's context and stream are used and left alone", "[gpu][device]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    const TestKernel add = TestKernel::add(Backend::cuda);
    const auto pointer = [](uintptr_t value) { return reinterpret_cast<void *>(value); };
    void *const context = pointer(0x70001), *const other = pointer(0x70000), *const stream = pointer(0x80000), *const others = pointer(0x80001);
    fake.contexts = {context, other};
    fake.streams = {stream, others};
    fake.context_of = {{stream, context}, {others, other}};
    Status status;
    CHECK(GpuDevice::adopt(nullptr, stream, status) == nullptr);
    CHECK(status.message == "the CUDA context is null");
    CHECK(GpuDevice::adopt(pointer(0x99999), stream, status) == nullptr);
    CHECK(status.message == "the CUDA context cannot be used: its CUDA context was destroyed: CUDA_ERROR_INVALID_CONTEXT");
    CHECK(GpuDevice::adopt(context, others, status) == nullptr);
    CHECK(status.message == "the CUDA stream belongs to another context than the one given with it");
    CHECK(status.code == Status::Code::invalid_argument);
    CHECK(GpuDevice::adopt(context, pointer(0x99999), status) == nullptr);
    CHECK(status.message == "the CUDA stream cannot be used: cuStreamGetCtx: CUDA_ERROR_INVALID_HANDLE");

    for (void *queue : {stream, static_cast<void *>(nullptr)}) {
        fake.launches.clear();
        const std::shared_ptr<GpuDevice> device = GpuDevice::adopt(context, queue, status);
        REQUIRE(status.message == "");
        CHECK(device->text() == "CUDA device 1 (Fake GPU)");
        CHECK(device->native_context() == context);
        CHECK(device->native_queue() == queue);
        const GpuArray a = allocated(device, 64), b = allocated(device, 64), out = allocated(device, 64);
        REQUIRE(run_add(*device, add, a, b, out).message == "");
        REQUIRE(fake.launches.size() == 1);
        CHECK(fake.launches[0].context == context);
        CHECK(fake.launches[0].stream == queue);
    }
    CHECK(fake.contexts.count(context));
    CHECK(fake.streams.count(stream));
    CHECK(fake.calls["cuDevicePrimaryCtxRelease_v2"] == 0);
}

TEST_CASE("several devices and streams serve several threads at once", "[gpu][device]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    const TestKernel add = TestKernel::add(Backend::cuda);
    constexpr int threads = 4, runs = 100;
    std::vector<std::shared_ptr<GpuDevice>> devices;
    for (int t = 0; t < threads; t++) devices.push_back(opened(Backend::cuda, t % 2));
    std::vector<GpuArray> arrays;
    for (int t = 0; t < threads; t++) arrays.push_back(allocated(devices[size_t(t)], 64));
    std::atomic<int> failed{0};
    std::vector<std::thread> team;
    for (int t = 0; t < threads; t++)
        team.emplace_back([&, t] {
            for (int i = 0; i < runs; i++) {
                // Each thread changes from its own device to the next and back.
                const size_t d = size_t(t + i) % threads;
                if (!run_add(*devices[d], add, arrays[d], arrays[d], arrays[d]).ok()) failed++;
            }
        });
    for (std::thread &t : team) t.join();
    CHECK(failed == 0);
    CHECK(fake.launches.size() == size_t(threads * runs));
    std::map<void *, int> on_stream;
    size_t wrong = 0;
    for (const FakeCuda::Launch &l : fake.launches) {
        wrong += l.context != fake.context_of[l.stream];
        on_stream[l.stream]++;
    }
    CHECK(wrong == 0);
    CHECK(on_stream.size() == size_t(threads));
    for (const auto &[stream, count] : on_stream) CHECK(count == runs);
    CHECK(fake.modules.size() == 2);  // one for each GPU
}

TEST_CASE("OpenCL devices run kernels", "[gpu][opencl]") {
    const std::shared_ptr<GpuDevice> device = opencl_device();
    if (!device) return;
    CHECK(device->backend() == Backend::opencl);
    CHECK(device->text() == fmt::format("OpenCL device 0 ({})", device->info().name));
    CHECK(device->info().multiprocessors > 0);
    CHECK(device->info().memory_bytes > 0);
    CHECK(device->runs(Isa::opencl));
    CHECK_FALSE(device->runs(Isa::sm80));
    check_sums(device);
    const TestKernel add = TestKernel::add(Backend::opencl);

    // A second queue on the same device, in other threads at the same time.
    const std::shared_ptr<GpuDevice> second = opened(Backend::opencl);
    CHECK(second->native_context() != device->native_context());
    check_in_threads({device, second}, add);
}

TEST_CASE("a kernel that OpenCL's compiler does not take is a status with what it says", "[gpu][opencl]") {
    const std::shared_ptr<GpuDevice> device = opencl_device();
    if (!device) return;
    const TestKernel half = TestKernel::half(Backend::opencl);
    const GpuArray a = uploaded(device, {1, 2}), out = allocated(device, 2);
    const Status status = run_staged(*device, half, a, out);
    if (device->info().half_precision) {
        CHECK(status.message == "");
        CHECK(downloaded(out) == std::vector<float>{2, 3});
        fmt::print("[SKIP] a kernel that OpenCL's compiler does not take: {} has half precision\n", device->text());
        return;
    }
    CHECK(status.code == Status::Code::kernel_failed);
    CHECK(status.message.find("kernel half_opencl failed: CL: clBuildProgram failed: CL_BUILD_PROGRAM_FAILURE Build Log: ") == 0);
    CHECK(status.message.find('\n') == std::string::npos);
    CHECK(status.message.size() < 1010);
    fmt::print("{}\n", status.message);
}

TEST_CASE("arrays of OpenCL devices say what is wrong", "[gpu][opencl]") {
    const std::shared_ptr<GpuDevice> device = opencl_device();
    if (!device) return;
    GpuArray array = uploaded(device, {1, 2, 3});
    REQUIRE(array.fill(0).ok());
    CHECK(downloaded(array) == std::vector<float>{0, 0, 0});
    Status status;
    {
        GpuArray wrapped = GpuArray::wrap(device, array.memory().native, 8, status);
        REQUIRE(status.message == "");
        const float x = 5;
        REQUIRE(wrapped.upload(&x, 4).ok());
    }
    CHECK(downloaded(array) == std::vector<float>{5, 0, 0});
    GpuArray::wrap(device, array.memory().native, 16, status);
    CHECK(status.message == "the memory object has 12 bytes, the array is to have 16");
    const std::shared_ptr<GpuDevice> second = opened(Backend::opencl);
    GpuArray::wrap(second, array.memory().native, 8, status);
    CHECK(status.message == fmt::format("the memory object belongs to another OpenCL context than {}", second->text()));
    GpuArray::allocate(device, int64_t(1) << 60, status);
    CHECK(status.code == Status::Code::out_of_memory);
    CHECK(status.message.find(fmt::format("{} bytes cannot be allocated on {}", int64_t(1) << 60, device->text())) == 0);

    CHECK(why_not_opened(Backend::opencl, 99).find("OpenCL device 99 does not exist; of platform ") == 0);
    CHECK(why_not_opened(Backend::opencl, -1).find("OpenCL device -1 does not exist; of platform ") == 0);
    const std::string platform = halide_opencl_get_platform_name(nullptr);
    halide_opencl_set_platform_name("nobody's");
    CHECK(why_not_opened(Backend::opencl).find("no platform of OpenCL has \"nobody's\" (HL_OCL_PLATFORM_NAME) in its name; there are: ") == 0);
    halide_opencl_set_platform_name(platform.c_str());
}

namespace {

// What TestKernel::depthwise() computes.
ConvProblem small_depthwise() {
    ConvProblem p;
    p.op = Operator::depthwise;
    p.n = 2, p.h = 3, p.w = 5, p.c = 37;
    p.out.bias = true;
    return p;
}

struct SmallWeights {
    std::vector<float> filter, bias;
    SmallWeights() {
        for (int i = 0; i < 37; i++) filter.push_back(float(i % 5)), bias.push_back(float(i));
    }
    operator Weights() const { return {filter.data(), nullptr, nullptr, bias.data()}; }
};

// Runs the plan on small numbers and compares.
void check_depthwise(const std::shared_ptr<GpuDevice> &device, const Variant &variant) {
    const ConvProblem problem = small_depthwise();
    const SmallWeights weights;
    Status status;
    const std::unique_ptr<GpuPlan> plan = GpuPlan::create(problem, variant, weights, device, status);
    INFO(status.message);
    REQUIRE(plan);
    CHECK(plan->device() == device);
    CHECK(plan->variant().name == std::string(variant.name));
    std::vector<float> values;
    for (int64_t i = 0; i < problem.input_elements(); i++) values.push_back(float(i % 7 - 3));
    const GpuArray input = uploaded(device, values);
    GpuArray output = allocated(device, problem.output_elements());
    for (int round = 0; round < 2; round++) {
        REQUIRE(output.fill(0xff).message == "");
        REQUIRE(plan->run(input, output).message == "");
        REQUIRE(device->synchronize().message == "");
        const std::vector<float> result = downloaded(output);
        size_t wrong = 0;
        for (size_t i = 0; i < result.size(); i++) wrong += result[i] != values[i] * weights.filter[i % 37] + weights.bias[i % 37];
        CHECK(wrong == 0);
    }
}

}  // namespace

TEST_CASE("a GpuPlan runs a kernel on OpenCL", "[gpu][opencl][gpu_plan]") {
    const std::shared_ptr<GpuDevice> device = opencl_device();
    if (!device) return;
    const TestKernel kernel = TestKernel::depthwise(Backend::opencl);
    check_depthwise(device, kernel.variant());
}

TEST_CASE("plans say what they cannot run", "[gpu][gpu_plan]") {
    UseFakeCuda use;
    FakeCuda &fake = use.fake;
    const TestKernel kernel = TestKernel::depthwise(Backend::cuda);
    const Variant variant = kernel.variant();
    const std::shared_ptr<GpuDevice> device = opened(Backend::cuda), second = opened(Backend::cuda), other = opened(Backend::cuda, 1);
    const ConvProblem problem = small_depthwise();
    const SmallWeights weights;
    Status status;
    const std::shared_ptr<const PackedWeights> packed = PackedWeights::pack(problem, variant, weights, status);
    REQUIRE(packed);
    const auto refused = [&](const ConvProblem &p, const Variant &v, const std::shared_ptr<const PackedWeights> &w, const std::shared_ptr<GpuDevice> &d) {
        CHECK(GpuPlan::create(p, v, w, d, status) == nullptr);
        return status.message;
    };

    CHECK(Plan::create(problem, variant, packed, status) == nullptr);
    CHECK(status.message == "variant depthwise_cuda runs on GPUs, by cuda: a GpuPlan is needed for it, not a Plan");
    CHECK(status.code == Status::Code::unsupported);
    Variant of_cpu = variant;
    of_cpu.isa = Isa::avx2;
    CHECK(refused(problem, of_cpu, packed, device) == "variant depthwise_cuda runs on CPUs (avx2): a Plan is needed for it, not a GpuPlan");
    Variant of_opencl = variant;
    of_opencl.isa = Isa::opencl;
    CHECK(refused(problem, of_opencl, packed, device) == "variant depthwise_cuda is for opencl; CUDA device 0 (Fake GPU) does not run it");
    CHECK(refused(problem, variant, nullptr, device) == "the pointer to the packed weights is null");
    CHECK(refused(problem, variant, packed, nullptr) == "the pointer to the GpuDevice is null");
    ConvProblem wrong = problem;
    wrong.c = 0;
    CHECK(refused(wrong, variant, packed, device).find("problem: ") == 0);
    wrong.c = 38;
    CHECK(refused(wrong, variant, packed, device).find("the packed weights are those of ") == 0);
    Variant not_built = variant;
    not_built.kernel = nullptr;
    not_built.error = "it does not compile";
    CHECK(refused(problem, not_built, packed, device) == "variant depthwise_cuda was not built: it does not compile");
    Variant product = variant;
    product.op = Operator::pointwise;
    ConvProblem added;
    added.op = Operator::pointwise;
    added.h = added.w = 3, added.c = added.k = 37;
    added.residual = true;
    CHECK(refused(added, product, packed, device) == "variant depthwise_cuda adds no residual, the problem has one");
    ConvProblem large = problem;
    large.n = 1 << 14, large.h = 60, large.w = 60;
    CHECK(refused(large, variant, packed, device) == "problem: the input has more than 2147483647 elements");
    fake.fails["cuMemAlloc_v2"] = {fake.calls["cuMemAlloc_v2"] + 2, 2};
    CHECK(refused(problem, variant, packed, device) ==
          "the weights of depthwise_cuda: 148 bytes cannot be allocated on CUDA device 0 (Fake GPU): cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY; 1000 of "
          "85899345920 bytes are free");
    CHECK(status.code == Status::Code::out_of_memory);
    fake.fails.clear();
    CHECK(fake.memory.empty());

    const std::unique_ptr<GpuPlan> plan = GpuPlan::create(problem, variant, packed, device, status);
    REQUIRE(plan);
    CHECK(fake.memory.size() == 2);
    const GpuArray input = allocated(device, problem.input_elements());
    GpuArray output = allocated(device, problem.output_elements());
    CHECK(plan->run(input, output).message == "");
    CHECK(fake.launches.back().stream == device->native_queue());

    GpuArray small = allocated(device, 8), elsewhere = allocated(other, problem.output_elements()), nothing;
    CHECK(plan->run(nothing, output).message == "the array of the input is empty");
    CHECK(plan->run(input, nothing).message == "the array of the output is empty");
    CHECK(plan->run(small, output).message == "the array of the input has 32 bytes, that of the problem needs 4440");
    CHECK(plan->run(input, small).message == "the array of the output has 32 bytes, that of the problem needs 4440");
    CHECK(plan->run(input, elsewhere).message == "the output is memory of CUDA device 1 (Fake GPU), the plan runs on CUDA device 0 (Fake GPU)");
    fake.memory[output.memory().native + 4] = 0;  // a pointer into an allocation is one to memory of the GPU, too
    GpuArray shifted = GpuArray::wrap(device, output.memory().native + 4, output.bytes(), status);
    REQUIRE(status.ok());
    CHECK(plan->run(input, shifted).message == "the output is aligned to 4 bytes; kernels of GPUs need 16");
    fake.memory.erase(output.memory().native + 4);
    // Memory of the same context serves, whatever the stream.
    GpuArray of_second = allocated(second, problem.output_elements());
    CHECK(plan->run(input, of_second).message == "");
    CHECK(fake.launches.size() == 2);

    fake.contexts.insert(reinterpret_cast<void *>(0x70000));
    const std::shared_ptr<GpuDevice> adopted = GpuDevice::adopt(reinterpret_cast<void *>(0x70000), nullptr, status);
    REQUIRE(adopted);
    GpuArray of_adopted = allocated(adopted, problem.output_elements());
    CHECK(plan->run(input, of_adopted).message ==
          "the output is memory of CUDA device 0 (Fake GPU), the plan runs on CUDA device 0 (Fake GPU) in another context");
}

TEST_CASE("work on a CUDA device is timed by events, in a graph where it can be", "[gpu][gpu_timer]") {
    UseFakeCuda use;  // on which a kernel takes a millisecond
    FakeCuda &fake = use.fake;
    const TestKernel add = TestKernel::add(Backend::cuda);
    const std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
    const GpuArray a = allocated(device, 64);
    const QueueWork work = [&] { return run_add(*device, add, a, a, a); };
    const QueueWork twice = [&] {
        const Status first = work();
        return first.ok() ? work() : first;
    };
    GpuTimer timer(device);
    GpuTimes times;
    REQUIRE(timer.back_to_back(twice, 10, 3, true, times).message == "");
    CHECK(times.in_graph);
    CHECK(times.why_no_graph == "");
    CHECK(fake.calls["cuGraphLaunch"] == 4);        // one of them to warm up
    CHECK(fake.launches.size() == 2 + 4 * 20);
    CHECK(fake.calls["cuLaunchKernel"] == 2 + 20);
    REQUIRE(times.seconds.size() == 3);
    for (double s : times.seconds) CHECK(s == Approx(0.002));

    fake.launches.clear();
    REQUIRE(timer.back_to_back(work, 10, 3, false, times).message == "");
    CHECK_FALSE(times.in_graph);
    CHECK(fake.launches.size() == 1 + 3 * 10);
    REQUIRE(times.seconds.size() == 3);
    for (double s : times.seconds) CHECK(s == Approx(0.001));

    // Work that waits cannot be captured: it is queued.
    const QueueWork waits = [&] {
        const Status status = work();
        return status.ok() ? device->synchronize() : status;
    };
    REQUIRE(timer.back_to_back(waits, 10, 3, true, times).message == "");
    CHECK_FALSE(times.in_graph);
    CHECK(times.why_no_graph == "work queued on CUDA device 0 (Fake GPU) failed: cuStreamSynchronize: CUDA error 900");
    CHECK(times.seconds.size() == 3);
    CHECK(fake.capturing == nullptr);

    fake.calls.clear();
    REQUIRE(timer.cold(work, 4, times).message == "");
    CHECK(times.seconds.size() == 4);
    for (double s : times.seconds) CHECK(s == Approx(0.001));
    CHECK(fake.calls["cuMemsetD8Async"] == 4);
    REQUIRE(timer.empty(2, times).message == "");
    CHECK(times.seconds == std::vector<double>{0, 0});
    CHECK(timer.latency(work, 5, times).message == "");
    CHECK(times.seconds.size() == 5);
    CHECK(fake.events.empty());

    CHECK(timer.back_to_back(work, 0, 3, true, times).message == "0 launches and 3 repetitions are to be timed; allowed: 1 or more");
    fake.fails["cuEventCreate"] = {1, 2};
    CHECK(timer.cold(work, 1, times).message == "CUDA device 0 (Fake GPU) cannot be timed: cuEventCreate: CUDA_ERROR_OUT_OF_MEMORY");
    fake.fails["cuLaunchKernel"] = {1, 700};
    CHECK(timer.back_to_back(work, 1, 1, true, times).message.find("kernel add_cuda failed on CUDA device 0 (Fake GPU): cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS") == 0);
}

TEST_CASE("work on an OpenCL device is timed by the host's clock", "[gpu][opencl][gpu_timer]") {
    const std::shared_ptr<GpuDevice> device = opencl_device();
    if (!device) return;
    const TestKernel add = TestKernel::add(Backend::opencl);
    const GpuArray a = uploaded(device, std::vector<float>(64, 1.0f)), out = allocated(device, 64);
    int runs = 0;
    const QueueWork work = [&] {
        runs++;
        return run_add(*device, add, a, a, out);
    };
    GpuTimer timer(device);
    GpuTimes times;
    REQUIRE(timer.back_to_back(work, 5, 3, true, times).message == "");
    CHECK_FALSE(times.in_graph);
    CHECK(times.why_no_graph == "OpenCL has no graphs");
    CHECK(runs == 1 + 15);
    REQUIRE(times.seconds.size() == 3);
    for (double s : times.seconds) CHECK(s > 0);
    REQUIRE(timer.latency(work, 2, times).message == "");
    CHECK(runs == 16 + 3);
    CHECK(downloaded(out) == std::vector<float>(64, 2.0f));
}

TEST_CASE("CUDA kernels run in the emulator", "[gpu][emulator]") {
    EmulatedDevice emulated;
    emulated.check_reserved_shared = false;  // for the tests' kernels are as Halide makes them
    configure_emulator(emulated);
    use_cuda_driver(emulated_cuda_symbol);
    CHECK(cuda_available().message == "");
    {
        const std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
        CHECK(device->info().compute_capability == 90);
        CHECK(device->info().multiprocessors == 132);
        CHECK(device->info().l2_bytes == 60 << 20);
        CHECK(device->info().memory_bytes == int64_t(2) << 30);
        check_sums(device);
        const TestKernel depthwise = TestKernel::depthwise(Backend::cuda);
        check_depthwise(device, depthwise.variant());
        const TestKernel add = TestKernel::add(Backend::cuda);
        Status status;
        const std::shared_ptr<GpuDevice> second = opened(Backend::cuda), third = GpuDevice::adopt(device->native_context(), nullptr, status);
        REQUIRE(status.message == "");
        check_in_threads({device, second, third}, add);
        GpuArray::allocate(device, int64_t(3) << 30, status);
        CHECK(status.code == Status::Code::out_of_memory);

        const GpuArray a = uploaded(device, std::vector<float>(64, 1.0f)), out = allocated(device, 64);
        GpuTimer timer(device);
        GpuTimes times;
        REQUIRE(timer.back_to_back([&] { return run_add(*device, add, a, a, out); }, 3, 2, true, times).message == "");
        CHECK(times.seconds.size() == 2);
        INFO(times.why_no_graph);
        CHECK(downloaded(out) == std::vector<float>(64, 2.0f));
        CHECK(take_emulator_faults().empty());
        for (const KernelCounts &launch : take_emulated_launches()) CHECK(launch.kernel != "");
    }
    use_cuda_driver(nullptr);
}

TEST_CASE("a fault of a kernel in the emulator is told, at once or at the next wait", "[gpu][emulator]") {
    const TestKernel add = TestKernel::add(Backend::cuda);
    for (const bool late : {false, true}) {
        EmulatedDevice emulated;
        emulated.faults_are_late = late;
        configure_emulator(emulated);
        use_cuda_driver(emulated_cuda_symbol);
        {
            const std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
            const GpuArray a = uploaded(device, std::vector<float>(64, 1.0f)), out = allocated(device, 64);
            DeviceBuffer in_a(a, 128), in_b(a, 128), sum(out, 128);  // of which half does not exist
            void *argv[] = {&in_a.buffer, &in_b.buffer, &sum.buffer};
            Status status = device->call(add.function(), argv, add.name());
            CHECK(status.ok() == late);
            if (late) status = device->synchronize();
            CHECK(status.code == Status::Code::kernel_failed);
            CHECK(status.message.find(late ? "work queued on CUDA device 0 (Sepal's PTX emulator) failed: cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS"
                                           : "kernel add_cuda failed on CUDA device 0 (Sepal's PTX emulator): cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS") == 0);
            CHECK(take_emulator_faults().size() == 1);
            CHECK(run_add(*device, add, a, a, out).ok() == !late);  // one that is late does not go away
        }
        use_cuda_driver(nullptr);
    }
}

TEST_CASE("CUDA kernels run on this machine's GPU", "[gpu][real_gpu]") {
    use_cuda_driver(nullptr);
    if (const Status status = cuda_available(); !status.ok()) {
        fmt::print("[SKIP] kernels on a GPU: {}\n", status.message);
        return;
    }
    Status status;
    std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
    fmt::print("{}: {} multiprocessors of {} kHz, L2 of {} bytes, memory of {} bytes and {} kHz, CUDA {}\n", device->text(), device->info().multiprocessors,
               device->info().clock_khz, device->info().l2_bytes, device->info().memory_bytes, device->info().memory_clock_khz, device->info().driver_version);
    check_sums(device);
    const TestKernel depthwise = TestKernel::depthwise(Backend::cuda);
    check_depthwise(device, depthwise.variant());

    // Two streams and the default stream of one context, at once.
    const TestKernel add = TestKernel::add(Backend::cuda);
    const std::shared_ptr<GpuDevice> second = opened(Backend::cuda), third = GpuDevice::adopt(device->native_context(), nullptr, status);
    REQUIRE(status.message == "");
    CHECK(second->native_context() == device->native_context());
    CHECK(second->native_queue() != device->native_queue());
    check_in_threads({device, second, third}, add);

    GpuArray::allocate(device, device->info().memory_bytes * 2, status);
    fmt::print("{}\n", status.message);
    CHECK(status.code == Status::Code::out_of_memory);
    const GpuArray a = uploaded(device, std::vector<float>(1 << 20, 1.0f)), out = allocated(device, 1 << 20);
    const float on_host = 0;
    GpuArray::wrap(device, reinterpret_cast<uint64_t>(&on_host), 4, status);
    fmt::print("{}\n", status.message);
    CHECK(status.code == Status::Code::invalid_argument);
    CHECK(GpuArray::wrap(device, out.memory().native, out.bytes(), status).bytes() == out.bytes());
    CHECK(status.message == "");

    GpuTimer timer(device);
    const QueueWork work = [&] { return run_add(*device, add, a, a, out); };
    for (const bool graph : {true, false}) {
        GpuTimes times;
        REQUIRE(timer.back_to_back(work, 100, 7, graph, times).message == "");
        CHECK(times.why_no_graph == "");
        CHECK(times.in_graph == graph);
        fmt::print("12 MB by add, {}: {:.2f} us\n", graph ? "in a graph" : "queued", 1e6 * times.seconds[3]);
        CHECK(times.seconds[3] > 1e-6);
        CHECK(times.seconds[3] < 1e-3);
    }
    GpuTimes cold, empty, latency;
    REQUIRE(timer.cold(work, 7, cold).message == "");
    REQUIRE(timer.empty(7, empty).message == "");
    REQUIRE(timer.latency(work, 7, latency).message == "");
    fmt::print("cold: {:.2f} us, of nothing: {:.2f} us, latency: {:.2f} us\n", 1e6 * cold.seconds[3], 1e6 * empty.seconds[3], 1e6 * latency.seconds[3]);
    CHECK(cold.seconds[3] > empty.seconds[3]);
    CHECK(downloaded(out) == std::vector<float>(1 << 20, 2.0f));
}

// Not among the tests that run by themselves: afterwards this process cannot use CUDA.
TEST_CASE("a kernel that reads where it must not is told at the next wait, and the process goes on", "[.][lost_gpu]") {
    use_cuda_driver(nullptr);
    if (const Status status = cuda_available(); !status.ok()) {
        fmt::print("[SKIP] a GPU that is lost: {}\n", status.message);
        return;
    }
    const TestKernel add = TestKernel::add(Backend::cuda);
    std::shared_ptr<GpuDevice> device = opened(Backend::cuda);
    const GpuArray a = allocated(device, 64), out = allocated(device, 64);
    {
        DeviceBuffer in_a(a, 64), in_b(a, 64), sum(out, 64);
        in_b.buffer.device += 2;  // a misaligned address
        void *argv[] = {&in_a.buffer, &in_b.buffer, &sum.buffer};
        CHECK(device->call(add.function(), argv, add.name()).message == "");
    }
    for (const Status &status : {device->synchronize(), run_add(*device, add, a, a, out), device->synchronize()}) {
        fmt::print("{}\n", status.message);
        CHECK(status.code == Status::Code::kernel_failed);
        CHECK(status.message.find("CUDA_ERROR_MISALIGNED_ADDRESS") != std::string::npos);
    }
    Status status;
    GpuArray::allocate(device, 4, status);
    fmt::print("{}\n", status.message);
    CHECK_FALSE(status.ok());
}
