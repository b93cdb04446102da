#include "peak_kernels.h"

#include "runtime/gpu/cuda_api.h"
#include "runtime/half.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace sepal {
namespace {

using namespace cuda;

// Arithmetic. A multiprocessor of sm_80 and later has four parts, each of which issues a warp's instruction a clock. A multiply-add takes 4
// clocks until its sum can be used, an mma.sync some 30: this many sums of a warp, none of which depends on another, and this many
// warps keep every part at work, and their registers fit.
//   fma: 16 sums of a thread x all 64 (sm_86, sm_89: 48) warps of a multiprocessor, in blocks of 256 threads of at most 32 registers;
//   mma: 16 sums of a warp, of 4 registers a thread, x 16 warps of a multiprocessor (1 block of 512 threads, at most 128 registers each).
constexpr int sums = 16, full_registers = 32;
constexpr unsigned fma_threads = 256;
constexpr int fma_steps = 8;  // of each sum in a trip: 128 multiply-adds, beside which the loop's own 3 instructions do not count
constexpr unsigned mma_threads = 512, lanes = 32;
constexpr int mma_steps = 2;  // of each sum in a trip: 32 mma.sync
constexpr double mma_flops = 2.0 * 16 * 8 * 16;
// Memory. A thread has 4 loads of 16 bytes under way, a block's are 16 KB in a row. With all warps of a multiprocessor these are 96 KB or more,
// two times as much as the longest latency (about 1 us of DRAM under load) at the highest rate (some 50 GB/s of a multiprocessor, of L2)
// needs.
constexpr unsigned memory_threads = 256;
constexpr int loads = 4;
static_assert(PeakKernels::piece_bytes == int64_t(memory_threads) * loads * 16);

constexpr uint8_t fill_byte = 0x5a;

std::string list(const char *prefix, int first, int count) {
    std::string text;
    for (int i = 0; i < count; i++) text += fmt::format("{}{}{}", i ? ", " : "", prefix, first + i);
    return text;
}

// The bits of all sums, added, are the thread's result: each counts, and a store of one word takes no time.
std::string store_bits(int count, unsigned threads) {
    std::string text = "mov.b32 %bits, 0;\n";
    for (int i = 0; i < count; i++) text += fmt::format("mov.b32 %word, %x{};\nadd.u32 %bits, %bits, %word;\n", i);
    return text + fmt::format("mov.u32 %block, %ctaid.x;\nmad.lo.u32 %word, %block, {}, %thread;\nmul.wide.u32 %offset, %word, 4;\n"
                              "add.s64 %out, %out, %offset;\nst.global.u32 [%out], %bits;\nret;\n}}\n", threads);
}

constexpr const char *next_trip = "add.s32 %trips, %trips, -1;\nsetp.ne.s32 %again, %trips, 0;\n@%again bra loop;\n";

// Every sum x becomes b - x, seven times, and then c - x, so that no factor of the multiply-adds is 1 and every bit of a number changes. With
// c = b + 1 that makes x + 1 of x in a trip, which is exact up to 2048 in f16. The factors come from memory, behind the words that the sums begin
// with: of constants and arguments the assembler makes other instructions, or loads them anew in each trip.
constexpr unsigned first_factor = sums * fma_threads * 4;  // its byte
std::string fma_ptx(const char *name, const char *instruction, const char *type) {
    std::string text = fmt::format(
        ".visible .entry {0}(.param .u64 in, .param .u64 out, .param .u32 trips)\n"
        ".maxntid {1}, 1, 1\n.maxnreg {2}\n{{\n.reg .pred %again;\n.reg .b32 %thread, %block, %trips, %bits, %word;\n.reg .b64 %in, %out, %offset;\n"
        ".reg .{3} %x<{4}>, %minus, %b, %c;\n"
        "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nld.param.u32 %trips, [trips];\n"
        "ld.global.{3} %minus, [%in+{5}];\nld.global.{3} %b, [%in+{6}];\nld.global.{3} %c, [%in+{7}];\n"
        "mov.u32 %thread, %tid.x;\nmul.wide.u32 %offset, %thread, 4;\nadd.s64 %in, %in, %offset;\n",
        name, fma_threads, full_registers, type, sums, first_factor, first_factor + 4, first_factor + 8);
    for (int i = 0; i < sums; i++) text += fmt::format("ld.global.{} %x{}, [%in+{}];\n", type, i, i * fma_threads * 4);
    text += "loop:\n";
    for (int step = 0; step < fma_steps; step++)
        for (int i = 0; i < sums; i++) text += fmt::format("{0} %x{1}, %x{1}, %minus, {2};\n", instruction, i, step + 1 < fma_steps ? "%b" : "%c");
    return text + next_trip + store_bits(sums, fma_threads);
}

// A trip adds A B and then A' B to each of 16 sums, of the same A and A' (16 x 16) and a B (16 x 8) of its own. Input: for each register of the
// fragments, 4 of A, 4 of A', 2 of each B, a word of each lane; every warp has the same.
constexpr int a_words = 4, b_words = 2, c_words = 4;
std::string mma_ptx() {
    const int words = 2 * a_words + sums * b_words;
    std::string text = fmt::format(".visible .entry sepal_peak_f16_mma(.param .u64 in, .param .u64 out, .param .u32 trips)\n.maxntid {}, 1, 1\n"
                                   ".maxnreg 128\n{{\n.reg .pred %again;\n.reg .b32 %thread, %block, %trips, %bits, %word, %lane, %w<{}>;\n"
                                   ".reg .b64 %in, %out, %offset;\n.reg .f32 %x<{}>;\n"
                                   "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nld.param.u32 %trips, [trips];\nmov.u32 %thread, %tid.x;\n"
                                   "and.b32 %lane, %thread, {};\nmul.wide.u32 %offset, %lane, 4;\nadd.s64 %in, %in, %offset;\n",
                                   mma_threads, words, sums * c_words, lanes - 1);
    for (int i = 0; i < words; i++) text += fmt::format("ld.global.b32 %w{}, [%in+{}];\n", i, i * lanes * 4);
    for (int i = 0; i < sums * c_words; i++) text += fmt::format("mov.f32 %x{}, 0f00000000;\n", i);
    text += "loop:\n";
    for (int step = 0; step < mma_steps; step++)
        for (int i = 0; i < sums; i++)
            text += fmt::format("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {{{0}}}, {{{1}}}, {{{2}}}, {{{0}}};\n", list("%x", i * c_words, c_words),
                                list("%w", step * a_words, a_words), list("%w", 2 * a_words + i * b_words, b_words));
    return text + next_trip + store_bits(sums * c_words, mma_threads);
}

std::string copy_ptx() {
    std::string text = fmt::format(".visible .entry sepal_peak_copy(.param .u64 in, .param .u64 out)\n.maxntid {}, 1, 1\n.maxnreg {}\n{{\n"
                                   ".reg .b32 %thread, %block, %x<{}>;\n.reg .b64 %in, %out, %piece, %offset;\n"
                                   "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nmov.u32 %thread, %tid.x;\nmov.u32 %block, %ctaid.x;\n"
                                   "mul.wide.u32 %piece, %block, {};\nmul.wide.u32 %offset, %thread, 16;\nadd.s64 %offset, %offset, %piece;\n"
                                   "add.s64 %in, %in, %offset;\nadd.s64 %out, %out, %offset;\n",
                                   memory_threads, full_registers, loads * 4, PeakKernels::piece_bytes);
    for (int i = 0; i < loads; i++) text += fmt::format("ld.global.v4.u32 {{{}}}, [%in+{}];\n", list("%x", 4 * i, 4), i * memory_threads * 16);
    for (int i = 0; i < loads; i++) text += fmt::format("st.global.v4.u32 [%out+{}], {{{}}};\n", i * memory_threads * 16, list("%x", 4 * i, 4));
    return text + "ret;\n}\n";
}

// A block reads its piece, and then every (number of blocks)-th piece after it, from the last one on to the first: all blocks read as much,
// whatever the footprint. Past L1, which keeps nothing of .cg. The result is the sum of the thread's words.
std::string read_ptx() {
    std::string text = fmt::format(".visible .entry sepal_peak_read(.param .u64 in, .param .u64 out, .param .u32 pieces, .param .u32 trips)\n"
                                   ".maxntid {}, 1, 1\n.maxnreg {}\n{{\n.reg .pred %again, %beyond;\n"
                                   ".reg .b32 %thread, %block, %trips, %bits, %word, %piece, %pieces, %step, %x0, %y<{}>;\n.reg .b64 %in, %out, %at, %offset;\n"
                                   "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\nld.param.u32 %pieces, [pieces];\nld.param.u32 %trips, [trips];\n"
                                   "mov.u32 %thread, %tid.x;\nmul.wide.u32 %offset, %thread, 16;\nadd.s64 %in, %in, %offset;\n"
                                   "mov.u32 %piece, %ctaid.x;\nrem.u32 %piece, %piece, %pieces;\nmov.u32 %step, %nctaid.x;\nrem.u32 %step, %step, %pieces;\n"
                                   "mov.u32 %x0, 0;\nloop:\nmul.wide.u32 %at, %piece, {};\nadd.s64 %at, %in, %at;\n",
                                   memory_threads, full_registers, loads * 4, PeakKernels::piece_bytes);
    for (int i = 0; i < loads; i++) text += fmt::format("ld.global.cg.v4.u32 {{{}}}, [%at+{}];\n", list("%y", 4 * i, 4), i * memory_threads * 16);
    for (int i = 0; i < loads * 4; i++) text += fmt::format("add.u32 %x0, %x0, %y{};\n", i);
    text += "add.u32 %piece, %piece, %step;\nsetp.ge.u32 %beyond, %piece, %pieces;\n@%beyond sub.u32 %piece, %piece, %pieces;\n";
    return text + next_trip + store_bits(1, memory_threads);
}

uint32_t bits_of(float value) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
uint32_t halves(float low, float high) { return half_from_float(low) | uint32_t(half_from_float(high)) << 16; }

// What sum `i` of a thread begins with, as f32 or as two halves: different in each thread, and at most 511.
struct Start {
    bool half;
    uint32_t after(int i, unsigned thread, int trips) const {
        const float x = float(thread + 16 * unsigned(i));
        return half ? halves(x + float(trips), float(thread) + float(trips)) : bits_of(x + float(trips));
    }
};

// The fragments of mma as the lanes hold them (PTX ISA, "Matrix Fragments for mma.m16n8k16"): numbers of 9 bits in A, of 5 in B. A' is -A but
// for the last column of k, where it is 1 - A, so that a trip adds the last row of B to every row of a sum. All sums on the way are
// whole numbers below 2^18, which f32 holds.
struct MmaData {
    std::array<std::array<int, 16>, 16> a{};
    std::array<std::array<std::array<int, 8>, 16>, sums> b{};
    MmaData() {
        uint32_t seed = 1;
        const auto next = [&](int most) {  // -most to most
            seed = seed * 1664525u + 1013904223u;
            return int(seed >> 8) % (2 * most + 1) - most;
        };
        for (auto &row : a)
            for (int &x : row) x = next(511);
        for (auto &one : b)
            for (auto &row : one)
                for (int &x : row) x = next(31);
    }
    std::vector<uint32_t> words() const {
        std::vector<uint32_t> all;
        const auto a_at = [&](int step, int row, int k) { return step == 0 ? a[size_t(row)][size_t(k)] : (k == 15 ? 1 : 0) - a[size_t(row)][size_t(k)]; };
        for (int step = 0; step < mma_steps; step++)
            for (int word = 0; word < a_words; word++)
                for (int lane = 0; lane < int(lanes); lane++) {
                    const int row = lane / 4 + 8 * (word % 2), k = lane % 4 * 2 + 8 * (word / 2);
                    all.push_back(halves(float(a_at(step, row, k)), float(a_at(step, row, k + 1))));
                }
        for (const auto &one : b)
            for (int word = 0; word < b_words; word++)
                for (int lane = 0; lane < int(lanes); lane++) {
                    const size_t k = size_t(lane % 4 * 2 + 8 * word), column = size_t(lane / 4);
                    all.push_back(halves(float(one[k][column]), float(one[k + 1][column])));
                }
        return all;
    }
    // The result of a lane.
    uint32_t after(unsigned lane, int trips) const {
        uint32_t bits = 0;
        for (const auto &one : b)
            for (int word = 0; word < c_words; word++) bits += bits_of(float(trips * one[15][lane % 4 * 2 + unsigned(word) % 2]));
        return bits;
    }
};

std::string doing(const char *kernel) { return fmt::format("the peaks' kernel {} cannot be queued", kernel); }

Status wrong(const std::string &kernel, const std::string &what) {
    return {Status::Code::kernel_failed, fmt::format("the peaks' kernel {} does not compute what it must: {}", kernel, what)};
}

// Downloads the results, a word of each thread, and compares them.
Status check_words(const PeakLaunch &launch, const GpuArray &out, const std::function<uint32_t(unsigned thread)> &expected) {
    std::vector<uint32_t> got(size_t(launch.blocks) * launch.threads);
    const Status status = out.download(got.data(), int64_t(got.size() * sizeof got[0]));
    if (!status.ok()) return status;
    for (size_t i = 0; i < got.size(); i++)
        if (const uint32_t right = expected(unsigned(i % launch.threads)); got[i] != right)
            return wrong(launch.kernel, fmt::format("thread {} of block {} has {:#x}, right is {:#x}", i % launch.threads, i / launch.threads, got[i], right));
    return {};
}

std::shared_ptr<GpuArray> new_array(const std::shared_ptr<const GpuDevice> &device, int64_t bytes, Status &status) {
    auto array = std::make_shared<GpuArray>();
    if (status.ok()) *array = GpuArray::allocate(device, bytes, status);
    return array;
}

}  // namespace

