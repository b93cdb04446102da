// A generated kernel on a GPU, with no CUDA or OpenCL of the program's own. Argument: cuda or opencl.
#include "gpu_kernels.h"
#include <sepal/sepal.hpp>

#include <cstdio>
#include <cstring>
#include <vector>

int main(int argc, char **argv) try {
    const bool cuda = argc > 1 && std::strcmp(argv[1], "cuda") == 0;
    sepal::Device device(cuda ? SEPAL_CUDA : SEPAL_OPENCL);
    std::printf("%s\n", device.name().c_str());
    sepal::Options options;
    options.device = device.get();

    // depsep: the pixel itself, doubled channels: channel k of 128 is channel k % 64.
    constexpr int pixels = 28 * 28, channels = 64, outputs = 128;
    std::vector<float> filter(9 * channels), pointwise(outputs * channels), bias(outputs, 1), input(pixels * channels), output(pixels * outputs);
    for (int c = 0; c < channels; c++) filter[size_t(4 * channels + c)] = 1;
    for (int k = 0; k < outputs; k++) pointwise[size_t(k * channels + k % channels)] = 1;
    for (size_t i = 0; i < input.size(); i++) input[i] = float(i % 3);
    sepal::Weights weights;
    weights.filter = filter.data(), weights.pointwise_filter = pointwise.data(), weights.bias = bias.data();
    sepal_plan *made = nullptr;
    sepal::check(gpu_kernels_block_depsep(&weights, &options, &made));
    const sepal::Plan plan(made);
    std::printf("%s\n", plan.variant().c_str());

    void *const in = device.allocate(input.size() * 4), *const out = device.allocate(output.size() * 4);
    device.upload(in, input.data(), input.size() * 4);
    plan.run(in, out);  // queued
    device.download(output.data(), out, output.size() * 4);
    for (int i = 0; i < pixels; i++)
        for (int k = 0; k < outputs; k++)
            if (output[size_t(i * outputs + k)] != 1 + input[size_t(i * channels + k % channels)]) {
                std::fprintf(stderr, "output[%d][%d] is %g\n", i, k, output[size_t(i * outputs + k)]);
                return 1;
            }
    std::puts("right");
    return 0;
} catch (const sepal::Error &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.status() == SEPAL_UNSUPPORTED ? 2 : 1;
}
