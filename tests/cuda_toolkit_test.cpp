// ptxas, fatbinary and what their results mean for occupancy.
#include "catch.h"
#include "ptx_kernels.h"
#include "tools/compile/cuda_toolkit.h"
#include "tools/compile/register_cap.h"
#include "tools/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

using namespace sepal;

namespace {

// Says, visibly, why there is nothing to test; whether there is.
bool has_ptxas() {
    const std::string why = why_no_ptxas();
    if (!why.empty()) fmt::print("[SKIP] {}\n", why);
    return why.empty();
}

const std::string elf = "\177ELF";  // how such a file begins

size_t count(const std::string &text, const std::string &part) {
    size_t n = 0;
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) n++;
    return n;
}

template<class Error, class Action> std::string sentence(Action action) {
    try {
        action();
    } catch (const Error &e) {
        CHECK(std::string(e.what()).find('\n') == std::string::npos);
        return e.what();
    }
    FAIL("nothing was thrown");
    return "";
}

// Sets an environment variable for a while.
class Environment {
public:
    Environment(const char *name, const std::string &value) : name_(name) {
        if (const char *old = std::getenv(name)) had_ = true, before_ = old;
        setenv(name, value.c_str(), 1);
    }
    ~Environment() { had_ ? setenv(name_, before_.c_str(), 1) : unsetenv(name_); }

private:
    const char *name_;
    bool had_ = false;
    std::string before_;
};

CapTrial trial(int cap, int registers, int spilled, int warps) {
    CapTrial t;
    t.cap = cap;
    t.resources.registers = registers;
    t.resources.spill_store_bytes = spilled;
    t.occupancy.warps = warps;
    return t;
}

}  // namespace

TEST_CASE("Occupancy is that of NVIDIA's calculator", "[occupancy]") {
    struct Expected {
        const char *arch;
        int registers, threads;
        int64_t shared;
        int blocks, warps;
        const char *limiter;
    };
    // By hand: registers of a warp in units of 256 from a quarter of 65536, 1 KB of shared memory for each block from sm_80 on.
    const Expected table[] = {
        {"sm_90", 176, 128, 0, 2, 8, "registers"},   // 5632 a warp: 2 in a quarter
        {"sm_90", 168, 128, 0, 3, 12, "registers"},  // 5376: 3
        {"sm_90", 132, 128, 0, 3, 12, "registers"},  // 4224, given 4352: 3
        {"sm_90", 128, 128, 0, 4, 16, "registers"},  // 4096: 4
        {"sm_90", 166, 256, 0, 1, 8, "registers"},   // 12 warps: one block of 8
        {"sm_90", 32, 256, 0, 8, 64, "registers and warps"},
        {"sm_90", 24, 128, 0, 16, 64, "warps"},
        {"sm_90", 32, 32, 0, 32, 32, "blocks"},
        {"sm_90", 64, 128, 70000, 3, 12, "shared memory"},  // 70000 + 1024 in units of 128: 71040 of 233472
        {"sm_90", 64, 128, 227 * 1024, 1, 4, "shared memory"},
        {"sm_90", 64, 128, 227 * 1024 + 1, 0, 0, "shared memory"},
        {"sm_80", 64, 128, 48 * 1024, 3, 12, "shared memory"},  // 50176 of 167936
        {"sm_86", 40, 128, 48 * 1024, 2, 8, "shared memory"},   // 50176 of 102400
        {"sm_86", 40, 128, 49 * 1024, 2, 8, "shared memory"},   // 51200: just two
        {"sm_86", 40, 128, 49 * 1024 + 1, 1, 4, "shared memory"},
        {"sm_86", 16, 32, 0, 16, 16, "blocks"},
        {"sm_89", 16, 32, 0, 24, 24, "blocks"},
        {"sm_75", 64, 256, 0, 4, 32, "registers and warps"},
        {"sm_75", 64, 256, 32 * 1024, 2, 16, "shared memory"},  // nothing is reserved
        {"sm_80", 80, 1024, 0, 0, 0, "registers"},              // 81920 of 65536
        {"sm_80", 144, 13 * 32, 0, 0, 0, "registers"},          // 13 warps would fit, but are admitted as 16
        {"sm_80", 128, 13 * 32, 0, 1, 13, "registers"},
        {"sm_80", 16, 1025, 0, 0, 0, "warps"},
        {"sm_80", 33, 33, 0, 24, 48, "registers"},  // 1056, given 1280: 12 in a quarter, 2 warps a block
    };
    for (const Expected &e : table) {
        INFO(e.arch << ", " << e.registers << " registers, " << e.threads << " threads, " << e.shared << " B");
        const Occupancy o = occupancy(sm_limits(e.arch), e.registers, e.threads, e.shared);
        CHECK(o.blocks == e.blocks);
        CHECK(o.warps == e.warps);
        CHECK(o.limiter == e.limiter);
    }
    CHECK(occupancy(sm_limits("sm_86"), 168, 128, 0).share() == 0.25);
    CHECK(sentence<std::invalid_argument>([] { sm_limits("sm_60"); }) ==
          "GPU architecture \"sm_60\" is not known; known are sm_75, sm_80, sm_86, sm_89, sm_90");
}