std::string peak_kernels_ptx() {
    return ".version 7.0\n.target sm_80\n.address_size 64\n" + fma_ptx("sepal_peak_f32_fma", "fma.rn.f32", "f32") +
           fma_ptx("sepal_peak_f16_fma", "fma.rn.f16x2", "b32") + mma_ptx() + copy_ptx() + read_ptx() +
           ".visible .entry sepal_peak_empty()\n.maxntid 32, 1, 1\n{\nret;\n}\n";
}

struct PeakKernels::Loaded {
    std::shared_ptr<const GpuDevice> device;
    void *module = nullptr;

    ~Loaded() {
        const PushContext pushed(device->native_context());
        if (module && pushed.result() == success) (void)cuModuleUnload(module);
        take_failure();
    }
    void *function(const char *name, Status &status) const {
        take_failure();
        const PushContext pushed(device->native_context());
        void *function = nullptr;
        Result result = pushed.result();
        if (result == success) result = cuModuleGetFunction(&function, module, name);
        if (status.ok()) status = status_of(result, fmt::format("the peaks' kernel {} cannot be found", name));
        return function;
    }
    template<typename... Arguments>
    Status queue(const PeakLaunch &launch, void *function, Arguments... arguments) const {
        take_failure();
        const PushContext pushed(device->native_context());
        std::array<void *, sizeof...(Arguments) + 1> pointers{&arguments..., nullptr};
        Result result = pushed.result();
        if (result == success)
            result = cuLaunchKernel(function, launch.blocks, 1, 1, launch.threads, 1, 1, 0, device->native_queue(), pointers.data(), nullptr);
        return result == success ? Status() : status_of(result, doing(launch.kernel.c_str()));
    }
    unsigned multiprocessors = 1, threads_of_sm = 0;
    // Of so many threads, as many as all multiprocessors take at once.
    unsigned full(unsigned threads_of_block) const { return multiprocessors * std::max(1u, threads_of_sm / threads_of_block); }
};

