// sepal run: one problem on the user's .npy arrays.
#include "runtime/aligned.h"
#include "runtime/gpu/gpu_plan.h"
#include "runtime/plan.h"
#include "tools/command.h"
#include "tools/compile/in_process.h"
#include "tools/device_option.h"
#include "tools/files.h"
#include "tools/npy.h"
#include "tools/packed_file.h"
#include "tools/selection.h"
#include "tools/tuning/knob_source.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <thread>

namespace sepal {
namespace {

struct Options {
    std::string problems, name, variant, input, filter, bias, pointwise_filter, mid_bias, skip, output, tuning, packed, save_packed;
    int threads = std::max(1, int(std::thread::hardware_concurrency()));
    DeviceOption device;
};

ConvProblem find_problem(const Options &o) {
    const ProblemSet set = load_problem_file(o.problems);
    std::string names;
    for (const ConvProblem &p : set.problems) {
        if (p.name == o.name || (o.name.empty() && set.problems.size() == 1)) return p;
        names += (names.empty() ? "" : ", ") + p.name;
    }
    throw BadInput(fmt::format("{}: --name {}; allowed: {}", o.problems,
                               o.name.empty() ? "is missing" : "\"" + o.name + "\" is none of its problems", names));
}

// Reads the array of one option, whose elements are of the type. `wanted`: the problem has this tensor.
std::vector<float> read_tensor(const ConvProblem &p, const char *option, const std::string &path, const char *tensor, bool wanted,
                               const std::vector<int64_t> &shape, DType dtype = DType::f32) {
    if (!wanted && !path.empty())
        throw BadInput(fmt::format("{}: problem \"{}\" ({}) has no {}; leave {} out", path, p.name, name(p.op), tensor, option));
    if (!wanted) return {};
    if (path.empty())
        throw BadInput(fmt::format("{} is missing: problem \"{}\" has a {} of shape {}", option, p.name, tensor, shape_text(shape)));
    return read_npy(path, shape, fmt::format("{} of problem \"{}\"", tensor, p.name), dtype);
}

std::vector<int64_t> filter_shape(const ConvProblem &p) {
    switch (p.op) {
    case Operator::conv2d: return {p.k, p.r, p.s, p.c / p.groups};
    case Operator::pointwise: return {p.k, p.c};
    case Operator::depthwise:
    case Operator::depsep: return {p.r, p.s, p.c, p.multiplier};
    }
    return {};
}

const Variant &named_variant(const Options &o, const ConvProblem &p, const ChosenDevice &device) {
    const Variant *v = Registry::builtin().find(o.variant);
    if (!v) throw BadInput(fmt::format("--variant \"{}\" is unknown; `sepal list` names those that there are", o.variant));
    if (std::string why = v->refuses(p); !why.empty())
        throw BadInput(fmt::format("{}: problem \"{}\": variant {} {}", o.problems, p.name, v->name, why));
    if (std::string why = device.why_not_runnable(*v); !why.empty()) throw BadInput(fmt::format("variant {}: {}", v->name, why));
    return *v;
}

// A kernel for exactly this problem; or null, with the reasons.
std::unique_ptr<InProcessKernel> compile_for(const ConvProblem &p, const KnobSource &knobs, const Processor &processor, std::string &why_not) {
    try {
        if (const auto spec = knobs.specialise(p, processor, why_not)) return compile_in_process(*spec);
    } catch (const std::runtime_error &e) {
        why_not = e.what();
    }
    return nullptr;
}

// Computes the output, on the host or on a GPU.
Status compute(const ConvProblem &p, const Variant &variant, const std::shared_ptr<const PackedWeights> &weights, const ChosenDevice &device, const AlignedArray &input,
               const AlignedArray &skip, AlignedArray &output) {
    Status status;
    if (!device.gpu) {
        const std::unique_ptr<Plan> plan = Plan::create(p, variant, weights, status);
        return plan ? plan->run(input.data(), output.data(), p.residual ? skip.data() : nullptr) : status;
    }
    const std::unique_ptr<GpuPlan> plan = GpuPlan::create(p, variant, weights, device.gpu, status);
    if (!plan) return status;
    GpuArray from = GpuArray::allocate(device.gpu, input.bytes(), status);
    if (!status.ok()) return status;
    GpuArray to = GpuArray::allocate(device.gpu, output.bytes(), status);
    GpuArray added = status.ok() && p.residual ? GpuArray::allocate(device.gpu, skip.bytes(), status) : GpuArray();
    if (status.ok()) status = from.upload(input.data(), input.bytes());
    if (status.ok() && p.residual) status = added.upload(skip.data(), skip.bytes());
    if (status.ok()) status = plan->run(from, to, p.residual ? &added : nullptr);
    return status.ok() ? to.download(output.data(), output.bytes()) : status;
}

int run(const Options &o) {
    const ChosenDevice device = o.device.open();
    const Processor processor = device.processor();
    if (device.gpu && !o.tuning.empty()) throw BadInput("--tuning is given with --device " + device.option + "; tuning records are of kernels for CPUs");
    const ConvProblem p = find_problem(o);
    const KnobSource knobs(o.tuning, o.threads);
    const Variant *variant = nullptr;
    if (!o.variant.empty())
        variant = &named_variant(o, p, device);
    else if (!knobs.from_file_only(p, processor))
        variant = Registry::builtin().select(p, processor, o.threads, [](const Variant &v) { return *v.suite != '\0'; });
    const bool depsep = p.op == Operator::depsep;
    const bool unpacked = o.packed.empty();
    const AlignedArray input(p.dtype, read_tensor(p, "--input", o.input, "input", true, p.input_shape(), p.dtype));
    const std::vector<float> filter = read_tensor(p, "--filter", o.filter, "filter", unpacked, filter_shape(p));
    const std::vector<float> mid_bias = read_tensor(p, "--mid-bias", o.mid_bias, "mid_bias", unpacked && p.mid.bias, {p.mid_channels()});
    const std::vector<float> pointwise =
        read_tensor(p, "--pointwise-filter", o.pointwise_filter, "pointwise_filter", unpacked && depsep, {p.k, p.mid_channels()});
    const std::vector<float> bias = read_tensor(p, "--bias", o.bias, "bias", unpacked && p.out.bias, {p.out_channels()});
    const std::vector<int64_t> shape = p.output_shape();
    const AlignedArray skip(p.dtype, read_tensor(p, "--skip", o.skip, "skip tensor", p.residual, shape, p.dtype));
    for (const std::string &file : {o.output, o.save_packed})
        if (!file.empty()) check_writable(file);
    if (o.output == o.save_packed) throw BadInput("--output and --save-packed name the same file; give each its own");

    // A kernel compiled for exactly this problem is faster than one for any shape.
    std::unique_ptr<InProcessKernel> in_process;
    if (!variant) {
        std::string why_not;
        in_process = compile_for(p, knobs, processor, why_not);
        variant = in_process ? &in_process->variant() : Registry::builtin().select(p, processor, o.threads);
        if (!variant) throw BadInput(fmt::format("{}: problem \"{}\": {}, and {}", o.problems, p.name, why_none(p, Registry::builtin(), processor), why_not));
        if (!in_process) fmt::print(stderr, "sepal: problem \"{}\": {}; variant {} runs instead\n", p.name, why_not, variant->name);
    }
    set_num_threads(o.threads);

    AlignedArray output(p.dtype, p.output_elements());
    Status status;
    std::shared_ptr<const PackedWeights> weights;
    if (unpacked)
        weights = PackedWeights::pack(p, *variant, {filter.data(), mid_bias.data(), pointwise.data(), bias.data()}, status);
    else
        weights = read_packed_file(o.packed, p, *variant);
    if (weights) status = compute(p, *variant, weights, device, input, skip, output);
    if (!status.ok()) throw std::runtime_error(fmt::format("{}: problem \"{}\": {}", o.problems, p.name, status.message));
    if (!o.save_packed.empty()) write_packed_file(o.save_packed, *weights);
    write_npy(o.output, shape, output.data(), p.dtype);
    fmt::print("{}: {} {} by {}{}\n", p.name, o.output, shape_text(shape), variant->name,
               in_process ? fmt::format(" (compiled in process in {:.1f} s)", in_process->compile_seconds()) : "");
    if (!o.save_packed.empty())
        fmt::print("{}: {} of {}, {} bytes, packed in {:.3f} ms\n", o.save_packed, weights->layout().text(), weights->weights_key(), weights->bytes(),
                   1e3 * weights->pack_seconds());
    return exit_ok;
}

}  // namespace

void add_run_command(CLI::App &app, int &exit_code) {
    auto options = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("run", "Run one problem on .npy arrays (C order; float32, input, skip tensor and output of an f16 problem float16)");
    command->add_option("--problems", options->problems, "File of problems")->required();
    command->add_option("--name", options->name, "The problem; may be left out when the file has one");
    command->add_option("--variant", options->variant,
                        "The variant; default: one specialised to the problem, if need be compiled in process");
    command->add_option("--input", options->input, "[N, H, W, C]; with layout nchw [N, C, H, W]")->required();
    CLI::Option *const constants[] = {
        command->add_option("--filter", options->filter, "conv2d [K, R, S, C / groups]; depthwise and depsep [R, S, C, M]; pointwise [K, C]"),
        command->add_option("--mid-bias", options->mid_bias, "depsep with mid_bias: [C * M]"),
        command->add_option("--pointwise-filter", options->pointwise_filter, "depsep: [K, C * M]"),
        command->add_option("--bias", options->bias, "With bias: one for each output channel")};
    command->add_option("--skip", options->skip, "With residual: what is added, [N, P, Q, output channels]");
    CLI::Option *save =
        command->add_option("--save-packed", options->save_packed, "Write the filters and biases to this file, as the variant reads them");
    CLI::Option *packed =
        command->add_option("--packed", options->packed, "Take them from such a file, written for the layout of the variant and these shapes");
    packed->excludes(save);
    for (CLI::Option *constant : constants) packed->excludes(constant);
    command->add_option("--output", options->output, "The file to write: [N, P, Q, output channels]; with layout nchw [N, output channels, P, Q]")->required();
    command->add_option("--threads", options->threads, "Threads that the kernel uses")->check(CLI::Range(1, 1024))->capture_default_str();
    options->device.add_to(*command);
    command->add_option("--tuning", options->tuning, "Take the knobs from this file of tuning records, where it has one for the problem");
    command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace sepal
