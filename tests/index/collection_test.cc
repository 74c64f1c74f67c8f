// The collection against a model: a map of records and a brute-force search over it.
#include "index/collection.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "index/catalog.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::index {
namespace {

constexpr int kDimension = 8;

// Small limits, so that a few hundred rows go through tails, seals, builds and merges.
CatalogOptions SmallOptions(const std::filesystem::path& dir) {
  CatalogOptions options;
  options.data_dir = dir;
  options.tail_rows_max = 50;
  options.graph_rows_min = 20;
  options.idle_before_build = std::chrono::milliseconds(0);
  return options;
}

class CollectionTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() { Reopen(SmallOptions(dir_.path())); }

  void Reopen(const CatalogOptions& options) {
    collection_.reset();
    catalog_.reset();
    absl::StatusOr<std::unique_ptr<Catalog>> catalog = Catalog::Open(options);
    ASSERT_OK(catalog);
    catalog_ = *std::move(catalog);
    if (!catalog_->GetCollection({.name = "things"}).ok()) {
      CollectionSpec spec;
      spec.name = "things";
      spec.metric = metric_;
      ASSERT_OK(catalog_->CreateCollection(spec, false, nullptr));
    }
    auto collection = catalog_->OpenCollection({.name = "things"});
    ASSERT_OK(collection);
    collection_ = *std::move(collection);
  }

  // Rows "r<first>" onward, in one batch.
  void Insert(int first, int count) {
    std::vector<RecordChange> changes;
    for (int row = first; row < first + count; ++row) {
      changes.push_back({.id = "r" + std::to_string(row), .embedding = std::vector<float>{float(row), 1}});
    }
    ASSERT_OK(collection_->Write(WriteMode::kInsert, std::move(changes), kNoDeadline));
  }

  // Until the builder has made it so, or a minute has passed.
  bool WaitFor(const std::function<bool(const CollectionStats&)>& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!wanted(collection_->Stats())) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  std::vector<Hit> QueryOne(const std::vector<float>& vector, int k, bool exact = false) {
    QuerySpec spec;
    spec.vectors = {vector};
    spec.k = k;
    spec.exact = exact;
    spec.include = {true, true, true, true};
    auto results = collection_->Query(spec, kNoDeadline);
    EXPECT_OK(results);
    return results.ok() ? results->at(0) : std::vector<Hit>{};
  }

  Metric metric_ = Metric::kSquaredL2;
  TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
  std::shared_ptr<Collection> collection_;
};

RecordChange Change(std::string id, std::vector<float> embedding) {
  return {.id = std::move(id), .embedding = std::move(embedding)};
}

TEST_F(CollectionTest, AnEmptyCollectionAnswersAnyDimensionWithNothing) {
  EXPECT_EQ(collection_->dimension(), 0);
  EXPECT_TRUE(QueryOne({1, 2, 3}, 10).empty());
  EXPECT_TRUE(collection_->Get({}, kNoDeadline)->records.empty());
}

TEST_F(CollectionTest, TheFirstRecordSetsTheDimension) {
  ASSERT_OK(collection_->Write(WriteMode::kInsert, {Change("a", {1, 2})}, kNoDeadline));
  EXPECT_EQ(collection_->dimension(), 2);
  EXPECT_THAT(collection_->Write(WriteMode::kInsert, {Change("b", {1, 2}), Change("c", {1, 2, 3})}, kNoDeadline),
              HasReason(absl::StatusCode::kInvalidArgument, "DIMENSION_MISMATCH"));
  EXPECT_EQ(collection_->Count(), 1) << "a batch is all or nothing";
  QuerySpec spec;
  spec.vectors = {{1, 2, 3}};
  EXPECT_THAT(collection_->Query(spec, kNoDeadline),
              HasReason(absl::StatusCode::kInvalidArgument, "DIMENSION_MISMATCH"));
}

