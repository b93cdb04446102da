// f16 kernels whose multiplications run on tensor cores: conv2d and pointwise as products of a matrix of filters and one of pixels, and depsep,
// whose depthwise half stays in shared memory. Their arguments are those of runtime/gpu/tensor_core_views.h.
#include "conv_generator.h"
#include "tensor_core_stages.h"

#include "passes/fragments.h"
#include "passes/wide_accesses.h"
#include "schedules/gpu/tensor_core.h"

namespace sepal {

class DepsepMmaGenerator;

template<typename Derived>
class TensorCoreGenerator : public ConvGenerator<Derived> {
public:
    // The knobs of TensorCoreTile that ConvGenerator does not have, completely derived.
    Halide::GeneratorParam<int> k_tiles{"k_tiles", 4}, m_tiles{"m_tiles", 4}, k_warps{"k_warps", 1}, m_warps{"m_warps", 2}, blocks{"blocks", 1},
        panels_apart{"panels_apart", 1}, mid_channels{"mid_channels", 8}, half_sums{"half_sums", 1};

    // By hand always: threads and fragments are in the arithmetic, and nothing is left to an autoscheduler.
    void schedule() {
        schedule_tensor_cores(tensor_stages, tile());
        this->get_pipeline().add_custom_lowering_pass(new Fragments);
        this->get_pipeline().add_custom_lowering_pass(new WideAccesses);
    }

protected:
    TensorCoreStages tensor_stages;

    TensorCoreTile tile() const {
        TensorCoreTile t;
        t.k_tiles = k_tiles, t.m_tiles = m_tiles, t.k_warps = k_warps, t.m_warps = m_warps, t.c_unroll = this->c_unroll, t.blocks = blocks;
        t.mid_q_tile = this->mid_q_tile, t.panels_apart = panels_apart, t.staging = this->staging;
        t.half_sums = half_sums, t.mid_channels = mid_channels;
        return t;
    }

    // Groups of 8 input channels, steps of 32, panels of output channels.
    int c8() const { return this->over(this->c, 8); }
    int steps() const { return this->c == at_run_time ? at_run_time : (this->c + 31) / 32; }
    int k_panels() const {
        const int channels = int(block_of(tile()).channels);
        return this->k == at_run_time ? at_run_time : (this->k + channels - 1) / channels;
    }
    int padded_k() const { return this->times(k_panels(), int(block_of(tile()).channels)); }

    // What is known of the problem and of its block.
    TensorCoreProblem known() const {
        const TensorCoreBlock block = block_of(tile());
        TensorCoreProblem problem;
        problem.panel_channels = int(block.channels), problem.block_pixels = int(block.pixels);
        problem.cases.whole_steps = this->c != at_run_time && this->c % 32 == 0;
        problem.cases.whole_panels = this->k != at_run_time && this->k % int(block.channels) == 0;
        if (const int rows = this->p, columns = this->q; rows != at_run_time && columns != at_run_time) {
            const bool two_rows = block.two_rows || std::is_same_v<Derived, DepsepMmaGenerator>;
            problem.cases.whole_blocks = two_rows ? rows % 2 == 0 && columns % (block.pixels / 2) == 0 : rows * columns % block.pixels == 0;
            problem.cases.whole_rows = columns % mma_columns == 0;
        }
        const auto inside = [](int before, int out, int in, int filter, int stride, int dilation) {
            for (int known : {before, out, in, filter, stride, dilation})
                if (known == at_run_time) return false;
            return before == 0 && (out - 1) * stride + (filter - 1) * dilation < in;
        };
        problem.cases.no_padding = inside(this->pad_top, this->p, this->h, this->r, this->stride_h, this->dilation_h) &&
                                   inside(this->pad_left, this->q, this->w, this->s, this->stride_w, this->dilation_w);
        return problem;
    }

