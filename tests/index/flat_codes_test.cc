// Full tails, scanned by their codes: the answers are those of an exact scan.
#include "index/internal/flat_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "index/internal/snapshot.h"

namespace omics::index {
namespace {

constexpr int kDimension = 96;
constexpr std::int64_t kRows = 3000;
constexpr int kQueries = 40;

// How the rows of a tail lie.
struct Lie {
  const char* name;
  double shift;    // from the origin, in standard deviations
  int clusters;    // the rows lie around so many points, 0: anywhere
  double outlier;  // every hundredth row is this many times as long
};
constexpr Lie kLies[] = {
    {"anywhere", 0, 0, 1}, {"far away", 100, 0, 1}, {"clustered", 0, 20, 1}, {"with outliers", 0, 0, 1000}};

class FlatCodesTest : public testing::TestWithParam<Metric> {
 protected:
  std::vector<float> Draw(const Lie& lie) {
    std::vector<float> row(kDimension);
    std::normal_distribution<float> normal;
    if (lie.clusters > 0) {
      std::mt19937 centre(std::uniform_int_distribution<unsigned>(1, static_cast<unsigned>(lie.clusters))(rng_));
      for (float& x : row) x = 5 * normal(centre);
    }
    for (float& x : row) x += normal(rng_) + static_cast<float>(lie.shift);
    return row;
  }

  Snapshot Full(const Lie& lie) {
    auto tail = std::make_shared<Tail>(GetParam(), kDimension, kRows);
    for (std::int64_t i = 0; i < kRows; ++i) {
      Row row;
      row.identity = {i + 1, i + 1};
      row.embedding = Draw(lie);
      if (i % 100 == 0) {
        for (float& x : row.embedding) x *= static_cast<float>(lie.outlier);
      }
      tail->Append(std::move(row));
    }
    Snapshot snapshot;
    snapshot.metric = GetParam();
    snapshot.dimension = kDimension;
    SnapshotPart part;
    part.flat = FlatCodes::Make(*tail);
    part.source = std::move(tail);
    part.rows = kRows;
    part.deleted = std::make_shared<RowSet>();
    snapshot.parts.push_back(std::move(part));
    return snapshot;
  }

  static std::vector<Candidate> Search(const Snapshot& snapshot, const std::vector<float>& query, bool exact) {
    SearchSpec spec;
    spec.query = query;
    spec.exact = exact;
    return SearchSnapshot(snapshot, spec, kNoDeadline).value();
  }

  std::mt19937 rng_{20261123};
};

TEST_P(FlatCodesTest, AScanByCodesFindsWhatAnExactOneFinds) {
  for (const Lie& lie : kLies) {
    const Snapshot snapshot = Full(lie);
    // A query's eight bits hold where all rows are then, and nothing of where it is among them.
    const bool hopeless = GetParam() == Metric::kCosine && lie.shift > 0;
    EXPECT_EQ(snapshot.parts[0].flat == nullptr, hopeless) << lie.name;
    int found = 0;
    for (int i = 0; i < kQueries; ++i) {
      const std::vector<float> query = Draw(lie);
      const std::vector<Candidate> exact = Search(snapshot, query, true);
      const std::vector<Candidate> coded = Search(snapshot, query, false);
      ASSERT_EQ(exact.size(), 10U);
      ASSERT_EQ(coded.size(), 10U);
      std::set<std::int64_t> truth;
      for (const Candidate& candidate : exact) truth.insert(candidate.position);
      for (const Candidate& candidate : coded) found += truth.contains(candidate.position) ? 1 : 0;
      for (std::size_t rank = 0; rank < coded.size(); ++rank) EXPECT_GE(coded[rank].distance, exact[rank].distance);
    }
    EXPECT_GE(found, 0.995 * 10 * kQueries) << lie.name;
  }
}

// A hundred copies each of two vectors that differ by less than codes can tell.
TEST_P(FlatCodesTest, ManyCopiesOfNearlyEqualVectorsAreToldApart) {
  auto tail = std::make_shared<Tail>(GetParam(), kDimension, kRows);
  std::uniform_int_distribution<int> number(0, 1 << 20);
  for (std::int64_t i = 0; i < kRows; ++i) {
    const int value = i < 100 ? 645'247 : i < 200 ? 645'272 : number(rng_);
    Row row;
    row.identity = {i + 1, i + 1};
    row.embedding.assign(kDimension, static_cast<float>(value));
    row.embedding[0] = 1 << 20;
    tail->Append(std::move(row));
  }
  const auto codes = FlatCodes::Make(*tail);
  const auto deleted = std::make_shared<RowSet>();
  const Snapshot snapshot = {GetParam(), kDimension, 1, {{tail, nullptr, kRows, deleted, codes}}};
  for (const std::int64_t row : {0, 100, 150, 500}) {
    const std::vector<float> query(tail->Vector(row), tail->Vector(row) + kDimension);
    const std::vector<Candidate> exact = Search(snapshot, query, true), coded = Search(snapshot, query, false);
    ASSERT_EQ(coded.size(), exact.size());
    for (std::size_t rank = 0; rank < exact.size(); ++rank) EXPECT_EQ(coded[rank].distance, exact[rank].distance);
  }
}

TEST_P(FlatCodesTest, RowsDeletedSinceAreNotFound) {
  Snapshot snapshot = Full(kLies[0]);
  const std::vector<float> query = Draw(kLies[0]);
  SnapshotEdit edit(snapshot);
  const std::vector<Candidate> before = Search(snapshot, query, false);
  for (const Candidate& candidate : before) edit.Remove({candidate.position, candidate.position});
  const auto after = edit.Finish();
  std::set<std::int64_t> gone;
  for (const Candidate& candidate : before) gone.insert(candidate.position);
  const std::vector<Candidate> found = Search(*after, query, false);
  ASSERT_EQ(found.size(), 10U);
  for (const Candidate& candidate : found) EXPECT_FALSE(gone.contains(candidate.position));
}

TEST_P(FlatCodesTest, NumbersAtTheEndsOfFloatDoNoHarm) {
  auto tail = std::make_shared<Tail>(GetParam(), 4, kRows);
  for (std::int64_t i = 0; i < kRows; ++i) {
    Row row;
    row.identity = {i + 1, i + 1};
    const auto x = static_cast<float>(i % 7 == 0 ? 3e38 : i % 7 == 1 ? 1e-38 : i);
    row.embedding = {x, -x, 0, 1};
    tail->Append(std::move(row));
  }
  const auto codes = FlatCodes::Make(*tail);
  const auto deleted = std::make_shared<RowSet>();
  const Snapshot snapshot = {GetParam(), 4, 1, {{tail, nullptr, kRows, deleted, codes}}};
  for (const float x : {3e38f, 1e-38f, 0.0f, 17.0f}) EXPECT_EQ(Search(snapshot, {x, -x, 0, 1}, false).size(), 10U);
}

INSTANTIATE_TEST_SUITE_P(Metrics, FlatCodesTest,
                         testing::Values(Metric::kCosine, Metric::kSquaredL2, Metric::kInnerProduct),
                         [](const auto& tested) { return std::string(MetricName(tested.param)); });

}  // namespace
}  // namespace omics::index