TEST_CASE("What ptxas says of several kernels is told apart", "[ptxas]") {
    const auto kernels =
        parse_ptxas("ptxas info    : 0 bytes gmem\n"
                    "ptxas info    : Compiling entry function 'first' for 'sm_90'\n"
                    "ptxas info    : Function properties for first\n"
                    "    16 bytes stack frame, 20 bytes spill stores, 24 bytes spill loads\n"
                    "ptxas info    : Used 128 registers, used 1 barriers, 48 bytes cumulative stack size, 1024 bytes smem\n"
                    "ptxas info    : Compile time = 96.607 ms\n"
                    "ptxas info    : Compiling entry function 'second' for 'sm_90'\n"
                    "ptxas info    : Function properties for second\n"
                    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                    "ptxas info    : Used 10 registers, used 0 barriers, 360 bytes cmem[0]\n");
    REQUIRE(kernels.size() == 2);
    CHECK(kernels[0].kernel == "first");
    CHECK(kernels[0].registers == 128);
    CHECK(kernels[0].stack_bytes == 48);
    CHECK(kernels[0].spill_store_bytes == 20);
    CHECK(kernels[0].spill_load_bytes == 24);
    CHECK(kernels[0].shared_bytes == 1024);
    CHECK(kernels[1].kernel == "second");
    CHECK(kernels[1].registers == 10);
    CHECK(kernels[1].stack_bytes == 0);
    CHECK(kernels[1].spill_store_bytes == 0);
    CHECK(kernels[1].shared_bytes == 0);

    // One that is called and not inlined comes last, and counts for all.
    const auto calling = parse_ptxas("ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
                                     "ptxas info    : Function properties for k\n"
                                     "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                                     "ptxas info    : Used 24 registers, used 0 barriers\n"
                                     "ptxas info    : Function properties for called\n"
                                     "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n");
    REQUIRE(calling.size() == 1);
    CHECK(calling[0].spill_store_bytes == 4);
    CHECK(calling[0].spill_load_bytes == 12);
}

TEST_CASE("PTX becomes machine code of each architecture, and one image", "[ptxas]") {
    if (!has_ptxas()) return;
    const std::string ptx = ptx_header() + ptx_of_live_values("few", 4) + ptx_of_live_values("many", 60);
    CHECK(ptx_target(ptx) == "sm_80");
    std::vector<Cubin> cubins;
    const auto architectures = ptxas_architectures();
    REQUIRE(!architectures.empty());
    CHECK(architectures.front() == "sm_80");
    for (const std::string &arch : architectures) {
        INFO(arch);
        const Cubin &cubin = cubins.emplace_back(assemble_ptx(ptx, arch));
        CHECK(cubin.arch == arch);
        CHECK(cubin.code.compare(0, 4, elf) == 0);
        REQUIRE(cubin.kernels.size() == 2);
        CHECK(cubin.resources("many").registers > 60);
        CHECK(cubin.resources("few").registers < 32);
        CHECK(cubin.resources("many").spill_store_bytes == 0);
        CHECK(cubin.warnings.empty());
    }
    const std::string missing = sentence<std::invalid_argument>([&] { cubins.front().resources("none"); });
    CHECK(missing.find("\"none\"") != std::string::npos);
    CHECK(missing.find("few") != std::string::npos);
    CHECK(missing.find("many") != std::string::npos);

    const std::string fatbin = make_fatbin(cubins, ptx, "sm_80");
    CHECK(count(fatbin, elf) == architectures.size());
    CHECK(count(fatbin, ptx) == 1);
    for (const Cubin &cubin : cubins) CHECK(count(fatbin, cubin.code) == 1);
    CHECK(count(make_fatbin({}, ptx, "sm_80"), ptx) == 1);
}

