// KernelSpec: one kernel that a build makes: a schedule for one ISA and, of a specialised kernel, one problem. Needs no Halide.
#pragma once

#include "runtime/registry.h"
#include "schedules/gpu/gpu_schedule.h"
#include "schedules/gpu/tensor_core_tile.h"
#include "schedules/nchw_schedule.h"
#include "schedules/schedule.h"
#include "tools/tuning/record.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sepal {

// One generated function: a kernel, or a packer.
struct FunctionSpec {
    std::string name;
    Isa isa = Isa::x64;
    Os os = Os::linux_;
    std::string generator;                                // as it is registered in generators/
    std::map<std::string, std::string> generator_params;  // of a kernel: those of generators/conv_generator.h
    std::string scheduler;                                // hand, tuned, reference, mullapudi2016, adams2019, li2018
    int output_alignment = 0;                             // Variant::output_alignment
};

// Its name is <op>_<dtype>_<layout>_<isa>_<scheduler>[_<knob or field><n>]*: the knobs that the row sets, then the fields that it
// fixes. A kernel specialised to a problem leaves out those at their defaults (stride 1, dilation 1, groups 1, multiplier 1, no
// padding, no activation, no residual). The knobs of a tuned kernel are all that are not 0.
struct KernelSpec : FunctionSpec {
    Operator op = Operator::conv2d;
    DType dtype = DType::f32;
    Layout layout = Layout::nhwc;
    std::string suite;                                   // of the problem that the kernel is specialised to, or empty
    int tuned_threads = 0;                               // of the record that the knobs of a tuned kernel are from; else 0
    std::vector<std::pair<std::string, int64_t>> knobs;  // tokens and values, as the row sets them
    std::vector<Condition> when;
    FilterLayout filter_layout;                          // Variant::filter_layout
    int64_t block_pixels = 0;                            // Variant::block_pixels, block_two_rows
    bool block_two_rows = false;
    bool residual = false;                               // Variant::residual: `when` says so, too
};

// An any-shape kernel under the conditions `when`. The conditions that the schedule itself needs are added: a vector of
// channels (depthwise, depsep), a tile of pixels (pointwise).
KernelSpec any_shape(Operator op, Isa isa, const std::string &scheduler, const Schedule &knobs, const std::vector<Condition> &when,
                     DType dtype = DType::f32, Layout layout = Layout::nhwc);

// A kernel for exactly the shape, padding, activations and residual of the problem, but any batch size (a pointwise kernel: any
// number of pixels).
KernelSpec specialise(const ConvProblem &problem, Isa isa, const std::string &scheduler, const Schedule &knobs = {});

// The same two by the hand-written schedules for NCHW, of f32 on a CPU. They need nothing of a problem. A specialised pointwise kernel is for images
// of the problem's size.
KernelSpec any_shape_nchw(Operator op, Isa isa, const NchwSchedule &knobs, const std::vector<Condition> &when);
KernelSpec specialise_nchw(const ConvProblem &problem, Isa isa, const NchwSchedule &knobs = {});

// The same two by the hand-written schedules for GPUs. The any-shape kernel's vectors need whole ones of channels: `when` is to have groups = 1 then,
// and multiplier = 1 for a depthwise half.
KernelSpec any_shape_on_gpu(Operator op, DType dtype, Isa isa, const GpuSchedule &knobs, const std::vector<Condition> &when);
KernelSpec specialise_on_gpu(const ConvProblem &problem, Isa isa, const GpuSchedule &knobs = {}, const std::string &scheduler = "hand");

// The same two for f16 kernels on tensor cores, of conv2d, pointwise or depsep. Knob "tensor_cores" is 2 in their names.
KernelSpec any_shape_on_tensor_cores(Operator op, Isa isa, const TensorCoreTile &knobs, const std::vector<Condition> &when);
KernelSpec specialise_on_tensor_cores(const ConvProblem &problem, Isa isa, const TensorCoreTile &knobs = {});

// The scheduler "tuned": the schedule of "hand" with the record's knobs as they are, complete, nothing derived; and since they were
// measured on exactly this problem, the kernel takes its batch size (its number of pixels) only. They are valid, as in every ok record
// that was read.
KernelSpec specialise(const TuningRecord &record);

// Empty when there is such a scheduler for the ISA ("reference" and "tuned" among them).
std::string why_no_scheduler(const std::string &scheduler, Isa isa);

// Whether streaming stores pay in NCHW, and whole tiles make them possible.
bool nchw_streaming_pays(const ConvProblem &problem, Isa isa);

// Kernels for the problem by a scheduler other than "tuned" and "reference", in order of preference: two where streaming stores pay and `streaming`
// says that they can be compiled. None, with the reason in `why_not`, where there is no such schedule, or the problem cannot fill its vectors and tiles.
std::vector<KernelSpec> specialised_kernels(const ConvProblem &problem, Isa isa, const std::string &scheduler, bool streaming, std::string &why_not);

// A kernel for the problem by the hand-written schedule, for a GPU, or for the best ISA of the CPU whose vectors and tiles the problem can fill:
// "tuned", with the knobs of the best record, where `records` has one for the problem, that ISA and `threads` (see best_record();
// `machine`: whose records come first), else "hand", with streaming stores where they pay and `streaming` says that they can be compiled.
// Empty, with the reasons in `why_not`, when there is none.
std::optional<KernelSpec> specialise_for(const ConvProblem &problem, const Processor &processor, std::string &why_not,
                                         const std::vector<TuningRecord> &records = {}, int threads = 1,
                                         const MachineFingerprint &machine = {}, bool streaming = false);

// The function that packs filters into a layout for the variants of an ISA and type (generators/pack_generator.cpp):
// pack_<dtype>_<isa>_panels or pack_<dtype>_<isa>_winograd<tile>, for any shape and panel. Empty for a layout that is as given.
std::optional<FunctionSpec> packer_for(const FilterLayout &layout, Isa isa, DType dtype);
// Those that the kernels need, each once.
std::vector<FunctionSpec> packers_for(const std::vector<KernelSpec> &kernels);

// A spec as a JSON object and back. A build keeps one file for each kernel, so that a changed row rebuilds its kernels only.
std::string to_json(const KernelSpec &spec);
KernelSpec kernel_spec_from_json(const std::string &text);
std::string to_json(const FunctionSpec &spec);
FunctionSpec function_spec_from_json(const std::string &text);

}  // namespace sepal
