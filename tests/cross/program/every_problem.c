/* Every problem of problems.json by its generated function and by the library's own kernels, compared with the definition. */
#include "cross.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct problem_case {
    const char *name;
    void (*problem)(sepal_problem *problem);
    sepal_status (*create)(const sepal_weights *weights, const sepal_options *options, sepal_plan **plan);
} problem_case;

#define CASE(name) {#name, cross_##name##_problem, cross_##name}
static const problem_case cases[] = {
    CASE(conv_tails), CASE(conv_few_channels), CASE(conv_groups), CASE(conv_residual), CASE(conv_winograd), CASE(conv_nchw), CASE(depthwise_edge),
    CASE(depthwise_multiplier), CASE(depthwise_hardswish), CASE(pointwise_tails), CASE(pointwise_whole), CASE(pointwise_residual), CASE(depsep_edge),
    CASE(depsep_stride), CASE(depsep_nchw),
};

/* Small integers, of which sums are exact. */
static float *numbers(int64_t count, int seed) {
    float *out = malloc((size_t)(count ? count : 1) * sizeof(float));
    for (int64_t i = 0; i < count; i++) out[i] = (float)((i * 7 + i / 5 + seed) % 5 - 2);
    return out;
}

static double activated(double x, int activation) {
    const double shifted = x + 3 < 0 ? 0 : x + 3 > 6 ? 6 : x + 3;
    if (activation == SEPAL_HARDSWISH) return x * shifted / 6;
    if (activation != SEPAL_NONE && x < 0) x = 0;
    return activation == SEPAL_RELU6 && x > 6 ? 6 : x;
}

/* Where an element is in a tensor of so many rows, columns and channels. */
static int64_t at(int layout, int64_t rows, int64_t columns, int64_t channels, int64_t n, int64_t y, int64_t x, int64_t c) {
    return layout == SEPAL_NCHW ? ((n * channels + c) * rows + y) * columns + x : ((n * rows + y) * columns + x) * channels + c;
}

typedef struct tensors {
    float *input, *filter, *mid_bias, *pointwise_filter, *bias, *skip;
} tensors;

/* Output channel k of conv2d or pointwise, or k of c * multiplier of a depthwise convolution or half, without what comes after the sum. */
static double sum_of_taps(const sepal_problem *p, const tensors *t, int64_t n, int64_t y, int64_t x, int64_t k) {
    const int depthwise = p->op == SEPAL_DEPTHWISE || p->op == SEPAL_DEPSEP;
    const int64_t per_group = depthwise ? 1 : p->c / p->groups, first = depthwise ? k / p->multiplier : k / (p->k / p->groups) * per_group;
    double sum = 0;
    for (int64_t r = 0; r < p->r; r++)
        for (int64_t s = 0; s < p->s; s++) {
            const int64_t row = y * p->stride_h + r * p->dilation_h - p->pad_top, column = x * p->stride_w + s * p->dilation_w - p->pad_left;
            if (row < 0 || row >= p->h || column < 0 || column >= p->w) continue;
            for (int64_t c = 0; c < per_group; c++) {
                const int64_t tap = depthwise ? (r * p->s + s) * p->c * p->multiplier + k : ((k * p->r + r) * p->s + s) * per_group + c;
                sum += (double)t->filter[tap] * t->input[at(p->layout, p->h, p->w, p->c, n, row, column, first + c)];
            }
        }
    return sum;
}

static double expected(const sepal_problem *p, const tensors *t, int64_t rows, int64_t columns, int64_t channels, int64_t n, int64_t y, int64_t x, int64_t k) {
    double sum = p->bias ? t->bias[k] : 0;
    if (p->op == SEPAL_DEPSEP) {
        const int64_t mids = p->c * p->multiplier;
        for (int64_t m = 0; m < mids; m++)
            sum += t->pointwise_filter[k * mids + m] * activated(sum_of_taps(p, t, n, y, x, m) + (p->mid_bias ? t->mid_bias[m] : 0), p->mid_activation);
    } else {
        sum += sum_of_taps(p, t, n, y, x, k);
    }
    if (p->residual) sum += t->skip[at(p->layout, rows, columns, channels, n, y, x, k)];
    return activated(sum, p->activation);
}

/* Whether a plan's output is right. */
static int check(const char *name, sepal_plan *plan, const sepal_problem *p, const tensors *t) {
    int64_t rows, columns, channels;
    sepal_problem_output(p, &rows, &columns, &channels);
    const int64_t count = p->n * rows * columns * channels;
    float *output = malloc((size_t)count * sizeof(float));
    sepal_run run;
    sepal_run_init(&run);
    run.input = t->input, run.output = output, run.skip = p->residual ? t->skip : NULL;
    if (sepal_plan_run_with(plan, &run) != SEPAL_OK) {
        fprintf(stderr, "%s: %s\n", name, sepal_last_error());
        return 0;
    }
    printf("%s: %s\n", name, sepal_plan_variant(plan));
    int wrong = 0;
    for (int64_t n = 0; n < p->n; n++)
        for (int64_t y = 0; y < rows; y++)
            for (int64_t x = 0; x < columns; x++)
                for (int64_t k = 0; k < channels; k++) {
                    const double want = expected(p, t, rows, columns, channels, n, y, x, k);
                    const double got = output[at(p->layout, rows, columns, channels, n, y, x, k)];
                    /* Only what is no sum of integers is rounded. */
                    const double allowed = p->activation == SEPAL_HARDSWISH || p->max_rel_error > 0 ? 1e-5 * (fabs(want) + 100) : 0;
                    if (!(fabs(got - want) <= allowed) && wrong++ == 0)
                        fprintf(stderr, "%s: output[%d][%d][%d][%d] is %g, not %g\n", name, (int)n, (int)y, (int)x, (int)k, got, want);
                }
    sepal_plan_destroy(plan);
    free(output);
    return !wrong;
}

int main(void) {
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sepal_problem p;
        cases[i].problem(&p);
        int64_t rows, columns, channels;
        if (sepal_problem_output(&p, &rows, &columns, &channels) != SEPAL_OK) return 1;
        const int64_t mids = p.c * p.multiplier;
        tensors t = {numbers(p.n * p.h * p.w * p.c, 0),
                     numbers(p.op == SEPAL_CONV2D || p.op == SEPAL_POINTWISE ? p.k * p.r * p.s * p.c / p.groups : p.r * p.s * mids, 1),
                     numbers(mids, 2), numbers(p.k * mids, 3), numbers(channels, 4), numbers(p.n * rows * columns * channels, 1)};
        const sepal_weights weights = {sizeof weights, t.filter, p.mid_bias ? t.mid_bias : NULL, p.op == SEPAL_DEPSEP ? t.pointwise_filter : NULL,
                                       p.bias ? t.bias : NULL};
        sepal_plan *generated, *own;
        if (cases[i].create(&weights, NULL, &generated) != SEPAL_OK || sepal_plan_create(&p, &weights, NULL, &own) != SEPAL_OK) {
            fprintf(stderr, "%s: %s\n", cases[i].name, sepal_last_error());
            return 1;
        }
        failed += !check(cases[i].name, generated, &p, &t);
        failed += !check(cases[i].name, own, &p, &t);
        free(t.input), free(t.filter), free(t.mid_bias), free(t.pointwise_filter), free(t.bias), free(t.skip);
    }
    puts(failed ? "wrong" : "right");
    return failed != 0;
}
