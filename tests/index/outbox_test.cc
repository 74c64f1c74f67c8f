#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
#include "index/bundle.h"
#include "index/catalog.h"
#include "index/restore.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::index {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kSeed = 20261;
constexpr std::int64_t kAll = std::int64_t{1} << 40;

CatalogOptions Options(const fs::path& directory, bool keep) {
  CatalogOptions options;
  options.data_dir = directory;
  options.tail_rows_max = 64;
  options.graph_rows_min = 32;
  options.keep_changes = keep;
  return options;
}

CollectionSpec Named(const std::string& name) {
  CollectionSpec spec;
  spec.name = name;
  return spec;
}

RecordChange Change(const std::string& id, float number) {
  RecordChange change;
  change.id = id;
  change.embedding = {number, 1, -number};
  return change;
}

std::string Text(const Collection& collection) {
  GetSpec spec;
  spec.include = {.embedding = true, .document = true, .uri = true, .metadata = true};
  std::string text;
  const GetPage page = collection.Get(spec, kNoDeadline).value();
  for (const Record& record : page.records) {
    absl::StrAppend(&text, record.id, "|", record.document.value_or("-"), "|", record.uri.value_or("-"), "|",
                    MetadataToJson(record.metadata));
    for (const float number : record.embedding) absl::StrAppend(&text, "|", number);
    absl::StrAppend(&text, "\n");
  }
  return text;
}

// Changes of every kind, some without an effect, some refused.
void ChangeAtRandom(Collection& collection, int count, std::mt19937& random) {
  const auto below = [&](unsigned limit) { return random() % limit; };
  for (int i = 0; i < count; ++i) {
    if (below(5) == 0) {
      DeleteSpec spec;
      spec.ids = {absl::StrCat("r", below(100)), absl::StrCat("r", below(100))};
      ASSERT_OK(collection.Delete(spec, kNoDeadline));
      continue;
    }
    std::vector<RecordChange> changes;
    for (unsigned n = below(6) + 1; n > 0; --n) {
      RecordChange& change = changes.emplace_back(Change(absl::StrCat("r", below(100)), static_cast<float>(below(99))));
      if (below(2) == 0) change.document = absl::StrCat("text ", below(1000), std::string("\0", 1));
      if (below(4) == 0) change.uri = "u";
      if (below(2) == 0) change.metadata["key"] = static_cast<std::int64_t>(below(9));
      if (below(3) == 0) change.metadata["list"] = std::vector<double>{0.5, 2};
      if (below(4) == 0) change.remove_metadata_keys = {"key"};
    }
    const auto mode = static_cast<WriteMode>(below(3));
    if (mode == WriteMode::kUpdate && below(2) == 0) changes.front().embedding.clear();
    ASSERT_OK(collection.Write(mode, std::move(changes), kNoDeadline));
    EXPECT_FALSE(
        collection.Write(WriteMode::kUpsert, {Change("x", 1), {.id = "y", .embedding = {1}}}, kNoDeadline).ok());
  }
}

class OutboxTest : public ::testing::Test {
 protected:
  std::unique_ptr<Catalog> Open(const std::string& name, bool keep = true) {
    return Catalog::Open(Options(directory_.path() / name, keep)).value();
  }
  static std::shared_ptr<Collection> Make(Catalog& catalog) {
    EXPECT_OK(catalog.CreateCollection(Named("abc"), false, nullptr));
    return catalog.OpenCollection({.name = "abc"}).value();
  }

  const TempDir directory_;
  std::mt19937 random_{kSeed};
};

TEST_F(OutboxTest, WhatIsReplayedElsewhereIsTheSame) {
  const auto from_catalog = Open("from"), to_catalog = Open("to");
  const auto from = Make(*from_catalog), to = Make(*to_catalog);
  for (int round = 0; round < 20; ++round) {
    ChangeAtRandom(*from, 20, random_);
    while (to->sequence_number() < from->sequence_number()) {
      const auto batch = from->ChangesAfter(to->sequence_number(), 1 + random_() % 4000);
      ASSERT_OK(batch);
      ASSERT_EQ(batch->first, to->sequence_number() + 1);
      ASSERT_OK(to->ApplyChanges(batch->bytes));
      ASSERT_EQ(to->sequence_number(), batch->last);
      ASSERT_OK(to->ApplyChanges(batch->bytes)) << "a second time is none";
      if (random_() % 2 == 0) {
        ASSERT_OK(from->DropChanges(batch->last));
      }
    }
    ASSERT_EQ(Text(*to), Text(*from)) << "seed " << kSeed;
  }
  const auto echoed = to->ChangesAfter(0, kAll);
  ASSERT_OK(echoed);
  EXPECT_GT(echoed->first, echoed->last) << "what came from elsewhere is not kept again";
}

