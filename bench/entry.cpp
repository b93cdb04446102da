#include "entry.h"

#include "timer.h"
#include "tools/bad_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace sepal {

Status Executable::run(const void *input, void *output) const {
    const void *const added = skip ? skip->data() : nullptr;
    if (!second) return first->run(input, output, added);
    const Status status = first->run(input, middle->data());
    return status.ok() ? second->run(middle->data(), output, added) : status;
}

Status GpuExecutable::queue(const GpuArray &input, GpuArray &output) const {
    if (!second) return first->run(input, output, skip);
    const Status status = first->run(input, *middle);
    return status.ok() ? second->run(*middle, output, skip) : status;
}

namespace {

std::string why_not(const Candidate &c, const Processor &processor) {
    if (!c.unavailable.empty()) return c.unavailable;
    if (c.peer && c.problem.dtype != DType::f32 && !is_gpu(processor.best)) return fmt::format("peers are measured on f32, the problem is {}", name(c.problem.dtype));
    if (c.peer && is_gpu(processor.best) && c.problem.layout != Layout::nhwc) return fmt::format("peers on a GPU are measured on nhwc, the problem is {}", name(c.problem.layout));
    if (c.peer && c.problem.residual) return "peers are measured without a residual, the problem has one";
    const std::pair<const Variant *, ConvProblem> parts[] = {{c.variant, c.second ? c.problem.depthwise_half() : c.problem},
                                                             {c.second, c.second ? c.problem.pointwise_half() : c.problem}};
    for (const auto &[variant, problem] : parts) {
        if (!variant) continue;
        if (!variant->kernel) return fmt::format("{} was not built: {}", variant->name, variant->error);
        if (!processor.runs(variant->isa)) return fmt::format("{} does not run {}", is_gpu(processor.best) ? name(processor.backend()) : "this CPU", name(variant->isa));
        if (const std::string why = variant->refuses(problem); !why.empty()) return fmt::format("{} {}", variant->name, why);
    }
    return {};
}

// A Plan, or a GpuPlan on the device that `where` is.
template<typename AnyPlan, typename... Where>
std::unique_ptr<AnyPlan> pack_and_plan(PackedFilters &packed, const ConvProblem &problem, const Variant &variant, const Weights &weights, Status &status,
                                       const Where &...where) {
    std::shared_ptr<const PackedWeights> made = packed.pack(problem, variant, weights, status);
    return made ? AnyPlan::create(problem, variant, std::move(made), where..., status) : nullptr;
}

template<typename AnyPlan, typename... Where>
Status bind(Entry &entry, std::unique_ptr<AnyPlan> &first, std::unique_ptr<AnyPlan> &second, const Tensors &tensors, const Where &...where) {
    Status status;
    const Candidate &c = *entry.candidate;
    if (!c.second) {
        first = pack_and_plan<AnyPlan>(entry.packed, c.problem, *c.variant, tensors.weights(), status, where...);
        return status;
    }
    const Weights all = tensors.weights();
    Weights depthwise, pointwise;
    depthwise.filter = all.filter;
    depthwise.bias = all.mid_bias;
    pointwise.filter = all.pointwise_filter;
    pointwise.bias = all.bias;
    first = pack_and_plan<AnyPlan>(entry.packed, c.problem.depthwise_half(), *c.variant, depthwise, status, where...);
    if (status.ok()) second = pack_and_plan<AnyPlan>(entry.packed, c.problem.pointwise_half(), *c.second, pointwise, status, where...);
    return status;
}

// Runs and checks; a trial of the time comes with it.
void check(Entry &e, const Tensors &tensors, const AlignedArray &input, AlignedArray &output) {
    // An element that is not written stays NaN and fails the check.
    output.fill(std::numeric_limits<float>::quiet_NaN());
    const double start = now();
    const Status status = e.executable.run(input.data(), output.data());
    e.run_seconds = now() - start;
    judge(e, status, tensors, output);
}

void check_peer(Entry &e, const Tensors &tensors, const PeerFiles &files, AlignedArray &output) {
    const PeerCheck result = check_peer(*e.candidate->peer, tensors, files, output);
    e.prepared = result.prepared;
    e.relative_error = result.relative_error;
    e.check = result.check;
    e.message = result.message;
    e.run_seconds = result.run_seconds;
}

std::string gigabytes(double bytes) { return fmt::format("{:.2f} GB ({:.0f} bytes)", bytes / 1e9, bytes); }

}  // namespace

