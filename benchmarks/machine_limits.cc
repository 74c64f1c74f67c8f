#include "benchmarks/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <span>

#include "index/internal/distance.h"
#include "index/internal/int8_dot.h"
#include "tests/support/float_kernels.h"

namespace omics::benchmarks {
namespace {

using index::CodeBatch;
using index::DotKernel;
using Rows = std::vector<std::uint32_t>;

constexpr std::size_t kTableBytes = std::size_t{256} << 20;
constexpr std::size_t kCachedBytes = std::size_t{24} << 10;
constexpr std::size_t kPasses = 7;
constexpr std::size_t kCachedRounds = 2000;

// Nanoseconds per row of the best pass; a pass is told its number.
double BestNs(std::size_t rows, const std::function<void(std::size_t pass)>& work) {
  double best = 1e18;
  for (std::size_t pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    work(pass);
    best = std::min(best, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
  }
  return best / static_cast<double>(rows);
}

// Rows of a table in random order, and a part of them for each pass: what a pass read must not be in a cache.
class RandomRows {
 public:
  explicit RandomRows(std::size_t rows) : order_(rows) {
    std::iota(order_.begin(), order_.end(), 0);
    std::shuffle(order_.begin(), order_.end(), std::mt19937(5));
  }
  std::size_t per_pass() const { return order_.size() / kPasses; }
  std::span<const std::uint32_t> Of(std::size_t pass) const {
    return std::span(order_).subspan(pass * per_pass(), per_pass());
  }

 private:
  Rows order_;
};

Rows InOrder(std::size_t rows) {
  Rows all(rows);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

class CodeTimes {
 public:
  explicit CodeTimes(std::size_t stride)
      : stride_(stride), rows_(kTableBytes / stride), table_(rows_ * stride), query_(stride, 3), dots_(rows_) {
    std::mt19937_64 rng(1);
    for (std::uint8_t& byte : table_) byte = static_cast<std::uint8_t>(rng());
  }

  KernelTime Time(const DotKernel& kernel) {
    const Rows few = InOrder(kCachedBytes / stride_);
    const RandomRows random(rows_);
    KernelTime time = {.name = kernel.name};
    time.cached_ns = BestNs(kCachedRounds * few.size(), [&](std::size_t) {
      for (std::size_t i = 0; i < kCachedRounds; ++i) Dot(kernel, few);
    });
    time.random_ns = BestNs(random.per_pass(), [&](std::size_t pass) { Dot(kernel, random.Of(pass)); });
    return time;
  }

  double BytesPerSecond() {
    const Rows all = InOrder(rows_);
    const double ns = BestNs(rows_, [&](std::size_t) { Dot(index::DotKernels().front(), all); });
    return 1e9 * static_cast<double>(stride_) / ns;
  }

 private:
  void Dot(const DotKernel& kernel, std::span<const std::uint32_t> rows) {
    kernel.dot({table_.data(), stride_, rows, query_.data(), 3 * static_cast<std::int32_t>(stride_)}, dots_.data());
  }

  const std::size_t stride_, rows_;
  std::vector<std::uint8_t> table_;
  const std::vector<std::int8_t> query_;
  std::vector<std::int32_t> dots_;
};

class FloatTimes {
 public:
  explicit FloatTimes(std::size_t dimension)
      : dimension_(dimension), rows_(kTableBytes / dimension / sizeof(float)), table_(rows_ * dimension, 0.5f) {}

  KernelTime Time(const char* name) {
    const Rows few = InOrder(std::max<std::size_t>(1, kCachedBytes / dimension_ / sizeof(float)));
    const RandomRows random(rows_);
    KernelTime time = {.name = name};
    time.cached_ns = BestNs(kCachedRounds * few.size(), [&](std::size_t) {
      for (std::size_t i = 0; i < kCachedRounds; ++i) Dot(few);
    });
    time.random_ns = BestNs(random.per_pass(), [&](std::size_t pass) { Dot(random.Of(pass)); });
    return time;
  }

 private:
  void Dot(std::span<const std::uint32_t> rows) {
    float sum = 0;
    for (const std::uint32_t row : rows) sum += index::Dot(table_.data(), table_.data() + row * dimension_, dimension_);
    sum_ = sum;
  }

  const std::size_t dimension_, rows_;
  const std::vector<float> table_;
  volatile float sum_ = 0;  // so that nothing is left out
};

}  // namespace

MachineLimits MeasureMachine(std::size_t stride, std::size_t dimension) {
  MachineLimits limits;
  CodeTimes codes(stride);
  limits.bytes_per_second = codes.BytesPerSecond();
  for (const DotKernel& kernel : index::DotKernels()) limits.codes.push_back(codes.Time(kernel));
  FloatTimes floats(dimension);
  ForEachFloatKernels([&](const char* name) { limits.floats.push_back(floats.Time(name)); });
  return limits;
}

}  // namespace omics::benchmarks
