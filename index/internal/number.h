// Metadata's numbers in one order: whole numbers and doubles compared by value, exactly.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>

namespace omics::index {

// A number as its part before the point, cut off towards zero, and the rest. A double outside of int64's range has the
// nearest int64 and itself as the rest, which is then further from zero than any other rest. So the order of the pairs
// is the order of the numbers, and 2^53 + 1 is not 2^53 as it would be if both were made doubles.
struct Number {
  std::int64_t whole = 0;
  double rest = 0;

  static Number From(std::int64_t number) { return {number, 0}; }
  // `number` is not NaN.
  static Number From(double number) {
    constexpr double kEnd = 9223372036854775808.0;  // 2^63, the first double above int64's range
    if (number >= kEnd) return {std::numeric_limits<std::int64_t>::max(), number};
    if (number < -kEnd) return {std::numeric_limits<std::int64_t>::min(), number};
    const double whole = std::trunc(number);
    return {static_cast<std::int64_t>(whole), number - whole};
  }
  friend std::partial_ordering operator<=>(const Number&, const Number&) = default;
};

}  // namespace omics::index