std::vector<Entry> make_entries(const std::vector<Candidate> &candidates, const Processor &processor) {
    std::vector<Entry> entries;
    for (const Candidate &c : candidates) {
        Entry e;
        e.candidate = &c;
        if (const std::string why = why_not(c, processor); !why.empty()) e.check = "skipped: " + why;
        entries.push_back(std::move(e));
    }
    return entries;
}

void skip_beyond_memory(std::vector<Entry> &entries, double needed, double available) {
    double all = needed;
    for (Entry &e : entries) {
        if (!e.check.empty() || available <= 0) continue;
        const double own = e.candidate->peer ? peer_memory(e.candidate->problem) : 0;
        if (all + own > available)
            e.check = fmt::format("skipped: needs {} of memory, {} are available", gigabytes(all + own), gigabytes(available));
        else
            all += own;
    }
}

void judge(Entry &e, const Status &run, const Tensors &tensors, const AlignedArray &output) {
    e.check = "failed";
    e.message = run.message;
    if (!run.ok()) return;
    const double rel_error = e.candidate->variant->rel_error(tensors.problem), max_macs = 1e9;
    const CheckResult result = check_output(tensors, output.data(), max_macs, rel_error);
    e.message = result.message;
    e.relative_error = result.rel_error;
    if (result.passed) e.check = "passed";
}

void bind_and_check(Entry &e, const Tensors &tensors, const AlignedArray &input, const AlignedArray &skip, AlignedArray &middle,
                    AlignedArray &output) {
    e.executable.middle = &middle;
    if (e.candidate->problem.residual) e.executable.skip = &skip;
    const Status status = bind(e, e.executable.first, e.executable.second, tensors);
    if (status.ok())
        check(e, tensors, input, output);
    else
        e.check = "skipped: " + status.message;
}

Status bind_to_gpu(Entry &entry, const Tensors &tensors, const std::shared_ptr<GpuDevice> &device, const GpuArray &skip, GpuArray &middle) {
    entry.on_gpu.middle = &middle;
    if (entry.candidate->problem.residual) entry.on_gpu.skip = &skip;
    return bind(entry, entry.on_gpu.first, entry.on_gpu.second, tensors, device);
}

void check_all(std::vector<Entry> &entries, const Tensors &tensors, AlignedArray &output, const std::function<void(Entry &)> &check_own,
               const std::function<void(const std::string &)> &tell) {
    std::optional<PeerFiles> files;
    std::string no_files;
    if (std::any_of(entries.begin(), entries.end(), [](const Entry &e) { return e.candidate->peer && e.check.empty(); })) {
        try {
            files.emplace(tensors);
        } catch (const BadInput &error) {
            no_files = error.what();
        }
    }
    for (Entry &e : entries) {
        if (!e.check.empty()) continue;
        tell(e.candidate->name + ": check");
        if (!e.candidate->peer)
            check_own(e);
        else if (files)
            check_peer(e, tensors, *files, output);
        else
            e.check = "skipped: " + no_files;
    }
}

std::optional<double> time_runs(Entry &e, int64_t batch, bool warm_up, const AlignedArray &input, AlignedArray &output) {
    if (e.candidate->peer) {
        std::string why;
        const std::optional<double> seconds = e.candidate->peer->seconds(batch, warm_up, why);
        // Its check had passed; that it cannot go on is no wrong result.
        if (!seconds) e.check = "skipped: " + why;
        return seconds;
    }
    const double start = now();
    for (int64_t i = 0; i < batch; i++) {
        const Status status = e.executable.run(input.data(), output.data());
        if (!status.ok()) {
            e.check = "failed";
            e.message = status.message;
            return std::nullopt;
        }
    }
    return (now() - start) / double(batch);
}

}  // namespace sepal