PeakKernels::~PeakKernels() = default;

std::unique_ptr<PeakKernels> PeakKernels::load(std::shared_ptr<const GpuDevice> device, Status &status) {
    status = {};
    if (device->backend() != Backend::cuda) {
        status = {Status::Code::unsupported, device->text() + ": peaks are measured of CUDA devices only"};
        return nullptr;
    }
    auto loaded = std::make_shared<Loaded>();
    loaded->device = std::move(device);
    take_failure();
    const PushContext pushed(loaded->device->native_context());
    const std::string ptx = peak_kernels_ptx();
    Result result = pushed.result();
    int index = 0, threads = 0;
    if (result == success) result = cuCtxGetDevice(&index);
    if (result == success) result = cuDeviceGetAttribute(&threads, max_threads_per_multiprocessor, index);
    loaded->threads_of_sm = unsigned(threads);
    loaded->multiprocessors = unsigned(std::max(1, loaded->device->info().multiprocessors));
    if (result == success) result = cuModuleLoadDataEx(&loaded->module, ptx.c_str(), 0, nullptr, nullptr);
    status = status_of(result, "the kernels that peaks are measured with cannot be loaded on " + loaded->device->text());
    return status.ok() ? std::unique_ptr<PeakKernels>(new PeakKernels(std::move(loaded))) : nullptr;
}

