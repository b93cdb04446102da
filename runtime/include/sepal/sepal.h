/* Sepal's C API: convolutions by kernels that were generated ahead of time.
 *
 *     sepal_problem problem;
 *     sepal_problem_init(&problem);
 *     problem.op = SEPAL_DEPSEP;
 *     problem.h = problem.w = 224;
 *     problem.c = problem.k = 128;
 *     problem.r = problem.s = 3;
 *     sepal_weights weights = {sizeof weights, filter, NULL, pointwise_filter, NULL};
 *     sepal_plan *plan;
 *     if (sepal_plan_create(&problem, &weights, NULL, &plan) != SEPAL_OK) puts(sepal_last_error());
 *     sepal_plan_run(plan, input, output);    // any number of times, from any number of threads
 *     sepal_plan_destroy(plan);
 *
 * Functions that return a sepal_status never end the program. All other functions are as their comments say. Every structure that has a field
 * `size` begins with it: set it by the structure's _init function or to sizeof, so that programs and libraries of different versions agree
 * on the fields that both know; fields that the program's version lacks have their defaults.
 *
 * All functions may be called from several threads at once, on the same plan too. */
#ifndef SEPAL_H
#define SEPAL_H

#include "kernel_table.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SEPAL_API __attribute__((visibility("default")))
#else
#define SEPAL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sepal_status {
    SEPAL_OK = 0,
    SEPAL_INVALID_ARGUMENT = 1, /* the call can never succeed: a null pointer, an impossible problem, memory that is too small */
    SEPAL_UNSUPPORTED = 2,      /* no kernel takes the problem here, or not the one that was asked for */
    SEPAL_OUT_OF_MEMORY = 3,
    SEPAL_KERNEL_FAILED = 4     /* a kernel ended with an error: its output is undefined */
} sepal_status;

/* One sentence: why the calling thread's last call that did not return SEPAL_OK failed; "" where none has. Valid until its next such call. */
SEPAL_API const char *sepal_last_error(void);

/* "0.1.0". */
SEPAL_API const char *sepal_version(void);

typedef enum sepal_operator {
    SEPAL_CONV2D = 0,    /* r x s filter over all channels of a group */
    SEPAL_DEPTHWISE = 1, /* r x s filter over each channel alone, `multiplier` outputs for each */
    SEPAL_POINTWISE = 2, /* 1 x 1 filter over all channels */
    SEPAL_DEPSEP = 3     /* depthwise, then pointwise, as one kernel */
} sepal_operator;

/* Of the input, the output and the filters as kernels read them. */
typedef enum sepal_dtype { SEPAL_F32 = 0, SEPAL_F16 = 1 } sepal_dtype;

/* Of input, output and skip tensor: [n, h, w, c], or [n, c, h, w]. Filters are as below in both. */
typedef enum sepal_layout { SEPAL_NHWC = 0, SEPAL_NCHW = 1 } sepal_layout;

typedef enum sepal_activation { SEPAL_NONE = 0, SEPAL_RELU = 1, SEPAL_RELU6 = 2, SEPAL_HARDSWISH = 3 } sepal_activation;

typedef enum sepal_padding {
    SEPAL_SAME = 0,    /* output of ceil(h / stride) rows; the odd zero goes to the bottom and right */
    SEPAL_VALID = 1,   /* no zeros */
    SEPAL_EXPLICIT = 2 /* pad_top, pad_left, pad_bottom, pad_right */
} sepal_padding;

/* Where the elements of a tensor are, in elements; all 0: dense. In layout NHWC pixels, rows and images may lie apart, as in a slice of channels or
 * a part of a larger image; c is 1. */
typedef struct sepal_strides {
    int64_t n, h, w, c;
} sepal_strides;