TEST_F(CollectionTest, InsertKeepsTheFirstUpsertTheLast) {
  auto inserted = collection_->Write(WriteMode::kInsert, {Change("a", {1}), Change("a", {2})}, kNoDeadline);
  ASSERT_OK(inserted);
  EXPECT_EQ(inserted->inserted, 1);
  EXPECT_EQ(inserted->skipped, 1);
  EXPECT_EQ(QueryOne({0}, 1)[0].distance, 1);
  auto upserted = collection_->Write(WriteMode::kUpsert, {Change("a", {3}), Change("a", {4})}, kNoDeadline);
  ASSERT_OK(upserted);
  EXPECT_EQ(upserted->updated, 1);
  EXPECT_EQ(QueryOne({0}, 1)[0].distance, 16);
}

TEST_F(CollectionTest, UpdateMergesAndSkipsWhatIsMissing) {
  RecordChange first = Change("a", {1, 1});
  first.document = "first";
  first.metadata = {{"keep", std::int64_t{1}}, {"drop", true}, {"set", std::string("old")}};
  ASSERT_OK(collection_->Write(WriteMode::kInsert, {first}, kNoDeadline));
  RecordChange change = {.id = "a", .metadata = {{"set", std::string("new")}}, .remove_metadata_keys = {"drop"}};
  auto updated = collection_->Write(WriteMode::kUpdate, {change, Change("missing", {})}, kNoDeadline);
  ASSERT_OK(updated);
  EXPECT_EQ(updated->updated, 1);
  EXPECT_EQ(updated->skipped, 1);
  const Record record = QueryOne({1, 1}, 1)[0].record;
  EXPECT_EQ(record.embedding, (std::vector<float>{1, 1}));
  EXPECT_EQ(record.document, "first");
  EXPECT_EQ(record.metadata, (Metadata{{"keep", std::int64_t{1}}, {"set", std::string("new")}}));
}

TEST_F(CollectionTest, AnUpsertOfANewRecordNeedsAnEmbedding) {
  EXPECT_THAT(collection_->Write(WriteMode::kUpsert, {Change("a", {})}, kNoDeadline),
              HasCode(absl::StatusCode::kInvalidArgument, "'a' is new"));
}

TEST_F(CollectionTest, GetKeepsTheOrderOfInsertionOverUpdatesAndPages) {
  std::vector<RecordChange> changes;
  for (int i = 0; i < 100; ++i) changes.push_back(Change("r" + std::to_string(99 - i), {static_cast<float>(i)}));
  ASSERT_OK(collection_->Write(WriteMode::kInsert, changes, kNoDeadline));
  ASSERT_OK(collection_->Write(WriteMode::kUpsert, {Change("r50", {7})}, kNoDeadline));
  GetSpec spec;
  spec.limit = 7;
  std::vector<std::string> ids;
  for (int pages = 0; pages < 100; ++pages) {
    auto page = collection_->Get(spec, kNoDeadline);
    ASSERT_OK(page);
    for (const Record& record : page->records) ids.push_back(record.id);
    if (page->next < 0) break;
    spec.after = page->next;
  }
  ASSERT_EQ(ids.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ids[i], "r" + std::to_string(99 - i));

  spec = {.ids = {"r1", "r3", "nobody", "r3"}, .offset = 1};
  auto page = collection_->Get(spec, kNoDeadline);
  ASSERT_OK(page);
  ASSERT_EQ(page->records.size(), 1u);
  EXPECT_EQ(page->records[0].id, "r1");
  spec = {.offset = 98};
  EXPECT_EQ(collection_->Get(spec, kNoDeadline)->records.size(), 2u);
  spec = {.offset = 1000};
  EXPECT_EQ(collection_->Get(spec, kNoDeadline)->records.size(), 0u);
}

TEST_F(CollectionTest, APageEndsAtItsBytes) {
  for (int i = 0; i < 10; ++i) {
    RecordChange change = Change("r" + std::to_string(i), {1});
    change.document = std::string(1000, 'x');
    ASSERT_OK(collection_->Write(WriteMode::kInsert, {change}, kNoDeadline));
  }
  GetSpec spec;
  spec.include.document = true;
  spec.bytes_max = 3500;
  auto page = collection_->Get(spec, kNoDeadline);
  ASSERT_OK(page);
  EXPECT_EQ(page->records.size(), 3u);
  EXPECT_GE(page->next, 0);
}