PeakLaunch PeakKernels::arithmetic(const char *kernel, bool half, int trips, Status &status) const {
    PeakLaunch l;
    l.kernel = kernel;
    l.blocks = loaded_->full(fma_threads);
    l.threads = fma_threads;
    l.flops = double(l.blocks) * l.threads * trips * fma_steps * sums * (half ? 4 : 2);
    const Start start{half};
    std::vector<uint32_t> words;
    for (int i = 0; i < sums; i++)
        for (unsigned thread = 0; thread < fma_threads; thread++) words.push_back(start.after(i, thread, 0));
    for (const float factor : {-1.f, 3.f, 4.f}) words.push_back(half ? halves(factor, factor) : bits_of(factor));
    status = {};
    void *const function = loaded_->function(kernel, status);
    l.in = new_array(loaded_->device, int64_t(words.size() * sizeof words[0]), status);
    l.out = new_array(loaded_->device, int64_t(l.blocks) * l.threads * 4, status);
    if (status.ok()) status = l.in->upload(words.data(), l.in->bytes());
    if (status.ok()) status = l.out->fill(0);
    if (!status.ok()) return l;
    l.queue = [l, loaded = loaded_, function, trips] { return loaded->queue(l, function, l.in->memory().native, l.out->memory().native, trips); };
    l.check = [l, start, trips] {
        return check_words(l, *l.out, [&](unsigned thread) {
            uint32_t bits = 0;
            for (int i = 0; i < sums; i++) bits += start.after(i, thread, trips);
            return bits;
        });
    };
    return l;
}

