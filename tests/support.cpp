#include "support.h"

#include "catch.h"
#include "runtime/half.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sepal {

std::string TemporaryFolder::write(const std::string &file, const std::string &bytes) const {
    std::ofstream out(path(file), std::ios::binary);
    out << bytes;
    if (!out.flush()) throw std::runtime_error("cannot write " + path(file));
    return path(file);
}

std::vector<std::string> TemporaryFolder::files() const {
    std::vector<std::string> out;
    for (const auto &entry : std::filesystem::directory_iterator(folder_.path())) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
}

std::string bytes_of(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

std::string bad_input(const std::function<void()> &action) {
    try {
        action();
    } catch (const BadInput &e) {
        CHECK(std::string(e.what()).find('\n') == std::string::npos);
        return e.what();
    }
    FAIL_CHECK("no BadInput was thrown");
    return {};
}

std::vector<double> naive(const Tensors &t) {
    const ConvProblem &p = t.problem;
    const bool nchw = p.layout == Layout::nchw;
    const auto activation = [](double x, Activation a) {
        if (a == Activation::none) return x;
        if (a == Activation::hardswish) return x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6;
        if (x < 0) return 0.0;
        return a == Activation::relu6 && x > 6 ? 6.0 : x;
    };
    const auto input = [&](int64_t n, int64_t y, int64_t x, int64_t c) {
        return y < 0 || y >= p.h || x < 0 || x >= p.w ? 0.0 : double(t.input[size_t(nchw ? ((n * p.c + c) * p.h + y) * p.w + x : ((n * p.h + y) * p.w + x) * p.c + c)]);
    };
    const auto sum_of_taps = [&](int64_t py, int64_t qx, const std::function<double(int64_t r, int64_t s, int64_t y, int64_t x)> &term) {
        double sum = 0;
        for (int64_t r = 0; r < p.r; r++)
            for (int64_t s = 0; s < p.s; s++)
                sum += term(r, s, py * p.stride_h - p.pad().top + r * p.dilation_h, qx * p.stride_w - p.pad().left + s * p.dilation_w);
        return sum;
    };
    const auto depthwise = [&](int64_t n, int64_t py, int64_t qx, int64_t channel, const Epilogue &e, const std::vector<float> &bias) {
        const double sum = sum_of_taps(py, qx, [&](int64_t r, int64_t s, int64_t y, int64_t x) {
            const int64_t c = channel / p.multiplier, m = channel % p.multiplier;
            return input(n, y, x, c) * double(t.filter[size_t(((r * p.s + s) * p.c + c) * p.multiplier + m)]);
        });
        return activation(sum + (e.bias ? double(bias[size_t(channel)]) : 0.0), e.activation);
    };
    std::vector<double> out;
    for (int64_t n = 0; n < p.n; n++)
        for (int64_t py = 0; py < p.p(); py++)
            for (int64_t qx = 0; qx < p.q(); qx++)
                for (int64_t k = 0; k < p.out_channels(); k++) {
                    if (p.op == Operator::depthwise) {
                        out.push_back(depthwise(n, py, qx, k, p.out, t.bias));
                        continue;
                    }
                    double sum = p.out.bias ? double(t.bias[size_t(k)]) : 0.0;
                    if (p.op == Operator::depsep) {
                        for (int64_t m = 0; m < p.c * p.multiplier; m++)
                            sum +=
                                depthwise(n, py, qx, m, p.mid, t.mid_bias) * double(t.pointwise_filter[size_t(k * p.c * p.multiplier + m)]);
                    } else {
                        const int64_t c_each = p.c / p.groups, group = k / (p.k / p.groups);
                        sum += sum_of_taps(py, qx, [&](int64_t r, int64_t s, int64_t y, int64_t x) {
                            double terms = 0;
                            for (int64_t c = 0; c < c_each; c++)
                                terms +=
                                    input(n, y, x, group * c_each + c) * double(t.filter[size_t(((k * p.r + r) * p.s + s) * c_each + c)]);
                            return terms;
                        });
                    }
                    if (p.residual) sum += double(t.skip[nchw ? size_t(((n * p.out_channels() + k) * p.p() + py) * p.q() + qx) : out.size()]);
                    out.push_back(activation(sum, p.out.activation));
                }
    if (!nchw) return out;
    std::vector<double> planes;
    for (int64_t n = 0; n < p.n; n++)
        for (int64_t k = 0; k < p.out_channels(); k++)
            for (int64_t i = 0; i < p.p() * p.q(); i++) planes.push_back(out[size_t((n * p.p() * p.q() + i) * p.out_channels() + k)]);
    return planes;
}

std::vector<float> values_around_halves() {
    std::vector<float> values = {65520.0f, 65536.0f, 1e6f, 3e38f, INFINITY, 0x1p-26f, 0x1.8p-25f, 0x1p-60f};
    for (uint16_t half = 0; half < 0x7c00; half++) {
        const float value = float_from_half(half), next = half == 0x7bff ? 65536.0f : float_from_half(uint16_t(half + 1)), middle = (value + next) / 2;
        values.insert(values.end(), {value, std::nextafter(middle, 0.0f), middle, std::nextafter(middle, INFINITY)});
    }
    const size_t positive = values.size();
    for (size_t i = 0; i < positive; i++) values.push_back(-values[i]);
    return values;
}

bool report(bool passed, const Variant &variant, const ConvProblem &problem, const std::string &message, const std::string &command) {
    if (passed) return true;
    fmt::print("[FAIL] {} on {} ({}): {}\n       reproduce: {}\n", variant.name, problem.name, problem.key(), message, command);
    std::fflush(stdout);
    return false;
}

std::string test_command(const std::string &tag) {
    return fmt::format("{} '[{}]'", shell_quote(std::filesystem::read_symlink("/proc/self/exe").string()), tag);
}

std::vector<const Variant *> runnable_variants(Isa isa) {
    const Cpu cpu = Cpu::detect();
    std::vector<const Variant *> out;
    for (const Variant &v : Registry::builtin()) {
        if (v.isa != isa) continue;
        const std::string why_not = why_not_runnable(v, cpu);
        if (why_not.empty())
            out.push_back(&v);
        else
            fmt::print("[SKIP] {}: {}\n", v.name, why_not);
    }
    if (!cpu.runs(isa)) fmt::print("[SKIP] every {} variant: this CPU runs up to {}\n", name(isa), name(cpu.best));
    std::fflush(stdout);
    return out;
}

std::vector<const Variant *> runnable_variants() {
    std::vector<const Variant *> out;
    for (Isa isa : cpu_isas)
        for (const Variant *v : runnable_variants(isa)) out.push_back(v);
    return out;
}

}  // namespace sepal