TEST_F(CollectionTest, BadArgumentsAreNamed) {
  const auto query = [&](QuerySpec spec) { return collection_->Query(spec, kNoDeadline).status(); };
  EXPECT_THAT(query({.vectors = {{1}}, .k = 0}), HasCode(absl::StatusCode::kInvalidArgument, "k must be"));
  EXPECT_THAT(query({.vectors = {{1}}, .ef = -1}), HasCode(absl::StatusCode::kInvalidArgument, "ef must be"));
  EXPECT_THAT(query({.vectors = {}}), HasCode(absl::StatusCode::kInvalidArgument, "1 to 1024 vectors"));
  EXPECT_THAT(query({.vectors = {{NAN}}}), HasCode(absl::StatusCode::kInvalidArgument, "NaN"));
}

TEST_F(CollectionTest, DeadlinesAreObeyedBeforeWorkStarts) {
  const Deadline past = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  QuerySpec spec;
  spec.vectors = {{1}};
  EXPECT_THAT(collection_->Query(spec, past), HasCode(absl::StatusCode::kDeadlineExceeded, ""));
}

TEST_F(CollectionTest, QueryCanBeLimitedToIds) {
  ASSERT_OK(
      collection_->Write(WriteMode::kInsert, {Change("a", {1}), Change("b", {2}), Change("c", {3})}, kNoDeadline));
  QuerySpec spec;
  spec.vectors = {{0}};
  spec.ids = {"c", "b", "nobody"};
  auto results = collection_->Query(spec, kNoDeadline);
  ASSERT_OK(results);
  ASSERT_EQ(results->at(0).size(), 2u);
  EXPECT_EQ(results->at(0)[0].record.id, "b");
}

// A random history, checked against a model after every step, with builds, merges and restarts in between.
class HistoryTest : public CollectionTest, public testing::WithParamInterface<Metric> {
 protected:
  void SetUp() override {
    metric_ = GetParam();
    CollectionTest::SetUp();
  }

  std::vector<float> RandomVector() {
    std::normal_distribution<float> value;
    std::vector<float> vector(kDimension);
    for (float& x : vector) x = value(rng_);
    return vector;
  }
  std::string RandomId() { return "id" + std::to_string(rng_() % 400); }

  double ModelDistance(const std::vector<float>& a, const std::vector<float>& b) const {
    double dot = 0, l2 = 0, aa = 0, bb = 0;
    for (int i = 0; i < kDimension; ++i) {
      dot += double{a[i]} * b[i];
      aa += double{a[i]} * a[i];
      bb += double{b[i]} * b[i];
      l2 += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    }
    if (metric_ == Metric::kSquaredL2) return l2;
    return metric_ == Metric::kInnerProduct ? 1 - dot : 1 - dot / std::sqrt(aa * bb);
  }

  void WriteSome() {
    std::vector<RecordChange> changes;
    for (std::uint64_t n = 1 + rng_() % 30; n > 0; --n) changes.push_back(Change(RandomId(), RandomVector()));
    const auto mode = static_cast<WriteMode>(rng_() % 3);
    ASSERT_OK(collection_->Write(mode, changes, kNoDeadline));
    for (const RecordChange& change : changes) {
      const bool exists = model_.contains(change.id);
      if (mode == WriteMode::kInsert && exists) continue;
      if (mode == WriteMode::kUpdate && !exists) continue;
      model_[change.id] = change.embedding;
    }
  }

  void DeleteSome() {
    std::vector<std::string> ids;
    for (std::uint64_t n = rng_() % 20; n > 0; --n) ids.push_back(RandomId());
    const std::set<std::string> distinct(ids.begin(), ids.end());
    if (distinct.empty()) return;
    const auto expected =
        std::count_if(distinct.begin(), distinct.end(), [&](auto& id) { return model_.contains(id); });
    auto deleted =
        collection_->Delete({.ids = {distinct.begin(), distinct.end()}, .filter = std::nullopt}, kNoDeadline);
    ASSERT_OK(deleted);
    EXPECT_EQ(deleted->deleted, expected);
    for (const std::string& id : distinct) model_.erase(id);
  }

