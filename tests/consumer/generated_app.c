/* Kernels that sepal_add_kernels() generated: a function for each problem. */
#include "my_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { pixels = 28 * 28 };

static int fail(void) {
    fprintf(stderr, "%s\n", sepal_last_error());
    return 1;
}

int main(void) {
    float *filter = calloc(9 * 64, 4), *pointwise = calloc(128 * 64, 4), *bias = calloc(128, 4), *second = calloc(64 * 128, 4);
    float *input = malloc(pixels * 64 * 4), *between = malloc(pixels * 128 * 4), *output = malloc(pixels * 64 * 4);
    /* depsep: the pixel itself, doubled channels: channel k of 128 is channel k % 64; then pointwise adds both up. */
    for (int c = 0; c < 64; c++) filter[4 * 64 + c] = 1;
    for (int k = 0; k < 128; k++) pointwise[k * 64 + k % 64] = 1;
    for (int k = 0; k < 64; k++) second[k * 128 + k] = second[k * 128 + 64 + k] = 1;
    for (int i = 0; i < pixels * 64; i++) input[i] = (float)(i % 3);
    const sepal_weights depsep = {sizeof depsep, filter, NULL, pointwise, bias}, last = {sizeof last, second, NULL, NULL, NULL};
    sepal_plan *first_plan, *second_plan;
    if (my_kernels_block_depsep(&depsep, NULL, &first_plan) != SEPAL_OK || my_kernels_block_pointwise(&last, NULL, &second_plan) != SEPAL_OK) return fail();
    printf("%s\n%s\n", sepal_plan_variant(first_plan), sepal_plan_variant(second_plan));
    if (sepal_plan_run(first_plan, input, between) != SEPAL_OK || sepal_plan_run(second_plan, between, output) != SEPAL_OK) return fail();
    for (int i = 0; i < pixels * 64; i++)
        if (output[i] != 2 * input[i]) {
            fprintf(stderr, "output[%d] is %g, not %g\n", i, output[i], 2 * input[i]);
            return 1;
        }
    sepal_plan_destroy(first_plan);
    sepal_plan_destroy(second_plan);
    free(filter), free(pointwise), free(bias), free(second), free(input), free(between), free(output);
    puts("right");
    return 0;
}
