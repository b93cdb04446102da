// What kernels on tensor cores need beyond Halide's directives: lowering passes, edits of PTX, other device code in a module. No kernel runs on a
// device.
#include "catch.h"
#include "passes/device_code.h"
#include "passes/fragments.h"
#include "passes/ptx_edits.h"
#include "passes/wide_accesses.h"

#include <algorithm>
#include <regex>
#include <sstream>

using namespace Halide;
using namespace Halide::Internal;
using namespace sepal;
using Catch::Matchers::Contains;

namespace {

const char *const cuda_target = "x86-64-linux-cuda-cuda_capability_80-no_runtime";

std::string text(const Stmt &statement) {
    std::ostringstream out;
    out << statement;
    return out.str();
}

int count(const std::string &in, const std::string &pattern) {
    const std::regex expression(pattern);
    return int(std::distance(std::sregex_iterator(in.begin(), in.end(), expression), std::sregex_iterator()));
}

std::string error_of(const std::function<void()> &action) {
    try {
        action();
    } catch (const Halide::Error &e) {
        return e.what();
    } catch (const std::runtime_error &e) {
        return e.what();
    }
    FAIL("no error");
    return {};
}

Expr index_of(const char *name) { return Variable::make(Int(32), name); }
Expr eight(const Expr &base) { return Ramp::make(base, 1, 8); }
// As lowering does, with what is known of the index.
ModulusRemainder known_of(const Expr &index) { return modulus_remainder(index.as<Ramp>() ? index.as<Ramp>()->base : index); }
Expr load(const char *buffer, const Expr &index, Type type = Float(16, 8)) {
    return Load::make(type, buffer, index, Buffer<>(), Parameter(), const_true(type.lanes()), known_of(index));
}
Stmt store(const char *buffer, const Expr &value, const Expr &index) {
    return Store::make(buffer, value, index, Parameter(), const_true(value.type().lanes()), known_of(index));
}
Stmt loop(ForType type, const char *name, const Stmt &body) {
    return For::make(name, 0, 4, type, Partition::Auto, DeviceAPI::CUDA, body);
}
Stmt in_kernel(const Stmt &body) { return loop(ForType::GPUBlock, "kernel", body); }

Stmt through(IRMutator &&pass, const Stmt &statement) { return pass.mutate(statement); }

// Blocks of 32 threads, each of which copies and doubles 8 halves; with a number of threads that is not known, blocks of `threads`.
Module doubling_module(bool wide, bool known_threads = true) {
    ImageParam in(Float(16), 1, "in");
    Param<int> threads("threads");
    Var x("x"), block("block"), thread("thread"), i("i");
    Func out("out");
    out(x) = in(x) * cast<float16_t>(2);
    in.dim(0).set_min(0).set_stride(1);
    in.set_host_alignment(16);
    out.output_buffer().dim(0).set_min(0).set_stride(1);
    out.output_buffer().set_host_alignment(16);
    out.split(x, thread, i, 8, TailStrategy::RoundUp).vectorize(i);
    out.split(thread, block, thread, known_threads ? Expr(32) : Expr(threads), TailStrategy::RoundUp).gpu_blocks(block).gpu_threads(thread);
    Pipeline pipeline(out);
    if (wide) pipeline.add_custom_lowering_pass(new WideAccesses);
    return pipeline.compile_to_module({in, threads}, "doubling", Target(cuda_target));
}

// As Halide emits it.
const std::string ptx_head = ".version 7.0\n.target sm_80\n.address_size 64\n\n";
const std::string declared = ".extern .func  (.param .align 16 .b8 func_retval0[16]) sepal_mma_m16n8k16_f32_f16\n(\n\t.param .b32 p0,\n\t.param .align 16 .b8 p6[16]\n)\n;\n";
const std::string entry = ".visible .entry kernel_a(\n\t.param .u64 kernel_a_param_0\n)\n{\n\t.reg .b32 %r<9>;\n";
std::string call_sequence(const std::string &function, const std::string &first_word) {
    std::string s = "\t{ // callseq 0, 0\n\t.param .b32 param0;\n\tst.param.b32 \t[param0], " + first_word + ";\n";
    for (int i = 1; i < 6; i++) s += "\t.param .b32 param" + std::to_string(i) + ";\n\tst.param.b32 \t[param" + std::to_string(i) + "], %r" + std::to_string(i) + ";\n";
    s += "\t.param .align 16 .b8 param6[16];\n\tst.param.v2.b64 \t[param6], {%rd1, %rd2};\n\t.param .align 16 .b8 retval0[16];\n";
    return s + "\tcall.uni (retval0), \n\t" + function + ", \n\t(\n\tparam0, \n\tparam1, \n\tparam2, \n\tparam3, \n\tparam4, \n\tparam5, \n\tparam6\n\t);\n" +
           "\tld.param.v2.b64 \t{%rd3, %rd4}, [retval0];\n\t} // callseq 0\n";
}

}  // namespace

