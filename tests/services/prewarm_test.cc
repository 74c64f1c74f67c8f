// Collections that the service loads from files by itself: at start, again when the file changes, and what stays when
// that fails.
#include "services/prewarm_sources.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "services/security.h"
#include "tests/services/testing.h"
#include "tests/support/eventually.h"

namespace omics::services {
namespace {

using grpc::StatusCode;
namespace fs = std::filesystem;

// Two stores with one collection each.
const fs::path kOntology = fs::path(OMICS_VECTOR_SOURCE_DIR) / "testdata/ontology";
const fs::path kCells = kOntology / "cell_ontology_sapbert_768.tar.gz";
const fs::path kUberon = kOntology / "uberon_sapbert_768.tar.gz";
constexpr std::int64_t kCellRecords = 3220;
constexpr std::int64_t kUberonRecords = 7407;

class PrewarmTest : public testing::Test {
 protected:
  // A server over data() whose list has the entries given.
  void Start(const std::string& list, std::int64_t poll_seconds = 0) {
    Options options = TestOptions(directory_);
    options.prewarm = list;
    options.prewarm_poll_seconds = poll_seconds;
    auto security = LoadSecurity(options);
    ASSERT_TRUE(security.ok());
    auto server = Server::Start(options, *std::move(security));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ =
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->grpc_port()), grpc::InsecureChannelCredentials());
    vectors_ = pb::VectorService::NewStub(channel_);
    admin_ = pb::AdminService::NewStub(channel_);
  }

  void End() { server_.reset(); }

  std::string Source(const std::string& name) const { return directory_ / name; }
  std::string Entry(const std::string& collection, const std::string& file, const std::string& more = "") const {
    return "{\"collection\": \"" + collection + "\", \"url\": \"file://" + Source(file) + "\"" + more + "}";
  }

  // Put in place in one step, as a careful publisher does.
  void Publish(const fs::path& from, const std::string& name) const {
    fs::copy_file(from, Source(name + ".new"), fs::copy_options::overwrite_existing);
    fs::rename(Source(name + ".new"), Source(name));
  }

  pb::PrewarmStatus Status(const std::string& token = kAdminToken, int index = 0) const {
    pb::GetStatusResponse response;
    const grpc::Status status = admin_->GetStatus(As(token).get(), {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.prewarm_size() > index ? response.prewarm(index) : pb::PrewarmStatus();
  }
  bool WaitFor(pb::PrewarmState state) const {
    return Eventually([&] { return Status().state() == state; });
  }

  std::int64_t Count(const std::string& name) const {
    pb::CountRequest request;
    *request.mutable_collection() = Named(name);
    pb::CountResponse response;
    const grpc::Status status = vectors_->Count(As(kReadToken).get(), request, &response);
    return status.ok() ? response.count() : -1;
  }
  pb::Collection Get(const std::string& name) const {
    pb::GetCollectionRequest request;
    *request.mutable_collection() = Named(name);
    pb::GetCollectionResponse response;
    const grpc::Status status = vectors_->GetCollection(As(kReadToken).get(), request, &response);
    EXPECT_TRUE(status.ok()) << name << ": " << status.error_message();
    return response.collection();
  }

  bool Serving(const std::string& name) const {
    ::grpc::health::v1::HealthCheckRequest request;
    request.set_service(name);
    ::grpc::health::v1::HealthCheckResponse response;
    const auto stub = ::grpc::health::v1::Health::NewStub(channel_);
    return stub->Check(As("").get(), request, &response).ok() &&
           response.status() == ::grpc::health::v1::HealthCheckResponse::SERVING;
  }

  TempDir directory_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::VectorService::Stub> vectors_;
  std::unique_ptr<pb::AdminService::Stub> admin_;
};

TEST_F(PrewarmTest, AnEmptyDiskIsFilledBeforeTheServiceIsReady) {
  Publish(kCells, "cells.tar.gz");
  Start("[" + Entry("cells_v1", "cells.tar.gz", R"(, "aliases": ["cell_type"])") + "]");
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  EXPECT_TRUE(Serving("cells_v1"));
  EXPECT_EQ(Count("cells_v1"), kCellRecords);
  EXPECT_EQ(Get("cell_type").name(), "cells_v1");
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_CURRENT));
  const pb::PrewarmStatus status = Status();
  EXPECT_EQ(status.collection(), "cells_v1");
  EXPECT_TRUE(status.served());
  EXPECT_EQ(status.failures(), 0);
  EXPECT_EQ(status.error(), "");
  EXPECT_EQ(status.sha256().size(), 64U);
  EXPECT_EQ(status.bytes_done(), static_cast<std::int64_t>(fs::file_size(kCells)));
  EXPECT_NE(status.url().find("cells.tar.gz"), std::string::npos);
  // Who is not admin learns nothing of the machine.
  EXPECT_EQ(Status(kReadToken).collection(), "cells_v1");
  EXPECT_EQ(Status(kReadToken).url(), "");
  // What was downloaded is gone.
  EXPECT_TRUE(fs::is_empty(directory_.path() / "data/tmp/prewarm"));
}

