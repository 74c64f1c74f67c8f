#include "index/catalog.h"

#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace omics::index {
namespace {

class CatalogTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    catalog_.reset();
    CatalogOptions options;
    options.data_dir = dir_.path();
    auto catalog = Catalog::Open(options);
    ASSERT_OK(catalog);
    catalog_ = *std::move(catalog);
  }
  CollectionSpec Spec(const std::string& name) {
    CollectionSpec spec;
    spec.name = name;
    return spec;
  }
  int DirectoriesOfCollections() {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir_.path() / "collections")) ++count;
    return count;
  }
  TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, EverythingSurvivesARestart) {
  ASSERT_OK(catalog_->CreateTenant("lab"));
  ASSERT_OK(catalog_->CreateDatabase("lab", "wet"));
  CollectionSpec spec = Spec("cells");
  spec.tenant = "lab";
  spec.database = "wet";
  spec.metric = Metric::kInnerProduct;
  spec.hnsw = {32, 100, 50};
  spec.metadata = {{"hnsw:space", std::string("ip")}};
  spec.client_configuration = "{\"a\":1}";
  bool created = false;
  auto info = catalog_->CreateCollection(spec, false, &created);
  ASSERT_OK(info);
  EXPECT_TRUE(created);
  Reopen();
  auto found = catalog_->GetCollection({"lab", "wet", "cells", ""});
  ASSERT_OK(found);
  EXPECT_EQ(found->id, info->id);
  EXPECT_EQ(found->metric, Metric::kInnerProduct);
  EXPECT_EQ(found->hnsw.m, 32);
  EXPECT_EQ(found->hnsw.ef_search, 50);
  EXPECT_EQ(found->metadata, spec.metadata);
  EXPECT_EQ(found->client_configuration, spec.client_configuration);
}

TEST_F(CatalogTest, GetOrCreateLeavesWhatExistsAsItIs) {
  CollectionSpec spec = Spec("cells");
  spec.metadata = {{"a", true}};
  auto first = catalog_->CreateCollection(spec, true, nullptr);
  ASSERT_OK(first);
  spec.metadata = {{"b", true}};
  bool created = true;
  auto second = catalog_->CreateCollection(spec, true, &created);
  ASSERT_OK(second);
  EXPECT_FALSE(created);
  EXPECT_EQ(second->id, first->id);
  EXPECT_EQ(second->metadata, first->metadata);
  EXPECT_THAT(catalog_->CreateCollection(spec, false, nullptr),
              HasReason(absl::StatusCode::kAlreadyExists, "COLLECTION_EXISTS"));
}

