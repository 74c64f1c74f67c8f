// Shipping against a real moto server: what is in S3, what comes back, and who may write.
#include "services/ship.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/cloud/fault_proxy.h"
#include "tests/cloud/moto.h"
#include "tests/services/testing.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace omics::services {
namespace {

using cloud::testing::Fault;
using cloud::testing::FaultProxy;
using ::testing::HasSubstr;

// A data directory in use, as the service has it.
struct Task {
  std::unique_ptr<index::Catalog> catalog;
  std::unique_ptr<Shipping> shipping;

  std::shared_ptr<index::Collection> Collection(const std::string& name) const {
    return catalog->OpenCollection({.name = name}).value();
  }
};

void Upsert(index::Collection& collection, const std::string& id, float number) {
  index::RecordChange change;
  change.id = id;
  change.embedding = {number, 1};
  ASSERT_OK(collection.Write(index::WriteMode::kUpsert, {change}, kNoDeadline));
}

std::vector<std::string> Records(const index::Collection& collection) {
  index::GetSpec spec;
  spec.include.embedding = true;
  const index::GetPage page = collection.Get(spec, kNoDeadline).value();
  std::vector<std::string> records;
  for (const index::Record& record : page.records) records.push_back(absl::StrCat(record.id, "=", record.embedding[0]));
  return records;
}

class ShipTest : public ::testing::Test {
 protected:
  ShipTest() {
    setenv("AWS_ACCESS_KEY_ID", "test", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test", 1);
    moto_.CreateBucket("bucket");
    s3_ = cloud::S3::Make({.endpoint = moto_.url()}, cloud::testing::TestCredentials()).value();
  }

  ShipSettings Settings(const std::string& directory) const {
    ShipSettings settings;
    settings.url = "s3://bucket/some/prefix";
    settings.interval = std::chrono::milliseconds(1);
    settings.lease_time = std::chrono::seconds(5);
    settings.data_dir = directory_ / directory;
    settings.s3.endpoint = moto_.url();
    settings.threads = 2;
    settings.bundle_changes_max = 5;
    return settings;
  }
  static absl::StatusOr<Task> Start(const ShipSettings& settings) {
    Task task;
    const std::atomic<bool> stop = false;
    OMICS_ASSIGN_OR_RETURN(task.shipping, Shipping::Prepare(settings, &stop));
    index::CatalogOptions options;
    options.data_dir = settings.data_dir;
    options.keep_changes = true;
    OMICS_ASSIGN_OR_RETURN(task.catalog, index::Catalog::Open(options));
    OMICS_RETURN_IF_ERROR(task.shipping->Attach(*task.catalog));
    return task;
  }
  static std::shared_ptr<index::Collection> Make(const Task& task, const std::string& name) {
    index::CollectionSpec spec;
    spec.name = name;
    EXPECT_OK(task.catalog->CreateCollection(spec, false, nullptr));
    return task.Collection(name);
  }
  std::vector<cloud::S3Object> Objects(const std::string& below) const {
    return s3_->List("bucket", "some/prefix/" + below, 10'000, nullptr).value();
  }

  TempDir directory_;
  cloud::testing::Moto moto_;
  std::unique_ptr<cloud::S3> s3_;
};

TEST_F(ShipTest, OldObjectsGoWhenTwoNewerBundlesCoverThemAndWhatIsLeftIsEnough) {
  std::vector<std::string> wanted;
  {
    auto task = Start(Settings("one"));
    ASSERT_OK(task);
    const auto collection = Make(*task, "abc");
    const std::string folder = absl::StrCat("collections/", task->catalog->ListAllCollections()->front().id, "/");
    const auto removed = [&] {
      Upsert(*collection, absl::StrCat(collection->sequence_number() % 40), 1 + collection->sequence_number());
      const auto objects = Objects(folder);
      const bool first_there = !objects.empty() && std::any_of(objects.begin(), objects.end(), [](const auto& object) {
        return object.key.find("/0000000000000001-") != std::string::npos;
      });
      return !first_there && Objects(folder + "bundles/").size() >= 2;
    };
    EXPECT_TRUE(Eventually(removed));
    wanted = Records(*collection);
    ASSERT_OK(task->shipping->Finish());
    EXPECT_LE(Objects(folder + "bundles/").size(), 3u);
    EXPECT_LE(Objects("catalog/").size(), 3u);
    const auto kept = collection->ChangesAfter(0, 1 << 20);
    EXPECT_GT(kept->first, kept->last) << "what is shipped is still in the outbox";
  }
  auto again = Start(Settings("two"));
  ASSERT_OK(again);
  EXPECT_EQ(Records(*again->Collection("abc")), wanted);
  ASSERT_OK(again->shipping->Finish());
}

TEST_F(ShipTest, NothingIsLeftOfACollectionThatWasDeleted) {
  auto task = Start(Settings("one"));
  ASSERT_OK(task);
  Upsert(*Make(*task, "abc"), "a", 1);
  EXPECT_TRUE(Eventually([&] { return Objects("collections/").size() == 1; }));
  ASSERT_OK(task->catalog->DeleteCollection({.name = "abc"}));
  EXPECT_TRUE(Eventually([&] { return Objects("collections/").empty(); }));
  ASSERT_OK(task->shipping->Finish());
  task->shipping.reset();
  auto again = Start(Settings("two"));
  ASSERT_OK(again);
  EXPECT_TRUE(again->catalog->ListAllCollections()->empty());
}

TEST_F(ShipTest, DataThatWereNeverShippedAreTakenIfThePrefixIsFreeAndRefusedOtherwise) {
  for (const char* directory : {"one", "two"}) {
    Task without;
    without.catalog = index::Catalog::Open({.data_dir = directory_ / directory}).value();
    Upsert(*Make(without, "abc"), directory, 1);
  }
  {
    auto task = Start(Settings("one"));
    ASSERT_OK(task);
    ASSERT_OK(task->shipping->Finish());
  }
  EXPECT_THAT(Start(Settings("two")).status(),
              HasCode(absl::StatusCode::kFailedPrecondition, "holds data that were never shipped"));
  auto task = Start(Settings("three"));
  ASSERT_OK(task);
  EXPECT_THAT(Records(*task->Collection("abc")), ::testing::ElementsAre("one=1"));
  ASSERT_OK(task->shipping->Finish());
}

TEST_F(ShipTest, WithoutS3WritesEndWithTheLeaseAndComeBackWithIt) {
  FaultProxy proxy("127.0.0.1", moto_.port(), 1, {Fault::kLoseAnswer}, 0);
  ShipSettings settings = Settings("one");
  settings.s3.endpoint = proxy.url();
  auto task = Start(settings);
  ASSERT_OK(task);
  std::atomic<int> may = -1;
  task->shipping->SetListener([&](bool may_write) { may = may_write; });
  EXPECT_TRUE(Eventually([&] { return may == 1 && task->shipping->CheckWrites().ok(); }));
  EXPECT_TRUE(task->shipping->Report().may_write);
  EXPECT_GT(task->shipping->Report().lease_seconds_left, 0);
  const auto collection = Make(*task, "abc");
  proxy.SetPercent(100);
  Upsert(*collection, "a", 1);
  EXPECT_TRUE(Eventually([&] { return may == 0; }));
  EXPECT_TRUE(Eventually([&] { return !task->shipping->Report().error.empty(); }));
  const ShippingReport away = task->shipping->Report();
  EXPECT_EQ(away.url, settings.url);
  EXPECT_FALSE(away.may_write);
  EXPECT_LE(away.lease_seconds_left, 0);
  EXPECT_GT(away.lag_seconds, 0);
  EXPECT_GT(away.failures, 0);
  EXPECT_THAT(task->shipping->CheckWrites(), HasReason(absl::StatusCode::kUnavailable, "LEASE_LOST"));
  EXPECT_THAT(task->shipping->CheckWrites(), HasCode(absl::StatusCode::kUnavailable, "cannot be reached"));
  proxy.SetPercent(0);
  EXPECT_TRUE(Eventually([&] { return may == 1 && task->shipping->CheckWrites().ok(); }));
  EXPECT_TRUE(Eventually([&] { return !Objects("collections/").empty(); }));
  EXPECT_TRUE(Eventually([&] { return task->shipping->Report().error.empty(); }));
  EXPECT_GE(task->shipping->Report().failures, away.failures);
  ASSERT_OK(task->shipping->Finish());
  EXPECT_FALSE(task->shipping->CheckWrites().ok()) << "given up";
}

TEST_F(ShipTest, WhereTheNewestBundleIsDamagedTheOneBeforeAndTheChangesSinceDo) {
  std::vector<std::string> wanted;
  std::string folder;
  {
    auto task = Start(Settings("one"));
    ASSERT_OK(task);
    const auto collection = Make(*task, "abc");
    folder = absl::StrCat("collections/", task->catalog->ListAllCollections()->front().id, "/");
    EXPECT_TRUE(Eventually([&] {
      Upsert(*collection, absl::StrCat(collection->sequence_number() % 40), 1 + collection->sequence_number());
      return Objects(folder + "bundles/").size() >= 2;
    }));
    wanted = Records(*collection);
    ASSERT_OK(task->shipping->Finish());
  }
  const std::string newest = Objects(folder + "bundles/").back().key;
  std::string bytes = s3_->Get("bucket", newest, {}, nullptr)->bytes;
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_OK(s3_->Put("bucket", newest, bytes, {}, nullptr));
  {
    ShipSettings settings = Settings("two");
    settings.bundle_changes_max = 1'000'000;  // no newer one
    auto again = Start(settings);
    ASSERT_OK(again);
    EXPECT_EQ(Records(*again->Collection("abc")), wanted);
    ASSERT_OK(again->shipping->Finish());
  }
  // Without the changes in between going back would lose some.
  for (const cloud::S3Object& object : Objects(folder + "changes/")) {
    ASSERT_OK(s3_->Delete("bucket", object.key, nullptr));
  }
  EXPECT_THAT(Start(Settings("three")).status(), HasCode(absl::StatusCode::kDataLoss, newest));
}

TEST_F(ShipTest, ABucketThatIsNotThereIsNamed) {
  ShipSettings settings = Settings("one");
  settings.url = "s3://no-such-bucket/prefix";
  EXPECT_THAT(Start(settings).status(), HasCode(absl::StatusCode::kNotFound, "s3://no-such-bucket/prefix/lease.json"));
}

}  // namespace
}  // namespace omics::services
