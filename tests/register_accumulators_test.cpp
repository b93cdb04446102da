#include "passes/register_accumulators.h"

#include "catch.h"

#include <regex>

using namespace Halide;
using namespace Halide::Internal;

namespace {

using Catch::Matchers::Contains;

// A product of matrices, summed in the threads of a block over blocks of the sum in shared memory; the block's tile is 8 x 4 threads of 2 x 2
// sums. `like_the_sums`: the output is shared out to threads as the sums are, else the other way round. `vectors`: two sums are one vector, and the loop
// over a block is not unrolled.
std::string ptx_of_product(bool with_pass, bool like_the_sums, bool vectors = false) {
    Var i("i"), j("j"), io("io"), jo("jo"), ii("ii"), ji("ji"), it("it"), jt("jt");
    RVar block("block"), step("step");
    ImageParam a(Float(32), 2, "a"), b(Float(32), 2, "b");
    RDom k(0, 64, "k");
    Func sum("sum"), out("out");
    sum(i, j) += a(i, k) * b(k, j);
    out(i, j) = sum(i, j) + 1;
    out.split(i, io, ii, 16, TailStrategy::RoundUp).split(j, jo, ji, 8, TailStrategy::RoundUp);
    out.split(ii, it, ii, 2).split(ji, jt, ji, 2).reorder(ii, ji, it, jt, io, jo).unroll(ji).gpu_blocks(io, jo);
    if (!like_the_sums) out.reorder(jt, it);
    out.gpu_threads(it, jt);
    sum.compute_at(out, io).store_in(MemoryType::Register).split(i, it, ii, 2).split(j, jt, ji, 2).reorder(ii, ji, it, jt).unroll(ji).gpu_threads(it, jt);
    sum.update().split(i, it, ii, 2).split(j, jt, ji, 2).split(k, block, step, 16).reorder(ii, ji, step, it, jt, block).unroll(ji).gpu_threads(it, jt);
    if (vectors)
        out.vectorize(ii), sum.vectorize(ii), sum.update().vectorize(ii);
    else
        out.unroll(ii), sum.unroll(ii), sum.update().unroll(ii).unroll(step);
    Func staged = a.in(sum);
    staged.compute_at(sum, block).store_in(MemoryType::GPUShared).gpu_threads(staged.args()[0], staged.args()[1]);
    Pipeline pipeline(out);
    if (with_pass) pipeline.add_custom_lowering_pass(new sepal::RegisterAccumulators);
    const Module module = pipeline.compile_to_module({a, b}, "product", Target("x86-64-linux-cuda-cuda_capability_80-no_runtime"));
    const Buffer<> code = module.get_cuda_ptx_assembly_buffer();
    return std::string(static_cast<const char *>(code.data()), code.size_in_bytes());
}

}  // namespace

TEST_CASE("sums of threads stay in registers while blocks of a sum pass through shared memory", "[gpu_passes]") {
    CHECK_THAT(ptx_of_product(false, true), Contains(".local"));
    CHECK_THAT(ptx_of_product(true, true), !Contains(".local") && Contains("fma.rn.f32"));
}

TEST_CASE("sums that stages share out to threads in different ways are refused by name", "[gpu_passes]") {
    std::string why;
    try {
        ptx_of_product(true, false);
    } catch (const CompileError &error) {
        why = error.what();
    }
    CHECK_THAT(why, Contains("accumulators sum") && Contains("every stage has to share them out alike"));
}

TEST_CASE("vectors of sums go round a loop as they are, not as pairs that are joined and taken apart", "[gpu_passes]") {
    const std::string ptx = ptx_of_product(true, true, true);
    CHECK_THAT(ptx, !Contains(".local"));
    // The innermost loop: the shortest text from a label to a branch back to it.
    std::string inner;
    const std::regex label("\\$L__BB0_\\d+:"), join("mov\\.b64\\s+%rd\\d+, \\{");
    for (std::sregex_iterator l(ptx.begin(), ptx.end(), label), end; l != end; ++l) {
        const size_t start = size_t(l->position()), back = ptx.find("bra \t" + l->str().substr(0, l->str().size() - 1) + ";", start);
        if (back != std::string::npos && (inner.empty() || back - start < inner.size())) inner = ptx.substr(start, back - start);
    }
    INFO(ptx);
    REQUIRE_THAT(inner, Contains("fma.rn.f32"));
    CHECK_FALSE(std::regex_search(inner, join));
}
