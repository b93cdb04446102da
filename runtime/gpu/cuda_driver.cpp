#include "cuda_driver.h"

#include "cuda_api.h"
#include "runtime/kernel_error.h"
#include "runtime/platform.h"

#include <fmt/format.h>

#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace sepal {
namespace cuda {
namespace {

// The kernels' PTX is of ISA 7.0, that of sm_80 and of its mma instructions, which drivers read from CUDA 11.0 on. (Machine code beside it that
// a driver is too old for is said when the kernel is loaded.)
constexpr int needed_driver_version = 11000;
constexpr int needed_compute_capability = 80;
// Limits of every device of compute capability 8.0 and later.
constexpr unsigned max_grid_y_z = 65535;
constexpr size_t shared_bytes_without_opt_in = 48 << 10;

void *library = nullptr;
void *system_symbol(const char *name) { return library_symbol(library, name); }

// Never destroyed, for Halide's runtime unloads modules when the program ends.
struct Driver {
    std::mutex mutex;
    CudaSymbols symbols = nullptr;  // as given to use_cuda_driver()
    bool started = false;
    int version = 0;
};
Driver &driver() {
    static Driver &one = *new Driver;
    return one;
}

void look_up_all(CudaSymbols symbols) {
    for (AnyEntryPoint *e = AnyEntryPoint::first(); e; e = e->next()) e->look_up(symbols);
}

Status unsupported(std::string message) { return {Status::Code::unsupported, std::move(message)}; }

// Looks the entry points up. The driver's mutex is held.
Status load() {
    if (driver().symbols) {
        look_up_all(driver().symbols);
        return {};
    }
    std::string why;
    for (const char *name : {"libcuda.so.1", "libcuda.so"}) {
        if (library) break;
        std::string reason;
        library = load_library(name, reason);
        if (!library && why.empty()) why = reason;
    }
    look_up_all(library ? system_symbol : nullptr);
    if (!library) return unsupported(fmt::format("there is no NVIDIA driver: neither libcuda.so.1 nor libcuda.so can be loaded ({})", why));
    return {};
}

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

// What the results of cuInit mean that users meet.
std::string start_hint(Result result) {
    switch (result) {
    case no_device: return "the NVIDIA driver finds no GPU";
    case 34: return "the libcuda.so that was found is a stub of the CUDA Toolkit, not the NVIDIA driver";
    case 802: return "the NVIDIA driver is not ready yet (its fabric manager or persistence daemon may not be running)";
    case 803: return "libcuda.so and the NVIDIA kernel module are of different versions; a restart of the machine mostly helps after an update";
    case 804: return "the libcuda.so that was found is a compatibility package that does not support this GPU";
    default: return "the NVIDIA driver cannot be started";
    }
}

// After these the context, and with it the process, can do no more on the GPU.
bool is_sticky(Result result) { return result == 700 || result == 702 || result == 710 || (result >= 714 && result <= 719); }

struct Name {
    void *module = nullptr;
    std::string name;
    size_t shared_bytes = shared_bytes_without_opt_in;  // that a launch may use
};

// The functions of the modules that Halide's runtime has loaded. Never destroyed, as the driver.
struct Functions {
    std::mutex mutex;
    std::unordered_map<void *, Name> names;
};
Functions &functions() {
    static Functions &all = *new Functions;
    return all;
}

thread_local Failure first_failure;
thread_local std::optional<CudaLaunch> last_launch;

// What Halide's runtime gets in the place of some entry points.

Result push_context(void *context) { return KeepContext::kept() ? success : cuCtxPushCurrent(context); }
Result pop_context(void **context) { return KeepContext::kept() ? success : cuCtxPopCurrent(context); }

// Halide asks for at most 64 registers a thread, with which large tiles spill; the code says what it needs by its launch bounds.
Result load_module(void **module, const void *image, unsigned, int *, void **) {
    std::array<char, 8192> log = {};
    int options[] = {jit_error_log_buffer, jit_error_log_buffer_size_bytes};
    void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
    const Result result = cuModuleLoadDataEx(module, image, 2, options, values);
    if (result == success) return result;
    const Failure failure = take_failure();
    log.back() = 0;
    const std::string said = on_one_line(log.data());
    note_failure(result, fmt::format("the driver, of CUDA {}, does not take its device code: {}{}{}", version_text(driver_version()), failure.text,
                                     said.empty() ? "" : ": ", said));
    return result;
}

Result unload_module(void *module) {
    {
        Functions &all = functions();
        std::lock_guard<std::mutex> lock(all.mutex);
        for (auto f = all.names.begin(); f != all.names.end();) f = f->second.module == module ? all.names.erase(f) : std::next(f);
    }
    return cuModuleUnload(module);
}

Result get_function(void **function, void *module, const char *name) {
    const Result result = cuModuleGetFunction(function, module, name);
    if (result == success) {
        Functions &all = functions();
        std::lock_guard<std::mutex> lock(all.mutex);
        Name &known = all.names[*function];
        if (known.module != module || known.name != name) known = {module, name};
    }
    return result;
}

// Halide launches without the opt-in that more than 48 KB of shared memory need.
Result launch(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
              unsigned shared_bytes, void *stream, void **arguments, void **extra) {
    if (!last_launch) last_launch.emplace();
    CudaLaunch &l = *last_launch;
    l.grid = {grid_x, grid_y, grid_z};
    l.block = {block_x, block_y, block_z};
    l.shared_bytes = shared_bytes;
    bool opt_in = false;
    {
        Functions &all = functions();
        std::lock_guard<std::mutex> lock(all.mutex);
        Name &known = all.names[function];
        l.kernel = known.name;
        opt_in = shared_bytes > known.shared_bytes;
    }
    if (grid_y > max_grid_y_z || grid_z > max_grid_y_z) {
        note_failure(invalid_value, fmt::format("the problem is too large for it: it would launch {} x {} x {} blocks, and a GPU takes at most {} in y and z",
                                                grid_x, grid_y, grid_z, max_grid_y_z));
        return invalid_value;
    }
    if (opt_in) {
        if (const Result result = cuFuncSetAttribute(function, max_dynamic_shared_size_bytes, int(shared_bytes)); result != success) {
            note_failure(result, fmt::format("it needs {} bytes of shared memory for each block, which the device does not give: {}", shared_bytes,
                                             take_failure().text));
            return result;
        }
        Functions &all = functions();
        std::lock_guard<std::mutex> lock(all.mutex);
        all.names[function].shared_bytes = shared_bytes;
    }
    return cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, arguments, extra);
}

// Halide's runtime keeps the addresses that it gets; these look the driver's up at each call, so that use_cuda_driver() has its effect.
template<auto *entry>
struct Forward;
template<typename... Args, EntryPoint<Args...> *entry>
struct Forward<entry> {
    static Result call(Args... args) { return (*entry)(args...); }
};
template<auto *entry>
std::pair<const std::string_view, void *> forwarded() {
    return {entry->name(), reinterpret_cast<void *>(&Forward<entry>::call)};
}

[[maybe_unused]] void *symbol_for_halide(std::string_view name) {
    static const auto &symbols = *new std::unordered_map<std::string_view, void *>{
        {cuCtxPushCurrent.name(), reinterpret_cast<void *>(&push_context)},
        {cuCtxPopCurrent.name(), reinterpret_cast<void *>(&pop_context)},
        {cuModuleLoadDataEx.name(), reinterpret_cast<void *>(&load_module)},
        {cuModuleUnload.name(), reinterpret_cast<void *>(&unload_module)},
        {cuModuleGetFunction.name(), reinterpret_cast<void *>(&get_function)},
        {cuLaunchKernel.name(), reinterpret_cast<void *>(&launch)},
        forwarded<&cuInit>(),
        forwarded<&cuDeviceGetCount>(),
        forwarded<&cuDeviceGet>(),
        forwarded<&cuDeviceGetAttribute>(),
        forwarded<&cuDeviceGetName>(),
        forwarded<&cuDeviceTotalMem>(),
        forwarded<&cuCtxCreate>(),
        forwarded<&cuCtxDestroy>(),
        forwarded<&cuCtxGetDevice>(),
        forwarded<&cuCtxGetApiVersion>(),
        forwarded<&cuCtxSynchronize>(),
        forwarded<&cuProfilerStop>(),
        forwarded<&cuStreamSynchronize>(),
        forwarded<&cuModuleLoadData>(),
        forwarded<&cuMemAlloc>(),
        forwarded<&cuMemFree>(),
        forwarded<&cuMemcpyHtoD>(),
        forwarded<&cuMemcpyDtoH>(),
        forwarded<&cuMemcpyDtoD>(),
        forwarded<&cuMemcpyHtoDAsync>(),
        forwarded<&cuMemcpyDtoHAsync>(),
        forwarded<&cuMemcpyDtoDAsync>(),
        forwarded<&cuMemcpy3D>(),
        forwarded<&cuPointerGetAttribute>(),
    };
    const auto found = symbols.find(name);
    return found == symbols.end() ? nullptr : found->second;
}

// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)", in the driver's own words.
std::string result_text(Result result) {
    const char *name = nullptr, *description = nullptr;
    if (cuGetErrorName.quietly(result, &name) != success || !name) return fmt::format("CUDA error {}", result);
    if (cuGetErrorString.quietly(result, &description) != success || !description) return name;
    return fmt::format("{} ({})", name, description);
}

}  // namespace

