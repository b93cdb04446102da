// Winograd convolution F(m x m, 3 x 3): the matrices, and what it costs in accuracy.
//
// A tile of m x m outputs y of one input and one output channel is y = A^T [(G g G^T) * (B^T d B)] A, where g is the 3 x 3 filter, d the
// (m + 2) x (m + 2) inputs that the tile reads and * the product element by element (Lavin, Gray: "Fast Algorithms for Convolutional
// Neural Networks", CVPR 2016). Summed over channels before A, a tile takes (m + 2)^2 multiplications for each pair of channels instead of
// 9 m^2: a quarter with m = 4.
#pragma once

#include "problem.h"

#include <cstdint>
#include <vector>

namespace sepal {

constexpr int winograd_taps = 3;                // of a filter, in each direction
constexpr int winograd_tiles[] = {2, 4, 6};     // m of the algorithms that there are

// Whether it can compute the problem: a conv2d with a 3 x 3 filter, stride 1, dilation 1 and one group.
bool winograd_takes(const ConvProblem &problem);

// Points of a tile of m x m outputs in each direction.
constexpr int winograd_points(int m) { return m + winograd_taps - 1; }

// Row-major, of n = winograd_points(m): a_t [m, n], g [n, 3], b_t [n, n].
struct WinogradMatrices {
    int m = 0, n = 0;
    std::vector<double> a_t, g, b_t;
};

// Whether there is an algorithm with tiles of m x m outputs: 2, 4 and 6.
bool is_winograd_tile(int m);

// The Toom-Cook matrices of m + 1 finite interpolation points and infinity: with f_i = product over j != i of (x_i - x_j),
//   a_t[j][i] = x_i^j,  g[i][j] = x_i^j / f_i,  b_t[i] = the coefficients of the product over j != i of (x - x_j),
// and for infinity a_t[m-1], g[.][2] and the coefficients of the product over all; a_t and b_t rounded to f32. Points come in pairs x and -x,
// of which the transforms share sums and differences, and 1/x, which keeps coefficients near 1 and with that the error small (of the choice:
// Barabasz, Anderson, Soodhalter, Gregg: "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", ACM
// TOMS 2020).
// Requires is_winograd_tile(m).
const WinogradMatrices &winograd_matrices(int m);

// The largest difference of an output from the exact one that is to be expected, as a share of the largest output: of inputs and filters
// that are uniform in [-1, 1) twice what was measured, for 16 to 512 channels, which grows with the root of their number; of fewer that of
// 16. (By the direct algorithm in f32 it is 1.6e-6 for 128 channels, by F(4x4) 2.4e-6.)
double winograd_rel_error(int m, int64_t c);

}  // namespace sepal