TEST_F(PrewarmTest, ARestartServesWhatIsThereWithoutTheSource) {
  Publish(kCells, "cells.tar.gz");
  const std::string list = "[" + Entry("cells_v1", "cells.tar.gz") + "]";
  Start(list);
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  const std::string id = Get("cells_v1").id();
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_CURRENT));
  End();
  Start(list);
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_CURRENT));
  EXPECT_EQ(Get("cells_v1").id(), id);
  End();
  fs::remove(Source("cells.tar.gz"));
  Start(list);
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  EXPECT_EQ(Count("cells_v1"), kCellRecords);
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_FAILED));
  EXPECT_TRUE(Status().served());
  EXPECT_NE(Status().error().find("cells.tar.gz"), std::string::npos) << Status().error();
  EXPECT_TRUE(Serving("cells_v1"));
}

TEST_F(PrewarmTest, AChangedSourceIsSwappedInUnderQueriesWithoutAnError) {
  Publish(kCells, "cells.tar.gz");
  Start("[" + Entry("cells_v1", "cells.tar.gz", R"(, "aliases": ["cell_type"])") + "]", /*poll_seconds=*/1);
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  const std::string first_id = Get("cells_v1").id();
  std::atomic<bool> stop = false;
  std::atomic<int> calls = 0;
  const auto ask = [&](const pb::CollectionRef& ref) {
    while (!stop) {
      pb::GetRequest request;
      *request.mutable_collection() = ref;
      request.set_limit(3);
      pb::GetResponse response;
      const grpc::Status status = vectors_->Get(As(kReadToken).get(), request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_GT(response.records_size(), 0);
      ++calls;
    }
  };
  pb::CollectionRef by_id;
  by_id.set_id(first_id);
  std::thread by_name_thread(ask, Named("cells_v1")), by_alias_thread(ask, Named("cell_type")),
      by_id_thread(ask, by_id);
  const auto swapped = [&] {
    Publish(kUberon, "cells.tar.gz");
    return Eventually([&] { return Get("cells_v1").id() != first_id || Status().failures() > 0; });
  };
  EXPECT_TRUE(swapped());
  const int before = calls;
  EXPECT_TRUE(Eventually([&] { return calls > before + 100; }));
  stop = true;
  by_name_thread.join();
  by_alias_thread.join();
  by_id_thread.join();
  EXPECT_EQ(Status().error(), "");
  EXPECT_NE(Get("cells_v1").id(), first_id);
  EXPECT_EQ(Get("cell_type").id(), Get("cells_v1").id());
  EXPECT_EQ(Count("cells_v1"), kUberonRecords);
}

TEST_F(PrewarmTest, ADamagedSourceLeavesTheOldVersionAndIsTriedAgain) {
  Publish(kCells, "cells.tar.gz");
  Start("[" + Entry("cells_v1", "cells.tar.gz") + "]", /*poll_seconds=*/1);
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  const std::string id = Get("cells_v1").id();
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_CURRENT));
  std::string bytes = ReadFile(kCells);
  bytes.resize(bytes.size() / 2);
  WriteFile(Source("half"), bytes);
  Publish(Source("half"), "cells.tar.gz");
  ASSERT_TRUE(Eventually([&] { return Status().failures() >= 2; }));
  EXPECT_TRUE(Status().served());
  EXPECT_NE(Status().error().find("cells.tar.gz"), std::string::npos) << Status().error();
  EXPECT_EQ(Get("cells_v1").id(), id);
  EXPECT_EQ(Count("cells_v1"), kCellRecords);
  EXPECT_TRUE(Serving("cells_v1"));
  Publish(kCells, "cells.tar.gz");
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_CURRENT));
  EXPECT_EQ(Status().failures(), 0);
  // The same bytes as before: nothing was imported.
  EXPECT_EQ(Get("cells_v1").id(), id);
}