TEST_CASE("the values of a fragment are those that it was made of", "[fragments]") {
    Var x("x");
    Func made("made"), out("out");
    made(x) = fragment_of(cast<float>(x), cast<float>(x) + 0.5f);
    out(x) = fragment_value(made(x), 0) + 100 * fragment_value(made(x), 1) + 10000 * fragment_value(made(x), 2) - 7 * fragment_value(made(x), 3);
    made.compute_root();
    Pipeline pipeline(out);
    pipeline.add_custom_lowering_pass(new Fragments);
    Buffer<float> result = pipeline.realize({3});
    for (int i = 0; i < 3; i++) CHECK(result(i) == 10001.0f * float(i) + 93 * (float(i) + 0.5f));
}

TEST_CASE("store_if() becomes a condition around one vector store, and what computes the value stays outside", "[fragments]") {
    const Expr there = index_of("lane") < 7, value = load("packed", eight(0), UInt(32, 8));
    const Stmt vector = through(Fragments(), store("out", store_if(Broadcast::make(there, 8), value), eight(index_of("lane") * 8)));
    const IfThenElse *guard = vector.as<IfThenElse>();
    REQUIRE(guard);
    CHECK(guard->condition.type().is_scalar());
    const Store *stored = guard->then_case.as<Store>();
    REQUIRE(stored);
    CHECK(equal(stored->value, value));
    CHECK(stored->value.type().lanes() == 8);
    CHECK(through(Fragments(), store("out", store_if(const_true(8), value), eight(0))).as<Store>());
    CHECK(through(Fragments(), store("out", value, eight(0))).as<Store>());
    CHECK_THAT(error_of([&] { through(Fragments(), store("out", store_if(eight(0) < Broadcast::make(3, 8), value), eight(0))); }),
               Contains("differs inside a vector"));
    CHECK_THAT(error_of([&] { through(Fragments(), store("out", store_if(there, load("packed", 0, UInt(32))) * cast<uint32_t>(3), 0)); }), Contains("whole value"));
}

TEST_CASE("lanes meet again in a loop that stores under conditions and multiplies, and in no other", "[fragments]") {
    const Expr word = load("words", 0, UInt(32)), sum = load("sums", 0, UInt(128));
    const Stmt multiply = store("sums", fragment_multiply_add({word, word, word, word}, {word, word}, sum), 0);
    const Stmt guarded = store("out", store_if(index_of("lane") < 7, word), 0);
    const auto meets = [](const Stmt &s) { return count(text(through(Fragments(), s)), warp_sync_call); };
    CHECK(meets(loop(ForType::Serial, "panel", Block::make(multiply, guarded))) == 1);
    CHECK(meets(loop(ForType::Serial, "panel", multiply)) == 0);
    CHECK(meets(loop(ForType::Serial, "panel", guarded)) == 0);
    CHECK(meets(loop(ForType::GPUBlock, "block", Block::make(multiply, guarded))) == 0);
}