TEST_F(OutboxTest, GapsForeignAndDamagedBatchesAreRefusedAsAWhole) {
  const auto from_catalog = Open("from"), to_catalog = Open("to");
  const auto from = Make(*from_catalog), to = Make(*to_catalog);
  ASSERT_OK(from->Write(WriteMode::kUpsert, {Change("a", 1)}, kNoDeadline));
  ASSERT_OK(from->Write(WriteMode::kUpsert, {Change("b", 2)}, kNoDeadline));
  ASSERT_OK(from->Write(WriteMode::kUpdate, {Change("a", 3)}, kNoDeadline));
  EXPECT_THAT(to->ApplyChanges(from->ChangesAfter(1, kAll)->bytes),
              HasCode(absl::StatusCode::kDataLoss, "change 2 does not follow 0"));
  const std::string whole = from->ChangesAfter(0, kAll)->bytes;
  for (std::size_t i = 0; i < whole.size(); i += 3) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(to->ApplyChanges(whole.substr(0, i)).ok());
    // A bit that zstd does not look at may be anything: what comes out is the same.
    ASSERT_OK(to_catalog->CreateCollection(Named(absl::StrCat("scratch", i)), false, nullptr));
    const auto scratch = to_catalog->OpenCollection({.name = absl::StrCat("scratch", i)}).value();
    if (scratch->ApplyChanges(damaged).ok()) {
      EXPECT_EQ(Text(*scratch), Text(*from)) << "byte " << i;
    } else {
      EXPECT_EQ(scratch->sequence_number(), 0);
    }
  }
  EXPECT_EQ(to->sequence_number(), 0);
  // The third change updates nothing here: all three are undone.
  ASSERT_OK(to->Write(WriteMode::kUpsert, {Change("z", 1)}, kNoDeadline));
  ASSERT_OK(to->Write(WriteMode::kUpsert, {Change("y", 1)}, kNoDeadline));
  EXPECT_THAT(to->ApplyChanges(from->ChangesAfter(2, kAll)->bytes), HasCode(absl::StatusCode::kDataLoss, "change 3"));
  EXPECT_EQ(to->sequence_number(), 2);
  EXPECT_EQ(to->Count(), 2);
}

TEST_F(OutboxTest, KeptChangesOutliveTheProcessAndThoseMadeWithoutItAreAGap) {
  {
    const auto catalog = Open("data");
    const auto collection = Make(*catalog);
    for (int i = 0; i < 3; ++i) ASSERT_OK(collection->Write(WriteMode::kUpsert, {Change("a", i)}, kNoDeadline));
  }
  {
    const auto catalog = Open("data", /*keep=*/false);
    const auto collection = catalog->OpenCollection({.name = "abc"}).value();
    EXPECT_THAT(collection->ChangesAfter(0, kAll), HasCode(absl::StatusCode::kFailedPrecondition, "keeps no changes"));
    ASSERT_OK(collection->Write(WriteMode::kUpsert, {Change("a", 9)}, kNoDeadline));
  }
  const auto catalog = Open("data");
  const auto collection = catalog->OpenCollection({.name = "abc"}).value();
  ASSERT_OK(collection->Write(WriteMode::kUpsert, {Change("b", 5)}, kNoDeadline));
  EXPECT_EQ(collection->ChangesAfter(0, kAll)->last, 3);
  EXPECT_EQ(collection->ChangesAfter(1, 1)->last, 2);
  const auto missing = collection->ChangesAfter(3, kAll);
  EXPECT_GT(missing->first, missing->last);
  EXPECT_EQ(collection->ChangesAfter(4, kAll)->last, 5);
  ASSERT_OK(collection->DropChanges(4));
  EXPECT_GT(collection->ChangesAfter(0, kAll)->first, collection->ChangesAfter(0, kAll)->last);
  EXPECT_EQ(collection->ChangesAfter(4, kAll)->last, 5);
}