TEST_F(PrewarmTest, WithoutAnyVersionTheServiceIsNotReadyUntilTheSourceComes) {
  Start("[" + Entry("cells_v1", "cells.tar.gz") + "]");
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_FAILED));
  EXPECT_FALSE(Serving(""));
  EXPECT_FALSE(Serving("cells_v1"));
  EXPECT_FALSE(Status().served());
  Publish(kCells, "cells.tar.gz");
  EXPECT_TRUE(WaitUntilServing(channel_, ""));
  EXPECT_TRUE(WaitUntilServing(channel_, "cells_v1"));
  EXPECT_EQ(Count("cells_v1"), kCellRecords);
}

TEST_F(PrewarmTest, OtherBytesThanTheListSaysAreNotServed) {
  Publish(kCells, "cells.tar.gz");
  Start("[" + Entry("cells_v1", "cells.tar.gz", ", \"sha256\": \"" + std::string(64, '0') + "\"") + "]");
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_FAILED));
  EXPECT_EQ(Count("cells_v1"), -1);
  EXPECT_FALSE(Serving(""));
}

TEST_F(PrewarmTest, ACollectionThatSomebodyMadeIsNotReplaced) {
  Start("[]");
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  pb::CreateCollectionRequest request;
  request.set_name("cells_v1");
  pb::CreateCollectionResponse response;
  ASSERT_TRUE(vectors_->CreateCollection(As(kWriteToken).get(), request, &response).ok());
  End();
  Publish(kCells, "cells.tar.gz");
  Start("[" + Entry("cells_v1", "cells.tar.gz") + "]");
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_FAILED));
  EXPECT_NE(Status().error().find("did not come from a source"), std::string::npos) << Status().error();
  EXPECT_EQ(Count("cells_v1"), 0);
  pb::DeleteCollectionRequest removal;
  *removal.mutable_collection() = Named("cells_v1");
  pb::DeleteCollectionResponse removed;
  ASSERT_TRUE(vectors_->DeleteCollection(As(kWriteToken).get(), removal, &removed).ok());
  EXPECT_TRUE(Eventually([&] { return Count("cells_v1") == kCellRecords; }));
}

TEST_F(PrewarmTest, AnAliasThatIsACollectionRefusesTheEntryBeforeItIsDownloaded) {
  Start("[]");
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  pb::CreateCollectionRequest request;
  request.set_name("cell_type");
  pb::CreateCollectionResponse response;
  ASSERT_TRUE(vectors_->CreateCollection(As(kWriteToken).get(), request, &response).ok());
  End();
  Publish(kCells, "cells.tar.gz");
  Start("[" + Entry("cells_v1", "cells.tar.gz", R"(, "aliases": ["cell_type"])") + "]");
  ASSERT_TRUE(WaitFor(pb::PREWARM_STATE_FAILED));
  EXPECT_NE(Status().error().find("cell_type"), std::string::npos) << Status().error();
  EXPECT_EQ(Status().bytes_done(), 0);
  EXPECT_EQ(Count("cells_v1"), -1);
}

TEST_F(PrewarmTest, ADeletedCollectionComesBackWithTheNextPoll) {
  Publish(kCells, "cells.tar.gz");
  Start("[" + Entry("cells_v1", "cells.tar.gz") + "]", /*poll_seconds=*/1);
  ASSERT_TRUE(WaitUntilServing(channel_, ""));
  pb::DeleteCollectionRequest removal;
  *removal.mutable_collection() = Named("cells_v1");
  pb::DeleteCollectionResponse removed;
  ASSERT_TRUE(vectors_->DeleteCollection(As(kWriteToken).get(), removal, &removed).ok());
  EXPECT_TRUE(Eventually([&] { return Count("cells_v1") == kCellRecords && Serving("cells_v1"); }));
}

}  // namespace
}  // namespace omics::services
