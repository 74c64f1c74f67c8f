// The walk by codes against full scans in float32, on data that are hard in different ways.
#include "index/internal/hnsw_walk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "index/internal/calibrate.h"
#include "index/internal/distance.h"
#include "index/internal/hnsw_builder.h"
#include "tests/support/status_matchers.h"

namespace omics::index {
namespace {

constexpr std::size_t kDimension = 32;
constexpr int kHits = 10;

// Rows with their graph and codes.
struct Indexed {
  Indexed(Metric m, std::vector<float> rows) : metric(m), vectors(std::move(rows)) {
    for (std::size_t i = 0; i < vectors.size(); i += kDimension) {
      scales.push_back(RowScale(metric, vectors.data() + i, kDimension));
    }
    table = MakeCodes({metric, kDimension, vectors, scales});
    HnswBuild build;
    build.codes = codes();
    build.vectors = vectors;
    build.scales = scales;
    auto built = BuildHnsw(build);
    EXPECT_TRUE(built.ok());
    graph = *std::move(built);
  }
  std::int64_t rows() const { return std::ssize(scales); }
  CodesView codes() const { return {table.space, table.rows}; }
  float Distance(const RowDistance& distance, std::int64_t row) const {
    return distance(vectors.data() + static_cast<std::size_t>(row) * kDimension, scales[static_cast<std::size_t>(row)]);
  }

  // The nearest accepted rows by a full scan, nearest first.
  std::vector<WalkHit> Nearest(const float* query, const RowChoice& choice) const {
    const RowDistance distance(metric, query, kDimension);
    std::vector<WalkHit> hits;
    for (std::int64_t row = 0; row < rows(); ++row) {
      if (choice.Accepts(row)) hits.push_back({Distance(distance, row), static_cast<std::int32_t>(row)});
    }
    return Sorted(std::move(hits));
  }

  std::vector<WalkHit> Reranked(const float* query, std::span<const WalkHit> hits) const {
    const RowDistance distance(metric, query, kDimension);
    std::vector<WalkHit> out;
    for (const WalkHit& hit : hits.first(std::min<std::size_t>(hits.size(), RowsToRerank(kHits)))) {
      out.push_back({Distance(distance, hit.row), hit.row});
    }
    return Sorted(std::move(out));
  }

  static std::vector<WalkHit> Sorted(std::vector<WalkHit> hits) {
    std::sort(hits.begin(), hits.end(), [](const WalkHit& a, const WalkHit& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
    });
    hits.resize(std::min<std::size_t>(hits.size(), kHits));
    return hits;
  }

  Metric metric;
  std::vector<float> vectors;
  std::vector<float> scales;
  HnswGraph graph;
  CodeTable table;
};

std::vector<float> Uniform(int rows, std::mt19937& rng) {
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<float> out(static_cast<std::size_t>(rows) * kDimension);
  for (float& x : out) x = value(rng);
  return out;
}

// Clusters of about 50 rows, each a tenth as wide as they lie apart.
std::vector<float> Clustered(int rows, std::mt19937& rng) {
  std::normal_distribution<float> value;
  const std::vector<float> centres = Uniform(rows / 50, rng);
  std::vector<float> out;
  for (int row = 0; row < rows; ++row) {
    const std::size_t centre = rng() % static_cast<unsigned>(rows / 50);
    for (std::size_t i = 0; i < kDimension; ++i) out.push_back(centres[centre * kDimension + i] + 0.1f * value(rng));
  }
  return out;
}

struct Outcome {
  double recall = 0;
  double distances = 0;  // per query
};

Outcome Measure(const Indexed& index, const std::vector<float>& queries, const CodeWalkSpec& spec) {
  WalkScratch scratch;
  int found = 0, wanted = 0;
  std::int64_t distances = 0;
  for (std::size_t i = 0; i < queries.size(); i += kDimension) {
    const float* query = queries.data() + i;
    const CodeWalkResult walked = WalkCodes(index.graph.view(), index.codes(), query, spec, scratch);
    EXPECT_FALSE(walked.gave_up);
    EXPECT_LE(walked.hits.size(), static_cast<std::size_t>(spec.ef));
    for (const WalkHit& hit : walked.hits) EXPECT_TRUE(spec.choice.Accepts(hit.row));
    distances += walked.distances;
    const std::vector<WalkHit> truth = index.Nearest(query, spec.choice);
    const std::vector<WalkHit> hits = index.Reranked(query, walked.hits);
    for (const WalkHit& hit : hits) found += hit.distance <= truth.back().distance ? 1 : 0;
    wanted += static_cast<int>(truth.size());
  }
  return {static_cast<double>(found) / wanted, static_cast<double>(distances) * kDimension / std::ssize(queries)};
}

class HnswWalkTest : public testing::TestWithParam<std::tuple<Metric, bool>> {
 protected:
  static constexpr int kRows = 6000;

