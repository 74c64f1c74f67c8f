#include "index/internal/codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "index/internal/code_directions.h"
#include "index/internal/code_kernels.h"
#include "index/internal/distance.h"

namespace omics::index {
namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kSquaredL2, Metric::kInnerProduct};

struct Rows {
  Rows(Metric m, std::size_t n) : metric(m), dimension(n) {}
  void Add(const std::vector<float>& row) {
    vectors.insert(vectors.end(), row.begin(), row.end());
    scales.push_back(RowScale(metric, row.data(), dimension));
  }
  CodeTable Make() const { return MakeCodes({metric, dimension, vectors, scales}); }
  const float* Row(std::size_t row) const { return vectors.data() + row * dimension; }
  std::vector<std::uint32_t> All() const {
    std::vector<std::uint32_t> all(scales.size());
    std::iota(all.begin(), all.end(), 0u);
    return all;
  }

  Metric metric;
  std::size_t dimension;
  std::vector<float> vectors;
  std::vector<float> scales;
};

std::vector<float> Random(std::size_t n, std::mt19937& rng, float scale = 1, float shift = 0) {
  std::normal_distribution<float> value;
  std::vector<float> out(n);
  for (float& x : out) x = value(rng) * scale + shift;
  return out;
}

std::vector<float> OrderOf(const Rows& rows, const CodeTable& table, const float* query) {
  const CodesView view = {table.space, table.rows};
  QueryCode code;
  code.Encode(table.space, query, BestDotKernel());
  const std::vector<std::uint32_t> all = rows.All();
  std::vector<float> order(all.size());
  code.Order(view, all, BestDotKernel(), order.data());
  return order;
}

std::vector<float> DistancesOf(const Rows& rows, const float* query) {
  const RowDistance distance(rows.metric, query, rows.dimension);
  std::vector<float> out;
  for (std::size_t i = 0; i < rows.scales.size(); ++i) out.push_back(distance(rows.Row(i), rows.scales[i]));
  return out;
}

std::vector<std::size_t> Best(const std::vector<float>& values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  order.resize(std::min(count, order.size()));
  return order;
}

// Of the 10 rows nearest to each of some queries, the share that is among the 30 best by codes.
double Kept(const Rows& rows, float query_scale, float shift, std::mt19937& rng) {
  const CodeTable table = rows.Make();
  int kept = 0, wanted = 0;
  for (int i = 0; i < 20; ++i) {
    const std::vector<float> query = Random(rows.dimension, rng, query_scale, shift);
    const std::vector<std::size_t> truth = Best(DistancesOf(rows, query.data()), 10);
    const std::vector<std::size_t> found = Best(OrderOf(rows, table, query.data()), 30);
    for (const std::size_t row : truth) kept += std::count(found.begin(), found.end(), row) > 0 ? 1 : 0;
    wanted += static_cast<int>(truth.size());
  }
  return static_cast<double>(kept) / wanted;
}

TEST(CodesTest, TheNearestRowsAreAmongTheBestByCodesForEveryMetricAndDimension) {
  for (const Metric metric : kMetrics) {
    for (const std::size_t n : {1, 2, 3, 7, 55, 56, 57, 64, 100, 191, 200, 768, 1000}) {
      std::mt19937 rng(static_cast<unsigned>(n));
      Rows rows(metric, n);
      for (int i = 0; i < 300; ++i) rows.Add(Random(n, rng));
      // One number per row leaves 255 codes for 300 rows, and two signs for cosine: equals are as good as one another.
      if (n > 2) {
        EXPECT_GE(Kept(rows, 1, 0, rng), 0.995) << MetricName(metric) << " " << n;
      }
    }
  }
}

TEST(CodesTest, RowsFarFromTheOriginAreToldApart) {
  for (const Metric metric : kMetrics) {
    std::mt19937 rng(5);
    Rows rows(metric, 96);
    for (int i = 0; i < 500; ++i) rows.Add(Random(96, rng, 1, 20));
    EXPECT_GE(Kept(rows, 1, 20, rng), 0.99) << MetricName(metric);
  }
}

TEST(CodesTest, MagnitudesFarFromOneChangeNothing) {
  for (const Metric metric : kMetrics) {
    for (const float scale : {1e-18f, 1e-6f, 1e6f, 1e17f}) {
      // 1 less a product of two small numbers is 1: all rows are equally near.
      if (metric == Metric::kInnerProduct && scale < 1) continue;
      std::mt19937 rng(6);
      Rows rows(metric, 48);
      for (int i = 0; i < 300; ++i) rows.Add(Random(48, rng, scale));
      EXPECT_GE(Kept(rows, scale, 0, rng), 0.99) << MetricName(metric) << " " << scale;
    }
  }
}

TEST(CodesTest, LongAndShortRowsTogetherKeepTheirOrder) {
  for (const Metric metric : kMetrics) {
    std::mt19937 rng(7);
    Rows rows(metric, 48);
    for (int i = 0; i < 300; ++i) rows.Add(Random(48, rng, i % 2 == 0 ? 1 : 1000));
    EXPECT_GE(Kept(rows, 1000, 0, rng), 0.99) << MetricName(metric);
  }
}

