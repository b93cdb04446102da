// The driver's entry points, over one emulated device.
#include "decode.h"
#include "emulator.h"
#include "execute.h"
#include "module_image.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

namespace sepal {
namespace {

using namespace ptx;

// Those of CUresult that are returned here.
enum Result : int {
    success = 0,
    invalid_value = 1,
    out_of_memory = 2,
    not_initialised = 3,
    no_device = 100,
    invalid_device = 101,
    invalid_image = 200,
    invalid_context = 201,
    no_binary_for_gpu = 209,
    invalid_ptx = 218,
    unsupported_ptx_version = 222,
    invalid_handle = 400,
    not_found = 500,
    launch_out_of_resources = 701,
    context_is_destroyed = 709,
    not_supported = 801,
};
struct NamedResult {
    int code;
    const char *name, *text;
};
constexpr NamedResult named_results[] = {
    {success, "CUDA_SUCCESS", "no error"},
    {invalid_value, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {out_of_memory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {not_initialised, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {no_device, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {invalid_device, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {invalid_image, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {invalid_context, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {no_binary_for_gpu, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {invalid_ptx, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {unsupported_ptx_version, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain"},
    {invalid_handle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {not_found, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {illegal_address, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {launch_out_of_resources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {context_is_destroyed, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {illegal_instruction, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
    {misaligned_address, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {launch_failed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {not_supported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
};

constexpr uint64_t default_dynamic_shared = 48 << 10;
constexpr unsigned most_threads = 1024, reserved_shared = 0x400;

struct LoadedModule;
struct Function {
    LoadedModule *module = nullptr;
    std::unique_ptr<Program> program;
    uint64_t most_dynamic_shared = 0;
};
struct Context {
    bool primary = false;
};
struct LoadedModule {
    Context *context = nullptr;
    std::shared_ptr<const std::string> image;
    ptx::Module text;
    std::map<std::string, uint64_t> addresses;  // of variables
    std::map<std::string, size_t> sizes;
    std::map<std::string, std::unique_ptr<Function>> functions;
};
struct Stream {
    Context *context = nullptr;
};
struct Event {
    bool recorded = false;
    std::chrono::steady_clock::time_point time;
};

template<typename T>
using Owned = std::unordered_map<const void *, std::unique_ptr<T>>;
template<typename T>
T *add(Owned<T> &owned) {
    auto made = std::make_unique<T>();
    T *pointer = made.get();
    owned.emplace(pointer, std::move(made));
    return pointer;
}
template<typename T>
T *find(const Owned<T> &owned, const void *handle) {
    const auto found = owned.find(handle);
    return found == owned.end() ? nullptr : found->second.get();
}

struct Driver {
    explicit Driver(EmulatedDevice d, uint64_t number) : device(std::move(d)), generation(number), memory(device.memory_bytes) {}
    EmulatedDevice device;
    uint64_t generation;  // which device this is: what threads remember of earlier ones is void
    GlobalMemory memory;
    bool initialised = false;
    int late_error = 0;
    Owned<Context> contexts;
    Context *primary = nullptr;
    int primary_users = 0;
    Owned<LoadedModule> modules;
    std::set<const Function *> functions;
    Owned<Stream> streams;
    Owned<Event> events;
    std::map<uint64_t, Context *> allocations;

    void destroy(Context *context) {
        for (auto m = modules.begin(); m != modules.end();) {
            if (m->second->context == context) unload(*m->second), m = modules.erase(m);
            else ++m;
        }
        for (auto a = allocations.begin(); a != allocations.end();) {
            if (a->second == context) memory.free(a->first), a = allocations.erase(a);
            else ++a;
        }
        for (auto s = streams.begin(); s != streams.end();) s->second->context == context ? s = streams.erase(s) : ++s;
        contexts.erase(context);
        late_error = 0;
    }
    void unload(LoadedModule &m) {
        for (const auto &[name, address] : m.addresses) memory.free(address);
        for (const auto &[name, function] : m.functions) functions.erase(function.get());
    }
};

std::recursive_mutex guard;
std::unique_ptr<Driver> present;
std::vector<KernelCounts> launches;
std::vector<std::string> faults;

Driver &driver() {
    if (!present) present = std::make_unique<Driver>(EmulatedDevice{}, 1);
    return *present;
}

int fault(int result, std::string sentence) {
    faults.push_back(std::move(sentence));
    return result;
}

std::vector<Context *> &stack() {
    thread_local std::vector<Context *> contexts;
    thread_local uint64_t generation = 0;
    if (generation != driver().generation) contexts.clear(), generation = driver().generation;
    return contexts;
}
Context *current() { return stack().empty() ? nullptr : stack().back(); }

// Why a call that needs a context cannot be done; 0 when it can.
int check_context() {
    const Driver &d = driver();
    if (!d.initialised) return not_initialised;
    if (!current()) return invalid_context;
    if (!find(d.contexts, current())) return context_is_destroyed;
    return d.late_error;
}
int check_device(int device) {
    const Driver &d = driver();
    if (!d.initialised) return not_initialised;
    return device < 0 || device >= d.device.devices ? invalid_device : success;
}

// An entry point: alone in the driver, and with a context where it needs one.
#define SEPAL_ALONE const std::lock_guard<std::recursive_mutex> alone(guard)
#define SEPAL_IN_CONTEXT                                                                                                                   \
    SEPAL_ALONE;                                                                                                                           \
    if (const int wrong = check_context()) return wrong

using Address = unsigned long long;  // CUdeviceptr

// ---- the device ----
int init(unsigned) {
    SEPAL_ALONE;
    Driver &d = driver();
    if (d.device.init_error) return d.device.init_error;
    if (d.device.devices == 0) return no_device;
    d.initialised = true;
    return success;
}
int driver_get_version(int *version) {
    SEPAL_ALONE;
    if (!version) return invalid_value;
    *version = driver().device.driver_version;
    return success;
}
int device_get_count(int *count) {
    SEPAL_ALONE;
    if (!driver().initialised) return not_initialised;
    if (!count) return invalid_value;
    *count = driver().device.devices;
    return success;
}
int device_get(int *device, int ordinal) {
    SEPAL_ALONE;
    if (const int wrong = check_device(ordinal)) return wrong;
    *device = ordinal;
    return success;
}
int device_get_name(char *name, int length, int device) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    if (!name || length <= 0) return invalid_value;
    const std::string &text = driver().device.name;
    const size_t n = std::min(text.size(), static_cast<size_t>(length) - 1);
    std::memcpy(name, text.data(), n);
    name[n] = '\0';
    return success;
}
int device_total_mem(size_t *bytes, int device) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    *bytes = static_cast<size_t>(driver().device.memory_bytes);
    return success;
}
int device_get_attribute(int *value, int attribute, int device) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    const EmulatedDevice &d = driver().device;
    const std::map<int, int> attributes{
        {1, most_threads}, {2, most_threads}, {3, most_threads}, {4, 64},  // threads of a block, in x, y, z
        {5, std::numeric_limits<int>::max()}, {6, 65535}, {7, 65535},      // blocks in x, y, z
        {8, default_dynamic_shared},                                       // shared memory of a block without opt-in
        {9, 64 << 10},                                                     // constant memory
        {10, lanes}, {11, std::numeric_limits<int>::max()}, {12, 65536},   // warp, pitch, registers of a block
        {13, d.clock_khz}, {14, 512}, {15, 1}, {16, d.multiprocessors}, {17, 0}, {18, 0}, {19, 1}, {20, 0},
        {31, 1}, {32, 1}, {33, 0}, {34, 0}, {35, 0},                       // concurrent kernels, ECC, PCI bus and device, TCC
        {36, d.memory_clock_khz}, {37, d.memory_bus_bits}, {38, d.l2_bytes}, {39, 2048}, {40, 3}, {41, 1}, {50, 0},
        {75, d.compute_capability / 10}, {76, d.compute_capability % 10},
        {81, d.shared_bytes_of_block + 1024}, {82, 65536}, {83, 0}, {95, 0}, {97, d.shared_bytes_of_block}, {106, 32}, {111, 1024}};
    const auto found = attributes.find(attribute);
    if (!value || found == attributes.end())
        return fault(invalid_value, fmt::format("cuDeviceGetAttribute: the emulator does not know attribute {}", attribute));
    *value = found->second;
    return success;
}

// ---- contexts ----
int context_create(void **context, unsigned, int device) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    Context *made = add(driver().contexts);
    stack().push_back(made);
    *context = made;
    return success;
}
int context_destroy(void *context) {
    SEPAL_ALONE;
    Context *c = find(driver().contexts, context);
    if (!c || c->primary) return invalid_context;
    driver().destroy(c);
    if (current() == context) stack().pop_back();
    return success;
}
int context_push(void *context) {
    SEPAL_ALONE;
    Context *c = find(driver().contexts, context);
    if (!c) return invalid_context;
    stack().push_back(c);
    return success;
}
int context_pop(void **context) {
    SEPAL_ALONE;
    if (stack().empty()) return invalid_context;
    if (context) *context = current();
    stack().pop_back();
    return success;
}
int context_set_current(void *context) {
    SEPAL_ALONE;
    Context *c = find(driver().contexts, context);
    if (context && !c) return invalid_context;
    if (!stack().empty()) stack().pop_back();
    if (c) stack().push_back(c);
    return success;
}
int context_get_current(void **context) {
    SEPAL_ALONE;
    if (!driver().initialised) return not_initialised;
    *context = current();
    return success;
}
int context_get_device(int *device) {
    SEPAL_ALONE;
    if (!current()) return invalid_context;
    *device = 0;
    return success;
}
int context_get_api_version(void *context, unsigned *version) {
    SEPAL_ALONE;
    if (context && !find(driver().contexts, context)) return invalid_context;
    *version = 3020;
    return success;
}
int context_synchronize() {
    SEPAL_IN_CONTEXT;
    return success;
}
int primary_retain(void **context, int device) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    Driver &d = driver();
    if (!d.primary) d.primary = add(d.contexts), d.primary->primary = true;
    ++d.primary_users;
    *context = d.primary;
    return success;
}
int primary_reset(int device) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    Driver &d = driver();
    if (d.primary) d.destroy(d.primary);
    d.primary = nullptr, d.primary_users = 0;
    return success;
}
int primary_release(int device) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    Driver &d = driver();
    if (!d.primary) return invalid_context;
    return --d.primary_users == 0 ? primary_reset(device) : success;
}
int primary_get_state(int device, unsigned *flags, int *active) {
    SEPAL_ALONE;
    if (const int wrong = check_device(device)) return wrong;
    if (flags) *flags = 0;
    if (active) *active = driver().primary != nullptr;
    return success;
}
int primary_set_flags(int device, unsigned) { return check_device(device); }
int profiler_stop() { return success; }

// ---- modules and functions ----
int load(void **module, const void *image, std::string &sentence) {
    Driver &d = driver();
    if (d.device.module_error) return sentence = "the module is refused, as the emulator has been told to", d.device.module_error;
    auto loaded = std::make_unique<LoadedModule>();
    try {
        loaded->text = ptx::parse(ptx_of_image(image, d.device.compute_capability));
        loaded->image = std::make_shared<const std::string>(bytes_of_image(image));
    } catch (const BadImage &bad) {
        return sentence = bad.what(), no_binary_for_gpu;
    } catch (const BadPtx &bad) {
        return sentence = bad.what(), invalid_ptx;
    }
    const ptx::Module &text = loaded->text;
    if (text.target > d.device.compute_capability)
        return sentence = fmt::format("the module is PTX for sm_{}, the device is an sm_{}", text.target, d.device.compute_capability),
               no_binary_for_gpu;
    // PTX 7.8 came with CUDA 11.8, 8.x with 12.x, 9.x with 13.x.
    const int needs = text.version >= 70 ? (text.version / 10 + 4) * 1000 + text.version % 10 * 10 : 0;
    if (needs > d.device.driver_version)
        return sentence = fmt::format("the module is PTX {}.{}, which needs a driver of CUDA {}.{}; this one is of CUDA {}.{}",
                                      text.version / 10, text.version % 10, needs / 1000, needs % 1000 / 10, d.device.driver_version / 1000,
                                      d.device.driver_version % 1000 / 10),
               unsupported_ptx_version;
    for (const std::vector<Variable> *variables : {&text.global, &text.constant})
        for (const Variable &v : *variables) {
            const uint64_t address = d.memory.allocate(std::max<size_t>(v.bytes, 1));
            if (!address) return sentence = fmt::format("no memory is left for variable {} of {} bytes", v.name, v.bytes), out_of_memory;
            Allocation *a = d.memory.find(address, 1);
            std::fill(a->data.begin(), a->data.end(), uint8_t{0});
            std::copy_n(v.initial.begin(), std::min(v.initial.size(), a->bytes), a->data.begin());
            a->set_written_range(0, a->bytes);
            loaded->addresses[v.name] = address, loaded->sizes[v.name] = v.bytes;
        }
    loaded->context = current();
    *module = loaded.get();
    d.modules.emplace(loaded.get(), std::move(loaded));
    return success;
}
int module_load_data_ex(void **module, const void *image, unsigned options, const int *names, void **values) {
    SEPAL_IN_CONTEXT;
    std::string sentence;
    const int result = load(module, image, sentence);
    if (!result) return success;
    char *log = nullptr;
    size_t log_bytes = 0;
    for (unsigned o = 0; o < options; ++o) {
        if (names[o] == 5) log = static_cast<char *>(values[o]);                      // CU_JIT_ERROR_LOG_BUFFER
        if (names[o] == 6) log_bytes = reinterpret_cast<uintptr_t>(values[o]) & 0xffffffffu;  // ..._SIZE_BYTES
    }
    if (log && log_bytes) {
        const size_t n = std::min(sentence.size(), log_bytes - 1);
        std::memcpy(log, sentence.data(), n);
        log[n] = '\0';
    }
    return fault(result, sentence);
}
int module_load_data(void **module, const void *image) { return module_load_data_ex(module, image, 0, nullptr, nullptr); }
int module_unload(void *module) {
    SEPAL_ALONE;
    Driver &d = driver();
    LoadedModule *m = find(d.modules, module);
    if (!m) return invalid_handle;
    d.unload(*m);
    d.modules.erase(module);
    return success;
}
int module_get_function(void **function, void *module, const char *name) {
    SEPAL_IN_CONTEXT;
    Driver &d = driver();
    LoadedModule *m = find(d.modules, module);
    if (!m) return invalid_handle;
    std::unique_ptr<Function> &f = m->functions[name];
    if (!f) {
        const auto kernel = std::find_if(m->text.kernels.begin(), m->text.kernels.end(), [&](const Kernel &k) { return k.name == name; });
        if (kernel == m->text.kernels.end()) {
            m->functions.erase(name);
            return not_found;
        }
        f = std::make_unique<Function>();
        f->module = m;
        f->program = decode(*kernel, m->text, m->addresses, d.device.check_reserved_shared ? reserved_shared : 0);
        f->most_dynamic_shared = default_dynamic_shared - std::min(default_dynamic_shared, f->program->static_shared_bytes);
        d.functions.insert(f.get());
    }
    *function = f.get();
    return success;
}
int module_get_global(Address *address, size_t *bytes, void *module, const char *name) {
    SEPAL_IN_CONTEXT;
    const LoadedModule *m = find(driver().modules, module);
    if (!m) return invalid_handle;
    const auto found = m->addresses.find(name);
    if (found == m->addresses.end()) return not_found;
    if (address) *address = found->second;
    if (bytes) *bytes = m->sizes.at(name);
    return success;
}
Function *function_of(void *handle) {
    auto *f = static_cast<Function *>(handle);
    return driver().functions.count(f) ? f : nullptr;
}
constexpr int max_threads_attribute = 0, shared_attribute = 1, local_attribute = 3, ptx_attribute = 5, dynamic_shared_attribute = 8,
              carveout_attribute = 9;
int function_set_attribute(void *function, int attribute, int value) {
    SEPAL_IN_CONTEXT;
    Function *f = function_of(function);
    if (!f) return invalid_handle;
    if (attribute == carveout_attribute) return success;
    if (attribute != dynamic_shared_attribute || value < 0) return invalid_value;
    const uint64_t all = static_cast<uint64_t>(value) + f->program->static_shared_bytes;
    const int most = driver().device.shared_bytes_of_block;
    if (all > static_cast<uint64_t>(most))
        return fault(invalid_value, fmt::format("kernel {}: {} bytes of shared memory are asked for, a block can have {}",
                                                f->program->kernel.name, all, most));
    f->most_dynamic_shared = static_cast<uint64_t>(value);
    return success;
}
int function_get_attribute(int *value, int attribute, void *function) {
    SEPAL_IN_CONTEXT;
    const Function *f = function_of(function);
    if (!f) return invalid_handle;
    switch (attribute) {
    case max_threads_attribute:
        *value = static_cast<int>(f->program->kernel.max_threads ? f->program->kernel.max_threads : most_threads);
        return success;
    case shared_attribute: *value = static_cast<int>(f->program->static_shared_bytes); return success;
    case local_attribute: *value = static_cast<int>(f->program->local_bytes); return success;
    case ptx_attribute: *value = f->module->text.version; return success;
    case dynamic_shared_attribute: *value = static_cast<int>(f->most_dynamic_shared); return success;
    default: return fault(invalid_value, fmt::format("cuFuncGetAttribute: the emulator does not know attribute {}", attribute));
    }
}
int function_set_cache_config(void *function, int) {
    SEPAL_IN_CONTEXT;
    return function_of(function) ? success : invalid_handle;
}

// ---- memory ----
int memory_allocate(Address *address, size_t bytes) {
    SEPAL_IN_CONTEXT;
    if (!address || bytes == 0) return invalid_value;
    Driver &d = driver();
    *address = d.memory.allocate(bytes);
    if (!*address) return out_of_memory;
    d.allocations[*address] = current();
    return success;
}
int memory_free(Address address) {
    SEPAL_IN_CONTEXT;
    if (address == 0) return success;
    Driver &d = driver();
    if (!d.memory.free(address)) return fault(invalid_value, fmt::format("cuMemFree: address {:#x} is not that of an allocation", address));
    d.allocations.erase(address);
    return success;
}
int memory_get_info(size_t *free, size_t *all) {
    SEPAL_IN_CONTEXT;
    const Driver &d = driver();
    *all = static_cast<size_t>(d.device.memory_bytes);
    *free = *all - static_cast<size_t>(d.memory.in_use());
    return success;
}
// The allocation that holds the bytes; a fault when there is none.
Allocation *range(const char *call, Address address, size_t bytes) {
    Allocation *a = driver().memory.find(address, bytes);
    if (!a)
        fault(invalid_value,
              fmt::format("{}: {} bytes at address {:#x}, {}", call, bytes, address, driver().memory.explain(address, bytes)));
    return a;
}
int copy_in(Address to, const void *from, size_t bytes) {
    SEPAL_IN_CONTEXT;
    if (bytes == 0) return success;
    Allocation *a = range("cuMemcpyHtoD", to, bytes);
    if (!a || !from) return invalid_value;
    std::memcpy(a->data.data() + (to - a->address), from, bytes);
    a->set_written_range(to - a->address, bytes);
    return success;
}
int copy_out(void *to, Address from, size_t bytes) {
    SEPAL_IN_CONTEXT;
    if (bytes == 0) return success;
    const Allocation *a = range("cuMemcpyDtoH", from, bytes);
    if (!a || !to) return invalid_value;
    std::memcpy(to, a->data.data() + (from - a->address), bytes);
    return success;
}
int copy_within(Address to, Address from, size_t bytes) {
    SEPAL_IN_CONTEXT;
    if (bytes == 0) return success;
    const Allocation *source = range("cuMemcpyDtoD", from, bytes);
    Allocation *target = range("cuMemcpyDtoD", to, bytes);
    if (!source || !target) return invalid_value;
    std::memmove(target->data.data() + (to - target->address), source->data.data() + (from - source->address), bytes);
    if (source->all_written) {
        target->set_written_range(to - target->address, bytes);
    } else {
        for (size_t b = 0; b < bytes; ++b)
            if (source->is_written(from - source->address + b, 1)) target->set_written(to - target->address + b, 1);
    }
    return success;
}
int copy_in_async(Address to, const void *from, size_t bytes, void *) { return copy_in(to, from, bytes); }
int copy_out_async(void *to, Address from, size_t bytes, void *) { return copy_out(to, from, bytes); }
int copy_within_async(Address to, Address from, size_t bytes, void *) { return copy_within(to, from, bytes); }
int copy_3d(const void *) {
    SEPAL_ALONE;
    return fault(not_supported, "cuMemcpy3D: the emulator copies in one dimension only");
}
template<typename T>
int fill(Address to, T value, size_t count) {
    SEPAL_IN_CONTEXT;
    if (count == 0) return success;
    Allocation *a = range("cuMemsetD", to, count * sizeof(T));
    if (!a || to % sizeof(T)) return invalid_value;
    for (size_t i = 0; i < count; ++i) std::memcpy(a->data.data() + (to - a->address) + i * sizeof(T), &value, sizeof(T));
    a->set_written_range(to - a->address, count * sizeof(T));
    return success;
}
int fill8(Address to, unsigned char value, size_t count) { return fill(to, value, count); }
int fill16(Address to, unsigned short value, size_t count) { return fill(to, value, count); }
int fill32(Address to, unsigned value, size_t count) { return fill(to, value, count); }
int fill8_async(Address to, unsigned char value, size_t count, void *) { return fill(to, value, count); }
int fill16_async(Address to, unsigned short value, size_t count, void *) { return fill(to, value, count); }
int fill32_async(Address to, unsigned value, size_t count, void *) { return fill(to, value, count); }
int host_allocate(void **memory, size_t bytes) {
    SEPAL_IN_CONTEXT;
    *memory = std::malloc(bytes);
    return *memory ? success : out_of_memory;
}
int host_allocate_flags(void **memory, size_t bytes, unsigned) { return host_allocate(memory, bytes); }
int host_free(void *memory) {
    std::free(memory);
    return success;
}
int memory_get_address_range(Address *base, size_t *bytes, Address address) {
    SEPAL_IN_CONTEXT;
    const Allocation *a = range("cuMemGetAddressRange", address, 1);
    if (!a) return not_found;
    if (base) *base = a->address;
    if (bytes) *bytes = a->bytes;
    return success;
}
int pointer_get_attribute(void *value, int attribute, Address address) {
    SEPAL_ALONE;
    Driver &d = driver();
    if (!d.initialised) return not_initialised;
    const Allocation *a = d.memory.find(address, 1);
    if (!a) return invalid_value;
    const auto owner = d.allocations.find(a->address);
    switch (attribute) {
    case 1: *static_cast<void **>(value) = owner == d.allocations.end() ? nullptr : owner->second; return success;  // context
    case 2: *static_cast<unsigned *>(value) = 2; return success;                                                    // memory of the device
    case 3: *static_cast<Address *>(value) = address; return success;
    case 9: *static_cast<int *>(value) = 0; return success;                                                         // the device's number
    case 11: *static_cast<Address *>(value) = a->address; return success;
    case 12: *static_cast<size_t *>(value) = a->bytes; return success;
    default: return fault(invalid_value, fmt::format("cuPointerGetAttribute: the emulator does not know attribute {}", attribute));
    }
}

// ---- streams and events ----
// The null stream and the two of the legacy and per-thread default.
bool is_stream(const void *stream) { return reinterpret_cast<uintptr_t>(stream) <= 2 || find(driver().streams, stream); }
int stream_create(void **stream, unsigned) {
    SEPAL_IN_CONTEXT;
    Stream *s = add(driver().streams);
    s->context = current();
    *stream = s;
    return success;
}
int stream_create_priority(void **stream, unsigned flags, int) { return stream_create(stream, flags); }
int stream_destroy(void *stream) {
    SEPAL_IN_CONTEXT;
    return driver().streams.erase(stream) ? success : invalid_handle;
}
int stream_synchronize(void *stream) {
    SEPAL_IN_CONTEXT;
    return is_stream(stream) ? success : invalid_handle;
}
int stream_wait_event(void *stream, void *event, unsigned) {
    SEPAL_IN_CONTEXT;
    return is_stream(stream) && find(driver().events, event) ? success : invalid_handle;
}
int stream_get_context(void *stream, void **context) {
    SEPAL_IN_CONTEXT;
    if (!is_stream(stream)) return invalid_handle;
    const Stream *s = find(driver().streams, stream);
    *context = s ? s->context : current();
    return success;
}
int event_create(void **event, unsigned) {
    SEPAL_IN_CONTEXT;
    *event = add(driver().events);
    return success;
}
int event_destroy(void *event) {
    SEPAL_IN_CONTEXT;
    return driver().events.erase(event) ? success : invalid_handle;
}
int event_record(void *event, void *stream) {
    SEPAL_IN_CONTEXT;
    Event *e = find(driver().events, event);
    if (!e || !is_stream(stream)) return invalid_handle;
    e->recorded = true, e->time = std::chrono::steady_clock::now();
    return success;
}
int event_synchronize(void *event) {
    SEPAL_IN_CONTEXT;
    return find(driver().events, event) ? success : invalid_handle;
}
int event_elapsed_time(float *milliseconds, void *start, void *end) {
    SEPAL_IN_CONTEXT;
    const Event *a = find(driver().events, start), *b = find(driver().events, end);
    if (!a || !b || !a->recorded || !b->recorded) return invalid_handle;
    *milliseconds = std::chrono::duration<float, std::milli>(b->time - a->time).count();
    return success;
}

// ---- launches ----
// Why the driver would not launch this; empty when it would.
std::string refusal(const Function &f, const LaunchRequest &r) {
    const Program &p = *f.program;
    const EmulatedDevice &device = driver().device;
    const uint64_t threads = uint64_t{1} * r.block[0] * r.block[1] * r.block[2];
    for (int d = 0; d < 3; ++d) {
        const auto n = static_cast<size_t>(d);
        const unsigned most_blocks = d == 0 ? 0x7fffffffu : 65535u, most = d == 2 ? 64 : most_threads;
        if (r.grid[n] == 0 || r.grid[n] > most_blocks)
            return fmt::format("a grid with {} blocks in {}; 1 to {} are possible", r.grid[n], "xyz"[d], most_blocks);
        if (r.block[n] == 0 || r.block[n] > most)
            return fmt::format("a block with {} threads in {}; 1 to {} are possible", r.block[n], "xyz"[d], most);
    }
    if (threads > most_threads) return fmt::format("a block of {} threads; {} are possible", threads, most_threads);
    if (p.kernel.max_threads && threads > p.kernel.max_threads)
        return fmt::format("a block of {} threads, but the kernel has .maxntid {}", threads, p.kernel.max_threads);
    if (r.dynamic_shared_bytes + p.static_shared_bytes > static_cast<uint64_t>(device.shared_bytes_of_block))
        return fmt::format("{} bytes of shared memory; a block can have {}", r.dynamic_shared_bytes + p.static_shared_bytes,
                           device.shared_bytes_of_block);
    if (r.dynamic_shared_bytes > f.most_dynamic_shared)
        return fmt::format(
            "{} bytes of dynamic shared memory; without a larger CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES {} are allowed",
            r.dynamic_shared_bytes, f.most_dynamic_shared);
    return {};
}

int launch_kernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                  void *stream, void **params, void **extra) {
    SEPAL_IN_CONTEXT;
    Driver &d = driver();
    const Function *f = function_of(function);
    if (!f || !is_stream(stream)) return invalid_handle;
    const Program &p = *f->program;
    LaunchRequest request;
    request.grid = {gx, gy, gz}, request.block = {bx, by, bz};
    request.dynamic_shared_bytes = shared;
    request.most_warp_instructions = d.device.most_warp_instructions;
    if (const std::string why = refusal(*f, request); !why.empty())
        return fault(invalid_value, fmt::format("kernel {} is not launched: {}", p.kernel.name, why));
    request.params.resize(p.param_bytes);
    if (extra) {  // one packed buffer: pairs of a tag (1 pointer, 2 size) and its value, up to tag 0
        for (void **e = extra; *e; e += 2)
            if (reinterpret_cast<uintptr_t>(*e) == 1) std::memcpy(request.params.data(), e[1], p.param_bytes);
    } else {
        if (!params && p.param_bytes)
            return fault(invalid_value, fmt::format("kernel {} is not launched: it has parameters and none are given", p.kernel.name));
        for (size_t n = 0; n < p.kernel.params.size(); ++n)
            std::memcpy(request.params.data() + p.param_offsets[n], params[n], p.kernel.params[n].bytes);
    }
    int error = d.device.launch_error;
    if (error) {
        fault(error, fmt::format("kernel {} fails, as the emulator has been told to", p.kernel.name));
    } else {
        try {
            launches.push_back(execute(p, d.memory, std::move(request)));
            launches.back().image = f->module->image;
        } catch (const Fault &found) {
            error = fault(found.error, found.sentence);
        }
    }
    if (!d.device.faults_are_late) return error;
    d.late_error = error;
    return success;
}

int get_error_name(int error, const char **text) {
    for (const NamedResult &r : named_results)
        if (r.code == error) return *text = r.name, success;
    return *text = nullptr, invalid_value;
}
int get_error_string(int error, const char **text) {
    for (const NamedResult &r : named_results)
        if (r.code == error) return *text = r.text, success;
    return *text = nullptr, invalid_value;
}

const std::unordered_map<std::string, void *> &symbols() {
#define SEPAL_SYMBOL(name, function) {name, reinterpret_cast<void *>(function)}
    static const std::unordered_map<std::string, void *> table{
        SEPAL_SYMBOL("cuInit", init),
        SEPAL_SYMBOL("cuDriverGetVersion", driver_get_version),
        SEPAL_SYMBOL("cuDeviceGetCount", device_get_count),
        SEPAL_SYMBOL("cuDeviceGet", device_get),
        SEPAL_SYMBOL("cuDeviceGetName", device_get_name),
        SEPAL_SYMBOL("cuDeviceTotalMem", device_total_mem),
        SEPAL_SYMBOL("cuDeviceGetAttribute", device_get_attribute),
        SEPAL_SYMBOL("cuCtxCreate", context_create),
        SEPAL_SYMBOL("cuCtxDestroy", context_destroy),
        SEPAL_SYMBOL("cuCtxPushCurrent", context_push),
        SEPAL_SYMBOL("cuCtxPopCurrent", context_pop),
        SEPAL_SYMBOL("cuCtxSetCurrent", context_set_current),
        SEPAL_SYMBOL("cuCtxGetCurrent", context_get_current),
        SEPAL_SYMBOL("cuCtxGetDevice", context_get_device),
        SEPAL_SYMBOL("cuCtxGetApiVersion", context_get_api_version),
        SEPAL_SYMBOL("cuCtxSynchronize", context_synchronize),
        SEPAL_SYMBOL("cuDevicePrimaryCtxRetain", primary_retain),
        SEPAL_SYMBOL("cuDevicePrimaryCtxRelease", primary_release),
        SEPAL_SYMBOL("cuDevicePrimaryCtxReset", primary_reset),
        SEPAL_SYMBOL("cuDevicePrimaryCtxGetState", primary_get_state),
        SEPAL_SYMBOL("cuDevicePrimaryCtxSetFlags", primary_set_flags),
        SEPAL_SYMBOL("cuProfilerStart", profiler_stop),
        SEPAL_SYMBOL("cuProfilerStop", profiler_stop),
        SEPAL_SYMBOL("cuModuleLoadData", module_load_data),
        SEPAL_SYMBOL("cuModuleLoadDataEx", module_load_data_ex),
        SEPAL_SYMBOL("cuModuleLoadFatBinary", module_load_data),
        SEPAL_SYMBOL("cuModuleUnload", module_unload),
        SEPAL_SYMBOL("cuModuleGetFunction", module_get_function),
        SEPAL_SYMBOL("cuModuleGetGlobal", module_get_global),
        SEPAL_SYMBOL("cuFuncSetAttribute", function_set_attribute),
        SEPAL_SYMBOL("cuFuncGetAttribute", function_get_attribute),
        SEPAL_SYMBOL("cuFuncSetCacheConfig", function_set_cache_config),
        SEPAL_SYMBOL("cuMemAlloc", memory_allocate),
        SEPAL_SYMBOL("cuMemFree", memory_free),
        SEPAL_SYMBOL("cuMemGetInfo", memory_get_info),
        SEPAL_SYMBOL("cuMemGetAddressRange", memory_get_address_range),
        SEPAL_SYMBOL("cuMemAllocHost", host_allocate),
        SEPAL_SYMBOL("cuMemHostAlloc", host_allocate_flags),
        SEPAL_SYMBOL("cuMemFreeHost", host_free),
        SEPAL_SYMBOL("cuMemcpyHtoD", copy_in),
        SEPAL_SYMBOL("cuMemcpyDtoH", copy_out),
        SEPAL_SYMBOL("cuMemcpyDtoD", copy_within),
        SEPAL_SYMBOL("cuMemcpyHtoDAsync", copy_in_async),
        SEPAL_SYMBOL("cuMemcpyDtoHAsync", copy_out_async),
        SEPAL_SYMBOL("cuMemcpyDtoDAsync", copy_within_async),
        SEPAL_SYMBOL("cuMemcpy3D", copy_3d),
        SEPAL_SYMBOL("cuMemsetD8", fill8),
        SEPAL_SYMBOL("cuMemsetD16", fill16),
        SEPAL_SYMBOL("cuMemsetD32", fill32),
        SEPAL_SYMBOL("cuMemsetD8Async", fill8_async),
        SEPAL_SYMBOL("cuMemsetD16Async", fill16_async),
        SEPAL_SYMBOL("cuMemsetD32Async", fill32_async),
        SEPAL_SYMBOL("cuPointerGetAttribute", pointer_get_attribute),
        SEPAL_SYMBOL("cuStreamCreate", stream_create),
        SEPAL_SYMBOL("cuStreamCreateWithPriority", stream_create_priority),
        SEPAL_SYMBOL("cuStreamDestroy", stream_destroy),
        SEPAL_SYMBOL("cuStreamSynchronize", stream_synchronize),
        SEPAL_SYMBOL("cuStreamQuery", stream_synchronize),
        SEPAL_SYMBOL("cuStreamWaitEvent", stream_wait_event),
        SEPAL_SYMBOL("cuStreamGetCtx", stream_get_context),
        SEPAL_SYMBOL("cuEventCreate", event_create),
        SEPAL_SYMBOL("cuEventDestroy", event_destroy),
        SEPAL_SYMBOL("cuEventRecord", event_record),
        SEPAL_SYMBOL("cuEventSynchronize", event_synchronize),
        SEPAL_SYMBOL("cuEventQuery", event_synchronize),
        SEPAL_SYMBOL("cuEventElapsedTime", event_elapsed_time),
        SEPAL_SYMBOL("cuLaunchKernel", launch_kernel),
        SEPAL_SYMBOL("cuGetErrorName", get_error_name),
        SEPAL_SYMBOL("cuGetErrorString", get_error_string),
    };
#undef SEPAL_SYMBOL
    return table;
}

}  // namespace

void *emulated_cuda_symbol(const char *name) {
    std::string plain = name;
    if (plain.size() > 3 && plain.compare(plain.size() - 3, 3, "_v2") == 0) plain.resize(plain.size() - 3);
    const auto found = symbols().find(plain);
    return found == symbols().end() ? nullptr : found->second;
}

void configure_emulator(const EmulatedDevice &device) {
    SEPAL_ALONE;
    present = std::make_unique<Driver>(device, driver().generation + 1);
    launches.clear();
    faults.clear();
}

std::vector<KernelCounts> take_emulated_launches() {
    SEPAL_ALONE;
    return std::exchange(launches, {});
}

std::vector<std::string> take_emulator_faults() {
    SEPAL_ALONE;
    return std::exchange(faults, {});
}

}  // namespace sepal
