// The C++ API: which variants there are for a problem, and a plan that writes into a slice of a wider tensor, as a concatenation wants it.
#include <sepal/sepal.hpp>

#include <cstdio>
#include <vector>

int main() try {
    constexpr int h = 9, w = 14, c = 16, k = 32, concatenated = 80, offset = 48;
    sepal::Problem problem;
    problem.op = SEPAL_POINTWISE;
    problem.h = h, problem.w = w, problem.c = c, problem.k = k;
    problem.output_strides = {h * w * concatenated, w * concatenated, concatenated, 1};
    for (const sepal::Candidate &candidate : sepal::candidates(problem))
        if (candidate.takes) std::printf("%s %s\n", candidate.chosen ? "*" : " ", candidate.name.c_str());

    std::vector<float> filter(k * c), input(h * w * c), output(h * w * concatenated, -1.0f);
    for (size_t i = 0; i < filter.size(); i++) filter[i] = float(int(i % 7) - 3);
    for (size_t i = 0; i < input.size(); i++) input[i] = float(int(i % 5) - 2);
    sepal::Weights weights;
    weights.filter = filter.data();
    const sepal::Plan plan(problem, weights);
    plan.run(input.data(), output.data() + offset);
    for (int pixel = 0; pixel < h * w; pixel++)
        for (int ch = 0; ch < concatenated; ch++) {
            float expected = -1;
            if (ch >= offset && ch < offset + k) {
                expected = 0;
                for (int i = 0; i < c; i++) expected += filter[size_t((ch - offset) * c + i)] * input[size_t(pixel * c + i)];
            }
            if (output[size_t(pixel * concatenated + ch)] != expected) {
                std::fprintf(stderr, "pixel %d, channel %d is wrong\n", pixel, ch);
                return 1;
            }
        }
    problem.k = 0;
    try {
        sepal::Plan impossible(problem, weights);
        std::fprintf(stderr, "a problem without outputs was accepted\n");
        return 1;
    } catch (const sepal::Error &e) {
        std::printf("refused: %s\n", e.what());
    }
    std::puts("right");
    return 0;
} catch (const sepal::Error &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
}