PeakLaunch PeakKernels::f32_fma(int trips, Status &status) const { return arithmetic("sepal_peak_f32_fma", false, trips, status); }
PeakLaunch PeakKernels::f16_fma(int trips, Status &status) const { return arithmetic("sepal_peak_f16_fma", true, trips, status); }

PeakLaunch PeakKernels::f16_mma(int trips, Status &status) const {
    PeakLaunch l;
    l.kernel = "sepal_peak_f16_mma";
    l.blocks = loaded_->multiprocessors;
    l.threads = mma_threads;
    l.flops = double(l.blocks) * (l.threads / lanes) * trips * mma_steps * sums * mma_flops;
    const MmaData data;
    const std::vector<uint32_t> words = data.words();
    status = {};
    void *const function = loaded_->function(l.kernel.c_str(), status);
    l.in = new_array(loaded_->device, int64_t(words.size() * sizeof words[0]), status);
    l.out = new_array(loaded_->device, int64_t(l.blocks) * l.threads * 4, status);
    if (status.ok()) status = l.in->upload(words.data(), l.in->bytes());
    if (status.ok()) status = l.out->fill(0);
    if (!status.ok()) return l;
    l.queue = [l, loaded = loaded_, function, trips] { return loaded->queue(l, function, l.in->memory().native, l.out->memory().native, trips); };
    l.check = [l, data, trips] { return check_words(l, *l.out, [&](unsigned thread) { return data.after(thread % lanes, trips); }); };
    return l;
}

