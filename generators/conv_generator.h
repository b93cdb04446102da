// ConvGenerator: what the four generators share: the GeneratorParams that describe a specialisation and a schedule, the
// constraints that follow from them, the estimates for the autoschedulers, and the hand-over to a schedule.
//
// The order of a generator's inputs is the kernels' call interface; runtime/kernel_arguments.h has the same order. An input that configure() adds
// comes after all others.
#pragma once

#include "conv_stages.h"
#include "passes/load_ahead.h"
#include "passes/masked_reads.h"
#include "passes/panel_ahead.h"
#include "passes/register_accumulators.h"
#include "passes/strip_ahead.h"
#include "passes/without_prefetches.h"
#include "schedules/gpu/schedules.h"
#include "schedules/nchw_schedule.h"
#include "schedules/schedule.h"
#include "schedules/x86/schedules.h"

#include <algorithm>

namespace sepal {

// Value of a GeneratorParam that leaves an extent or a setting to run time.
constexpr int at_run_time = -1;

// The scalar inputs of every operator with an r x s filter.
struct GeometryInputs {
    Halide::GeneratorInput<int32_t> stride_h{"stride_h_in"}, stride_w{"stride_w_in"}, dilation_h{"dilation_h_in"},
        dilation_w{"dilation_w_in"}, pad_top{"pad_top_in"}, pad_left{"pad_left_in"};
};

template<typename Derived>
class ConvGenerator : public Halide::Generator<Derived> {
public:
    // The problem, as far as it is fixed at compile time; names as in problem files.
    Halide::GeneratorParam<int> h{"h", at_run_time}, w{"w", at_run_time}, c{"c", at_run_time}, k{"k", at_run_time},
        r{"r", at_run_time}, s{"s", at_run_time}, p{"p", at_run_time}, q{"q", at_run_time},
        stride_h{"stride_h", at_run_time}, stride_w{"stride_w", at_run_time}, dilation_h{"dilation_h", at_run_time},
        dilation_w{"dilation_w", at_run_time}, pad_top{"pad_top", at_run_time}, pad_left{"pad_left", at_run_time},
        groups{"groups", at_run_time}, multiplier{"multiplier", at_run_time}, activation{"activation", at_run_time},
        mid_activation{"mid_activation", at_run_time};
    // Whether a residual is added to the output: 0, or 1 with an input "skip" (ConvProblem::residual).
    Halide::GeneratorParam<int> residual{"residual", 0};
    // Of the input, the filters, the output and depsep's middle: float32 or float16. Sums and biases are float32.
    Halide::GeneratorParam<Halide::Type> dtype{"dtype", Halide::Float(32)};
    // The layout of the packed filter: output channels in a panel; 0: all in one.
    Halide::GeneratorParam<int> panel{"panel", 0};
    // Of input and output. With nchw the panel is k_tile of NchwSchedule.
    Halide::GeneratorParam<Layout> layout{"layout", Layout::nhwc, {{"nhwc", Layout::nhwc}, {"nchw", Layout::nchw}}};
    // Leaves everything to Halide's default schedule.
    Halide::GeneratorParam<bool> unscheduled{"unscheduled", false};
    // The knobs of Schedule, completely derived.
    Halide::GeneratorParam<int> lanes{"lanes", 1}, k_vectors{"k_vectors", 1}, q_tile{"q_tile", 1}, p_tile{"p_tile", 1}, mid_q_tile{"mid_q_tile", 1},
        q_strip{"q_strip", 1}, p_strip{"p_strip", 1}, c_block{"c_block", 0}, c_unroll{"c_unroll", 1},
        s_unroll{"s_unroll", 1}, staging{"staging", 1}, k_strip{"k_strip", 0}, read_ahead{"read_ahead", 1}, panel_ahead{"panel_ahead", 1},
        winograd{"winograd", 1}, streaming{"streaming", 1};