TEST(CodesTest, NoInputMakesAnOrderThatIsNotANumber) {
  constexpr float kHuge = 3.0e38f, kTiny = 1e-45f;
  for (const Metric metric : kMetrics) {
    for (const std::size_t n : {1, 5, 70}) {
      Rows rows(metric, n);
      for (const float x : {0.0f, kHuge, -kHuge, kTiny, 1.0f}) rows.Add(std::vector<float>(n, x));
      for (const bool only_zero : {false, true}) {
        Rows some(metric, n);
        for (std::size_t i = 0; i < (only_zero ? 1u : 5u); ++i) {
          some.Add(std::vector<float>(rows.Row(i), rows.Row(i) + n));
        }
        const CodeTable table = some.Make();
        for (const float x : {0.0f, kHuge, -kHuge, kTiny, 1.0f}) {
          for (const float order : OrderOf(some, table, std::vector<float>(n, x).data())) {
            EXPECT_TRUE(std::isfinite(order)) << MetricName(metric) << " " << n << " " << x << " " << order;
          }
        }
      }
    }
  }
}

TEST(CodesTest, TheLargestDimensionWorks) {
  for (const Metric metric : kMetrics) {
    std::mt19937 rng(8);
    Rows rows(metric, 65536);
    for (int i = 0; i < 12; ++i) rows.Add(Random(65536, rng));
    const CodeTable table = rows.Make();
    for (std::size_t i = 0; i < 12; ++i) {
      EXPECT_EQ(Best(OrderOf(rows, table, rows.Row(i)), 1), std::vector<std::size_t>{i}) << MetricName(metric);
    }
  }
}

// Rows of 256 numbers that lie, but for a little noise, in 40 dimensions.
Rows FlatRows(Metric metric, std::mt19937& rng) {
  std::vector<std::vector<float>> axes;
  for (int i = 0; i < 40; ++i) axes.push_back(Random(256, rng));
  Rows rows(metric, 256);
  for (int i = 0; i < 3000; ++i) {
    std::vector<float> row = Random(256, rng, 0.05f, 0.5f);
    for (const std::vector<float>& axis : axes) {
      const float share = Random(1, rng, 0.3f)[0];
      for (std::size_t j = 0; j < row.size(); ++j) row[j] += share * axis[j];
    }
    rows.Add(row);
  }
  return rows;
}

TEST(CodesTest, RowsInFewDirectionsAreWrittenByThoseAndStillFound) {
  for (const Metric metric : kMetrics) {
    std::mt19937 rng(9);
    const Rows rows = FlatRows(metric, rng);
    const CodeTable table = rows.Make();
    EXPECT_EQ(table.space.stride(), 64u) << MetricName(metric);
    EXPECT_EQ(table.space.code_dimension, 56u) << MetricName(metric);
    EXPECT_GE(Kept(rows, 1, 0.5f, rng), 0.98) << MetricName(metric);
  }
}

TEST(CodesTest, RowsInAllDirectionsAreWrittenInFull) {
  std::mt19937 rng(10);
  Rows rows(Metric::kCosine, 256);
  for (int i = 0; i < 3000; ++i) rows.Add(Random(256, rng));
  const CodeTable table = rows.Make();
  EXPECT_FALSE(table.space.projects());
  EXPECT_EQ(table.space.code_dimension, 256u);
}

TEST(CodesTest, EqualRowsGiveEqualBytes) {
  std::mt19937 rng(11);
  const Rows rows = FlatRows(Metric::kSquaredL2, rng);
  EXPECT_EQ(rows.Make().rows, rows.Make().rows);
}

TEST(CodeDirectionsTest, AreOrthonormal) {
  std::mt19937 rng(12);
  const Rows rows = FlatRows(Metric::kInnerProduct, rng);
  PacedWork work(nullptr);
  const std::vector<float> directions = FindDirections(rows.vectors, 256, work);
  ASSERT_FALSE(directions.empty());
  for (std::size_t i = 0; i < directions.size(); i += 256) {
    for (std::size_t j = 0; j < directions.size(); j += 256) {
      EXPECT_NEAR(Dot(&directions[i], &directions[j], 256), i == j ? 1 : 0, 1e-3);
    }
  }
}

TEST(CodeKernelsTest, RoundAsAPlainLoopDoes) {
  std::mt19937 rng(13);
  for (const std::size_t n : {0, 1, 3, 15, 16, 17, 33, 100, 768}) {
    const std::vector<float> numbers = Random(n, rng);
    float largest = 0;
    for (const float x : numbers) largest = std::max(largest, std::abs(x));
    ASSERT_EQ(LargestMagnitude(numbers.data(), n), largest);
    const float factor = largest > 0 ? 127 / largest : 0;
    std::vector<std::int8_t> codes(n);
    const std::int32_t sum = RoundToCodes(numbers.data(), n, factor, codes.data());
    EXPECT_EQ(sum, std::accumulate(codes.begin(), codes.end(), 0));
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(codes[i], std::lrintf(numbers[i] * factor)) << n << " " << i;
  }
}

}  // namespace
}  // namespace omics::index
