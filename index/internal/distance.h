// Distance kernels: SIMD chosen at run time for the CPU at hand, by Highway.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>

#include "index/collection.h"

namespace omics::index {

// Sum of a[i] * b[i] over `n` floats, in float32 with several accumulators. No alignment needed.
float Dot(const float* a, const float* b, std::size_t n);

// Sum of (a[i] - b[i])^2 over `n` floats.
float SquaredL2(const float* a, const float* b, std::size_t n);

// What one row's distance is scaled with: 1 / |row| for cosine (0 for a zero vector), 1 for the other metrics.
float RowScale(Metric metric, const float* row, std::size_t n);

// The distance from one query vector to rows, decided once per query and then called per row.
class RowDistance {
 public:
  // `query` (n floats) is borrowed.
  RowDistance(Metric metric, const float* query, std::size_t n);

  // `scale` is the row's RowScale.
  float operator()(const float* row, float scale) const {
    return squared_l2_ ? SquaredL2(query_, row, n_) : 1.0f - Dot(query_, row, n_) * (query_scale_ * scale);
  }

 private:
  const float* query_;
  std::size_t n_;
  float query_scale_;
  bool squared_l2_;
};

}  // namespace omics::index
