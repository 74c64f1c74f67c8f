// The directions in which rows differ most.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "index/internal/pace.h"

namespace omics::index {

// Directions are looked for where rows have this many numbers: with fewer there is little to save, with more the
// covariance of the numbers takes too long.
inline constexpr std::size_t kDirectionsFromDimension = 192;
inline constexpr std::size_t kDirectionsToDimension = 2048;

// Rows looked at. Directions found from fewer than kDirectionsFromRows would be those of the few, not of the many.
inline constexpr std::size_t kDirectionsFromRows = 2048;
inline constexpr std::size_t kDirectionsSampleMax = 4096;

// Enough orthonormal directions, `dimension` floats each, to hold 93 % of the squared length of `sample`, whose rows of
// `dimension` floats are relative to their centre and no longer than 1. Their number fills a row of codes. None where
// it would take more than half of `dimension`. Takes seconds, at the pace of `work`.
std::vector<float> FindDirections(std::span<const float> sample, std::size_t dimension, PacedWork& work);

}  // namespace omics::index