    // Those of GpuSchedule besides.
    Halide::GeneratorParam<int> k_tile{"k_tile", 1}, k_threads{"k_threads", 1}, q_threads{"q_threads", 1}, p_threads{"p_threads", 1},
        c_vector{"c_vector", 1}, q_lanes{"q_lanes", 1}, mid_p_tile{"mid_p_tile", 1}, load_ahead{"load_ahead", 1};

    void schedule() {
        if (this->using_autoscheduler()) {
            static_cast<Derived *>(this)->estimate();
        } else if (for_gpu()) {
            static_cast<Derived *>(this)->hand_over(gpu_knobs());
            if (load_ahead > 1) this->get_pipeline().add_custom_lowering_pass(new LoadAhead(stages.ahead));
            this->get_pipeline().add_custom_lowering_pass(new RegisterAccumulators);
        } else if (in_planes()) {
            if (is_streaming(plane_knobs())) static_cast<Derived *>(this)->output.set_host_alignment(streaming_alignment);
            static_cast<Derived *>(this)->hand_over_planes(plane_knobs());
            if (reads_under_masks()) this->get_pipeline().add_custom_lowering_pass(new MaskedReads);
        } else if (!unscheduled) {
            if (is_streaming(knobs())) static_cast<Derived *>(this)->output.set_host_alignment(streaming_alignment);
            static_cast<Derived *>(this)->hand_over(knobs());
        }
        if (is_without_prefetches(this->get_target())) this->get_pipeline().add_custom_lowering_pass(new WithoutPrefetches);
    }

protected:
    ConvStages stages;

    Schedule knobs() const {
        Schedule s;
        s.lanes = lanes, s.k_vectors = k_vectors, s.q_tile = q_tile, s.p_tile = p_tile, s.mid_q_tile = mid_q_tile, s.q_strip = q_strip;
        s.p_strip = p_strip, s.c_block = c_block, s.c_unroll = c_unroll, s.s_unroll = s_unroll, s.staging = staging;
        s.k_strip = k_strip, s.read_ahead = read_ahead, s.panel_ahead = panel_ahead, s.winograd = winograd, s.streaming = streaming;
        return s;
    }

    // By the hand-written schedules for NCHW, which read the input by way of ConvStages::phases.
    bool in_planes() const { return layout == Layout::nchw && !unscheduled && !this->using_autoscheduler(); }

    // Whether the input is read in place, by passes/masked_reads.h.
    bool reads_under_masks() const { return plane_knobs().staging == 1; }

    NchwSchedule plane_knobs() const {
        NchwSchedule s;
        s.lanes = lanes, s.k_tile = panel, s.q_tile = q_tile, s.p_tile = p_tile, s.mid_q_tile = mid_q_tile, s.q_strip = q_strip;
        s.p_strip = p_strip, s.k_strip = k_strip, s.staging = staging, s.c_unroll = c_unroll, s.read_ahead = read_ahead;
        s.streaming = streaming;
        return s;
    }

    // By a hand-written schedule; an autoscheduler gets the plain stages.
    bool for_gpu() const { return this->get_target().has_gpu_feature() && !this->using_autoscheduler(); }

    // `input`, of whose dimension `dim` a GPU's blocks read so many channels: as it is, but where the last block has fewer.
    Halide::Func channels_within(const Halide::Func &input, int dim, int known, const Halide::Expr &extent, int vector, int block) const {
        return has_whole_blocks(known, block) ? input : within(input, dim, extent, vector);
    }
    // The same where a thread of that block that has none of the channels reads nothing.
    Halide::Func channels_promised(const Halide::Func &input, int dim, int known, const Halide::Expr &extent, int block) const {
        return has_whole_blocks(known, block) ? input : promised_within(input, dim, extent);
    }
    bool has_whole_blocks(int known, int block) const { return !for_gpu() || (known != at_run_time && known % block == 0); }

    GpuSchedule gpu_knobs() const {
        GpuSchedule s;
        s.k_tile = k_tile, s.k_vectors = k_vectors, s.q_tile = q_tile, s.p_tile = p_tile, s.k_threads = k_threads, s.q_threads = q_threads;
        s.p_threads = p_threads, s.c_vector = c_vector, s.c_block = c_block;
        s.c_unroll = c_unroll, s.q_lanes = q_lanes, s.mid_q_tile = mid_q_tile, s.mid_p_tile = mid_p_tile, s.staging = staging, s.load_ahead = load_ahead;
        return s;
    }

