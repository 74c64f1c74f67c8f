// Floats to codes and back in SIMD, by Highway.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace omics::index {

// The largest magnitude of `n` floats.
float LargestMagnitude(const float* numbers, std::size_t n);

// codes[i] = numbers[i] * factor, rounded, which is -127 to 127. Returns their sum.
std::int32_t RoundToCodes(const float* numbers, std::size_t n, float factor, std::int8_t* codes);

}  // namespace omics::index
