// sepal-plan TABLE OUTPUT ISA... [--os NAME] [--tuning RECORDS...]: writes OUTPUT/<name>.spec.json for each kernel of the table (only where it
// changed) and prints the names, one a line, in order of preference; then the same for the packers (pack_...) that they need. What is
// wrong with a record goes to stderr, a line each. Built and run while CMake configures; needs no Halide.
#include "plan_kernels.h"
#include "tools/files.h"
#include "tools/tuning/database.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>

namespace {

template<typename Spec>
void write_spec(const std::string &folder, const Spec &spec) {
    sepal::write_if_changed(fmt::format("{}/{}.spec.json", folder, spec.name), to_json(spec));
    std::puts(spec.name.c_str());
}

}  // namespace

int main(int argc, char **argv) try {
    if (argc < 4) throw std::runtime_error("usage: sepal-plan TABLE OUTPUT ISA... [--os NAME] [--tuning RECORDS...]");
    std::vector<sepal::Isa> isas;
    int i = 3;
    for (; i < argc && argv[i][0] != '-'; i++) {
        const auto isa = sepal::isa_from_name(argv[i]);
        if (!isa) throw std::runtime_error(fmt::format("SEPAL_ISAS holds \"{}\"; allowed: {}", argv[i], sepal::isa_names()));
        isas.push_back(*isa);
    }
    sepal::Os os = sepal::Os::linux_;
    if (i + 1 < argc && argv[i] == std::string("--os")) {
        os = sepal::os_from_name(argv[i + 1]).value();
        i += 2;
    }
    const sepal::TuningDatabase tuning = sepal::read_tuning_files({argv + std::min(i + 1, argc), argv + argc});
    std::filesystem::create_directories(argv[2]);
    std::vector<sepal::KernelSpec> kernels = sepal::plan_kernels(argv[1], isas, tuning.records);
    for (sepal::KernelSpec &spec : kernels) spec.os = os;
    for (const sepal::KernelSpec &spec : kernels) write_spec(argv[2], spec);
    for (const sepal::FunctionSpec &spec : sepal::packers_for(kernels)) write_spec(argv[2], spec);
    for (const std::string &complaint : tuning.complaints) fmt::print(stderr, "sepal-plan: {}; it is skipped\n", complaint);
    return 0;
} catch (const std::exception &e) {
    fmt::print(stderr, "sepal-plan: {}\n", e.what());
    return 2;
}
