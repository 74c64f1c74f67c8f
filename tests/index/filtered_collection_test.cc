// Get, Query and Delete with filters against a model: a list of records and a test of each.
#include <algorithm>
#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "index/catalog.h"
#include "index/collection.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::index {
namespace {

using Operator = MetadataCondition::Operator;

constexpr int kDimension = 4;
constexpr const char* kWords[] = {"lung", "heart", "left lung", "", "epithelium of lung"};

Filter Where(std::string key, Operator op, std::vector<MetadataValue> values) {
  return {MetadataCondition{std::move(key), op, std::move(values)}};
}

// A filter and what it means.
struct Question {
  Filter filter;
  std::function<bool(const Record&)> holds;
};

class FilteredCollectionTest : public testing::Test {
 protected:
  void SetUp() override {
    seed_ = std::random_device()();
    RecordProperty("seed", std::to_string(seed_));
    random_.seed(seed_);
    CatalogOptions options;
    options.data_dir = dir_.path();
    options.tail_rows_max = 60;
    options.graph_rows_min = 20;
    options.idle_before_build = std::chrono::milliseconds(0);
    auto catalog = Catalog::Open(options);
    ASSERT_OK(catalog);
    catalog_ = *std::move(catalog);
    CollectionSpec spec;
    spec.name = "things";
    spec.metric = Metric::kSquaredL2;
    ASSERT_OK(catalog_->CreateCollection(spec, false, nullptr));
    auto collection = catalog_->OpenCollection({.name = "things"});
    ASSERT_OK(collection);
    collection_ = *std::move(collection);
  }

  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  RecordChange RandomChange() {
    RecordChange change;
    change.id = absl::StrCat("r", Below(150));
    for (int i = 0; i < kDimension; ++i) change.embedding.push_back(static_cast<float>(Below(100)));
    if (Below(4) != 0) change.document = kWords[Below(5)];
    change.metadata["group"] = std::int64_t{Below(5)};
    if (Below(2) == 0) change.metadata["score"] = Below(10) / 2.0;
    change.metadata["tags"] = std::vector<std::string>{absl::StrCat("t", Below(3)), absl::StrCat("t", Below(3))};
    return change;
  }

  void Upsert(int count) {
    std::vector<RecordChange> changes;
    for (int i = 0; i < count; ++i) changes.push_back(RandomChange());
    ASSERT_OK(collection_->Write(WriteMode::kUpsert, changes, kNoDeadline));
    for (RecordChange& change : changes) {
      auto found = std::find_if(model_.begin(), model_.end(), [&](const Record& r) { return r.id == change.id; });
      if (found == model_.end()) found = model_.insert(model_.end(), Record{.id = change.id});
      found->embedding = change.embedding;
      if (change.document) found->document = change.document;
      for (auto& [key, value] : change.metadata) found->metadata.insert_or_assign(key, value);
    }
  }

  Question Simple() {
    switch (Below(6)) {
      case 0: {
        const std::int64_t group = Below(6);
        return {Where("group", Operator::kEqual, {group}),
                [=](const Record& r) { return r.metadata.at("group") == MetadataValue(group); }};
      }
      case 1: {
        const double score = Below(10) / 2.0;
        return {Where("score", Operator::kLess, {score}), [=](const Record& r) {
                  const auto found = r.metadata.find("score");
                  return found != r.metadata.end() && std::get<double>(found->second) < score;
                }};
      }
      case 2: {
        const std::string tag = absl::StrCat("t", Below(3));
        return {Where("tags", Operator::kContains, {tag}), [=](const Record& r) {
                  const auto& tags = std::get<std::vector<std::string>>(r.metadata.at("tags"));
                  return std::find(tags.begin(), tags.end(), tag) != tags.end();
                }};
      }
      case 3: {
        return {Where("score", Operator::kNotIn, {1.5, std::int64_t{2}}), [](const Record& r) {
                  const auto found = r.metadata.find("score");
                  return found == r.metadata.end() ||
                         (std::get<double>(found->second) != 1.5 && std::get<double>(found->second) != 2);
                }};
      }
      case 4: {
        const std::string word = Below(2) == 0 ? "lung" : "of l";
        return {{DocumentCondition{DocumentCondition::Operator::kContains, word}},
                [=](const Record& r) { return r.document && absl::StrContains(*r.document, word); }};
      }
      default:
        return {{DocumentCondition{DocumentCondition::Operator::kNotMatches, "^l.*g$"}},
                [](const Record& r) { return !r.document || (*r.document != "lung" && *r.document != "left lung"); }};
    }
  }

