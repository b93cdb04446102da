// The suites that are the convolutions of a network: together they have exactly the network's arithmetic and parameters.
#include "catch.h"
#include "tools/problem_file.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

using namespace sepal;

namespace {

// What a network has beside its convolutions.
struct Rest {
    int64_t multiply_adds = 0, parameters = 0;
};

Rest fully_connected(int64_t in, int64_t out) { return {in * out, in * out + out}; }

Rest operator+(const Rest &a, const Rest &b) { return {a.multiply_adds + b.multiply_adds, a.parameters + b.parameters}; }

// Blocks of a network with squeeze-and-excite: two fully connected layers, from the expanded channels to fewer and back.
struct Squeezed {
    int64_t expanded, squeezed, blocks;
};
Rest squeeze_and_excite(const std::vector<Squeezed> &stages) {
    Rest sum;
    for (const Squeezed &s : stages)
        for (int64_t block = 0; block < s.blocks; block++) sum = sum + fully_connected(s.expanded, s.squeezed) + fully_connected(s.squeezed, s.expanded);
    return sum;
}

struct Network {
    const char *suite;
    int64_t layers;       // convolutions, a pair of depthwise and pointwise counted as one
    int64_t parameters;   // of the whole network, without the running means and variances of batch-norm
    double published;     // multiply-adds of the whole network ...
    double rounding;      // ... and half a unit of their last published digit
    Rest rest;
};

// Parameters: Keras' `trainable` for MobileNet v1 and Xception, torchvision's num_params for the others.
// Multiply-adds: the papers' for MobileNet v1 (569 M), v2 (300 M) and EfficientNet-B0 (0.39 G); torchvision's for MobileNet v3 (0.217 G) and
// ResNet-50 v1.5 (4.09 G); 8.4 G for Xception, whose paper gives none. The 300 M of MobileNet v2 is round: its layers make 300.8 M.
// Squeeze-and-excite: EfficientNet's to a quarter of a block's input channels (arXiv 1905.11946, authors' implementation), MobileNet v3's to a
// quarter of the expanded ones, rounded to eights (torchvision).
std::vector<Network> networks() {
    const Rest efficientnet = fully_connected(1280, 1000) + squeeze_and_excite({{32, 8, 1}, {96, 4, 1}, {144, 6, 2}, {240, 10, 2}, {480, 20, 3}, {672, 28, 3}, {1152, 48, 4}});
    const Rest mobilenet_v3 = fully_connected(960, 1280) + fully_connected(1280, 1000) + squeeze_and_excite({{72, 24, 1}, {120, 32, 2}, {480, 120, 1}, {672, 168, 2}, {960, 240, 2}});
    return {{"mobilenet_v1", 14, 4231976, 569e6, 0.5e6, fully_connected(1024, 1000)},
            {"mobilenet_v2", 35, 3504872, 300e6, 1e6, fully_connected(1280, 1000)},
            {"mobilenet_v3", 39, 5483032, 0.217e9, 0.0005e9, mobilenet_v3},
            {"efficientnet_b0", 49, 5288548, 0.39e9, 0.005e9, efficientnet},
            {"xception", 40, 22855952, 8.4e9, 0.05e9, fully_connected(2048, 1000)},
            {"resnet50", 53, 25557032, 4.09e9, 0.005e9, fully_connected(2048, 1000)}};
}

}  // namespace

TEST_CASE("the suites of networks have the published multiply-adds and exactly the published parameters", "[suites]") {
    for (const Network &network : networks()) {
        const ProblemSet set = load_suite(network.suite);
        INFO(network.suite);
        CHECK(set.network);
        int64_t layers = 0, parameters = network.rest.parameters;
        double convolutions = 0;
        for (size_t i = 0; i < set.problems.size(); i++) {
            const ConvProblem &p = set.problems[i];
            layers += set.occurs[i];
            convolutions += double(set.occurs[i]) * p.flops() / 2;
            // A bias stands for a batch-norm, which has two parameters for each channel.
            const int64_t normalised = (p.out.bias ? p.out_channels() : 0) + (p.mid.bias ? p.mid_channels() : 0);
            parameters += set.occurs[i] * (p.filter_elements() + p.pointwise_filter_elements() + 2 * normalised);
        }
        CHECK(layers == network.layers);
        CHECK(parameters == network.parameters);
        CHECK(std::abs(convolutions + double(network.rest.multiply_adds) - network.published) <= network.rounding);
        // The total that the description states.
        CHECK(set.description.find(fmt::format("{:.1f} M multiply-adds in all", convolutions / 1e6)) != std::string::npos);
    }
}

TEST_CASE("the problems of a network's suite are distinct and read only channels that an earlier one made", "[suites]") {
    for (const Network &network : networks()) {
        const ProblemSet set = load_suite(network.suite);
        std::set<std::string> keys;
        std::set<int64_t> made = {3};  // channels: the image's, then those of every output
        for (const ConvProblem &p : set.problems) {
            INFO(p.name);
            CHECK(keys.insert(p.key()).second);
            CHECK(p.n == 1);
            CHECK(p.name.compare(0, std::string(network.suite).size() + 1, std::string(network.suite) + ".") == 0);
            CHECK(p.name.find(fmt::format(".{}x{}.{}", p.h, p.w, p.c)) != std::string::npos);
            CHECK(made.count(p.c) == 1);
            made.insert(p.out_channels());
        }
    }
}

TEST_CASE("the last convolutions of the networks leave 7 x 7 pixels, Xception's 10 x 10", "[suites]") {
    for (const Network &network : networks()) {
        const ProblemSet set = load_suite(network.suite);
        int64_t least_p = set.problems.front().h, least_q = least_p;
        for (const ConvProblem &p : set.problems) {
            least_p = std::min(least_p, p.p());
            least_q = std::min(least_q, p.q());
        }
        const int64_t expected = std::string(network.suite) == "xception" ? 10 : 7;
        INFO(network.suite);
        CHECK(least_p == expected);
        CHECK(least_q == expected);
    }
}