PeakLaunch PeakKernels::read(int64_t footprint, int passes, Status &status) const {
    status = {};
    const std::shared_ptr<GpuArray> in = new_array(loaded_->device, footprint, status);
    if (status.ok()) status = in->fill(fill_byte);
    return status.ok() ? read(in, passes, status) : PeakLaunch();
}

PeakLaunch PeakKernels::read(const std::shared_ptr<GpuArray> &in, int passes, Status &status) const {
    PeakLaunch l;
    l.kernel = "sepal_peak_read";
    l.in = in;
    const int64_t pieces = in->bytes() / piece_bytes;
    l.blocks = loaded_->full(memory_threads);
    l.threads = memory_threads;
    const int trips = int(std::max<int64_t>(1, pieces * passes / l.blocks));
    l.bytes_read = double(l.blocks) * trips * double(piece_bytes);
    status = {};
    void *const function = loaded_->function(l.kernel.c_str(), status);
    l.out = new_array(loaded_->device, int64_t(l.blocks) * l.threads * 4, status);
    if (status.ok()) status = l.out->fill(0);
    if (!status.ok()) return l;
    l.queue = [l, loaded = loaded_, function, pieces = uint32_t(pieces), trips] {
        return loaded->queue(l, function, l.in->memory().native, l.out->memory().native, pieces, trips);
    };
    l.check = [l, trips] { return check_words(l, *l.out, [&](unsigned) { return uint32_t(trips) * loads * 4 * (fill_byte * 0x01010101u); }); };
    return l;
}

PeakLaunch PeakKernels::copy(int64_t bytes, Status &status) const {
    PeakLaunch l;
    l.kernel = "sepal_peak_copy";
    l.blocks = unsigned(bytes / piece_bytes);
    l.threads = memory_threads;
    l.bytes_read = l.bytes_written = double(bytes);
    status = {};
    void *const function = loaded_->function(l.kernel.c_str(), status);
    l.in = new_array(loaded_->device, bytes, status);
    l.out = new_array(loaded_->device, bytes, status);
    if (status.ok()) status = l.in->fill(fill_byte);
    if (status.ok()) status = l.out->fill(0);
    if (!status.ok()) return l;
    l.queue = [l, loaded = loaded_, function] { return loaded->queue(l, function, l.in->memory().native, l.out->memory().native); };
    // The copy may be larger than the host has memory: it is read on the device.
    l.check = [l, loaded = loaded_] {
        Status status;
        const PeakLaunch read = PeakKernels(loaded).read(l.out, 2, status);  // twice: all pieces, though blocks share them out unevenly
        if (status.ok()) status = read.queue();
        if (status.ok()) status = read.check();
        return status.code == Status::Code::kernel_failed ? Status{status.code, fmt::format("{}, of what {} has copied", status.message, l.kernel)} : status;
    };
    return l;
}

PeakLaunch PeakKernels::empty() const {
    PeakLaunch l;
    l.kernel = "sepal_peak_empty";
    l.blocks = 1;
    l.threads = 32;
    Status status;
    void *const function = loaded_->function(l.kernel.c_str(), status);
    l.queue = [l, loaded = loaded_, function, status] { return status.ok() ? loaded->queue(l, function) : status; };
    l.check = [] { return Status(); };
    return l;
}

}  // namespace sepal