TEST_F(OutboxTest, ABulkLoadIsNotKept) {
  const auto catalog = Open("data");
  const auto staged = catalog->StageCollection(Named("abc")).value();
  ASSERT_OK(staged->collection().Write(WriteMode::kUpsert, {Change("a", 1)}, kNoDeadline));
  ASSERT_OK(staged->Publish(false));
  const auto collection = catalog->OpenCollection({.name = "abc"}).value();
  ASSERT_OK(collection->Write(WriteMode::kUpsert, {Change("b", 1)}, kNoDeadline));
  const auto missing = collection->ChangesAfter(0, kAll);
  ASSERT_OK(missing);
  EXPECT_GT(missing->first, missing->last);
  EXPECT_EQ(collection->ChangesAfter(1, kAll)->last, 2);
}

TEST_F(OutboxTest, ADirectoryIsMadeAgainFromCatalogBundlesAndChanges) {
  std::string backup, wanted, changes;
  const fs::path bundle = directory_.path() / "bundle";
  {
    const auto catalog = Open("from");
    const auto collection = Make(*catalog);
    ASSERT_OK(catalog->CreateTenant("tenant"));
    ASSERT_OK(catalog->CreateCollection(Named("empty"), false, nullptr));
    ASSERT_OK(catalog->SetAlias("other", {.name = "abc"}));
    ASSERT_OK(catalog->SetSource({.name = "abc"}, {.url = "u", .etag = "e", .sha256 = ""}));
    const std::int64_t before = catalog->changes();
    ChangeAtRandom(*collection, 100, random_);
    EXPECT_EQ(catalog->changes(), before);
    const auto manifest = SaveBundle(*catalog, {.name = "abc"}, bundle, kNoDeadline);
    ASSERT_OK(manifest);
    ChangeAtRandom(*collection, 100, random_);
    changes = collection->ChangesAfter(manifest->sequence_number, kAll)->bytes;
    wanted = Text(*collection);
    const auto saved = catalog->Backup();
    ASSERT_OK(saved);
    backup = *saved;
    EXPECT_EQ(catalog->changes(), before);
  }
  const fs::path to = directory_.path() / "to";
  const fs::path damaged = directory_.path() / "damaged";
  fs::copy_file(bundle, damaged);
  fs::resize_file(damaged, fs::file_size(damaged) / 2);
  const auto fetch = [&](const CollectionInfo& info, const absl::Status& damage) -> absl::StatusOr<fs::path> {
    if (info.name != "abc") return fs::path();
    return damage.ok() ? damaged : bundle;
  };
  const auto fails = [](const CollectionInfo&, const absl::Status&) -> absl::StatusOr<fs::path> {
    return absl::UnavailableError("cut");
  };
  EXPECT_THAT(RestoreDataDir(to, backup, fails, 2), HasCode(absl::StatusCode::kUnavailable, "collection '"));
  EXPECT_FALSE(HasCatalog(to)) << "half a directory counts as none";
  EXPECT_THAT(RestoreDataDir(to, backup.substr(0, backup.size() / 2), fetch, 2),
              HasCode(absl::StatusCode::kDataLoss, ""));
  ASSERT_OK(RestoreDataDir(to, backup, fetch, 2));
  EXPECT_THAT(RestoreDataDir(to, backup, fetch, 2), HasCode(absl::StatusCode::kFailedPrecondition, "empty one"));
  const auto catalog = Open("to");
  EXPECT_OK(catalog->GetTenant("tenant"));
  EXPECT_EQ(catalog->GetSource({.name = "abc"})->etag, "e");
  const auto collection = catalog->OpenCollection({.name = "other"}).value();
  ASSERT_OK(collection->ApplyChanges(changes));
  EXPECT_EQ(Text(*collection), wanted);
  EXPECT_EQ(catalog->OpenCollection({.name = "empty"}).value()->Count(), 0);
}

TEST_F(OutboxTest, DataThatAreSetAsideAreAllThere) {
  {
    const auto catalog = Open("data");
    ASSERT_OK(Make(*catalog)->Write(WriteMode::kUpsert, {Change("a", 1)}, kNoDeadline));
    EXPECT_EQ(Reason(SetDataAside(directory_.path() / "data").status()), "DATA_DIR_LOCKED");
  }
  const auto aside = SetDataAside(directory_.path() / "data");
  ASSERT_OK(aside);
  EXPECT_FALSE(HasCatalog(directory_.path() / "data"));
  EXPECT_EQ(Open("data")->ListAllCollections()->size(), 0u);
  const auto catalog = Catalog::Open(Options(*aside, true)).value();
  EXPECT_EQ(catalog->OpenCollection({.name = "abc"}).value()->Count(), 1);
}

}  // namespace
}  // namespace omics::index
