#include "index/internal/distance.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/float_kernels.h"

namespace omics::index {
namespace {

constexpr std::size_t kLengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 255, 257, 768, 769, 1536};

std::vector<float> RandomVector(std::size_t n, std::mt19937& rng) {
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<float> out(n);
  for (float& x : out) x = value(rng);
  return out;
}

// Every addition of a float32 sum may be off by an epsilon of the sum so far, and a lane adds few of them: four
// epsilons of the sum of the terms' magnitudes bound what any order of addition loses here.
double Tolerance(double magnitudes) { return 4 * std::numeric_limits<float>::epsilon() * magnitudes + 1e-7; }

void ExpectAgreementWithAPlainLoop(const char* kernels) {
  std::mt19937 rng(1);
  for (const std::size_t n : kLengths) {
    for (std::size_t shift = 0; shift < 9; ++shift) {
      const std::vector<float> a = RandomVector(n + shift, rng), b = RandomVector(n + shift, rng);
      double dot = 0, l2 = 0, dot_magnitudes = 0;
      for (std::size_t i = shift; i < n + shift; ++i) {
        dot += static_cast<double>(a[i]) * b[i];
        dot_magnitudes += std::abs(static_cast<double>(a[i]) * b[i]);
        l2 += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
      }
      const float* const x = a.data() + shift;
      const float* const y = b.data() + shift;
      EXPECT_NEAR(Dot(x, y, n), dot, Tolerance(dot_magnitudes)) << kernels << " " << n << "+" << shift;
      EXPECT_NEAR(SquaredL2(x, y, n), l2, Tolerance(l2)) << kernels << " " << n << "+" << shift;
    }
  }
}

TEST(DistanceTest, EveryKernelAgreesWithAPlainLoopForAllLengthsAndMisalignments) {
  int sets = 0;
  ForEachFloatKernels([&](const char* kernels) {
    ++sets;
    ExpectAgreementWithAPlainLoop(kernels);
  });
  EXPECT_GE(sets, 1);
}

// Highway's choice among the targets that it compiled; the lowest bit is the best. A run that knows its CPU says which
// it must be (scripts/cross_arm64.sh).
TEST(DistanceTest, TheKernelsAreThoseThatThisCpuShouldHave) {
  const std::int64_t usable = HWY_TARGETS & hwy::SupportedTargets();
  const std::int64_t target = usable & -usable;
  const char* best = hwy::TargetName(target);
  std::cout << "kernels " << best << "\n";
  const char* expected = std::getenv("OMICS_VECTOR_TEST_FLOAT_KERNELS");
  if (expected != nullptr) {
    EXPECT_STREQ(best, expected);
  }
  EXPECT_EQ(target & (HWY_SCALAR | HWY_EMU128), 0) << best;
}

TEST(DistanceTest, MetricsAreThoseOfChroma) {
  const float query[] = {1, 2, 3}, row[] = {3, 4, 6};
  EXPECT_FLOAT_EQ(RowDistance(Metric::kSquaredL2, query, 3)(row, RowScale(Metric::kSquaredL2, row, 3)), 17);
  EXPECT_FLOAT_EQ(RowDistance(Metric::kInnerProduct, query, 3)(row, RowScale(Metric::kInnerProduct, row, 3)), -28);
  EXPECT_NEAR(RowDistance(Metric::kCosine, query, 3)(row, RowScale(Metric::kCosine, row, 3)),
              1 - 29 / std::sqrt(14.0 * 61.0), 1e-6);
}

TEST(DistanceTest, ZeroVectorIsAtCosineDistanceOneFromAll) {
  const float zero[] = {0, 0}, other[] = {3, 4};
  EXPECT_EQ(RowDistance(Metric::kCosine, zero, 2)(other, RowScale(Metric::kCosine, other, 2)), 1.0f);
  EXPECT_EQ(RowDistance(Metric::kCosine, other, 2)(zero, RowScale(Metric::kCosine, zero, 2)), 1.0f);
}

TEST(DistanceTest, CosineScaleHoldsForNumbersWhoseSquaresLeaveFloat32) {
  const float huge[] = {3e30f, 4e30f}, tiny[] = {3e-30f, 4e-30f};
  EXPECT_FLOAT_EQ(RowScale(Metric::kCosine, huge, 2), 2e-31f);
  EXPECT_FLOAT_EQ(RowScale(Metric::kCosine, tiny, 2), 2e29f);
}

}  // namespace
}  // namespace omics::index
