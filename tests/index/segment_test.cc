#include "index/internal/segment.h"

#include <fstream>
#include <map>
#include <random>
#include <set>

#include "index/internal/metadata_bytes.h"
#include "index/internal/segment_format.h"
#include "index/internal/tail.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::index {
namespace {

constexpr int kDimension = 12;

Row MakeRow(std::int64_t position, std::mt19937& rng) {
  std::normal_distribution<float> value;
  Row row;
  row.identity = {position, position + 100};
  for (int i = 0; i < kDimension; ++i) row.embedding.push_back(value(rng));
  const std::string id = "id" + std::to_string(position), document = "document " + id;
  const std::string metadata = EncodeMetadata({{"n", std::int64_t{1}}});
  row.payload = EncodePayload({id, document, std::nullopt, metadata});
  return row;
}

// A tail of `count` rows at positions 0, 3, 6 … and all of them as input for a segment.
struct Input {
  explicit Input(int count, Metric metric = Metric::kSquaredL2) : tail(metric, kDimension, count) {
    std::mt19937 rng(7);
    for (int i = 0; i < count; ++i) tail.Append(MakeRow(3 * i, rng));
    for (int i = 0; i < count; ++i) rows.push_back({&tail, i});
    spec.metric = metric;
    spec.dimension = kDimension;
  }
  Tail tail;
  std::vector<SegmentRow> rows;
  SegmentSpec spec;
};

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void WriteFile(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

TEST(SegmentTest, GivesBackEveryPartOfEveryRow) {
  const TempDir dir;
  for (const int count : {1, 2, 100, 3000}) {
    Input input(count);
    const auto segment = WriteSegment(dir.path(), input.spec, input.rows);
    ASSERT_OK(segment);
    ASSERT_EQ((*segment)->rows(), count);
    for (std::int64_t row = 0; row < count; ++row) {
      ASSERT_TRUE(std::equal(input.tail.Vector(row), input.tail.Vector(row) + kDimension, (*segment)->Vector(row)));
      ASSERT_EQ((*segment)->Scale(row), input.tail.Scale(row));
      ASSERT_EQ((*segment)->Identity(row), input.tail.Identity(row));
      ASSERT_EQ((*segment)->Payload(row), input.tail.Payload(row));
      ASSERT_EQ((*segment)->Find(input.tail.Identity(row), count), row);
      ASSERT_EQ((*segment)->Find({3 * row, 1}, count), -1);
      ASSERT_EQ((*segment)->Find({3 * row + 1, 101}, count), -1);
    }
  }
}

TEST(SegmentTest, AGraphThatMissesTheTargetIsBuiltAgainWithMoreLinks) {
  const TempDir dir;
  Input input(4000, Metric::kInnerProduct);
  input.spec.hnsw.m = 4;
  input.spec.hnsw.ef_construction = 16;
  const auto segment = WriteSegment(dir.path(), input.spec, input.rows);
  ASSERT_OK(segment);
  EXPECT_GE((*segment)->graph().m, 16);
  EXPECT_GE((*segment)->calibrated_ef().recall, kRecallTarget);
}

TEST(SegmentTest, AGraphThatReachesTheTargetIsLeftAsAskedFor) {
  const TempDir dir;
  Input input(3000);
  input.spec.hnsw.m = 8;
  const auto segment = WriteSegment(dir.path(), input.spec, input.rows);
  ASSERT_OK(segment);
  EXPECT_EQ((*segment)->graph().m, 8);
  EXPECT_GE((*segment)->calibrated_ef().recall, kRecallTarget);
}

TEST(SegmentTest, TheWalkFindsWhatAFullScanFinds) {
  const TempDir dir;
  for (const Metric metric : {Metric::kSquaredL2, Metric::kCosine, Metric::kInnerProduct}) {
    Input input(3000, metric);
    const auto segment = WriteSegment(dir.path(), input.spec, input.rows);
    ASSERT_OK(segment);
    std::mt19937 rng(11);
    int found = 0;
    for (int query = 0; query < 100; ++query) {
      const Row target = MakeRow(0, rng);
      const RowDistance distance(metric, target.embedding.data(), kDimension);
      const auto to_row = [&](std::int64_t row) { return distance((*segment)->Vector(row), (*segment)->Scale(row)); };
      std::multimap<float, std::int64_t> nearest;
      for (std::int64_t row = 0; row < 3000; ++row) nearest.emplace(to_row(row), row);
      std::set<std::int64_t> truth;
      for (auto it = nearest.begin(); truth.size() < 10; ++it) truth.insert(it->second);
      ScratchPool::Lease scratch = (*segment)->TakeScratch();
      const CodeWalkResult walked = WalkCodes((*segment)->graph(), (*segment)->codes(), target.embedding.data(),
                                              {.ef = 100, .choice = {}}, *scratch);
      ASSERT_EQ(walked.hits.size(), 100u);
      for (const WalkHit& hit : walked.hits.first(30)) found += truth.contains(hit.row) ? 1 : 0;
    }
    EXPECT_GE(found, 980) << MetricName(metric);
  }
}

TEST(SegmentTest, EveryDamagedByteIsNoticed) {
  const TempDir dir;
  Input input(40);
  const auto written = WriteSegment(dir.path(), input.spec, input.rows);
  ASSERT_OK(written);
  const std::string bytes = ReadFile((*written)->path());
  const std::filesystem::path damaged = dir.path() / "damaged.segment";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i >= sizeof(SegmentHeader) && i < kSegmentHeaderBytes) continue;  // not used, so not covered
    std::string copy = bytes;
    copy[i] = static_cast<char>(copy[i] ^ 0x41);
    WriteFile(damaged, copy);
    ASSERT_THAT(Segment::Open(damaged), HasCode(absl::StatusCode::kDataLoss, "damaged.segment")) << "byte " << i;
  }
}

TEST(SegmentTest, EveryTruncationIsNoticed) {
  const TempDir dir;
  Input input(40);
  const auto written = WriteSegment(dir.path(), input.spec, input.rows);
  ASSERT_OK(written);
  const std::string bytes = ReadFile((*written)->path());
  const std::filesystem::path damaged = dir.path() / "damaged.segment";
  for (std::size_t size = 0; size < bytes.size(); size += 97) {
    WriteFile(damaged, bytes.substr(0, size));
    ASSERT_THAT(Segment::Open(damaged), HasCode(absl::StatusCode::kDataLoss, "")) << "size " << size;
  }
  WriteFile(damaged, bytes + "x");
  EXPECT_THAT(Segment::Open(damaged), HasCode(absl::StatusCode::kDataLoss, "size"));
}

TEST(SegmentTest, ACancelledBuildLeavesNothingBehind) {
  const TempDir dir;
  Input input(3000);
  input.spec.cancelled = [] { return true; };
  EXPECT_THAT(WriteSegment(dir.path(), input.spec, input.rows), HasCode(absl::StatusCode::kCancelled, ""));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(PayloadTest, LengthsThatDoNotAddUpAreDataLoss) {
  const std::string bytes = EncodePayload({"id", "document", "uri", "{}"});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(DecodePayload(bytes.substr(0, size)), HasCode(absl::StatusCode::kDataLoss, "")) << size;
  }
  EXPECT_THAT(DecodePayload(bytes + "x"), HasCode(absl::StatusCode::kDataLoss, ""));
}

}  // namespace
}  // namespace omics::index