TEST_CASE("eight aligned halves are one access", "[wide_accesses]") {
    const Expr i = index_of("i");
    const auto wide = [](const Stmt &s) { return count(text(through(WideAccesses(), s)), "uint128"); };
    const Stmt use = store("out", load("in", eight(i * 8)), eight(i * 8));
    CHECK(wide(in_kernel(use)) >= 1);
    const Stmt loaded = in_kernel(store("out", cast(Float(32, 8), load("in", eight(i * 16 + 8))), eight(i * 8)));
    CHECK(wide(loaded) == 1);
    SECTION("and as many with a choice of zeros") {
        const Expr chosen = Select::make(Broadcast::make(Variable::make(Bool(), "there"), 8), load("in", eight(i * 8)), make_zero(Float(16, 8)));
        const std::string result = text(through(WideAccesses(), in_kernel(store("out", cast(Float(32, 8), chosen), eight(i * 8)))));
        CHECK(count(result, "float16x8") == count(result, R"(reinterpret<float16x8>\()"));  // the choice is between integers
        CHECK(count(result, "uint128") >= 2);
    }
    SECTION("others are left") {
        const auto converted = [&](const Expr &e) { return store("out", cast(Float(32, e.type().lanes()), e), Ramp::make(0, 1, e.type().lanes())); };
        CHECK(wide(use) == 0);                                                                               // on the host
        CHECK(wide(in_kernel(converted(load("in", eight(i * 8 + 4))))) == 0);                                // unaligned
        CHECK(wide(in_kernel(converted(load("in", Ramp::make(i * 8, 2, 8))))) == 0);                         // not neighbours
        CHECK(wide(in_kernel(converted(load("in", Ramp::make(i * 8, 1, 4), Float(16, 4))))) == 0);           // 64 bits
        CHECK(wide(in_kernel(converted(load("in", Ramp::make(i * 8, 1, 4), Float(32, 4))))) == 0);           // which Halide does itself
        const Stmt registers = Allocate::make("in", Float(16), MemoryType::Register, {8}, const_true(), converted(load("in", eight(0))));
        CHECK(wide(in_kernel(registers)) == 0);
    }
}

TEST_CASE("the PTX of a kernel accesses 128 bits at once with the pass, and 64 without", "[wide_accesses]") {
    const std::string halves = device_code(doubling_module(false)), wide = device_code(doubling_module(true));
    const std::string any = R"((ld|st)\.global\S*\s)", all = R"((ld\.global\.nc|st\.global)\.(v4\.b32|v2\.b64)\s)";
    CHECK(count(wide, any) == 2);
    CHECK(count(wide, all) == 2);
    CHECK(count(halves, any) > 2);
}

TEST_CASE("device code of a module is read and replaced", "[device_code]") {
    const Module module = doubling_module(true);
    const std::string ptx = device_code(module), other = "// other code\n" + ptx;
    CHECK_THAT(ptx, Contains(".visible .entry"));
    const Module changed = with_device_code(module, other);
    CHECK(device_code(changed) == other);
    CHECK(device_code(module) == ptx);
    std::ostringstream before, after;
    for (const auto &f : module.functions()) before << f.body;
    for (const auto &f : changed.functions()) after << f.body;
    CHECK(before.str() != after.str());  // the size of the code
    const std::string size = std::to_string(other.size() + 1);
    CHECK_THAT(after.str(), Contains(size));
    CHECK(before.str().find(size) == std::string::npos);

    const Module host = Pipeline(lambda(Var("x"), Var("x") * 2)).compile_to_module({}, "host", Target("x86-64-linux-no_runtime"));
    CHECK(device_code(host).empty());
    CHECK(kernel_launches(host).empty());
    CHECK_THAT(error_of([&] { with_device_code(host, "x"); }), Contains("no device code"));
}

TEST_CASE("launches tell kernels and threads, as far as they are known", "[device_code]") {
    const std::vector<KernelLaunch> launches = kernel_launches(doubling_module(true));
    REQUIRE(launches.size() == 1);
    CHECK_THAT(device_code(doubling_module(true)), Contains(".visible .entry"));
    CHECK(launches[0].threads == std::array<int, 3>{32, 1, 1});
    CHECK_THAT(launches[0].kernel, Contains("out"));
    const std::vector<KernelLaunch> unknown = kernel_launches(doubling_module(true, false));
    REQUIRE(unknown.size() == 1);
    CHECK(unknown[0].threads == std::array<int, 3>{0, 1, 1});
}

TEST_CASE("the version of PTX is raised, never lowered", "[ptx_edits]") {
    CHECK(require_ptx_version(ptx_head, 7, 8) == ".version 7.8\n.target sm_80\n.address_size 64\n\n");
    CHECK(require_ptx_version(ptx_head, 8, 0) == ".version 8.0\n.target sm_80\n.address_size 64\n\n");
    CHECK(require_ptx_version(ptx_head, 7, 0) == ptx_head);
    CHECK(require_ptx_version(ptx_head, 6, 5) == ptx_head);
    CHECK_THAT(error_of([] { require_ptx_version("nothing", 7, 0); }), Contains("version"));
}