/* What is to be computed. Tensors, row-major, the last index contiguous:
 *   input            [n, h, w, c]; SEPAL_NCHW: [n, c, h, w]
 *   filter           conv2d [k, r, s, c / groups]; depthwise and depsep [r, s, c, multiplier]; pointwise [k, c]
 *   mid_bias         depsep [c * multiplier]
 *   pointwise_filter depsep [k, c * multiplier]
 *   bias             [k]
 *   skip             [n, p, q, k], where there is a residual
 *   output           [n, p, q, k]; SEPAL_NCHW: [n, k, p, q], where p = floor((h + pad_top + pad_bottom - dilation_h * (r - 1) - 1) / stride_h) + 1, and q the same of w
 * output = activation(bias + filter * input); depsep: mid = mid_activation(mid_bias + filter * input), output = activation(bias +
 * pointwise_filter * mid); with a residual, activation(bias + ... + skip). A batch normalisation after a convolution is folded into filter and bias by the caller: with scale = gamma /
 * sqrt(variance + epsilon) of each output channel, filter' = filter * scale and bias' = (bias - mean) * scale + beta. */
typedef struct sepal_problem {
    size_t size;
    sepal_operator op;
    sepal_dtype dtype;
    sepal_layout layout;
    int64_t n, h, w, c;             /* images, rows, pixels of a row, channels */
    int64_t k;                      /* output channels; depthwise: 0 or c * multiplier */
    int64_t r, s;                   /* filter rows and columns */
    int64_t stride_h, stride_w;
    int64_t dilation_h, dilation_w; /* 1: dense */
    sepal_padding padding;
    int64_t pad_top, pad_left, pad_bottom, pad_right; /* zeros around the input, where padding is SEPAL_EXPLICIT */
    int64_t groups;
    int64_t multiplier;
    int mid_bias, bias;             /* whether there are such */
    sepal_activation mid_activation, activation;
    /* The largest error that an algorithm may add to that of the direct one in f32, as a share of the largest output; 0 allows that only. */
    double max_rel_error;
    sepal_strides input_strides, output_strides; /* a skip tensor has the output's */
    int residual;                                /* whether a skip tensor is added before the activation; not of depthwise */
} sepal_problem;

/* Size and defaults: f32, NHWC, n, r, s, strides, dilations, groups and multiplier 1, padding SEPAL_SAME, no biases, no activations,
 * max_rel_error 1e-4, dense tensors. Null is ignored. */
SEPAL_API void sepal_problem_init(sepal_problem *problem);

/* Rows, pixels of a row and channels of the output; a null pointer is not written to. */
SEPAL_API sepal_status sepal_problem_output(const sepal_problem *problem, int64_t *p, int64_t *q, int64_t *k);

/* The constant tensors, f32 whatever the problem's dtype, dense, aligned to 4 bytes. Read only while a plan is created, which rounds filters to
 * the dtype. Pointers that the problem has no use for are ignored. */
typedef struct sepal_weights {
    size_t size;
    const float *filter;
    const float *mid_bias;         /* where problem.mid_bias */
    const float *pointwise_filter; /* depsep */
    const float *bias;             /* where problem.bias */
} sepal_weights;

/* Calls task(index, of_task) once for each index from 0 to count - 1, on the threads that it likes, at the same time as far as it can, and returns
 * when all have returned: 0. Must not end before. */
typedef int (*sepal_parallel_for)(void *context, int count, int (*task)(int index, void *of_task), void *of_task);

/* Memory of so many bytes, aligned to `alignment`, a power of two; null when there is none. May be called from the threads that run kernels. */
typedef struct sepal_allocator {
    void *context;
    void *(*allocate)(void *context, size_t bytes, size_t alignment);
    void (*release)(void *context, void *memory);
} sepal_allocator;

/* A GPU and a queue of work on it, which is done in the order of the calls. Any number may be open, several on one GPU among them. */
typedef struct sepal_device sepal_device;
typedef enum sepal_backend { SEPAL_CUDA = 1, SEPAL_OPENCL = 2 } sepal_backend;