TEST_CASE("A register cap holds for kernels with launch bounds", "[ptxas]") {
    if (!has_ptxas()) return;
    const std::string ptx = ptx_header() + ptx_of_live_values("many", 60);
    PtxasOptions options;
    options.maxrregcount = 32;
    const KernelResources capped = assemble_ptx(ptx, "sm_80", options).resources("many");
    CHECK(capped.registers == 32);
    CHECK(capped.spill_store_bytes > 0);
    CHECK(capped.spill_load_bytes > 0);
    CHECK(capped.stack_bytes > 0);
}

TEST_CASE("ptxas's complaints are one sentence with the line", "[ptxas]") {
    if (!has_ptxas()) return;
    const std::string wrong =
        sentence<CudaToolFailed>([] { assemble_ptx(ptx_header() + ".visible .entry k()\n{\n    foo.bar;\n}\n", "sm_80"); });
    CHECK(wrong.find("line 6 of the PTX: \"foo.bar;\"") != std::string::npos);
    const std::string older = sentence<CudaToolFailed>([] { assemble_ptx(ptx_header("sm_90") + ptx_of_live_values("k", 1), "sm_80"); });
    CHECK(older.find(".target") != std::string::npos);
    CHECK(sentence<CudaToolFailed>([] { ptx_target(".version 7.0\n"); }) == "the PTX does not say what it is for: it has no .target sm_NN");
}

TEST_CASE("Without the programs there is a reason", "[ptxas]") {
    const Environment nowhere("SEPAL_CUDA_BIN", "/nowhere"), neither("SEPAL_NVDISASM", "/nowhere/nvdisasm");
    const std::string why = why_no_ptxas();
    CHECK(why.find("/nowhere/ptxas cannot be run: No such file or directory") != std::string::npos);
    CHECK(ptxas_architectures().empty());
    CHECK(sentence<CudaToolFailed>([] { assemble_ptx(ptx_header(), "sm_80"); }) == why);
    CHECK(sentence<CudaToolFailed>([] { make_fatbin({}, ptx_header(), "sm_80"); }) == why);
    CHECK(why_no_nvdisasm().find("/nowhere/nvdisasm cannot be run") != std::string::npos);
    CHECK(sentence<CudaToolFailed>([] { disassemble({}); }) == why_no_nvdisasm());

    // Programs of these names that are others.
    const ScratchFolder folder("sepal-test", "no temporary folder can be made");
    for (const char *name : {"/ptxas", "/fatbinary"}) std::filesystem::create_symlink("/bin/true", folder.path() + name);
    const Environment others("SEPAL_CUDA_BIN", folder.path());
    CHECK(why_no_ptxas().find(folder.path() + "/ptxas does not know sm_80") != std::string::npos);
}

TEST_CASE("The register cap to ship spills nothing and lets most warps run", "[register_cap]") {
    const std::vector<CapTrial> steps = {trial(0, 176, 0, 8), trial(168, 168, 0, 12), trial(128, 128, 16, 16)};
    CHECK(best_register_cap(steps).cap == 168);
    const std::vector<CapTrial> equal = {trial(168, 168, 0, 12), trial(0, 170, 0, 12), trial(128, 128, 0, 12)};
    CHECK(best_register_cap(equal).cap == 0);
    const std::vector<CapTrial> spilling = {trial(0, 255, 40, 8), trial(168, 168, 128, 12)};
    CHECK(best_register_cap(spilling).cap == 0);
    CHECK(sentence<std::invalid_argument>([] { best_register_cap({}); }) == "there is no trial to choose a register cap from");
}

TEST_CASE("Register caps are tried as far as they can help", "[register_cap]") {
    if (!has_ptxas()) return;
    // 120 values and some addresses: 4 blocks of 128 threads; 96 registers would give 5, but spill, and 80 are not tried any more.
    const auto trials = try_register_caps(ptx_header() + ptx_of_live_values("k", 115), "sm_90", 128, 0);
    std::vector<int> caps;
    for (const CapTrial &t : trials) caps.push_back(t.cap);
    CHECK(caps == std::vector<int>{0, 96});
    CHECK(trials[0].resources.registers > 115);
    CHECK(trials[0].resources.registers <= 128);
    CHECK(trials[0].occupancy.blocks == 4);
    CHECK(trials[1].resources.spill_store_bytes > 0);
    CHECK(best_register_cap(trials).cap == 0);

    // With that much shared memory no cap lets another block in.
    CHECK(try_register_caps(ptx_header() + ptx_of_live_values("k", 115), "sm_90", 128, 100 * 1024).size() == 1);

    const std::string two = ptx_header() + ptx_of_live_values("a", 1) + ptx_of_live_values("b", 1);
    CHECK(sentence<CudaToolFailed>([&] { try_register_caps(two, "sm_90", 128, 0); }) ==
          "the PTX has 2 kernels; a register cap is chosen for one");
}