TEST_CASE("calls become instructions, and other calls stay", "[ptx_edits]") {
    const std::string other = call_sequence("something_else", "%r0");
    int made = 0;
    const std::string ptx = calls_to_instructions(
        ptx_head + declared + entry + call_sequence(mma_call, "%r0") + other + call_sequence(mma_call, "7") + "\tret;\n}\n", &made);
    CHECK(made == 2);
    CHECK(count(ptx, mma_call) == 0);
    CHECK(count(ptx, R"(mma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.f16\.f16\.f32 \{%result0, %result1, %result2, %result3\}, \{%r0, %r1, %r2, %r3\}, \{%r4, %r5\}, \{%sum0, %sum1, %sum2, %sum3\};)") == 1);
    CHECK_THAT(ptx, Contains("mov.b64 {%sum0, %sum1}, %rd1;") && Contains("mov.b64 {%sum2, %sum3}, %rd2;"));
    CHECK_THAT(ptx, Contains("mov.b64 %rd3, {%result0, %result1};") && Contains("mov.b64 %rd4, {%result2, %result3};"));
    CHECK_THAT(ptx, Contains("mov.b32 %word0, 7;") && Contains("{%word0, %r1, %r2, %r3}"));  // operands are registers
    CHECK_THAT(ptx, Contains(other));
    const std::string simple = "\t{ // callseq 1, 0\n\t.param .b32 param0;\n\tst.param.b32 \t[param0], %f1;\n\t.param .b32 param1;\n\tst.param.b32 \t[param1], %f2;\n"
                               "\t.param .b32 retval0;\n\tcall.uni (retval0), \n\tsepal_halves, \n\t(\n\tparam0, \n\tparam1\n\t);\n\tld.param.b32 \t%r8, [retval0];\n\t} // callseq 1\n";
    CHECK_THAT(calls_to_instructions(entry + simple + "}"), Contains("cvt.rn.f16x2.f32 \t%r8, %f2, %f1;"));  // the first is the lower half
    const std::string sync = "\t{ // callseq 1, 0\n\t.param .b32 retval0;\n\tcall.uni (retval0), \n\tsepal_warp_sync, \n\t(\n\t);\n\tld.param.b32 \t%r8, [retval0];\n\t} // callseq 1\n";
    CHECK_THAT(calls_to_instructions(entry + sync + "}"), Contains("bar.warp.sync \t0xffffffff;"));
    CHECK(calls_to_instructions(ptx_head + entry + "}") == ptx_head + entry + "}");
    CHECK_THAT(error_of([&] { calls_to_instructions(std::regex_replace(call_sequence(mma_call, "%r0"), std::regex("param5, "), "")); }), Contains(mma_call));
    CHECK_THAT(error_of([&] { calls_to_instructions("\tcall sepal_halves;"); }), Contains("not understood"));
    CHECK_THAT(error_of([&] { calls_to_instructions("{ // callseq 0, 0\n"); }), Contains("no end"));
}