  void Compare() {
    ASSERT_EQ(collection_->Count(), std::ssize(model_));
    const std::vector<float> query = RandomVector();
    std::vector<std::pair<double, std::string>> truth;
    for (const auto& [id, vector] : model_) truth.emplace_back(ModelDistance(query, vector), id);
    std::sort(truth.begin(), truth.end());
    const std::vector<Hit> hits = QueryOne(query, 10, /*exact=*/true);
    ASSERT_EQ(hits.size(), std::min<std::size_t>(10, truth.size()));
    for (std::size_t i = 0; i < hits.size(); ++i) {
      EXPECT_NEAR(hits[i].distance, truth[i].first, 1e-4);
      EXPECT_EQ(hits[i].record.embedding, model_.at(hits[i].record.id));
    }
    // The graph may miss a record, but what it returns is live, right and unique.
    std::set<std::string> ids;
    for (const Hit& hit : QueryOne(query, 10)) {
      ASSERT_TRUE(model_.contains(hit.record.id));
      EXPECT_NEAR(hit.distance, ModelDistance(query, model_.at(hit.record.id)), 1e-4);
      ids.insert(hit.record.id);
    }
    EXPECT_EQ(ids.size(), hits.size());
  }

  std::mt19937_64 rng_;
  std::map<std::string, std::vector<float>> model_;
};

TEST_P(HistoryTest, EveryStepAgreesWithTheModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  rng_.seed(seed);
  for (int step = 0; step < 150 && !HasFatalFailure(); ++step) {
    const std::uint64_t action = rng_() % 20;
    if (action < 12) {
      WriteSome();
    } else if (action < 17) {
      DeleteSome();
    } else if (action < 19) {
      ASSERT_OK(collection_->Compact(kNoDeadline));
    } else {
      Reopen();
    }
    Compare();
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, HistoryTest,
                         testing::Values(Metric::kCosine, Metric::kSquaredL2, Metric::kInnerProduct),
                         [](const auto& info) { return std::string(MetricName(info.param)); });

TEST_F(CollectionTest, CompactPutsAllRowsIntoOneGraphWithoutDeletedOnes) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK(collection_->Write(WriteMode::kInsert, {Change("r" + std::to_string(i), {float(i), 1})}, kNoDeadline));
  }
  ASSERT_OK(collection_->Delete({.ids = {"r0", "r1"}, .filter = std::nullopt}, kNoDeadline));
  ASSERT_OK(collection_->Compact(kNoDeadline));
  const CollectionStats stats = collection_->Stats();
  EXPECT_EQ(stats.records, 298);
  EXPECT_EQ(stats.graph_rows, 298);
  EXPECT_EQ(stats.tail_rows, 0);
  EXPECT_EQ(stats.deleted_rows, 0);
  EXPECT_EQ(stats.segments, 1);
  EXPECT_GT(stats.recall, 0.98);
  EXPECT_GT(stats.disk_bytes, 0);
  auto recall = collection_->MeasureRecall(10, 0, 50, kNoDeadline);
  ASSERT_OK(recall);
  EXPECT_GE(recall->recall, 0.99);
  EXPECT_EQ(recall->samples, 50);
}

TEST_F(CollectionTest, WhileWritesComeLargeSegmentsAreLeftAloneAndMergedAfterwards) {
  constexpr int kRows = 1000, kBatch = 50;
  CatalogOptions options = SmallOptions(dir_.path());
  options.idle_before_build = std::chrono::hours(1);
  options.busy_merge_rows_max = 100;
  Reopen(options);
  for (int first = 0; first < kRows; first += kBatch) {
    Insert(first, kBatch);
    ASSERT_TRUE(WaitFor([&](const CollectionStats& stats) { return stats.graph_rows == first; }));
  }
  // The last 50 are in the tail. Those before were built one after the other, each with what was there of 100 or less.
  EXPECT_EQ(collection_->Stats().segments, 7);
  Reopen();
  EXPECT_TRUE(WaitFor([](const CollectionStats& stats) { return stats.segments == 1 && !stats.building; }));
  EXPECT_EQ(collection_->Count(), kRows);
  EXPECT_EQ(QueryOne({77, 1}, 1)[0].record.id, "r77");
}