Failure take_failure() { return std::exchange(first_failure, {}); }

void note_failure(Result result, const std::string &text) {
    if (first_failure.result == success) first_failure = {result, text};
}

Status failed(const Failure &failure, const std::string &what) {
    const char *const lost = is_sticky(failure.result) ? "; it may be the fault of a kernel that was started before, and a new process is needed to use CUDA again" : "";
    return {failure.result == out_of_memory ? Status::Code::out_of_memory : Status::Code::kernel_failed, fmt::format("{}: {}{}", what, failure.text, lost)};
}

Status status_of(Result result, const std::string &what) { return result == success ? Status() : failed(take_failure(), what); }

Result AnyEntryPoint::missing() const {
    note_failure(not_found, fmt::format("the CUDA driver has no function {}", name_));
    return not_found;
}

Result AnyEntryPoint::noted(Result result) const {
    const std::string_view name = name_;
    if (result == context_is_destroyed || (result == invalid_context && this == &cuCtxPushCurrent))
        note_failure(result, fmt::format("its CUDA context was destroyed: {}", result_text(result)));
    else
        note_failure(result, fmt::format("{}: {}", name.substr(0, name.find('_')), result_text(result)));
    return result;
}

Status start() {
    Driver &d = driver();
    std::lock_guard<std::mutex> lock(d.mutex);
    take_failure();
    if (d.started) return {};
    if (Status status = load(); !status.ok()) return status;
    if (const Result result = cuInit(0); result != success) return unsupported(fmt::format("{}: {}", start_hint(result), take_failure().text));
    if (cuDriverGetVersion(&d.version) != success) return unsupported("the NVIDIA driver does not say its version: " + take_failure().text);
    if (d.version < needed_driver_version)
        return unsupported(fmt::format("the NVIDIA driver is too old: it is of CUDA {}, and the kernels' PTX of ISA 7.0 needs one of CUDA {} or later",
                                       version_text(d.version), version_text(needed_driver_version)));
    d.started = true;
    return {};
}

