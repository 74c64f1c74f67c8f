#include "index/catalog.h"

#include <sqlite3.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <random>
#include <thread>

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

TEST_F(CatalogTest, AnAliasLeadsToTheCollectionWhereverItIsNamed) {
  const auto info = catalog_->CreateCollection(Spec("mondo_v1"), false, nullptr);
  ASSERT_OK(info);
  const auto alias = catalog_->SetAlias("disease", {.name = "mondo_v1"});
  ASSERT_OK(alias);
  EXPECT_EQ(alias->collection, "mondo_v1");
  EXPECT_EQ(alias->collection_id, info->id);
  const auto found = catalog_->GetCollection({.name = "disease"});
  ASSERT_OK(found);
  EXPECT_EQ(found->name, "mondo_v1");
  EXPECT_OK(catalog_->OpenCollection({.name = "disease"}));
  bool created = true;
  const auto same = catalog_->CreateCollection(Spec("disease"), true, &created);
  ASSERT_OK(same);
  EXPECT_FALSE(created);
  EXPECT_EQ(same->id, info->id);
  // An alias of an alias is one of the collection, and follows its renames.
  ASSERT_OK(catalog_->SetAlias("illness", {.name = "disease"}));
  CollectionUpdate update;
  update.name = "mondo_v2";
  ASSERT_OK(catalog_->UpdateCollection({.name = "illness"}, update));
  const auto listed = catalog_->ListAliases(kDefaultTenant, kDefaultDatabase);
  ASSERT_OK(listed);
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ(listed->at(1).name, "illness");
  EXPECT_EQ(listed->at(1).collection, "mondo_v2");
  ASSERT_OK(catalog_->DeleteAlias(kDefaultTenant, kDefaultDatabase, "disease"));
  EXPECT_THAT(catalog_->GetCollection({.name = "disease"}),
              HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
  EXPECT_THAT(catalog_->DeleteAlias(kDefaultTenant, kDefaultDatabase, "disease"),
              HasReason(absl::StatusCode::kNotFound, "ALIAS_NOT_FOUND"));
}

TEST_F(CatalogTest, ANameIsACollectionsOrAnAliasNeverBoth) {
  ASSERT_OK(catalog_->CreateCollection(Spec("one"), false, nullptr));
  ASSERT_OK(catalog_->CreateCollection(Spec("two"), false, nullptr));
  ASSERT_OK(catalog_->SetAlias("either", {.name = "one"}));
  EXPECT_THAT(catalog_->CreateCollection(Spec("either"), false, nullptr),
              HasReason(absl::StatusCode::kAlreadyExists, "ALIAS_EXISTS"));
  EXPECT_THAT(catalog_->StageCollection(Spec("either")), HasReason(absl::StatusCode::kAlreadyExists, "ALIAS_EXISTS"));
  CollectionUpdate update;
  update.name = "either";
  EXPECT_THAT(catalog_->UpdateCollection({.name = "two"}, update),
              HasReason(absl::StatusCode::kAlreadyExists, "ALIAS_EXISTS"));
  for (const char* name : {"one", "two"}) {
    EXPECT_THAT(catalog_->SetAlias(name, {.name = "one"}),
                HasReason(absl::StatusCode::kAlreadyExists, "COLLECTION_EXISTS"));
  }
  EXPECT_THAT(catalog_->SetAlias("x", {.name = "one"}), HasCode(absl::StatusCode::kInvalidArgument, "name"));
  EXPECT_THAT(catalog_->SetAlias("nothing", {.name = "three"}),
              HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
  // The name may be taken while an import is staged.
  auto staged = catalog_->StageCollection(Spec("three"));
  ASSERT_OK(staged);
  ASSERT_OK(catalog_->SetAlias("three", {.name = "one"}));
  EXPECT_THAT((*staged)->Publish(true), HasReason(absl::StatusCode::kAlreadyExists, "ALIAS_EXISTS"));
  auto other = catalog_->StageCollection(Spec("four"));
  ASSERT_OK(other);
  PublishOptions options;
  options.aliases = {"fourth", "two"};
  EXPECT_THAT((*other)->Publish(options), HasReason(absl::StatusCode::kAlreadyExists, "COLLECTION_EXISTS"));
  EXPECT_THAT(catalog_->GetCollection({.name = "fourth"}),
              HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
}

TEST_F(CatalogTest, APublishedReplacementTakesOverAliasesIdAndNothingElse) {
  const auto old = catalog_->CreateCollection(Spec("mondo"), false, nullptr);
  ASSERT_OK(old);
  ASSERT_OK(catalog_->SetAlias("disease", {.name = "mondo"}));
  ASSERT_OK(catalog_->SetSource({.name = "mondo"}, {"file:///old", "e1", "s1"}));
  auto staged = catalog_->StageCollection(Spec("mondo"));
  ASSERT_OK(staged);
  ASSERT_OK((*staged)->collection().Write(WriteMode::kInsert, {{.id = "a", .embedding = {1}}}, kNoDeadline));
  const auto info = (*staged)->Publish(PublishOptions{true, {"latest"}, {"file:///new", "e2", "s2"}});
  ASSERT_OK(info);
  staged->reset();
  for (int round = 0; round < 2; ++round) {
    for (const CollectionRef& ref : {CollectionRef{.name = "mondo"}, CollectionRef{.name = "disease"},
                                     CollectionRef{.name = "latest"}, CollectionRef{"", "", "", old->id}}) {
      const auto found = catalog_->GetCollection(ref);
      ASSERT_OK(found) << ref.name << ref.id;
      EXPECT_EQ(found->id, info->id);
      const auto opened = catalog_->OpenCollection(ref);
      ASSERT_OK(opened);
      EXPECT_EQ((*opened)->Count(), 1);
    }
    const auto source = catalog_->GetSource({.name = "disease"});
    ASSERT_OK(source);
    EXPECT_EQ(source->url + source->etag + source->sha256, "file:///newe2s2");
    Reopen();
  }
  ASSERT_OK(catalog_->DeleteCollection({"", "", "", old->id}));
  for (int round = 0; round < 2; ++round) {
    for (const CollectionRef& ref :
         {CollectionRef{.name = "disease"}, CollectionRef{.name = "latest"}, CollectionRef{"", "", "", old->id}}) {
      EXPECT_THAT(catalog_->GetCollection(ref), HasReason(absl::StatusCode::kNotFound, "COLLECTION_NOT_FOUND"));
    }
    EXPECT_TRUE(catalog_->ListAliases(kDefaultTenant, kDefaultDatabase)->empty());
    Reopen();
  }
}

TEST_F(CatalogTest, AliasesAgreeWithASimpleModelAcrossRestarts) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  std::map<std::string, int> collections;      // name to its serial
  std::map<std::string, std::string> aliases;  // alias to the name of its collection
  const auto name = [&rng] { return "name_" + std::to_string(rng() % 6); };
  const auto drop_aliases_of = [&](const std::string& of) {
    std::erase_if(aliases, [&](const auto& item) { return item.second == of; });
  };
  int serial = 0;
  for (int step = 0; step < 300; ++step) {
    const std::string one = name(), two = name();
    const bool taken = collections.contains(one) || aliases.contains(one);
    std::string target = aliases.contains(two) ? aliases[two] : two;
    if (!collections.contains(target)) target = "";
    switch (rng() % 6) {
      case 0: {
        CollectionSpec spec = Spec(one);
        spec.client_configuration = std::to_string(serial);
        EXPECT_EQ(catalog_->CreateCollection(spec, false, nullptr).ok(), !taken);
        if (!taken) collections[one] = serial++;
        break;
      }
      case 1:
      case 2: {
        const bool fine = !target.empty() && !collections.contains(one);
        EXPECT_EQ(catalog_->SetAlias(one, {.name = two}).ok(), fine);
        if (fine) aliases[one] = target;
        break;
      }
      case 3: {
        EXPECT_EQ(catalog_->DeleteAlias(kDefaultTenant, kDefaultDatabase, one).ok(), aliases.erase(one) == 1);
        break;
      }
      case 4: {
        if (rng() % 3 != 0) break;
        EXPECT_EQ(catalog_->DeleteCollection({.name = two}).ok(), !target.empty());
        collections.erase(target);
        if (!target.empty()) drop_aliases_of(target);
        break;
      }
      default: {
        CollectionUpdate update;
        update.name = one;
        const bool fine = !target.empty() && (!taken || one == target);
        EXPECT_EQ(catalog_->UpdateCollection({.name = two}, update).ok(), fine);
        if (!fine || one == target) break;
        collections[one] = collections[target];
        collections.erase(target);
        for (auto& [alias, of] : aliases) {
          if (of == target) of = one;
        }
      }
    }
    if (rng() % 50 == 0) Reopen();
    const auto listed = catalog_->ListAliases(kDefaultTenant, kDefaultDatabase);
    ASSERT_OK(listed);
    std::map<std::string, std::string> seen;
    for (const Alias& alias : *listed) seen[alias.name] = alias.collection;
    ASSERT_EQ(seen, aliases) << "step " << step;
    for (int i = 0; i < 6; ++i) {
      const std::string asked = "name_" + std::to_string(i);
      const std::string real = aliases.contains(asked) ? aliases[asked] : asked;
      const auto found = catalog_->GetCollection({.name = asked});
      ASSERT_EQ(found.ok(), collections.contains(real)) << "step " << step;
      if (!found.ok()) continue;
      EXPECT_EQ(found->client_configuration, std::to_string(collections[real]));
    }
  }
}

TEST_F(CatalogTest, AliasesOfADatabaseAreBounded) {
  ASSERT_OK(catalog_->CreateCollection(Spec("cells"), false, nullptr));
  for (std::size_t i = 0; i < kAliasesMax; ++i) {
    ASSERT_OK(catalog_->SetAlias("alias_" + std::to_string(i), {.name = "cells"}));
  }
  EXPECT_THAT(catalog_->SetAlias("one_more", {.name = "cells"}),
              HasCode(absl::StatusCode::kResourceExhausted, "aliases"));
  EXPECT_OK(catalog_->SetAlias("alias_7", {.name = "cells"}));
}

TEST_F(CatalogTest, ADirectoryOfTheFormatBeforeAliasesOpens) {
  ASSERT_OK(catalog_->CreateCollection(Spec("cells"), false, nullptr));
  catalog_.reset();
  sqlite3* file = nullptr;
  ASSERT_EQ(sqlite3_open((dir_.path() / "catalog.sqlite3").c_str(), &file), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(file, "DROP TABLE aliases; DROP TABLE former_ids; DROP TABLE sources; PRAGMA user_version = 1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(file);
  Reopen();
  EXPECT_OK(catalog_->GetCollection({.name = "cells"}));
  EXPECT_OK(catalog_->SetAlias("cell_type", {.name = "cells"}));
  Reopen();
  EXPECT_OK(catalog_->GetCollection({.name = "cell_type"}));
}

TEST_F(CatalogTest, ReplacedAgainAndAgainUnderQueriesNothingIsEverMissing) {
  const auto publish = [this](float value) {
    auto staged = catalog_->StageCollection(Spec("cells"));
    ASSERT_OK(staged);
    ASSERT_OK((*staged)->collection().Write(WriteMode::kInsert, {{.id = "a", .embedding = {value}}}, kNoDeadline));
    ASSERT_OK((*staged)->Publish(PublishOptions{true, {"cell_type"}, {}}));
  };
  publish(0);
  const std::string first_id = catalog_->GetCollection({.name = "cells"})->id;
  std::atomic<bool> stop = false;
  std::atomic<int> answered = 0;
  const auto ask = [&](const CollectionRef& ref) {
    while (!stop) {
      const auto collection = catalog_->OpenCollection(ref);
      ASSERT_OK(collection) << ref.name << ref.id;
      QuerySpec query;
      query.vectors = {{1}};
      const auto hits = (*collection)->Query(query, kNoDeadline);
      ASSERT_OK(hits);
      ASSERT_EQ(hits->at(0).size(), 1U);
      GetSpec get;
      ASSERT_OK((*collection)->Get(get, kNoDeadline));
      ++answered;
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(ask, CollectionRef{.name = "cells"});
  threads.emplace_back(ask, CollectionRef{.name = "cell_type"});
  threads.emplace_back(ask, CollectionRef{"", "", "", first_id});
  // The first id is not forgotten before kFormerIdsMax replacements.
  for (int i = 1; i < kFormerIdsMax; ++i) publish(static_cast<float>(i));
  while (answered < 1000) std::this_thread::yield();
  stop = true;
  for (std::thread& thread : threads) thread.join();
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