/* The device of that index, from 0, with a queue of its own: of CUDA in the GPU's primary context, which the CUDA runtime uses, too, on a stream that
 * does not wait for the default stream; of OpenCL on the first platform, or the one that the environment variables HL_OCL_PLATFORM_NAME and
 * HL_OCL_DEVICE_TYPE name. The driver is looked for now, nothing needs it before. On an error *device is null. */
SEPAL_API sepal_status sepal_device_open(sepal_backend backend, int index, sepal_device **device);
/* The caller's CUcontext and CUstream (null: the default stream), which must outlive the device and every plan that uses it. */
SEPAL_API sepal_status sepal_device_adopt(void *cuda_context, void *cuda_stream, sepal_device **device);
/* "CUDA device 0 (NVIDIA H100 80GB HBM3)"; valid while the device lives. Null for a null device. */
SEPAL_API const char *sepal_device_name(const sepal_device *device);
/* CUcontext or cl_context, and CUstream or cl_command_queue: for work of the caller's own in the same order. Null for a null device. */
SEPAL_API void *sepal_device_context(const sepal_device *device);
SEPAL_API void *sepal_device_queue(const sepal_device *device);
/* Waits for all that was queued; what failed after it was queued is told here. */
SEPAL_API sepal_status sepal_device_synchronize(const sepal_device *device);
/* Plans keep what they need of it. Memory that was allocated by it is released. Null is ignored. */
SEPAL_API void sepal_device_destroy(sepal_device *device);

/* Memory of a device: a CUdeviceptr or a cl_mem as a pointer, which programs that have a GPU API of their own get from that instead. Contents undefined
 * until written. On an error *memory is null. */
SEPAL_API sepal_status sepal_device_allocate(sepal_device *device, size_t bytes, void **memory);
/* Waits for what uses the memory. Null is ignored; what the device has not allocated is an error. */
SEPAL_API sepal_status sepal_device_release(sepal_device *device, void *memory);
/* Copy from and to the host, from the memory's start, after all that was queued, and wait. */
SEPAL_API sepal_status sepal_device_upload(sepal_device *device, void *memory, const void *from, size_t bytes);
SEPAL_API sepal_status sepal_device_download(sepal_device *device, void *to, const void *memory, size_t bytes);

/* How kernels are chosen and run. */
typedef struct sepal_options {
    size_t size;
    /* Threads that a run shares its work out to; 0: one for each CPU that the process may use. */
    int threads;
    /* Null: a pool of threads of the library's own, which all plans share. */
    sepal_parallel_for parallel_for;
    void *parallel_for_context;
    /* Of packed weights and of what kernels need besides; allocate null: the C library's memory. */
    sepal_allocator allocator;
    /* The only variant that may be used, by its name; null: the best one. The environment variable SEPAL_VARIANT says the same for all plans of a
     * process whose options do not. A name that there is not is an error. */
    const char *variant;
    /* Whether the slow loops of the reference may be used, where nothing else takes the problem. */
    int allow_reference;
    /* Tables of generated kernels that are preferred to the library's own, in order; they outlive the plan. */
    const sepal_kernels *const *kernels;
    size_t kernels_count;
    /* What the caller aligns outputs to, in bytes; 0: an element. Kernels whose stores bypass the caches need 64; they are used only if that is said. */
    size_t output_alignment;
    /* Where the plan keeps its packed weights: sepal_weights_bytes() bytes, aligned to 64, which outlive the plan; null: memory of its own. */
    void *weights_memory;
    size_t weights_bytes;
    /* The GPU that plans run on, never on a CPU instead; null: the CPU. The library has no kernels for GPUs of its own: they come with `kernels`. Of the
     * other fields, threads and allocator are for packing the weights, which are kept in memory of the device (weights_memory is null). */
    const sepal_device *device;
} sepal_options;

/* Size and the defaults: 0 and null. Null is ignored. */
SEPAL_API void sepal_options_init(sepal_options *options);