    // For configure(): the skip tensor, of a problem with a residual, by words, in blocks of two rows or of pixels one after another.
    void add_skip(bool two_rows) {
        if (this->residual) this->skip = this->template add_input<Halide::Buffer<>>("skip", Halide::UInt(32), two_rows ? 5 : 3);
    }
    // For generate(): of it; not defined where there is none.
    Halide::Func skip_words(bool two_rows) const {
        if (!this->skip) return {};
        const int k8 = this->over(this->k, 8);
        two_rows ? aligned(*this->skip, {4, k8, this->q, this->p, at_run_time}) : aligned(*this->skip, {4, k8, at_run_time});
        return *this->skip;
    }

    // The output's view, as far as its extents and strides are known.
    template<typename BufferIO>
    void output_view(BufferIO &output, bool two_rows) const {
        const int channels = int(block_of(tile()).channels), pixels = int(block_of(tile()).pixels), columns = pixels / 2;
        const int p = this->p, q = this->q, pixel = this->over(this->k, 2), row = this->times(q, pixel);
        const auto up = [](int extent, int unit) { return extent == at_run_time ? at_run_time : (extent + unit - 1) / unit; };
        const auto times = [](int a, int b) { return ConvGenerator<Derived>::times(a, b); };
        std::vector<std::array<int, 2>> view = {{4, 1}, {8, 4}, {channels / 64, 32}, {k_panels(), channels / 2}};
        if (two_rows)
            view.insert(view.end(), {{4, pixel}, {2, row}, {columns / 4, times(4, pixel)}, {up(q, columns), times(columns, pixel)}, {up(p, 2), times(2, row)}, {at_run_time, times(p, row)}});
        else
            view.insert(view.end(), {{4, times(2, pixel)}, {2, pixel}, {pixels / 8, times(8, pixel)}, {at_run_time, times(pixels, pixel)}});
        for (size_t i = 0; i < view.size(); i++) {
            auto dim = output.dim(int(i));
            dim.set_min(0);
            if (view[i][0] != at_run_time) dim.set_extent(view[i][0]);
            dim.set_stride(view[i][1] != at_run_time ? Halide::Expr(view[i][1]) : dim.stride() / 4 * 4);
        }
        output.set_host_alignment(16);
    }
    template<typename BufferIO>
    static void aligned(BufferIO &buffer, std::initializer_list<int> extents) {
        ConvGenerator<Derived>::dense(buffer, extents);
        buffer.set_host_alignment(16);
    }
};

// output = activation(bias + conv(input, filter) [+ skip]), r x s, any stride, dilation and padding, one group.
class Conv2dMmaGenerator : public TensorCoreGenerator<Conv2dMmaGenerator> {
public:
    Input<Buffer<uint32_t, 5>> input{"input"};
    Input<Buffer<uint32_t, 6>> filter{"filter"};
    Input<Buffer<float, 1>> bias{"bias"};
    GeometryInputs geo;
    Input<int32_t> activation_in{"activation_in"}, k_in{"k_in"}, q_in{"q_in"}, p_in{"p_in"};
    Output<Buffer<uint32_t>> output{"output"};

    void configure() {
        output.set_dimensions(staging > 1 ? 10 : 8);
        add_skip(staging > 1);
    }

    void generate() {
        TensorCoreProblem problem = known();
        aligned(input, {4, c8(), w, h, at_run_time});
        aligned(filter, {128, problem.panel_channels / 8, steps(), s, r, k_panels()});
        aligned(bias, {padded_k()});
        output_view(output, staging > 1);
        problem.c8 = fixed_or(c8(), input.dim(1).extent()), problem.w = fixed_or(w, input.dim(2).extent());
        problem.h = fixed_or(h, input.dim(3).extent()), problem.n = input.dim(4).extent();
        problem.s = fixed_or(s, filter.dim(3).extent()), problem.r = fixed_or(r, filter.dim(4).extent());
        problem.k = fixed_or(k, k_in), problem.q = fixed_or(q, q_in), problem.p = fixed_or(p, p_in);
        problem.geometry = geometry(geo), problem.activation = fixed_or(activation, activation_in);
        tensor_stages.output = output;
        if (staging > 1)
            read_staged_pixels(tensor_stages, input, problem);
        else
            read_pixels(tensor_stages, input, problem);
        multiply(tensor_stages, filter, bias, skip_words(staging > 1), problem);
    }
};

// output = activation(bias + filter * input [+ skip]) for each pixel.
class PointwiseMmaGenerator : public TensorCoreGenerator<PointwiseMmaGenerator> {
public:
    Input<Buffer<uint32_t, 3>> input{"input"};
    Input<Buffer<uint32_t, 4>> filter{"filter"};
    Input<Buffer<float, 1>> bias{"bias"};
    Input<int32_t> activation_in{"activation_in"}, k_in{"k_in"};
    Output<Buffer<uint32_t, 8>> output{"output"};