  Question Random() {
    if (Below(2) == 0) return Simple();
    Question a = Simple(), b = Simple();
    if (Below(2) == 0) {
      return {{AllOf{{a.filter, b.filter}}}, [=](const Record& r) { return a.holds(r) && b.holds(r); }};
    }
    return {{AnyOf{{a.filter, b.filter}}}, [=](const Record& r) { return a.holds(r) || b.holds(r); }};
  }

  std::vector<std::string> Expected(const Question& question) const {
    std::vector<std::string> ids;
    for (const Record& record : model_) {
      if (question.holds(record)) ids.push_back(record.id);
    }
    return ids;
  }

  // All pages, each of a few records.
  std::vector<std::string> GetAll(const Question& question, std::int64_t offset) {
    std::vector<std::string> ids;
    GetSpec spec;
    spec.filter = question.filter;
    spec.offset = offset;
    spec.limit = 1 + Below(30);
    do {
      auto page = collection_->Get(spec, kNoDeadline);
      EXPECT_OK(page);
      if (!page.ok()) break;
      for (const Record& record : page->records) ids.push_back(record.id);
      spec.after = page->next;
    } while (spec.after >= 0);
    return ids;
  }

  std::vector<float> ExpectedDistances(const Question& question, const std::vector<float>& query, std::size_t k) const {
    std::vector<float> distances;
    for (const Record& record : model_) {
      if (!question.holds(record)) continue;
      float sum = 0;
      for (std::size_t i = 0; i < query.size(); ++i) {
        sum += (query[i] - record.embedding[i]) * (query[i] - record.embedding[i]);
      }
      distances.push_back(sum);
    }
    std::sort(distances.begin(), distances.end());
    if (distances.size() > k) distances.resize(k);
    return distances;
  }

  void CheckQuery(const Question& question) {
    QuerySpec spec;
    spec.vectors = {{}};
    for (int i = 0; i < kDimension; ++i) spec.vectors[0].push_back(static_cast<float>(Below(100)));
    spec.k = 1 + Below(20);
    spec.exact = Below(2) == 0;
    spec.filter = question.filter;
    spec.include = {true, true, true, true};
    auto results = collection_->Query(spec, kNoDeadline);
    ASSERT_OK(results);
    std::vector<float> distances;
    for (const Hit& hit : results->at(0)) {
      EXPECT_TRUE(question.holds(hit.record)) << hit.record.id;
      distances.push_back(hit.distance);
    }
    EXPECT_EQ(distances, ExpectedDistances(question, spec.vectors[0], static_cast<std::size_t>(spec.k)));
  }

  void CheckDelete(const Question& question) {
    const std::vector<std::string> expected = Expected(question);
    auto deleted = collection_->Delete({.ids = {}, .filter = question.filter}, kNoDeadline);
    ASSERT_OK(deleted);
    EXPECT_EQ(deleted->deleted, std::ssize(expected));
    std::erase_if(model_, question.holds);
    EXPECT_EQ(collection_->Count(), std::ssize(model_));
  }