TEST_F(CatalogTest, AnIdDoesNotOpenAnotherTenantsCollection) {
  ASSERT_OK(catalog_->CreateTenant("lab"));
  auto info = catalog_->CreateCollection(Spec("cells"), false, nullptr);
  ASSERT_OK(info);
  EXPECT_OK(catalog_->GetCollection({"", "", "", info->id}));
  EXPECT_THAT(catalog_->GetCollection({"lab", "", "", info->id}),
              HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
}

TEST_F(CatalogTest, WhatIsMissingOrTakenIsNamed) {
  EXPECT_THAT(catalog_->GetTenant("nobody"), HasReason(absl::StatusCode::kNotFound, "TENANT_NOT_FOUND"));
  EXPECT_THAT(catalog_->CreateTenant("default_tenant"), HasReason(absl::StatusCode::kAlreadyExists, "TENANT_EXISTS"));
  EXPECT_THAT(catalog_->CreateDatabase("nobody", "base"), HasReason(absl::StatusCode::kNotFound, "TENANT_NOT_FOUND"));
  EXPECT_THAT(catalog_->CreateDatabase("default_tenant", "default_database"),
              HasReason(absl::StatusCode::kAlreadyExists, "DATABASE_EXISTS"));
  CollectionSpec spec = Spec("cells");
  spec.database = "nowhere";
  EXPECT_THAT(catalog_->CreateCollection(spec, false, nullptr),
              HasReason(absl::StatusCode::kNotFound, "DATABASE_NOT_FOUND"));
  EXPECT_THAT(catalog_->DeleteCollection({.name = "cells"}),
              HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
}

TEST_F(CatalogTest, NamesOutsideTheRuleAreRefused) {
  for (const char* name : {"", "ab", "-abc", "abc-", "a b c", "a/b", "../x", "a..b", "10.0.0.1", "é12"}) {
    EXPECT_THAT(catalog_->CreateCollection(Spec(name), false, nullptr),
                HasCode(absl::StatusCode::kInvalidArgument, "collection name"))
        << name;
  }
  EXPECT_OK(catalog_->CreateCollection(Spec(std::string(512, 'x')), false, nullptr));
  EXPECT_THAT(catalog_->CreateCollection(Spec(std::string(513, 'x')), false, nullptr),
              HasCode(absl::StatusCode::kInvalidArgument, "collection name"));
}

TEST_F(CatalogTest, ARenameKeepsTheRecordsAndRefusesATakenName) {
  ASSERT_OK(catalog_->CreateCollection(Spec("one"), false, nullptr));
  ASSERT_OK(catalog_->CreateCollection(Spec("two"), false, nullptr));
  auto collection = catalog_->OpenCollection({.name = "one"});
  ASSERT_OK(collection);
  ASSERT_OK((*collection)->Write(WriteMode::kInsert, {{.id = "a", .embedding = {1}}}, kNoDeadline));
  CollectionUpdate update;
  update.name = "two";
  EXPECT_THAT(catalog_->UpdateCollection({.name = "one"}, update),
              HasReason(absl::StatusCode::kAlreadyExists, "COLLECTION_EXISTS"));
  update.name = "three";
  ASSERT_OK(catalog_->UpdateCollection({.name = "one"}, update));
  EXPECT_THAT(catalog_->GetCollection({.name = "one"}), HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
  collection->reset();
  Reopen();
  auto renamed = catalog_->OpenCollection({.name = "three"});
  ASSERT_OK(renamed);
  EXPECT_EQ((*renamed)->Count(), 1);
}

TEST_F(CatalogTest, ADeletedCollectionGivesItsDiskBackAndTakesNoWrites) {
  ASSERT_OK(catalog_->CreateCollection(Spec("cells"), false, nullptr));
  auto collection = catalog_->OpenCollection({.name = "cells"});
  ASSERT_OK(collection);
  EXPECT_EQ(DirectoriesOfCollections(), 1);
  ASSERT_OK(catalog_->DeleteCollection({.name = "cells"}));
  EXPECT_EQ(DirectoriesOfCollections(), 0);
  EXPECT_THAT((*collection)->Write(WriteMode::kInsert, {{.id = "a", .embedding = {1}}}, kNoDeadline),
              HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
  EXPECT_OK(catalog_->CreateCollection(Spec("cells"), false, nullptr)) << "the name is free again";
}

TEST_F(CatalogTest, DeletingADatabaseTakesItsCollections) {
  ASSERT_OK(catalog_->CreateDatabase("default_tenant", "extra"));
  CollectionSpec spec = Spec("cells");
  spec.database = "extra";
  ASSERT_OK(catalog_->CreateCollection(spec, false, nullptr));
  ASSERT_OK(catalog_->CreateCollection(Spec("cells"), false, nullptr));
  ASSERT_OK(catalog_->DeleteDatabase("default_tenant", "extra"));
  EXPECT_EQ(catalog_->ListAllCollections()->size(), 1u);
  EXPECT_EQ(DirectoriesOfCollections(), 1);
  EXPECT_EQ(catalog_->ListDatabases("default_tenant")->size(), 1u);
}

TEST_F(CatalogTest, ListsAreInOrderOfCreationAndPaged) {
  for (const char* name : {"zzz", "aaa", "mmm"}) ASSERT_OK(catalog_->CreateCollection(Spec(name), false, nullptr));
  auto page = catalog_->ListCollections("default_tenant", "default_database", 1, 1);
  ASSERT_OK(page);
  EXPECT_EQ(page->total, 3);
  ASSERT_EQ(page->collections.size(), 1u);
  EXPECT_EQ(page->collections[0].name, "aaa");
}

TEST_F(CatalogTest, AStagedCollectionIsSeenOnlyWhenPublished) {
  auto staged = catalog_->StageCollection(Spec("cells"));
  ASSERT_OK(staged);
  ASSERT_OK((*staged)->collection().Write(WriteMode::kInsert, {{.id = "a", .embedding = {1}}}, kNoDeadline));
  EXPECT_FALSE(catalog_->GetCollection({.name = "cells"}).ok());
  ASSERT_OK((*staged)->Publish(false));
  staged->reset();
  auto collection = catalog_->OpenCollection({.name = "cells"});
  ASSERT_OK(collection);
  EXPECT_EQ((*collection)->Count(), 1);
}

TEST_F(CatalogTest, AStagedCollectionThatIsNotPublishedLeavesNothing) {
  ASSERT_OK(catalog_->StageCollection(Spec("cells")));
  EXPECT_EQ(DirectoriesOfCollections(), 0);
  EXPECT_TRUE(catalog_->ListAllCollections()->empty());
}

TEST_F(CatalogTest, PublishReplacesOnlyWhenAsked) {
  auto old = catalog_->CreateCollection(Spec("cells"), false, nullptr);
  ASSERT_OK(old);
  auto staged = catalog_->StageCollection(Spec("cells"));
  ASSERT_OK(staged);
  EXPECT_THAT((*staged)->Publish(false), HasReason(absl::StatusCode::kAlreadyExists, "COLLECTION_EXISTS"));
  auto info = (*staged)->Publish(true);
  ASSERT_OK(info);
  EXPECT_NE(info->id, old->id);
  EXPECT_EQ(DirectoriesOfCollections(), 1);
}

TEST_F(CatalogTest, ResetLeavesTheDefaultsOnly) {
  ASSERT_OK(catalog_->CreateTenant("lab"));
  ASSERT_OK(catalog_->CreateCollection(Spec("cells"), false, nullptr));
  ASSERT_OK(catalog_->Reset());
  EXPECT_TRUE(catalog_->ListAllCollections()->empty());
  EXPECT_EQ(catalog_->ListTenants()->size(), 1u);
  EXPECT_OK(catalog_->GetDatabase("default_tenant", "default_database"));
  EXPECT_EQ(DirectoriesOfCollections(), 0);
}

TEST_F(CatalogTest, ASecondProcessIsRefusedAndToldThePid) {
  // flock() conflicts between descriptors, so a second Open() in this process stands for another one.
  CatalogOptions options;
  options.data_dir = dir_.path();
  EXPECT_THAT(Catalog::Open(options), HasReason(absl::StatusCode::kFailedPrecondition, "DATA_DIR_LOCKED"));
  EXPECT_THAT(Catalog::Open(options), HasCode(absl::StatusCode::kFailedPrecondition, std::to_string(::getpid())));
}

// A small tmpfs, which takes root to mount.
class FullDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "size=8m") != 0) GTEST_SKIP() << "cannot mount a tmpfs here";
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  TempDir dir_;
  bool mounted_ = false;
};

TEST_F(FullDiskTest, ReadsGoOnAndDroppingACollectionGivesTheDiskBack) {
  CatalogOptions options;
  options.data_dir = dir_.path();
  auto opened = Catalog::Open(options);
  ASSERT_OK(opened);
  const std::unique_ptr<Catalog> catalog = *std::move(opened);
  for (const char* name : {"full", "other"}) {
    CollectionSpec spec;
    spec.name = name;
    ASSERT_OK(catalog->CreateCollection(spec, false, nullptr));
  }
  auto full = catalog->OpenCollection({.name = "full"});
  auto other = catalog->OpenCollection({.name = "other"});
  ASSERT_OK(full);
  ASSERT_OK(other);
  const auto record = [](int i) {
    return RecordChange{.id = std::to_string(i), .embedding = std::vector<float>(4096, 1)};
  };
  ASSERT_OK((*other)->Write(WriteMode::kInsert, {record(0)}, kNoDeadline));
  int acknowledged = 0;
  absl::Status status = absl::OkStatus();
  while (status.ok() && acknowledged < 10'000) {
    status = (*full)->Write(WriteMode::kInsert, {record(acknowledged)}, kNoDeadline).status();
    if (status.ok()) ++acknowledged;
  }
  EXPECT_THAT(status, HasReason(absl::StatusCode::kResourceExhausted, "DISK_FULL"));
  EXPECT_EQ((*full)->Count(), acknowledged);
  EXPECT_EQ((*full)->Get({}, kNoDeadline)->records.size(), static_cast<std::size_t>(acknowledged));
  full->reset();
  ASSERT_OK(catalog->DeleteCollection({.name = "full"}));
  EXPECT_OK((*other)->Write(WriteMode::kInsert, {record(1)}, kNoDeadline));
  EXPECT_EQ((*other)->Count(), 2);
}

TEST(CatalogOpenTest, AChromaStoreIsNotTakenForADataDirectory) {
  const TempDir dir;
  std::ofstream(dir.path() / "chroma.sqlite3") << "x";
  CatalogOptions options;
  options.data_dir = dir.path();
  EXPECT_THAT(Catalog::Open(options), HasReason(absl::StatusCode::kFailedPrecondition, "CHROMA_STORE"));
  EXPECT_THAT(Catalog::Open(options),
              HasCode(absl::StatusCode::kFailedPrecondition, "vectorctl import " + dir.path().string()));
  options.beside_chroma_store = true;
  EXPECT_OK(Catalog::Open(options));
}

TEST(CatalogOpenTest, ADamagedCatalogIsDataLoss) {
  const TempDir dir;
  std::ofstream(dir.path() / "catalog.sqlite3") << std::string(100'000, 'x');
  CatalogOptions options;
  options.data_dir = dir.path();
  EXPECT_THAT(Catalog::Open(options), HasCode(absl::StatusCode::kDataLoss, ""));
}

}  // namespace
}  // namespace omics::index