/* What there is to choose from. */
typedef struct sepal_candidate {
    size_t size;
    const char *name;      /* depsep_f32_nhwc_avx512_hand_... */
    const char *isa;       /* x64, avx2, avx512, neon, sm80, opencl */
    const char *scheduler; /* hand, tuned, reference, mullapudi2016, adams2019, li2018, anderson2021 */
    int takes;             /* whether it can be used for the problem with the options, on this CPU or their device */
    int chosen;            /* whether a plan would use it: the first that takes the problem */
    const char *why_not;   /* a part of a sentence: why it cannot; "" where takes is 1 */
} sepal_candidate;

typedef struct sepal_candidates sepal_candidates;

/* All variants that there are, in order of preference, with what each says to the problem. SEPAL_OK also where none takes it. `options` may be
 * null: the defaults. Destroyed by sepal_candidates_destroy(). */
SEPAL_API sepal_status sepal_candidates_create(const sepal_problem *problem, const sepal_options *options, sepal_candidates **candidates);
SEPAL_API size_t sepal_candidates_count(const sepal_candidates *candidates);
/* `candidate->size` is set; strings are valid until the candidates are destroyed. */
SEPAL_API sepal_status sepal_candidates_get(const sepal_candidates *candidates, size_t index, sepal_candidate *candidate);
SEPAL_API void sepal_candidates_destroy(sepal_candidates *candidates);

/* A variant bound to a problem and its packed weights. */
typedef struct sepal_plan sepal_plan;

/* Bytes of the packed weights of the plan that would be created. */
SEPAL_API sepal_status sepal_weights_bytes(const sepal_problem *problem, const sepal_options *options, size_t *bytes);

/* Checks the problem, chooses the best variant for this CPU (the environment variable SEPAL_MAX_ISA, x64, avx2 or avx512, forbids better ones) or for
 * the options' device, and packs the weights as it reads them. `options` may be null: the defaults. On an error *plan is null and nothing is kept. */
SEPAL_API sepal_status sepal_plan_create(const sepal_problem *problem, const sepal_weights *weights, const sepal_options *options, sepal_plan **plan);

/* The variant's name; valid while the plan lives. Null for a null plan. */
SEPAL_API const char *sepal_plan_variant(const sepal_plan *plan);

/* Computes the output. Both are of the problem's shapes, dtype and strides, aligned to an element, the output to sepal_options.output_alignment;
 * they must not overlap. Writes exactly the output's elements. A problem with a residual needs sepal_plan_run_with().
 * On a device both are memory of it (CUDA: aligned to 16 bytes), and the work is queued only: sepal_device_synchronize() waits for it. A plan's first
 * run also loads its kernel, which a CUDA graph cannot record; later ones can be recorded. */
SEPAL_API sepal_status sepal_plan_run(const sepal_plan *plan, const void *input, void *output);

/* The same with more to say. */
typedef struct sepal_run {
    size_t size;
    const void *input;
    void *output;
    size_t input_bytes, output_bytes; /* of the memory there, which is checked to hold the tensors; 0: not checked */
    /* Where it is not null no memory is allocated: all that the kernel needs besides is in here, of at least sepal_plan_workspace_bytes() bytes,
     * aligned to 128, used by one run at a time. */
    void *workspace;
    size_t workspace_bytes;
    const void *skip; /* of a problem with a residual: a tensor like the output, in memory of its own */
    size_t skip_bytes;
} sepal_run;

/* Size, and 0 and null. Null is ignored. */
SEPAL_API void sepal_run_init(sepal_run *run);
SEPAL_API sepal_status sepal_plan_run_with(const sepal_plan *plan, const sepal_run *run);

/* Bytes of a workspace for sepal_plan_run_with(); 0 on a device, where none is used. The first call finds out by running the kernel once, on zeros,
 * into memory of its own. */
SEPAL_API sepal_status sepal_plan_workspace_bytes(sepal_plan *plan, size_t *bytes);

/* No run may be under way. Null is ignored. */
SEPAL_API void sepal_plan_destroy(sepal_plan *plan);

#ifdef __cplusplus
}
#endif

#endif