    // Knob panel_ahead, of a filter of so many channels and rows x columns taps and a strip of so many tiles.
    void fetch_panels_ahead(const Schedule &knobs, const char *filter, int channels, int rows, int columns, int tiles) {
        if (knobs.panel_ahead < 2 || channels == at_run_time || rows == at_run_time || columns == at_run_time) return;
        const int block = has_blocks(stages, knobs) ? knobs.c_block : channels, run = panel * block;
        PanelAhead::Where where{block < channels ? ".channel" : "sum$x", ".panel", filter, panel * channels * rows * columns, run,
                                PanelAhead::lines_for(run, tiles, std::max(1, block / knobs.c_unroll))};
        where.taps = "sum$";
        if (block < channels) where.blocks = ".block";
        if (knobs.s_unroll > 1) where.runs_together = columns, where.run_distance = panel * channels;
        this->get_pipeline().add_custom_lowering_pass(new PanelAhead(where));
    }

    // Knob read_ahead of NchwSchedule: rows of so many floats, `row_stride` apart, in `count` steps.
    void fetch_planes_ahead(const NchwSchedule &knobs, const char *strips, const char *steps, int rows, int row_floats, const Halide::Expr &row_stride,
                            int count) {
        if (knobs.read_ahead < 2) return;
        this->get_pipeline().add_custom_lowering_pass(new StripAhead({strips, "", steps, "input", rows, row_floats, row_stride, std::max(1, count)}));
    }
    // Rows of the input that rows of output meet.
    int rows_met(int rows) const { return (rows - 1) * stride_h + (r - 1) * dilation_h + 1; }

    // For configure(): the tensors that are of type dtype.
    template<typename... BufferIO>
    void store_as_dtype(BufferIO &...buffers) {
        (buffers.set_type(dtype), ...);
    }
    Halide::Expr stored(const Halide::Expr &value) const { return Halide::cast(dtype, value); }

    // The residual: like the output in type, dimensions and where its elements lie. Null where there is none.
    Halide::GeneratorInput<Halide::Buffer<>> *skip = nullptr;
    // For configure().
    void add_residual(int dimensions) {
        if (residual) skip = this->template add_input<Halide::Buffer<>>("skip", dtype, dimensions);
    }
    // For generate(): of an output that is declared image() with the same arguments.
    void residual_image(const std::vector<int> &extents) {
        if (skip) image(*skip, extents);
    }
    // Undefined where there is none.
    Halide::Expr residual_at(const std::vector<Halide::Expr> &element) const { return skip ? (*skip)(element) : Halide::Expr(); }
    void estimate_residual(std::initializer_list<int> extents) {
        if (skip) estimate_extents(*skip, extents);
    }

    // As they are for this target.
    Halide::Expr activate(const Halide::Expr &value, const Halide::Expr &activation) const { return sepal::activate(value, activation, in_order()); }
    Halide::Expr epilogue(const Halide::Expr &sum, const Halide::Expr &residual, const Halide::Expr &activation) const {
        return sepal::epilogue(sum, residual, activation, in_order());
    }
    // On ARM, LLVM would make hardswish x * fma(min(max(x, -3), 3), 1 / 6, 0.5), which is not 0 below -3.
    bool in_order() const { return this->get_target().arch == Halide::Target::ARM; }

    static Halide::Expr fixed_or(int fixed, const Halide::Expr &run_time) {
        return fixed == at_run_time ? run_time : Halide::Expr(fixed);
    }

    Geometry geometry(const GeometryInputs &in) const {
        return {fixed_or(stride_h, in.stride_h), fixed_or(stride_w, in.stride_w),     fixed_or(dilation_h, in.dilation_h),
                fixed_or(dilation_w, in.dilation_w), fixed_or(pad_top, in.pad_top), fixed_or(pad_left, in.pad_left)};
    }