    void configure() { add_skip(false); }

    void generate() {
        TensorCoreProblem problem = known();
        aligned(input, {4, c8(), at_run_time});
        aligned(filter, {128, problem.panel_channels / 8, steps(), k_panels()});
        aligned(bias, {padded_k()});
        output_view(output, false);
        problem.c8 = fixed_or(c8(), input.dim(1).extent()), problem.w = input.dim(2).extent();
        problem.n = 1, problem.p = 1, problem.q = problem.w, problem.k = fixed_or(k, k_in);
        problem.activation = fixed_or(activation, activation_in);
        tensor_stages.output = output;
        read_pixels(tensor_stages, input, problem);
        multiply(tensor_stages, filter, bias, skip_words(false), problem);
    }
};

// mid = mid_activation(mid_bias + depthwise_conv(input, filter)); output = activation(bias + pointwise_filter * mid [+ skip]).
class DepsepMmaGenerator : public TensorCoreGenerator<DepsepMmaGenerator> {
public:
    Input<Buffer<Halide::float16_t, 5>> input{"input"};
    Input<Buffer<Halide::float16_t, 4>> filter{"filter"};
    Input<Buffer<float, 2>> mid_bias{"mid_bias"};
    Input<Buffer<uint32_t, 4>> pointwise_filter{"pointwise_filter"};
    Input<Buffer<float, 1>> bias{"bias"};
    GeometryInputs geo;
    Input<int32_t> mid_activation_in{"mid_activation_in"}, activation_in{"activation_in"}, k_in{"k_in"}, q_in{"q_in"}, p_in{"p_in"};
    Output<Buffer<uint32_t, 10>> output{"output"};

    void configure() { add_skip(true); }

    void generate() {
        TensorCoreProblem problem = known();
        aligned(input, {8, c8(), w, h, at_run_time});
        aligned(filter, {8, c8(), s, r});
        aligned(mid_bias, {8, c8()});
        aligned(pointwise_filter, {128, problem.panel_channels / 8, steps(), k_panels()});
        aligned(bias, {padded_k()});
        output_view(output, true);
        problem.c8 = fixed_or(c8(), input.dim(1).extent()), problem.w = fixed_or(w, input.dim(2).extent());
        problem.h = fixed_or(h, input.dim(3).extent()), problem.n = input.dim(4).extent();
        problem.s = fixed_or(s, filter.dim(2).extent()), problem.r = fixed_or(r, filter.dim(3).extent());
        problem.k = fixed_or(k, k_in), problem.q = fixed_or(q, q_in), problem.p = fixed_or(p, p_in);
        problem.geometry = geometry(geo), problem.activation = fixed_or(activation, activation_in);
        problem.mid_activation = fixed_or(mid_activation, mid_activation_in);
        tensor_stages.output = output;
        read_depthwise(tensor_stages, input, filter, mid_bias, problem, half_sums > 1);
        multiply(tensor_stages, pointwise_filter, bias, skip_words(true), problem);
    }
};

}  // namespace sepal

HALIDE_REGISTER_GENERATOR(sepal::Conv2dMmaGenerator, conv2d_mma)
HALIDE_REGISTER_GENERATOR(sepal::PointwiseMmaGenerator, pointwise_mma)
HALIDE_REGISTER_GENERATOR(sepal::DepsepMmaGenerator, depsep_mma)
