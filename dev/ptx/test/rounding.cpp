#include <algorithm>
#include <cmath>
#include "evaluation.h"

namespace ptx {

Quad power_of_two(int exponent) { return Quad(std::ldexp(1.0L, exponent)); }

Quad rounded(Quad x, Quad rest, const Format& format, Rounding rounding) {
    if (x < 0) {
        const Rounding mirrored = rounding == Rounding::down ? Rounding::up
                                  : rounding == Rounding::up ? Rounding::down
                                                             : rounding;
        return -rounded(-x, -rest, format, mirrored);
    }
    int exponent;  // of the first digit
    std::frexp(static_cast<long double>(x), &exponent);
    exponent--;
    if (power_of_two(exponent) > x || (power_of_two(exponent) == x && rest < 0)) exponent--;
    const int last = std::max(exponent - format.digits + 1, format.least);
    const Quad scaled = x * power_of_two(-last);
    auto digits = static_cast<unsigned long long>(scaled);
    Quad left = scaled - Quad(digits);  // exact
    bool below_whole = left == 0 && rest < 0;
    if (below_whole) digits--, left = 1;
    const bool inexact = left != 0 || rest != 0;
    const bool above_half = !below_whole ? left > Quad(0.5) || (left == Quad(0.5) && rest > 0) : true;
    const bool tie = !below_whole && left == Quad(0.5) && rest == 0;
    const bool away = rounding == Rounding::nearest ? above_half || (tie && digits % 2)
                      : rounding == Rounding::up    ? inexact
                                                    : false;
    const Quad result = Quad(digits + away) * power_of_two(last);
    const Quad largest = power_of_two(format.largest + 1) - power_of_two(format.largest + 1 - format.digits);
    if (result <= largest) return result;
    return rounding == Rounding::nearest || rounding == Rounding::up ? Quad(HUGE_VALL) : largest;
}

}  // namespace ptx
