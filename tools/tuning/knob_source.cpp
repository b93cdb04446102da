#include "tools/tuning/knob_source.h"

#include "tools/compile/llc.h"
#include "tools/tuning/database.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace sepal {

void print_warnings(const std::vector<std::string> &complaints) {
    for (const std::string &complaint : complaints) fmt::print(stderr, "sepal: warning: {}; the line is skipped\n", complaint);
}

KnobSource::KnobSource(const std::string &file, int threads) : threads_(threads), machine_(fingerprint(detect_machine())) {
    print_warnings(builtin_tuning().complaints);
    if (file.empty()) return;
    TuningDatabase database = read_tuning_records(file);
    print_warnings(database.complaints);
    given_ = std::move(database.records);
}

const std::vector<TuningRecord> &KnobSource::records_for(const ConvProblem &problem) const {
    const bool has_given = std::any_of(given_.begin(), given_.end(), [&](const TuningRecord &r) {
        return r.verdict == Verdict::ok && r.threads == threads_ && is_for(r, problem, r.isa);
    });
    return has_given ? given_ : builtin_tuning().records;
}

std::optional<KernelSpec> KnobSource::specialise(const ConvProblem &problem, const Processor &processor, std::string &why_not) const {
    const std::string no_llc = why_no_llc();
    std::optional<KernelSpec> spec = specialise_for(problem, processor, why_not, records_for(problem), threads_, machine_, no_llc.empty());
    if (static bool told = false; !no_llc.empty() && !told && spec && spec->scheduler == "hand" && !is_gpu(spec->isa) && streaming_pays(problem, spec->isa)) {
        fmt::print(stderr, "sepal: warning: {}; kernels compiled in process do without them, and take longer\n", no_llc);
        told = true;
    }
    return spec;
}

std::optional<KernelSpec> KnobSource::from_file_only(const ConvProblem &problem, const Processor &processor) const {
    std::string ignored;
    std::optional<KernelSpec> spec = specialise_for(problem, processor, ignored, given_, threads_, machine_);
    if (!spec || spec->scheduler != "tuned") return std::nullopt;
    const Variant *compiled_in = Registry::builtin().find(spec->name);
    return compiled_in && compiled_in->is_for(threads_) ? std::nullopt : spec;
}

std::string KnobSource::origin(const KernelSpec &spec, const ConvProblem &problem) const {
    if (spec.scheduler != "tuned") return {};
    bool from_elsewhere = false;
    const TuningRecord *record = best_record(records_for(problem), problem, spec.isa, threads_, machine_, &from_elsewhere);
    if (!record) return {};
    return fmt::format("its knobs are those of tuning trial {}, measured {}", record->trial,
                       from_elsewhere ? "on another machine (" + record->machine.cpu + ")" : "on this machine");
}

}  // namespace sepal
