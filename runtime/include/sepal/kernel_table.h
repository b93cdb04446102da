/* sepal_kernels: a table of generated kernels, as `sepal compile` and sepal_add_kernels() write it.
 *
 * An interface between generated code and Sepal's runtime, in C99; applications only pass a pointer to one on (sepal.h: sepal_options.kernels).
 * Everything that may differ between versions is given by name, as in problem files, so that a runtime refuses what it does not know. */
#ifndef SEPAL_KERNEL_TABLE_H
#define SEPAL_KERNEL_TABLE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the structures below and of the kernels' argument lists; a runtime takes its own version only. */
#define SEPAL_KERNEL_TABLE_VERSION 1

/* A generated function, by Halide's argv calling convention: 0 is success. */
typedef int (*sepal_kernel_function)(void **argv);

/* A knob of the schedule, by its token ("tq"). */
typedef struct sepal_kernel_knob {
    const char *token;
    int64_t value;
} sepal_kernel_knob;

/* A clause of what problems a kernel takes: field, relation and value. */
typedef struct sepal_kernel_condition {
    const char *field;    /* "stride_h", as in schedules/variants.json */
    const char *relation; /* "=", ">=" or "%" (in multiples of) */
    int64_t value;
} sepal_kernel_condition;

/* One kernel. Strings and arrays live as long as the table. */
typedef struct sepal_kernel_row {
    const char *name;
    const char *op, *dtype, *layout, *isa;
    const char *scheduler;
    const char *suite; /* the suite, or the name of the table, to whose problem it is specialised; "" for any shape */
    int32_t tuned_threads;
    int32_t knob_count, condition_count;
    const sepal_kernel_knob *knobs;
    const sepal_kernel_condition *conditions;
    const char *filter_kind; /* "as_given", "panels", "winograd" or "lanes" */
    int64_t filter_panel;
    int32_t filter_tile;
    int32_t block_two_rows;
    int64_t block_pixels;
    sepal_kernel_function packer; /* null where the filter is read as given */
    int32_t output_alignment;     /* in bytes; 0: that of an element */
    sepal_kernel_function kernel; /* null when it could not be built; `error` says why */
    const char *error;
    int64_t code_bytes;
} sepal_kernel_row;

/* In order of preference. */
typedef struct sepal_kernels {
    int32_t version; /* SEPAL_KERNEL_TABLE_VERSION */
    int32_t count;
    const char *name;
    const sepal_kernel_row *rows;
} sepal_kernels;

#ifdef __cplusplus
}
#endif

#endif