TEST_CASE("accumulators stay in 32-bit registers", "[ptx_edits]") {
    const std::string registers = "\t.reg .b64 \t%rd<9>;\n", call = call_sequence(mma_call, "%r0");
    const std::string before = "\tld.global.nc.v2.b64 \t{%rd1, %rd5}, [%rd8];\n\tmov.b64 \t%rd2, %rd6;\n\tmov.b64 \t%rd6, 4294967298;\n";
    const std::string after = "\tmov.b64 \t{%r1, %r2}, %rd3;\n\tmov.b64 \t%rd4, {%r3, %r4};\n\tadd.s64 \t%rd8, %rd7, 16;\n\tret;\n}\n";
    const std::string ptx = calls_to_instructions(ptx_head + entry + registers + before + call + after);
    CHECK(count(ptx, "mov.b64") == 0);
    CHECK_THAT(ptx, Contains("\t.reg .b64 \t%rd<9>;\n\t.reg .b32 \t%even<9>, %odd<9>;\n"));
    CHECK_THAT(ptx, Contains("ld.global.nc.v4.b32 \t{%even1, %odd1, %even5, %odd5}, [%rd8];"));
    CHECK_THAT(ptx, Contains("mov.b32 \t%even2, %even6;\n\tmov.b32 \t%odd2, %odd6;"));
    CHECK_THAT(ptx, Contains("mov.b32 \t%even6, 2;\n\tmov.b32 \t%odd6, 1;"));
    CHECK_THAT(ptx, Contains("mov.b32 \t%sum0, %even1;\n\tmov.b32 \t%sum1, %odd1;") && Contains("mov.b32 \t%even4, %result2;\n\tmov.b32 \t%odd4, %result3;"));
    CHECK_THAT(ptx, Contains("mov.b32 \t%r1, %even3;\n\tmov.b32 \t%r2, %odd3;") && Contains("mov.b32 \t%even4, %r3;\n\tmov.b32 \t%odd4, %r4;"));
    CHECK_THAT(ptx, Contains("add.s64 \t%rd8, %rd7, 16;"));
    SECTION("but where one is used in a way that is not known, all stay as they are") {
        const std::string other = calls_to_instructions(ptx_head + entry + registers + before + call + "\tadd.s64 \t%rd8, %rd3, 16;\n" + after);
        CHECK(count(other, "%even|%odd") == 0);
        CHECK_THAT(other, Contains("mov.b64 {%sum0, %sum1}, %rd1;") && Contains("add.s64 \t%rd8, %rd3, 16;"));
    }
    SECTION("and each kernel has its own") {
        const std::string second = std::regex_replace(entry, std::regex("kernel_a"), "kernel_b") + registers + after;
        const std::string both = calls_to_instructions(ptx_head + entry + registers + before + call + after + second);
        CHECK(both == ptx + second);
    }
}

TEST_CASE("shared memory is addressed from where it begins", "[ptx_edits]") {
    const std::string body = "\tst.shared.v2.b64 \t[%rd5+32], {%rd1, %rd2};\n\tld.shared.b32 \t%r1, [%rd6];\n\tst.shared.b32 \t[64], %r1;\n\tst.global.b32 \t[%rd7], %r1;\n";
    const std::string ptx = shared_memory_where_it_is(ptx_head + entry + body + "}");
    CHECK_THAT(ptx, Contains(".extern .shared .align 128 .b8 sepal_shared_memory[];"));
    CHECK_THAT(ptx, Contains("mov.u64 \t%shared_base, sepal_shared_memory;"));
    CHECK_THAT(ptx, Contains("add.s64 \t%shared_at, %rd5, %shared_base;\n\tst.shared.v2.b64 \t[%shared_at+32], {%rd1, %rd2};"));
    CHECK_THAT(ptx, Contains("add.s64 \t%shared_at, %rd6, %shared_base;\n\tld.shared.b32 \t%r1, [%shared_at+0];"));
    CHECK_THAT(ptx, Contains("st.shared.b32 \t[%shared_base+64], %r1;"));
    CHECK_THAT(ptx, Contains("st.global.b32 \t[%rd7], %r1;"));
    CHECK(shared_memory_where_it_is(ptx_head + entry + "\tst.global.b32 \t[%rd7], %r1;\n}") == ptx_head + entry + "\tst.global.b32 \t[%rd7], %r1;\n}");
    CHECK_THAT(error_of([] { shared_memory_where_it_is(ptx_head + entry + "\t@%p1 ld.shared.b32 \t%r1, [%rd6];\n}"); }), Contains("predicated"));
    CHECK_THAT(error_of([] { shared_memory_where_it_is(ptx_head + entry + "\tld.shared.b32 \t%r1, [buffer];\n}"); }), Contains("not understood"));
}

TEST_CASE("launch bounds stand between a kernel's parameters and its body", "[ptx_edits]") {
    const std::string second = std::regex_replace(entry, std::regex("kernel_a"), "kernel_b"), ptx = ptx_head + entry + "}\n" + second + "}\n";
    const std::string bound = with_launch_bounds(ptx, {{"kernel_b", {{32, 4, 1}, 3}}});
    CHECK_THAT(bound, Contains("kernel_b_param_0\n)\n.maxntid 32, 4, 1\n.minnctapersm 3\n{"));
    CHECK(count(bound, "maxntid") == 1);
    CHECK(count(with_launch_bounds(ptx, {{"kernel_a", {{64, 1, 1}, 0}}}), "minnctapersm") == 0);
    CHECK_THAT(error_of([&] { with_launch_bounds(ptx, {{"kernel_c", {{32, 1, 1}, 0}}}); }), Contains("1 kernels"));
}