TEST_F(CollectionTest, AMergeThatKeepsWritesWaitingGivesWayAndIsDoneLater) {
  constexpr int kRows = 6000, kBatch = 100;
  CatalogOptions options = SmallOptions(dir_.path());
  options.busy_merge_rows_max = 100;
  options.backlog_bytes_max = 40'000;
  Reopen(options);
  for (int first = 0; first < kRows; first += kBatch) Insert(first, kBatch);
  EXPECT_TRUE(WaitFor([](const CollectionStats& stats) { return stats.segments == 1 && stats.tail_rows == 0; }));
  EXPECT_EQ(collection_->Count(), kRows);
  for (int row = 0; row < kRows; row += 97) {
    EXPECT_EQ(QueryOne({float(row), 1}, 1)[0].record.id, "r" + std::to_string(row));
  }
}

TEST_F(CollectionTest, HeapsOfCopiesDoNotHideOneAnother) {
  constexpr int kHeaps = 40, kCopies = 100;
  for (int heap = 0; heap < kHeaps; ++heap) {
    std::vector<RecordChange> changes;
    for (int copy = 0; copy < kCopies; ++copy) {
      changes.push_back(
          Change(std::to_string(heap) + "-" + std::to_string(copy), std::vector<float>(16, 1000.0f * heap)));
    }
    ASSERT_OK(collection_->Write(WriteMode::kInsert, changes, kNoDeadline));
  }
  ASSERT_OK(collection_->Compact(kNoDeadline));
  for (int heap = 0; heap < kHeaps; ++heap) {
    const std::vector<Hit> hits = QueryOne(std::vector<float>(16, 1000.0f * heap), 10);
    ASSERT_EQ(hits.size(), 10u);
    EXPECT_EQ(hits.back().distance, 0) << "heap " << heap;
  }
}

// Writers of their own ids, readers, and the builder, all at once: what was acknowledged is there, in whole batches.
TEST_F(CollectionTest, ConcurrentWritersReadersAndBuildsLoseNothing) {
  constexpr int kWriters = 4, kBatches = 40, kBatchRows = 5;
  ASSERT_OK(collection_->Write(WriteMode::kInsert, {Change("first", {0, 0})}, kNoDeadline));
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (int b = 0; b < kBatches; ++b) {
        std::vector<RecordChange> changes;
        for (int r = 0; r < kBatchRows; ++r) {
          changes.push_back(
              Change(std::to_string(w) + "-" + std::to_string(b) + "-" + std::to_string(r), {float(w), float(b)}));
        }
        EXPECT_OK(collection_->Write(WriteMode::kUpsert, changes, kNoDeadline));
      }
    });
  }
  std::thread reader([&] {
    while (!done) {
      EXPECT_EQ((collection_->Count() - 1) % kBatchRows, 0) << "half a batch was seen";
      QuerySpec spec;
      spec.vectors = {{1, 1}};
      EXPECT_OK(collection_->Query(spec, kNoDeadline));
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  reader.join();
  EXPECT_EQ(collection_->Count(), 1 + kWriters * kBatches * kBatchRows);
  Reopen();
  EXPECT_EQ(collection_->Count(), 1 + kWriters * kBatches * kBatchRows);
}

TEST_F(CollectionTest, ADamagedSegmentCostsTimeNotData) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(collection_->Write(WriteMode::kInsert, {Change("r" + std::to_string(i), {float(i)})}, kNoDeadline));
  }
  ASSERT_OK(collection_->Compact(kNoDeadline));
  collection_.reset();
  catalog_.reset();
  int damaged = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
    if (entry.path().extension() != ".segment") continue;
    std::filesystem::resize_file(entry.path(), entry.file_size() / 2);
    ++damaged;
  }
  ASSERT_EQ(damaged, 1);
  Reopen();
  EXPECT_EQ(collection_->Count(), 100);
  EXPECT_EQ(QueryOne({42}, 1, true)[0].record.id, "r42");
}

}  // namespace
}  // namespace omics::index