  void SetUp() override {
    const auto [metric, clustered] = GetParam();
    index_ = std::make_unique<Indexed>(metric, clustered ? Clustered(kRows, rng_) : Uniform(kRows, rng_));
    // Near the rows, but none of them.
    std::normal_distribution<float> noise;
    for (int i = 0; i < 100; ++i) {
      const std::size_t row = rng_() % kRows;
      for (std::size_t j = 0; j < kDimension; ++j) {
        queries_.push_back(index_->vectors[row * kDimension + j] + 0.1f * noise(rng_));
      }
    }
  }

  RowSet Some(double share) {
    RowSet rows(kRows);
    for (int row = 0; row < kRows; ++row) {
      if (static_cast<double>(rng_() % 10000) < share * 10000) rows.Insert(row);
    }
    return rows;
  }

  std::mt19937 rng_{17};
  std::unique_ptr<Indexed> index_;
  std::vector<float> queries_;
};

TEST_P(HnswWalkTest, FindsWhatAFullScanFinds) { EXPECT_GE(Measure(*index_, queries_, {200, {}}).recall, 0.99); }

TEST_P(HnswWalkTest, AmongChosenRowsFindsWhatAScanOfThemFinds) {
  for (const double share : {0.5, 0.1, 0.01}) {
    const RowSet some = Some(share);
    const int ef = share < 0.05 ? 60 : 200;  // of 1 % there are no more
    const Outcome outcome = Measure(*index_, queries_, {ef, {&some, nullptr}});
    // Inner product is no distance: links lead to long rows, and to a few short ones none does.
    EXPECT_GE(outcome.recall, index_->metric == Metric::kInnerProduct ? 0.97 : 0.99) << share;
  }
}

TEST_P(HnswWalkTest, PassesByExceptedRows) {
  const RowSet gone = Some(0.3);
  EXPECT_GE(Measure(*index_, queries_, {200, {nullptr, &gone}}).recall, 0.99);
}

TEST_P(HnswWalkTest, CalibrationReachesTheTargetForQueriesNeverSeen) {
  const Indexed& index = *index_;
  const CalibrationInput input = {index.metric, index.vectors, index.scales, index.graph.view(), index.codes()};
  const auto ef = Calibrate(input, nullptr);
  ASSERT_OK(ef);
  const Outcome outcome = Measure(index, queries_, {ef->For(kHits), {}});
  EXPECT_GE(outcome.recall, kRecallTarget - 0.01) << ef->few;
  EXPECT_GE(ef->recall, kRecallTarget);
  EXPECT_LE(ef->recall, 1);
  EXPECT_GE(ef->many, 100);
  EXPECT_GE(ef->For(1000), 1000);
}

INSTANTIATE_TEST_SUITE_P(Data, HnswWalkTest,
                         testing::Combine(testing::Values(Metric::kCosine, Metric::kSquaredL2, Metric::kInnerProduct),
                                          testing::Bool()),
                         [](const auto& info) {
                           return std::string(MetricName(std::get<0>(info.param))) +
                                  (std::get<1>(info.param) ? "Clustered" : "Uniform");
                         });

class OneIndexTest : public testing::Test {
 protected:
  void SetUp() override {
    std::mt19937 rng(23);
    index_ = std::make_unique<Indexed>(Metric::kCosine, Uniform(3000, rng));
  }
  CodeWalkResult Walk(std::int64_t query_row, const CodeWalkSpec& spec, WalkScratch& scratch) const {
    const float* query = index_->vectors.data() + static_cast<std::size_t>(query_row) * kDimension;
    return WalkCodes(index_->graph.view(), index_->codes(), query, spec, scratch);
  }
  std::unique_ptr<Indexed> index_;
};

TEST_F(OneIndexTest, GivesUpWhenTheBudgetIsSpent) {
  WalkScratch scratch;
  const CodeWalkResult walked = Walk(5, {100, {}, 200}, scratch);
  EXPECT_TRUE(walked.gave_up);
  EXPECT_GT(walked.distances, 200);
  EXPECT_LT(walked.distances, 200 + 64);
  EXPECT_FALSE(Walk(5, {100, {}, 3000}, scratch).gave_up);
}

TEST_F(OneIndexTest, FindsNothingAmongNoRows) {
  WalkScratch scratch;
  const RowSet none(3000);
  EXPECT_TRUE(Walk(5, {10, {&none, nullptr}}, scratch).hits.empty());
}

TEST_F(OneIndexTest, ScratchCarriesNothingFromWalkToWalk) {
  WalkScratch used;
  for (std::int64_t row = 0; row < 200; ++row) {
    const CodeWalkSpec spec = {row % 2 == 0 ? 20 : 70, {}, row % 3 == 0 ? 100 : INT64_MAX};
    WalkScratch fresh;
    const CodeWalkResult expected = Walk(row, spec, fresh);
    const CodeWalkResult walked = Walk(row, spec, used);
    ASSERT_EQ(walked.distances, expected.distances);
    ASSERT_TRUE(std::equal(walked.hits.begin(), walked.hits.end(), expected.hits.begin(), expected.hits.end(),
                           [](const WalkHit& a, const WalkHit& b) { return a.row == b.row; }));
  }
}

TEST_F(OneIndexTest, HitsRiseAndNoneComesTwice) {
  WalkScratch scratch;
  const CodeWalkResult walked = Walk(9, {150, {}}, scratch);
  ASSERT_EQ(walked.hits.size(), 150u);
  EXPECT_EQ(walked.hits.front().row, 9);
  RowSet seen(3000);
  for (std::size_t i = 0; i < walked.hits.size(); ++i) {
    EXPECT_TRUE(seen.Insert(walked.hits[i].row));
    if (i > 0) {
      EXPECT_LE(walked.hits[i - 1].distance, walked.hits[i].distance);
    }
  }
}

TEST_F(OneIndexTest, AScanByCodesKeepsTheBest) {
  const CodesView codes = index_->codes();
  WalkScratch scratch;
  for (const std::size_t most : {1, 7, 30, 5000}) {
    CodeScan scan(codes, index_->vectors.data(), most, scratch);
    for (std::uint32_t row = 0; row < 3000; ++row) scan.Add(row);
    const std::span<const WalkHit> hits = scan.Finish();
    ASSERT_EQ(hits.size(), std::min<std::size_t>(most, 3000));
    EXPECT_EQ(hits.front().row, 0);
    EXPECT_TRUE(std::is_sorted(hits.begin(), hits.end(),
                               [](const WalkHit& a, const WalkHit& b) { return a.distance < b.distance; }));
  }
}

TEST(HnswParametersTest, GraphsOfManyRowsGetMoreLinksUnlessTheyWereChosen) {
  const HnswParameters defaults;
  EXPECT_EQ(SuitedTo(defaults, 10'000).m, 16);
  EXPECT_EQ(SuitedTo(defaults, 50'000).m, 32);
  for (const int chosen : {8, 24, 64}) {
    HnswParameters hnsw = defaults;
    hnsw.m = chosen;
    EXPECT_EQ(SuitedTo(hnsw, 50'000).m, chosen);
  }
}

TEST(ScratchPoolTest, ManyThreadsNeverShareOne) {
  ScratchPool pool;
  std::mt19937 rng(29);
  const Indexed index(Metric::kSquaredL2, Uniform(500, rng));
  const CodesView codes = index.codes();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 300; ++i) {
        const std::int32_t row = (i * 7 + thread) % 500;
        ScratchPool::Lease scratch = pool.Take();
        const CodeWalkResult walked =
            WalkCodes(index.graph.view(), codes, index.vectors.data() + static_cast<std::size_t>(row) * kDimension,
                      {50, {}}, *scratch);
        if (walked.hits.empty() || walked.hits.front().row != row) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace omics::index
