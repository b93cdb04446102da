#include "build_module.h"

#include <dlfcn.h>

#include <filesystem>
#include <mutex>
#include <set>
#include <stdexcept>

using namespace Halide;

namespace sepal {
namespace {

struct Autoscheduler {
    const char *scheduler;  // as in the table
    bool for_gpus;
    const char *halide_name;
    std::map<std::string, std::string> params;
};

// The same parameters on every machine, so that builds do not differ: two cores and 1 MiB of cache for each, as a small
// server has them; 132 multiprocessors, as an H100 has them.
const Autoscheduler autoschedulers[] = {
    {"mullapudi2016", false, "Mullapudi2016", {{"parallelism", "2"}, {"last_level_cache_size", "1048576"}, {"balance", "40"}}},
    // The default beam of 32 takes 10 minutes for conv2d (1 032 662 states in each of 5 passes); 4 takes 20 s.
    {"adams2019", false, "Adams2019", {{"parallelism", "2"}, {"beam_size", "4"}}},
    {"li2018", false, "Li2018", {{"parallelism", "2"}}},
    {"mullapudi2016", true, "Mullapudi2016", {{"parallelism", "132"}, {"experimental_gpu_schedule", "1"}}},
    {"anderson2021", true, "Anderson2021", {{"parallelism", "132"}}},
    {"li2018", true, "Li2018", {{"parallelism", "132"}}},
};

// Where libHalide was loaded from, which has the autoschedulers beside it.
std::string halide_folder() {
    Dl_info info;
    if (dladdr(reinterpret_cast<const void *>(&load_plugin), &info) == 0) throw std::runtime_error("the folder of libHalide cannot be found");
    return std::filesystem::path(info.dli_fname).parent_path().string();
}

AutoschedulerParams autoscheduler_for(const std::string &scheduler, Isa isa) {
    for (const Autoscheduler &a : autoschedulers) {
        if (scheduler != a.scheduler || is_gpu(isa) != a.for_gpus) continue;
        static std::mutex mutex;
        static std::set<std::string> loaded;
        std::lock_guard<std::mutex> lock(mutex);
        if (loaded.insert(scheduler).second) load_plugin(halide_folder() + "/libautoschedule_" + scheduler + ".so");
        return AutoschedulerParams(a.halide_name, a.params);
    }
    return {};
}

}  // namespace

Target kernel_target(Isa isa, Os os) { return Target(halide_target(isa, os)).with_feature(Target::NoRuntime); }

Target with_sanitizer(Target target) {
    const std::string feature = SEPAL_SANITIZER_FEATURE;
    return feature.empty() ? target : target.with_feature(Target::feature_from_name(feature));
}

Module build_module(const FunctionSpec &spec, const Target &target) {
    const GeneratorContext context(target, autoscheduler_for(spec.scheduler, spec.isa));
    auto generator = Internal::GeneratorRegistry::create(spec.generator, context);
    for (const auto &[param, value] : spec.generator_params) generator->set_generatorparam_value(param, value);
    return generator->build_module(spec.name);
}

}  // namespace sepal