    // Declares a dense buffer whose extents are constants or at_run_time; strides become constants as far as the extents below are. The
    // innermost extent is a multiple of `vector`, and what a vector of so many elements needs is aligned. `order`: the dimensions, innermost
    // first; none: as they are.
    template<typename BufferIO>
    static void dense(BufferIO &buffer, const std::vector<int> &extents, int vector = 1, std::vector<int> order = {}) {
        if (order.empty())
            for (int i = 0; i < int(extents.size()); i++) order.push_back(i);
        Halide::Expr stride = 1;
        for (int i : order) {
            const int extent = extents[size_t(i)];
            auto dim = buffer.dim(i);
            dim.set_min(0);
            dim.set_stride(vector > 1 && i > 0 ? stride / vector * vector : stride);
            if (extent != at_run_time) dim.set_extent(extent);
            stride = Halide::Internal::simplify(stride * (extent != at_run_time ? Halide::Expr(extent) : dim.extent()));
        }
        if (vector > 1) buffer.set_host_alignment(16);
    }
    // Declares an image's buffer: as dense(), but the strides of what an any-shape kernel for CPUs is told at run time are the caller's: pixels may
    // lie apart, as in a slice of channels, and rows and images too. Of NCHW it is dense, in the order of its planes: of (c[, g], x[, y], n) the channels
    // come before the image.
    template<typename BufferIO>
    void image(BufferIO &buffer, const std::vector<int> &extents, int vector = 1) const {
        if (layout == Layout::nchw) {
            const int channel_dims = extents.size() == 5 ? 2 : 1, last = int(extents.size()) - 1;
            std::vector<int> order;
            for (int i = channel_dims; i < last; i++) order.push_back(i);
            for (int i = 0; i < channel_dims; i++) order.push_back(i);
            order.push_back(last);
            return dense(buffer, extents, 1, order);
        }
        if (this->get_target().has_gpu_feature() || this->using_autoscheduler()) return dense(buffer, extents, vector);
        int i = 0, stride = 1;
        for (int extent : extents) {
            auto dim = buffer.dim(i++);
            dim.set_min(0);
            if (stride != at_run_time) dim.set_stride(stride);
            if (extent != at_run_time) dim.set_extent(extent);
            stride = times(stride, extent);
        }
    }
    int padded_to_panels(int k_value) const {
        return k_value == at_run_time ? at_run_time : panel ? (k_value + panel - 1) / panel * panel : k_value;
    }
    int panels(int k_value) const { return k_value == at_run_time ? at_run_time : panel ? (k_value + panel - 1) / panel : 1; }
    int panel_extent(int k_value) const { return panel ? int(panel) : k_value; }
    // Of a product or quotient of extents that are both known.
    static int times(int a, int b) { return a == at_run_time || b == at_run_time ? at_run_time : a * b; }
    static int over(int a, int b) { return a == at_run_time || b == at_run_time ? at_run_time : a / b; }

    // Estimates for an any-shape kernel are those of the problem that the project was founded for: 3x3, 128 channels on 224x224.
    int estimate_or(int fixed, int otherwise) const { return fixed == at_run_time ? otherwise : fixed; }
    template<typename BufferIO>
    static void estimate_extents(BufferIO &buffer, std::initializer_list<int> extents) {
        int i = 0;
        for (int extent : extents) buffer.dim(i++).set_estimate(0, extent);
    }
    void estimate_geometry(GeometryInputs &in) const {
        in.stride_h.set_estimate(estimate_or(stride_h, 1));
        in.stride_w.set_estimate(estimate_or(stride_w, 1));
        in.dilation_h.set_estimate(estimate_or(dilation_h, 1));
        in.dilation_w.set_estimate(estimate_or(dilation_w, 1));
        in.pad_top.set_estimate(estimate_or(pad_top, 1));
        in.pad_left.set_estimate(estimate_or(pad_left, 1));
    }
};

}  // namespace sepal
