#include "index/chroma_import.h"

#include <gmock/gmock.h>

#include <set>

#include "base/status.h"
#include "tests/index/chroma_testing.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TestData;
using testing::TestSqlite;

constexpr char kSecondId[] = "22222222-2222-4333-8444-555555555555";

class ChromaImportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto catalog = Catalog::Open({.data_dir = data_ / "data"});
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    catalog_ = *std::move(catalog);
  }

  std::unique_ptr<ChromaStore> Open(const fs::path& path) {
    auto store = ChromaStore::Open(path, data_ / "scratch", {});
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  // Two collections: "small" with a (1,2) and b (3,4), "other" with c (5,6); ids in the log only.
  std::unique_ptr<ChromaStore> SmallStore() {
    const fs::path root = data_ / "store";
    testing::WriteSchema(root, 2);
    TestSqlite db(root / "chroma.sqlite3");
    db.Run("INSERT INTO collections SELECT '" + std::string(kSecondId) +
           "', 'other', dimension, database_id, NULL, NULL FROM"
           " collections; INSERT INTO segments VALUES ('aaaaaaaa-0000-4000-8000-000000000003', "
           "'urn:chroma:segment/metadata/"
           "sqlite', 'METADATA', '" +
           std::string(kSecondId) + "')");
    db.InsertLog(1, 0, "a", testing::FloatBytes({1, 2}), "FLOAT32", R"({"chroma:document":"doc a","n":1})",
                 testing::kCollectionId);
    db.InsertLog(2, 0, "b", testing::FloatBytes({3, 4}), "FLOAT32", "", testing::kCollectionId);
    db.InsertLog(3, 0, "c", testing::FloatBytes({5, 6}), "FLOAT32", "", kSecondId);
    return Open(root);
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const auto collections = catalog_->ListAllCollections();
    EXPECT_TRUE(collections.ok()) << collections.status();
    for (const CollectionInfo& info : collections.value_or(std::vector<CollectionInfo>())) names.push_back(info.name);
    return names;
  }

  std::vector<Record> Records(const std::string& name) {
    const auto collection = catalog_->OpenCollection({.name = name});
    EXPECT_TRUE(collection.ok()) << collection.status();
    if (!collection.ok()) return {};
    const auto page =
        (*collection)
            ->Get({.include = {true, true, true, true}, .limit = 100'000, .bytes_max = std::int64_t{1} << 30},
                  kNoDeadline);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? page->records : std::vector<Record>();
  }

  TempDir data_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(ChromaImportTest, ARealStoreArrivesWhole) {
  const auto store = Open(TestData("chroma-stores/chroma-store-1.4.4.tar.gz"));
  std::int64_t done = 0;
  const auto progress = [&done](std::int64_t rows_done, std::int64_t rows_total) {
    EXPECT_GT(rows_done, done);
    EXPECT_EQ(rows_total, 2298);
    done = rows_done;
    return absl::OkStatus();
  };
  const auto reports = ImportChromaStore(*store, {}, *catalog_, progress);
  ASSERT_TRUE(reports.ok()) << reports.status();
  ASSERT_EQ(reports->size(), 1u);
  EXPECT_EQ((*reports)[0].records, 2298);
  EXPECT_THAT((*reports)[0].lost_ids, IsEmpty());
  EXPECT_EQ((*reports)[0].info.name, "big-cos");
  EXPECT_EQ((*reports)[0].info.metric, Metric::kCosine);
  EXPECT_THAT((*reports)[0].info.client_configuration, HasSubstr("\"schema\""));
  EXPECT_EQ(done, 2298);

  const testing::StoreContents expected = testing::ReadAll(*store, store->collections()[0]);
  const std::vector<Record> records = Records("big-cos");
  ASSERT_EQ(records.size(), expected.order.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    ASSERT_EQ(records[i].id, expected.order[i]);
    const RecordChange& wanted = expected.records.at(records[i].id);
    EXPECT_EQ(records[i].embedding, wanted.embedding);
    EXPECT_EQ(records[i].document, wanted.document);
    EXPECT_EQ(records[i].uri, wanted.uri);
    EXPECT_EQ(records[i].metadata, wanted.metadata);
  }
}

TEST_F(ChromaImportTest, EveryCollectionUnderItsOwnName) {
  const auto reports = ImportChromaStore(*SmallStore(), {}, *catalog_, nullptr);
  ASSERT_TRUE(reports.ok()) << reports.status();
  EXPECT_THAT(Names(), ElementsAre("small", "other"));
  const std::vector<Record> records = Records("small");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].document, "doc a");
  EXPECT_EQ(Records("other")[0].embedding, (std::vector<float>{5, 6}));
}

