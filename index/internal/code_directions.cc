#include "index/internal/code_directions.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "index/internal/codes.h"
#include "index/internal/distance.h"

namespace omics::index {
namespace {

// With 93 % of the length kept, the re-ranking of 30 rows found every one of the 10 nearest on embeddings of ontology
// terms (docs/adr/0007-int8-codes.md).
constexpr double kLengthKept = 0.93;

// Each round brings the directions nearer to the best ones; after this many, more change nothing that can be measured.
constexpr int kRounds = 5;

constexpr float kShortest = 1e-12f;

// Sum over the sample of x[i] * x[j], for all i and j.
std::vector<float> Covariance(std::span<const float> sample, std::size_t n, PacedWork& work) {
  const std::size_t rows = sample.size() / n;
  std::vector<float> columns(sample.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < n; ++i) columns[i * rows + row] = sample[row * n + i];
  }
  std::vector<float> covariance(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    work.Rest();
    for (std::size_t j = i; j < n; ++j) {
      const float dot = Dot(columns.data() + i * rows, columns.data() + j * rows, rows);
      covariance[i * n + j] = covariance[j * n + i] = dot;
    }
  }
  return covariance;
}

// Makes the `count` vectors orthonormal (modified Gram-Schmidt); one that depends on those before it becomes zero.
void Orthonormalise(std::vector<float>& vectors, std::size_t count, std::size_t n, PacedWork& work) {
  for (std::size_t i = 0; i < count; ++i) {
    work.Rest();
    float* vector = vectors.data() + i * n;
    for (std::size_t j = 0; j < i; ++j) {
      const float* other = vectors.data() + j * n;
      const float share = Dot(vector, other, n);
      for (std::size_t k = 0; k < n; ++k) vector[k] -= share * other[k];
    }
    const float length = std::sqrt(Dot(vector, vector, n));
    const float factor = length > kShortest ? 1 / length : 0;
    for (std::size_t k = 0; k < n; ++k) vector[k] *= factor;
  }
}

std::vector<float> Multiply(const std::vector<float>& vectors, const std::vector<float>& symmetric, std::size_t n,
                            PacedWork& work) {
  std::vector<float> products(vectors.size());
  for (std::size_t i = 0; i < products.size(); ++i) {
    if (i % n == 0) work.Rest();
    products[i] = Dot(vectors.data() + i / n * n, symmetric.data() + i % n * n, n);
  }
  return products;
}

// The `count` directions of most length, by rounds of multiplying random ones with the covariance.
std::vector<float> Strongest(const std::vector<float>& covariance, std::size_t count, std::size_t n, PacedWork& work) {
  std::mt19937 random(1);  // NOLINT: any start will do, and the same rows are to give the same directions
  std::normal_distribution<float> value;
  std::vector<float> directions(count * n);
  for (float& x : directions) x = value(random);
  Orthonormalise(directions, count, n, work);
  for (int round = 0; round < kRounds; ++round) {
    directions = Multiply(directions, covariance, n, work);
    Orthonormalise(directions, count, n, work);
  }
  return directions;
}

// The squared length of the sample along each direction.
std::vector<double> Lengths(const std::vector<float>& directions, const std::vector<float>& covariance, std::size_t n,
                            PacedWork& work) {
  const std::vector<float> products = Multiply(directions, covariance, n, work);
  std::vector<double> lengths;
  for (std::size_t i = 0; i < products.size(); i += n) lengths.push_back(Dot(products.data() + i, &directions[i], n));
  return lengths;
}

}  // namespace

std::vector<float> FindDirections(std::span<const float> sample, std::size_t dimension, PacedWork& work) {
  const std::size_t n = dimension;
  const std::vector<float> covariance = Covariance(sample, n, work);
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) total += covariance[i * n + i];
  const std::size_t count_max = RowStride(n / 2 - kRowTrailerBytes) - kRowTrailerBytes;
  std::vector<float> directions = Strongest(covariance, count_max, n, work);
  const std::vector<double> lengths = Lengths(directions, covariance, n, work);
  double kept = 0;
  for (std::size_t count = 0; count < count_max;) {
    const std::size_t more = RowStride(count + 1) - kRowTrailerBytes;  // as many as fill a row
    for (; count < std::min(more, count_max); ++count) kept += lengths[count];
    if (kept >= kLengthKept * total && count <= n / 2) {
      directions.resize(count * n);
      return directions;
    }
  }
  return {};
}

}  // namespace omics::index
