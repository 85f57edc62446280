// How far a computed number may be from the true one. Every test that compares floating point numbers asks here, and
// the start-up check of a GPU's kernels (kernels/self_check.cuh).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <sstream>
#include <string>

// Relative error allowed of a result in T to which about `terms` rounded numbers contribute: rounding errors are nearly
// independent, so they add up like a random walk, and of the thousands of results in a test the worst is four
// deviations off.
template <class T>
double tolerance(double terms) {
    return 4 * std::numeric_limits<T>::epsilon() * std::sqrt(terms + 1);
}

// Compares n numbers with what they should be: empty if all are near, else the first that is not and what was wanted.
// An error is relative to the number itself plus the tensor's root-mean-square: where terms cancel, their size
// counts. Where rows have different sizes (`row` numbers each), a row's root-mean-square counts if it is the larger
// one.
template <class T, class U>
std::string mismatch(const T* got, const U* want, size_t n, double tolerance, size_t row = 0) {
    const auto rms_of = [=](size_t begin, size_t end) {
        double squares = 0;
        for (size_t i = begin; i < end; i++) squares += double(want[i]) * double(want[i]);
        return std::sqrt(squares / double(end - begin));
    };
    const double rms = rms_of(0, n);
    double of_row = 0;
    for (size_t i = 0; i < n; i++) {
        if (row && i % row == 0) of_row = rms_of(i, std::min(i + row, n));
        const double error = std::abs(double(got[i]) - double(want[i]));
        const double scale = std::abs(double(want[i])) + std::max(rms, of_row);
        if (error <= tolerance * scale) continue;
        std::ostringstream text;
        text.precision(17);
        text << "element " << i << " of " << n << ": got " << double(got[i]) << ", want " << double(want[i])
             << ", error " << error / scale << ", allowed " << tolerance;
        return text.str();
    }
    return "";
}