int driver_version() { return driver().version; }

Status count_devices(int &count) {
    count = 0;
    if (cuDeviceGetCount(&count) != success) return unsupported("the GPUs cannot be counted: " + take_failure().text);
    if (count <= 0) return unsupported("the NVIDIA driver finds no GPU");
    return {};
}

std::string device_text(int device) {
    std::array<char, 256> name = {};
    if (cuDeviceGetName.quietly(name.data(), int(name.size() - 1), device) != success || !name[0]) return fmt::format("CUDA device {}", device);
    return fmt::format("CUDA device {} ({})", device, name.data());
}

Status check_device(int index) {
    int device = 0, major = 0, minor = 0;
    if (cuDeviceGet(&device, index) != success || cuDeviceGetAttribute(&major, compute_capability_major, device) != success ||
        cuDeviceGetAttribute(&minor, compute_capability_minor, device) != success)
        return unsupported(fmt::format("CUDA device {} cannot be used: {}", index, take_failure().text));
    if (10 * major + minor < needed_compute_capability)
        return unsupported(fmt::format("{} is too old: its compute capability is {}.{}, and the kernels need {}.{} or later", device_text(device), major, minor,
                                       needed_compute_capability / 10, needed_compute_capability % 10));
    return {};
}

}  // namespace cuda

void use_cuda_driver(CudaSymbols symbols) {
    cuda::Driver &d = cuda::driver();
    std::lock_guard<std::mutex> lock(d.mutex);
    d.symbols = symbols;
    d.started = false;
    d.version = 0;
}

Status cuda_available() {
    if (Status status = cuda::start(); !status.ok()) return status;
    int count = 0;
    if (Status status = cuda::count_devices(count); !status.ok()) return status;
    Status first = cuda::check_device(0);
    for (int index = 1; !first.ok() && index < count; index++)
        if (cuda::check_device(index).ok()) return {};
    return first;
}

std::optional<CudaLaunch> last_cuda_launch() { return cuda::last_launch; }

}  // namespace sepal

#if !defined(_WIN32)  // where no device is ever opened, and nothing is weak
// Weak in Halide's runtime, which calls it for each function of the driver before it first uses one.
extern "C" void *halide_cuda_get_symbol(void *, const char *name) {
    // Without a driver nothing is found, which Halide's runtime reports.
    return sepal::cuda::start().ok() ? sepal::cuda::symbol_for_halide(name) : nullptr;
}
#endif
