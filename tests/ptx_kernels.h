// Small kernels in PTX, for tests.
#pragma once

#include <fmt/format.h>

#include <string>

namespace sepal {

inline std::string ptx_header(const std::string &target = "sm_80") { return fmt::format(".version 7.0\n.target {}\n.address_size 64\n", target); }

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

}  // namespace sepal