  unsigned seed_ = 0;
  std::mt19937 random_;
  TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
  std::shared_ptr<Collection> collection_;
  std::vector<Record> model_;  // in order of insertion
};

TEST_F(FilteredCollectionTest, RandomOperationsAgreeWithTheModel) {
  for (int step = 0; step < 300 && !HasFailure(); ++step) {
    SCOPED_TRACE(absl::StrCat("seed ", seed_, " step ", step));
    Upsert(1 + Below(20));
    const Question question = Random();
    const std::int64_t offset = Below(3) == 0 ? Below(10) : 0;
    std::vector<std::string> expected = Expected(question);
    expected.erase(expected.begin(), expected.begin() + std::min<std::ptrdiff_t>(offset, std::ssize(expected)));
    EXPECT_EQ(GetAll(question, offset), expected);
    CheckQuery(question);
    if (Below(6) == 0) CheckDelete(Random());
    if (step % 50 == 49) {
      ASSERT_OK(collection_->Compact(kNoDeadline));
    }
  }
}

TEST_F(FilteredCollectionTest, IdsAndAFilterBothNarrow) {
  Upsert(100);
  const Question question = Simple();
  GetSpec spec;
  spec.filter = question.filter;
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < model_.size(); i += 3) {
    spec.ids.push_back(model_[i].id);
    if (question.holds(model_[i])) expected.push_back(model_[i].id);
  }
  spec.ids.push_back("nobody");
  auto page = collection_->Get(spec, kNoDeadline);
  ASSERT_OK(page);
  std::vector<std::string> got;
  for (const Record& record : page->records) got.push_back(record.id);
  EXPECT_EQ(got, expected);
}

TEST_F(FilteredCollectionTest, ADeleteThatNamesNothingIsRefused) {
  Upsert(10);
  EXPECT_THAT(collection_->Delete({}, kNoDeadline), HasCode(absl::StatusCode::kInvalidArgument, "filter"));
  EXPECT_EQ(collection_->Count(), std::ssize(model_));
}

TEST_F(FilteredCollectionTest, AnInvalidFilterIsRefusedEverywhere) {
  Upsert(10);
  const Filter bad = {DocumentCondition{DocumentCondition::Operator::kMatches, "("}};
  GetSpec get;
  get.filter = bad;
  EXPECT_THAT(collection_->Get(get, kNoDeadline), HasCode(absl::StatusCode::kInvalidArgument, "("));
  QuerySpec query;
  query.vectors = {{1, 2, 3, 4}};
  query.filter = bad;
  EXPECT_THAT(collection_->Query(query, kNoDeadline), HasCode(absl::StatusCode::kInvalidArgument, "("));
  EXPECT_THAT(collection_->Delete({.ids = {}, .filter = bad}, kNoDeadline),
              HasCode(absl::StatusCode::kInvalidArgument, "("));
}

// Writers in the same group commit as a delete by filter: what a writer wrote before the delete began is seen by it,
// and in the end every record is either counted as deleted or still there.
TEST_F(FilteredCollectionTest, ADeleteByFilterSeesEveryWriteBeforeIt) {
  std::atomic<std::int64_t> written = 0;
  std::atomic<std::int64_t> deleted = 0;
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 3; ++writer) {
    threads.emplace_back([&, writer] {
      for (int i = 0; i < 40; ++i) {
        RecordChange change{.id = absl::StrCat("w", writer, "-", i), .embedding = {1, 2, 3, 4}};
        change.metadata["writer"] = std::int64_t{writer};
        auto result = collection_->Write(WriteMode::kInsert, {change}, kNoDeadline);
        if (result.ok()) written += result->inserted;
        auto gone = collection_->Delete(
            {.ids = {}, .filter = Where("writer", Operator::kEqual, {std::int64_t{writer}})}, kNoDeadline);
        if (gone.ok()) {
          EXPECT_EQ(gone->deleted, 1) << "its own write was acknowledged before";
          deleted += gone->deleted;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(written, 120);
  EXPECT_EQ(deleted, 120);
  EXPECT_EQ(collection_->Count(), 0);
}

}  // namespace
}  // namespace omics::index