TEST_F(ChromaImportTest, OneCollectionByNameOrIdUnderANewName) {
  const auto store = SmallStore();
  ASSERT_TRUE(
      ImportChromaStore(*store, {.collection = "renamed", .source_collection = "other"}, *catalog_, nullptr).ok());
  ASSERT_TRUE(ImportChromaStore(*store, {.source_collection = testing::kCollectionId}, *catalog_, nullptr).ok());
  EXPECT_THAT(Names(), ElementsAre("renamed", "small"));
}

TEST_F(ChromaImportTest, AChoiceThatIsNotClearNamesTheCollections) {
  const auto store = SmallStore();
  const auto unclear = ImportChromaStore(*store, {.collection = "renamed"}, *catalog_, nullptr);
  EXPECT_EQ(unclear.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unclear.status().message()), HasSubstr(kSecondId));
  const auto missing = ImportChromaStore(*store, {.source_collection = "nobody"}, *catalog_, nullptr);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("small"));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(ChromaImportTest, ANameThatIsTakenStopsAllUnlessReplaced) {
  const auto store = SmallStore();
  ASSERT_TRUE(catalog_->CreateCollection({.name = "other", .metric = Metric::kCosine}, false, nullptr).ok());
  const auto taken = ImportChromaStore(*store, {}, *catalog_, nullptr);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Reason(taken.status()), "COLLECTION_EXISTS");
  EXPECT_THAT(Names(), ElementsAre("other"));
  ASSERT_TRUE(ImportChromaStore(*store, {.replace = true}, *catalog_, nullptr).ok());
  EXPECT_EQ(Records("other").size(), 1u);
  EXPECT_EQ(Names().size(), 2u);
}

TEST_F(ChromaImportTest, AnErrorAnywhereLeavesNothingBehind) {
  const auto store = SmallStore();
  for (int fail_at = 1; fail_at <= 2; ++fail_at) {
    int calls = 0;
    const auto progress = [&calls, fail_at](std::int64_t, std::int64_t) {
      return ++calls == fail_at ? absl::CancelledError("stopped by hand") : absl::OkStatus();
    };
    EXPECT_EQ(ImportChromaStore(*store, {}, *catalog_, progress).status().code(), absl::StatusCode::kCancelled);
    EXPECT_THAT(Names(), IsEmpty()) << "after batch " << fail_at;
  }
}

// The second name is taken between the check and the publication, so that the first is published already.
TEST_F(ChromaImportTest, ANameTakenMeanwhileTakesTheOthersBack) {
  const auto store = SmallStore();
  const auto progress = [this](std::int64_t rows_done, std::int64_t rows_total) {
    if (rows_done < rows_total) return absl::OkStatus();
    return catalog_->CreateCollection({.name = "other"}, false, nullptr).status();
  };
  const auto result = ImportChromaStore(*store, {}, *catalog_, progress);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Names(), ElementsAre("other"));
  EXPECT_THAT(Records("other"), IsEmpty());
}

TEST_F(ChromaImportTest, AMissingDatabaseIsNamed) {
  const auto result = ImportChromaStore(*SmallStore(), {.database = "nowhere"}, *catalog_, nullptr);
  EXPECT_EQ(Reason(result.status()), "DATABASE_NOT_FOUND");
}

TEST_F(ChromaImportTest, LostIdsAreReported) {
  SmallStore();
  TestSqlite(data_ / "store/chroma.sqlite3")
      .Run("UPDATE embeddings_queue SET vector = x'00000000000000' WHERE id = 'b'");
  const auto reports = ImportChromaStore(*Open(data_ / "store"), {.source_collection = "small"}, *catalog_, nullptr);
  ASSERT_TRUE(reports.ok()) << reports.status();
  EXPECT_EQ((*reports)[0].records, 1);
  EXPECT_THAT((*reports)[0].lost_ids, ElementsAre("b"));
}

}  // namespace
}  // namespace omics::index
