// The static GPU report.
#include "bench/gpu/cubin.h"
#include "bench/gpu/emulator/emulator.h"
#include "bench/gpu/emulator/module_image.h"
#include "bench/gpu/static_report.h"
#include "catch.h"
#include "emulated_gpu.h"
#include "ptx_kernels.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>

using namespace sepal;

namespace {

// Says, visibly, why there is nothing to test; whether there is.
bool can(const std::string &why_not) {
    if (!why_not.empty()) fmt::print("[SKIP] {}\n", why_not);
    return why_not.empty();
}

GlobalCounts global(uint64_t requests, uint64_t bytes, uint64_t sectors, uint64_t unique_sectors) {
    GlobalCounts g;
    g.requests = requests, g.bytes = bytes, g.sectors = sectors, g.unique_sectors = unique_sectors;
    return g;
}

SharedCounts shared(uint64_t requests, uint64_t wavefronts, uint64_t least) {
    SharedCounts s;
    s.requests = requests, s.wavefronts = wavefronts, s.least_wavefronts = least;
    return s;
}

uint64_t &of(KernelCounts &counts, InstructionClass c) { return counts.warp_instructions[size_t(c)]; }

// 40 MB, some arithmetic of each kind.
KernelCounts some_counts() {
    KernelCounts c;
    c.kernel = "k";
    c.grid = {66, 2, 3}, c.block = {128, 1, 1};
    c.blocks = 396;
    c.global_loads = global(100'000, 51'200'000, 1'600'000, 1'000'000);
    c.global_stores = global(300'000, 9'600'000, 300'000, 250'000);
    c.shared_loads = shared(250'000, 1'000'000, 500'000);
    c.shared_stores = shared(50'000, 200'000, 200'000);
    of(c, InstructionClass::fma_f32) = 3'000'000;
    of(c, InstructionClass::arith_f16) = 1'000'000;
    of(c, InstructionClass::dp4a) = 500'000;
    of(c, InstructionClass::mma) = 1'100'000;
    of(c, InstructionClass::integer) = 1'000'000;
    of(c, InstructionClass::move) = 7'000'000;
    of(c, InstructionClass::load_param) = 5'000'000;
    c.mma = {{"m16n8k16.f32.f16.f16.f32", 1'000'000}, {"m16n8k32.s32.s8.s8.s32", 100'000}};
    return c;
}

// One made by hand: of a block of 128 threads, without machine code.
GpuKernel counted_kernel(const KernelCounts &counts) {
    GpuKernel k;
    k.title = "k on p";
    k.entry = "k";
    k.threads = 128;
    k.counts = counts;
    return k;
}

GpuKernel compiled_kernel(const std::string &ptx, const std::vector<std::string> &architectures, const PtxasOptions &options = {}) {
    GpuKernel k;
    k.title = "k on p";
    k.entry = "k";
    k.threads = 128;
    for (const std::string &arch : architectures) k.cubins.push_back(assemble_ptx(ptx, arch, options));
    return k;
}

std::string thrown(const std::string &name) {
    try {
        gpu_model(name);
    } catch (const std::invalid_argument &e) {
        return e.what();
    }
    return "nothing";
}

}  // namespace

TEST_CASE("GPUs are known by name", "[gpu_report]") {
    CHECK(gpu_model("h200").dram_gbps == 4037);
    CHECK(gpu_model("rtx2060").multiprocessors == 30);
    CHECK(thrown("h300") == "GPU \"h300\" is not known; known are h200, h100, rtx2060");
    for (const std::string &name : gpu_model_names()) CHECK_NOTHROW(sm_limits(gpu_model(name).arch));
}

TEST_CASE("Lower bounds are those computed by hand", "[gpu_report]") {
    const KernelCounts counts = some_counts();
    CHECK(compulsory_bytes(counts) == 40e6);
    const GpuBounds b = gpu_bounds(counts, gpu_model("h200"));
    const auto close = [](double us) { return Approx(us).epsilon(1e-3); };
    CHECK(b.microseconds("dram") == close(9.908));  // 40 MB at 4037 GB/s
    CHECK(b.microseconds("l2") == close(5.000));    // at 8000
    // 51.2 MB in 400000 passes of 128 B, 300000 requests to store that fill no pass, 1200000 of shared memory; 132 SMs at 1.98 GHz
    CHECK(b.microseconds("lsu") == close(1'900'000 / 261'360.));
    CHECK(b.microseconds("issue") == close(6'600'000 / (4 * 261'360.)));  // without 12 M moves and parameters
    CHECK(b.microseconds("fma") == close(4'000'000 * 64 / 65.1e6));
    CHECK(b.microseconds("dp4a") == close(500'000 * 256 / 133e6));
    CHECK(b.microseconds("tensor") == close(1e6 * 4096 / 629e6 + 1e5 * 8192 / 1250e6));
    CHECK(b.microseconds("texture") == 0);
    CHECK(b.cold.part == "dram");
    CHECK(b.cold.microseconds == b.microseconds("dram"));
    CHECK(b.fits_l2);
    CHECK(b.warm.part == "lsu");
    CHECK(b.note.empty());

    // Without bank conflicts the next part binds; more data than L2 holds are not warm.
    KernelCounts other = counts;
    other.shared_loads.wavefronts = 500'000;
    CHECK(gpu_bounds(other, gpu_model("h200")).warm.part == "tensor");
    other.global_loads.unique_sectors = 2'000'000;
    CHECK_FALSE(gpu_bounds(other, gpu_model("h200")).fits_l2);
    CHECK(gpu_bounds(other, gpu_model("h200")).warm.part == "dram");

    const GpuBounds small = gpu_bounds(counts, gpu_model("rtx2060"));
    CHECK(small.microseconds("dram") == close(40e6 / 336e3));
    CHECK(small.microseconds("l2") == 0);  // not known
    CHECK(small.microseconds("lsu") == close((800'000 + 300'000 + 1'200'000) / (30 * 1680.)));  // passes of 64 B
    CHECK_FALSE(small.fits_l2);
    CHECK(small.note == "mma.m16n8k16 needs sm_80, it is sm_75; as if it did the same products in smaller steps");
}

TEST_CASE("A strided access pattern is complained of", "[gpu_report]") {
    KernelCounts counts = some_counts();
    CHECK(complaints(static_report(counted_kernel(counts))).empty());
    // Each thread of a warp reads 4 bytes, 64 bytes apart: 32 sectors, an eighth of each.
    counts.global_loads = global(1000, 128'000, 32'000, 32'000);
    auto list = complaints(static_report(counted_kernel(counts)));
    REQUIRE(list.size() == 1);
    CHECK(list[0] == "k on p: global loads use 12 % of the sectors that they move (32.0 sectors a request); 50 % are to be used");
    counts.global_loads = global(1000, 512'000, 32'000, 32'000);  // half of each
    CHECK(complaints(static_report(counted_kernel(counts))).empty());
    counts.global_stores = global(1000, 64'000, 16'000, 2'000);
    list = complaints(static_report(counted_kernel(counts)));
    REQUIRE(list.size() == 1);
    CHECK(list[0].find("global stores use 12 %") != std::string::npos);
}

TEST_CASE("Spills, stacks and blocks that cannot be launched are complained of", "[gpu_report]") {
    if (!can(why_no_ptxas())) return;
    const std::string ptx = ptx_header() + ptx_of_live_values("k", 60);
    CHECK(complaints(static_report(compiled_kernel(ptx, {"sm_80", "sm_90"}))).empty());
    PtxasOptions capped;
    capped.maxrregcount = 32;
    const StaticReport spilling = static_report(compiled_kernel(ptx, {"sm_80", "sm_90"}, capped));
    auto list = complaints(spilling);
    REQUIRE(list.size() == 2);
    CHECK(list[0] == fmt::format("k on p: on sm_80 a thread spills registers: {} bytes stored, {} bytes loaded",
                                 spilling.architectures[0].resources.spill_store_bytes,
                                 spilling.architectures[0].resources.spill_load_bytes));
    CHECK(list[1].find("on sm_90") != std::string::npos);

    StaticReport stack = spilling;
    stack.architectures.resize(1);
    stack.architectures[0].resources.spill_store_bytes = stack.architectures[0].resources.spill_load_bytes = 0;
    stack.architectures[0].resources.stack_bytes = 64;
    list = complaints(stack);
    REQUIRE(list.size() == 1);
    CHECK(list[0] == "k on p: on sm_80 a thread keeps 64 bytes of arrays in local memory");
    stack.architectures[0].resources.spill_store_bytes = stack.architectures[0].resources.spill_load_bytes = -1;
    list = complaints(stack);
    REQUIRE(list.size() == 1);
    CHECK(list[0] == "k on p: on sm_80 a thread keeps 64 bytes of spilled registers or arrays in local memory");
    CHECK(to_text(stack).find("not known") != std::string::npos);
    CHECK(to_json(stack)["architectures"][0]["spill_load_bytes"].is_null());

    GpuKernel large = compiled_kernel(ptx, {"sm_86"});
    large.dynamic_shared_bytes = 160 << 10;
    list = complaints(static_report(large));
    REQUIRE(list.size() == 1);
    CHECK(list[0] == "k on p: on sm_86 no block of 128 threads can be launched: too little of shared memory");
}

TEST_CASE("A cubin says itself what ptxas said of its registers and stack", "[gpu_report]") {
    CHECK_THROWS_AS(read_cubin("sm_80", "no ELF file"), std::invalid_argument);
    if (!can(why_no_ptxas())) return;
    const std::string ptx = ptx_header() + ptx_of_live_values("first", 60) + ptx_of_fma_loop("k");
    for (const std::string &arch : ptxas_architectures()) {
        for (int cap : {0, 32}) {
            INFO(arch << ", cap " << cap);
            PtxasOptions options;
            options.maxrregcount = cap;
            const Cubin told = assemble_ptx(ptx, arch, options), read = read_cubin(arch, told.code);
            CHECK(read.arch == arch);
            CHECK(read.kernels.size() == 2);
            for (const KernelResources &k : told.kernels) {
                CHECK(read.resources(k.kernel).registers == k.registers);
                CHECK(read.resources(k.kernel).stack_bytes == k.stack_bytes);
                CHECK(read.resources(k.kernel).spill_load_bytes == (k.stack_bytes ? -1 : 0));
            }
            CHECK((told.resources("first").stack_bytes > 0) == (cap > 0));  // so that both are seen
            std::string broken = told.code.substr(0, told.code.size() / 2);
            CHECK_THROWS_AS(read_cubin(arch, broken), std::invalid_argument);
        }
    }
}

TEST_CASE("What the emulator counts, and the machine code beside the PTX that it executes, reach the report", "[gpu_report]") {
    // Each thread reads and writes a float, 4 << shift bytes from that of its neighbour.
    const auto report = [](int shift, const std::function<std::string(const std::string &)> &image_of) {
        EmulatedGpu gpu;
        const std::string ptx = ptx_kernel(2, fmt::format("shl.b32 %r0, %t, {};\nmul.wide.u32 %d0, %r0, 4;\nadd.s64 %d1, %pointer0, %d0;\nadd.s64 %d2, %pointer1, %d0;\n"
                                                          "ld.global.b32 %r1, [%d1];\nst.global.b32 [%d2], %r1;", shift));
        const DeviceAddress in = gpu.upload(std::vector<uint32_t>(64 << shift, 1)), out = gpu.allocate(size_t(64 << shift) * 4);
        (void)take_emulated_launches();
        const std::string image = image_of(ptx);
        REQUIRE(gpu.launch(gpu.function(gpu.load(image), "k"), {2, 32, 0}, in, out) == 0);
        const auto launches = take_emulated_launches();
        REQUIRE(launches.size() == 1);
        CHECK(*launches[0].image == image);
        return static_report(shipped_kernel("k on p", launches[0]));
    };
    const auto as_it_is = [](const std::string &ptx) { return ptx; };
    const StaticReport dense = report(0, as_it_is);
    CHECK(dense.threads == 32);
    CHECK(dense.architectures.empty());
    CHECK_FALSE(dense.why_no_architectures.empty());
    REQUIRE(dense.counts);
    CHECK(dense.counts->global_loads.sectors_per_request() == 4);
    CHECK(complaints(dense).empty());
    const auto list = complaints(report(4, as_it_is));
    REQUIRE(list.size() == 2);
    CHECK(list[0] == "k on p: global loads use 12 % of the sectors that they move (32.0 sectors a request); 50 % are to be used");
    CHECK(list[1].find("global stores use 12 %") != std::string::npos);

    if (!can(why_no_ptxas())) return;
    std::vector<Cubin> made;
    const StaticReport shipped = report(0, [&](const std::string &ptx) {
        for (const char *arch : {"sm_80", "sm_90"}) made.push_back(assemble_ptx(ptx, arch));
        return make_fatbin(made, ptx, ptx_target(ptx));
    });
    REQUIRE(shipped.architectures.size() == 2);
    for (size_t i = 0; i < made.size(); i++) {
        CHECK(shipped.architectures[i].arch == made[i].arch);
        CHECK(shipped.architectures[i].resources.registers == made[i].resources("k").registers);
        CHECK(shipped.architectures[i].sass.has_value() == why_no_nvdisasm().empty());
    }
    CHECK(complaints(shipped).empty());
    const std::string table = summary_text({dense, shipped});
    INFO(table);
    CHECK(table.find("k on p") != table.rfind("k on p"));
    CHECK(table.find("sm_90") != std::string::npos);
}

TEST_CASE("Machine code is read: loops, widths, moves, accumulators", "[sass]") {
    const std::string sass = R"(
	.section	.text.other,"ax",@progbits
        /*0000*/                   FFMA R1, R2, R3, R1 ;
	.section	.text.k,"ax",@progbits
.text.k:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   HFMA2.MMA R7, -RZ, RZ, 0, 0 ;
.L_x_2:
        /*0020*/                   IMAD.MOV.U32 R5, RZ, RZ, R4 ;
.L_x_0:
        /*0030*/                   LDG.E.128.CONSTANT R8, desc[UR12][R8.64] ;
        /*0040*/              @!P3 LDS.64 R12, [R5+UR5+0xa00] ;
        /*0050*/                   HMMA.16816.F32 R24, R36, R8, R24 ;
        /*0060*/                   HFMA2 R100, R4.reuse, R100, RZ.H0_H0 ;
        /*0070*/                   FFMA R30, R8, R9.reuse, R31 ;
        /*0080*/                   FFMA R30, R8, c[0x0][0x20], R30.reuse ;
        /*0090*/                   MOV R7, R113 ;
        /*00a0*/                   STL [R1+0x8], R7 ;
        /*00b0*/               @P0 BRA `(.L_x_0) ;
        /*00c0*/                   FFMA R30, R8, R9, R30 ;
        /*00d0*/              @UP1 BRA `(.L_x_2) ;
.L_x_3:
        /*00e0*/                   LDS.U16 R3, [R2] ;
        /*00f0*/                   IDP.4A.S8.S8 R3, R4, R5, R3 ;
        /*0100*/               @P0 BRA `(.L_x_3) ;
        /*0110*/               @P1 BRA `(.L_x_4) ;
        /*0120*/                   STG.E desc[UR12][R8.64], R3 ;
.L_x_4:
        /*0130*/                   EXIT ;
.L_x_5:
        /*0140*/                   BRA `(.L_x_5);
        /*0150*/                   NOP;
.L_x_6:
)";
    const SassMix m = read_sass(sass, "k");
    CHECK(m.in_loop);
    CHECK(m.hot_loop.instructions == 9);
    CHECK(m.hot_loop.math == std::map<std::string, int>{{"FFMA", 2}, {"HFMA2", 1}, {"HMMA", 1}});
    CHECK(m.hot_loop.math_share() == Approx(4 / 9.));
    CHECK(m.hot_loop.tensor_share() == Approx(1 / 9.));
    CHECK(m.hot_loop.moves == 1);
    CHECK(m.hot_loop.local_accesses == 1);
    CHECK(m.hot_loop.accumulations == 3);  // HFMA2 adds nothing
    CHECK(m.hot_loop.accumulator_moves == 0);
    // R24 to R27 are the sum of HMMA.
    const std::string moved = std::string(sass).replace(sass.find("MOV R7, R113"), 12, "MOV R7, R27 ");
    CHECK(read_sass(moved, "k").hot_loop.accumulator_moves == 1);
    CHECK(m.hot_loop.accesses == std::map<std::string, std::map<int, int>>{{"LDG", {{16, 1}}}, {"LDS", {{8, 1}}}});
    CHECK(m.kernel.instructions == 21);
    CHECK(m.kernel.moves == 3);
    CHECK(m.kernel.math == std::map<std::string, int>{{"FFMA", 3}, {"HFMA2", 1}, {"HMMA", 1}, {"IDP", 1}});
    CHECK(m.kernel.accesses == std::map<std::string, std::map<int, int>>{{"LDG", {{16, 1}}}, {"LDS", {{2, 1}, {8, 1}}}, {"STG", {{4, 1}}}});
    const SassMix other = read_sass(sass, "other");
    CHECK_FALSE(other.in_loop);
    CHECK(other.hot_loop.math_share() == 1);
    CHECK_THROWS_AS(read_sass(sass, "none"), std::invalid_argument);
}

TEST_CASE("The machine code of a loop of multiply-adds is seen as such", "[sass]") {
    if (!can(why_no_ptxas()) || !can(why_no_nvdisasm())) return;
    const std::string ptx = ptx_header() + ptx_of_live_values("first", 4) + ptx_of_fma_loop("k");
    for (const std::string &arch : ptxas_architectures()) {
        INFO(arch);
        const std::string sass = disassemble(assemble_ptx(ptx, arch));
        const SassMix m = read_sass(sass, "k");
        CHECK(m.in_loop);
        CHECK(m.hot_loop.math.size() == 1);
        const int fma = m.hot_loop.math.at("FFMA");  // ptxas may unroll the loop
        CHECK(fma >= 16);
        CHECK(fma % 16 == 0);
        CHECK(m.hot_loop.accesses.at("LDG") == std::map<int, int>{{16, fma / 8}});
        CHECK(m.hot_loop.math_share() > 0.6);
        CHECK(m.hot_loop.accumulations == fma);
        CHECK(m.hot_loop.accumulator_moves == 0);
        CHECK(m.hot_loop.local_accesses == 0);
        CHECK(m.kernel.accesses.at("STG") == std::map<int, int>{{16, 4}});
        const SassMix first = read_sass(sass, "first");
        CHECK(first.kernel.math_instructions() == 0);
        CHECK(first.kernel.accesses.at("LDG") == std::map<int, int>{{4, 4}});
    }
}

TEST_CASE("The report says what it has, and why it lacks the rest", "[gpu_report]") {
    KernelCounts counts = some_counts();
    GpuKernel kernel = counted_kernel(counts);
    kernel.unfused_bytes = 100e6;
    const StaticReport bare = static_report(kernel, {"h100"});
    CHECK_FALSE(bare.why_no_architectures.empty());
    const auto json = to_json(bare);
    CHECK(json["calculated"] == true);
    CHECK(json["architectures"].empty());
    CHECK(json["why_no_architectures"] == bare.why_no_architectures);
    REQUIRE(json["bounds"].size() == 1);
    CHECK(json["bounds"][0]["gpu"] == "h100");
    CHECK(json["bounds"][0]["cold"]["bound"] == "dram");
    CHECK(json["bounds"][0]["us"]["dram"].get<double>() == Approx(40e6 / 2980e3));
    CHECK(json["bounds"][0]["waves"].is_null());
    CHECK(json["counts"]["global_loads"]["sectors_per_request"] == 16);
    CHECK(json["counts"]["shared_loads"]["conflicts"] == 2);
    CHECK(json["fused_bytes"] == 40e6);
    CHECK(json["unfused_bytes"] == 100e6);
    const std::string text = to_text(bare);
    CHECK(text.find("calculated, not measured") != std::string::npos);
    CHECK(text.find("fused 40.00 MB against 100.00 MB unfused: 0.40 x") != std::string::npos);
    CHECK(text.find("conflicts 2.00") != std::string::npos);
    CHECK(text.find(bare.why_no_architectures) != std::string::npos);
    CHECK(std::string(static_report_legend).find("calculated") != std::string::npos);

    GpuKernel uncounted = counted_kernel(counts);
    uncounted.counts.reset();
    CHECK(to_text(static_report(uncounted)).find("was not run in the emulator") != std::string::npos);
    CHECK(to_json(static_report(uncounted))["counts"].is_null());

    if (!can(why_no_ptxas())) return;
    GpuKernel compiled = compiled_kernel(ptx_header() + ptx_of_live_values("k", 60), {"sm_80", "sm_90"});
    compiled.counts = counts;
    const StaticReport report = static_report(compiled);
    CHECK(report.why_no_architectures.empty());
    const auto full = to_json(report);
    REQUIRE(full["architectures"].size() == 2);
    CHECK(full["architectures"][1]["arch"] == "sm_90");
    CHECK(full["architectures"][1]["registers"] == report.architectures[1].resources.registers);
    // 396 blocks on 132 multiprocessors
    CHECK(full["bounds"][0]["waves"].get<double>() == Approx(3. / report.architectures[1].occupancy.blocks));
    CHECK(full["bounds"][1]["gpu"] == "rtx2060");
    CHECK(full["bounds"][1]["waves"].is_null());
    CHECK(full["complaints"].empty());
    CHECK(full["why_no_machine_code"].is_null() == why_no_nvdisasm().empty());
    CHECK(full["architectures"][0]["hot_region"].is_null() == !why_no_nvdisasm().empty());
    if (can(why_no_nvdisasm())) CHECK(full["architectures"][0]["code"]["accesses_by_bits"]["LDG"]["32"] == 60);
}
