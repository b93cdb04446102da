#include "winograd.h"

using namespace Halide;

namespace sepal {
namespace {

// The sum of coefficients times values, undefined where all coefficients are 0.
Expr sum_of(const std::vector<double> &coefficients, const std::vector<Expr> &values) {
    Expr sum;
    for (size_t i = 0; i < values.size(); i++) {
        const double a = coefficients[i];
        if (a == 0) continue;
        const Expr term = a == 1 || a == -1 ? values[i] : float(a < 0 ? -a : a) * values[i];
        if (!sum.defined())
            sum = a < 0 ? -term : term;
        else
            sum = a < 0 ? sum - term : sum + term;
    }
    return sum;
}

Expr plus(const Expr &a, const Expr &b) { return !a.defined() ? b : !b.defined() ? a : a + b; }
Expr minus(const Expr &a, const Expr &b) { return !b.defined() ? a : !a.defined() ? -b : a - b; }

using Rows = std::vector<std::vector<double>>;

// By pairs of rows.
std::vector<Expr> by_rows(const Rows &rows, const std::vector<Expr> &values) {
    std::vector<Expr> result(rows.size());
    for (size_t i = 0; i < rows.size(); i++) {
        if (result[i].defined()) continue;
        for (size_t other = i + 1; other < rows.size() && !result[i].defined(); other++) {
            if (result[other].defined()) continue;
            std::vector<double> same(values.size()), opposite(values.size());
            bool pair = true;
            for (size_t j = 0; j < values.size(); j++) {
                const double a = rows[i][j], b = rows[other][j];
                if (a == b) same[j] = a;
                else if (a == -b) opposite[j] = a;
                else pair = false;
            }
            if (!pair) continue;
            const Expr s = sum_of(same, values), o = sum_of(opposite, values);
            result[i] = plus(s, o), result[other] = minus(s, o);
        }
        if (!result[i].defined()) result[i] = sum_of(rows[i], values);
    }
    return result;
}

}  // namespace

std::vector<Expr> matrix_times(const std::vector<double> &matrix, const std::vector<Expr> &values) {
    const size_t columns = values.size();
    Rows rows;
    for (size_t i = 0; i < matrix.size(); i += columns) rows.emplace_back(matrix.begin() + int64_t(i), matrix.begin() + int64_t(i + columns));
    // Columns that differ in signs only are replaced by one of the sum of their values, and one of the difference.
    std::vector<Expr> combined = values;
    for (size_t i = 0; i < columns; i++)
        for (size_t other = i + 1; other < columns; other++) {
            bool pair = true, signs = false;
            for (const auto &row : rows) {
                pair = pair && (row[i] == row[other] || row[i] == -row[other]);
                signs = signs || (row[i] != 0 && row[i] == -row[other]);
            }
            if (!pair || !signs) continue;
            const Expr a = combined[i], b = combined[other];
            combined[i] = a + b, combined[other] = a - b;
            for (auto &row : rows) {
                const double coefficient = row[i];
                const bool same = row[i] == row[other];
                row[i] = same ? coefficient : 0;
                row[other] = same ? 0 : coefficient;
            }
            break;
        }
    return by_rows(rows, combined);
}

}  // namespace sepal
