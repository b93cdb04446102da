/* The least that a program does: one convolution, checked against its definition. */
#include <sepal/sepal.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { height = 17, width = 13, channels = 24, outputs = 32, taps = 3 };

static float filter[outputs][taps][taps][channels], bias[outputs];
static float input[height][width][channels], output[height][width][outputs];

static float expected(int y, int x, int k) {
    float sum = bias[k];
    for (int r = 0; r < taps; r++)
        for (int s = 0; s < taps; s++)
            for (int c = 0; c < channels; c++) {
                const int row = y + r - 1, column = x + s - 1;
                if (row >= 0 && row < height && column >= 0 && column < width) sum += filter[k][r][s][c] * input[row][column][c];
            }
    return sum > 0 ? sum : 0;
}

int main(void) {
    /* Small integers, of which sums are exact. */
    float *const arrays[] = {&filter[0][0][0][0], bias, &input[0][0][0]};
    const int sizes[] = {sizeof filter / 4, sizeof bias / 4, sizeof input / 4};
    for (int a = 0; a < 3; a++)
        for (int i = 0; i < sizes[a]; i++) arrays[a][i] = (float)((i * 7 + a) % 5 - 2);

    sepal_problem problem;
    sepal_problem_init(&problem);
    problem.op = SEPAL_CONV2D;
    problem.h = height, problem.w = width, problem.c = channels, problem.k = outputs;
    problem.r = problem.s = taps;
    problem.bias = 1;
    problem.activation = SEPAL_RELU;
    problem.max_rel_error = 0; /* the direct algorithm only */
    const sepal_weights weights = {sizeof weights, &filter[0][0][0][0], NULL, NULL, bias};
    sepal_plan *plan;
    if (sepal_plan_create(&problem, &weights, NULL, &plan) != SEPAL_OK || sepal_plan_run(plan, input, output) != SEPAL_OK) {
        fprintf(stderr, "%s\n", sepal_last_error());
        return 1;
    }
    printf("sepal %s, variant %s\n", sepal_version(), sepal_plan_variant(plan));
    sepal_plan_destroy(plan);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int k = 0; k < outputs; k++)
                if (output[y][x][k] != expected(y, x, k)) {
                    fprintf(stderr, "output[%d][%d][%d] is %g, not %g\n", y, x, k, output[y][x][k], expected(y, x, k));
                    return 1;
                }
    puts("right");
    return 0;
}
