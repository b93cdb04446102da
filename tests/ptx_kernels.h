// Small kernels in PTX, for tests.
#pragma once

#include <fmt/format.h>

#include <string>

namespace sepal {

inline std::string ptx_header(const std::string &target = "sm_80") {
    return fmt::format(".version 7.0\n.target {}\n.address_size 64\n", target);
}

// A kernel for blocks of 128 threads, each of which reads `values` floats, and writes them in reverse order once it has them all.
inline std::string ptx_of_live_values(const std::string &name, int values) {
    std::string text = fmt::format(".visible .entry {}(.param .u64 in, .param .u64 out)\n.maxntid 128, 1, 1\n{{\n"
                                   ".reg .b32 %r;\n.reg .b64 %p, %q, %at;\n.reg .f32 %f<{}>;\n"
                                   "ld.param.u64 %p, [in];\nld.param.u64 %q, [out];\nmov.u32 %r, %tid.x;\n"
                                   "mul.wide.u32 %at, %r, 4;\nadd.s64 %p, %p, %at;\nadd.s64 %q, %q, %at;\n",
                                   name, values);
    for (int i = 0; i < values; i++) text += fmt::format("ld.volatile.global.f32 %f{}, [%p+{}];\n", i, 512 * i);
    for (int i = values - 1; i >= 0; i--) text += fmt::format("st.volatile.global.f32 [%q+{}], %f{};\n", 512 * i, i);
    return text + "ret;\n}\n";
}

// A kernel whose loop, run n times, makes 16 multiply-adds to 16 sums of 4 + 4 floats that it reads each time.
inline std::string ptx_of_fma_loop(const std::string &name) {
    std::string text = fmt::format(".visible .entry {}(.param .u64 in, .param .u64 out, .param .u32 n)\n.maxntid 128, 1, 1\n{{\n"
                                   ".reg .pred %go;\n.reg .b32 %r, %n;\n.reg .b64 %p, %q, %at;\n.reg .f32 %a<4>, %b<4>, %s<16>;\n"
                                   "ld.param.u64 %p, [in];\nld.param.u64 %q, [out];\nld.param.u32 %n, [n];\nmov.u32 %r, %tid.x;\n"
                                   "mul.wide.u32 %at, %r, 16;\nadd.s64 %p, %p, %at;\nadd.s64 %q, %q, %at;\n",
                                   name);
    for (int i = 0; i < 16; i++) text += fmt::format("mov.f32 %s{}, 0f00000000;\n", i);
    text += "again:\nld.global.v4.f32 {%a0, %a1, %a2, %a3}, [%p];\nld.global.v4.f32 {%b0, %b1, %b2, %b3}, [%p+2048];\n";
    for (int i = 0; i < 16; i++) text += fmt::format("fma.rn.f32 %s{0}, %a{1}, %b{2}, %s{0};\n", i, i / 4, i % 4);
    text += "add.s64 %p, %p, 4096;\nadd.s32 %n, %n, -1;\nsetp.ne.s32 %go, %n, 0;\n@%go bra again;\n";
    for (int i = 0; i < 16; i += 4)
        text += fmt::format("st.global.v4.f32 [%q+{}], {{%s{}, %s{}, %s{}, %s{}}};\n", 512 * i, i, i + 1, i + 2, i + 3);
    return text + "ret;\n}\n";
}

}  // namespace sepal
