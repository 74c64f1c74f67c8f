// Imports of real Chroma stores through a stream, and everything that can break one off.
#include "services/import_chroma.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "services/spool.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

using grpc::StatusCode;

std::filesystem::path StoresDir() { return std::filesystem::path(OMICS_VECTOR_SOURCE_DIR) / "testdata/chroma-stores"; }

class ImportChromaTest : public testing::Test {
 protected:
  static std::string SomeStore() { return ReadFile(StoresDir() / "chroma-store-0.6.3.tar.gz"); }

  TestServer server_;
};

TEST_F(ImportChromaTest, EveryVersionsStoreIsImportedWhole) {
  int stores = 0;
  for (const auto& entry : std::filesystem::directory_iterator(StoresDir())) {
    if (entry.path().extension() != ".gz") continue;
    ++stores;
    pb::ImportChromaTarget target;
    target.set_replace(true);
    const ImportOutcome outcome = Import(server_.admin(), target, ReadFile(entry.path()));
    ASSERT_TRUE(outcome.status.ok()) << entry.path() << ": " << outcome.status.error_message();
    EXPECT_GE(outcome.progress_messages, 1);
    ASSERT_GE(outcome.imported.size(), 1U) << entry.path();
    for (const pb::ImportedCollection& imported : outcome.imported) {
      EXPECT_GT(imported.records(), 0);
      EXPECT_GT(imported.collection().dimension(), 0);
      pb::CountRequest request;
      request.mutable_collection()->set_id(imported.collection().id());
      pb::CountResponse response;
      ASSERT_TRUE(server_.vectors().Count(As(kReadToken).get(), request, &response).ok());
      EXPECT_EQ(response.count(), imported.records()) << entry.path();
    }
  }
  EXPECT_GE(stores, 5);
  server_.ExpectNothingSpooled();
}

TEST_F(ImportChromaTest, ATruncatedArchiveLeavesNothingBehind) {
  const std::string whole = SomeStore();
  for (const double part : {0.01, 0.5, 0.9, 0.999}) {
    const auto size = static_cast<std::size_t>(part * static_cast<double>(whole.size()));
    const ImportOutcome outcome = Import(server_.admin(), {}, whole.substr(0, size));
    EXPECT_EQ(outcome.status.error_code(), StatusCode::INVALID_ARGUMENT)
        << part << ": " << outcome.status.error_message();
    EXPECT_TRUE(outcome.imported.empty());
    EXPECT_EQ(server_.Collections(), 0);
    server_.ExpectNothingSpooled();
  }
}

TEST_F(ImportChromaTest, WhatIsNoArchiveIsRefused) {
  EXPECT_EQ(Import(server_.admin(), {}, "no archive at all").status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Import(server_.admin(), {}, "").status.error_code(), StatusCode::INVALID_ARGUMENT);
  server_.ExpectNothingSpooled();
}

TEST_F(ImportChromaTest, TheFirstMessageMustHoldTheTarget) {
  const auto context = As(kAdminToken);
  const auto stream = server_.admin().ImportChroma(context.get());
  pb::ImportChromaRequest request;
  request.set_chunk("x");
  stream->Write(request);
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(ImportChromaTest, ATakenNameIsRefusedBeforeTheArchiveIsSent) {
  server_.Create("taken");
  const auto context = As(kAdminToken);
  const auto stream = server_.admin().ImportChroma(context.get());
  pb::ImportChromaRequest request;
  request.mutable_target()->set_collection("taken");
  ASSERT_TRUE(stream->Write(request));
  pb::ImportChromaResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(status), "COLLECTION_EXISTS");
}

// Sends a complete archive without saying that it is complete, then breaks off. False if the server asked to wait,
// since it still winds up an earlier one.
bool SendAndBreakOff(pb::AdminService::Stub& admin, const std::string& archive) {
  constexpr std::size_t kPiece = 1 << 20;
  const auto context = As(kAdminToken);
  const auto stream = admin.ImportChroma(context.get());
  pb::ImportChromaRequest request;
  request.mutable_target();
  bool open = stream->Write(request);
  for (std::size_t done = 0; open && done < archive.size(); done += kPiece) {
    request.set_chunk(archive.substr(done, kPiece));
    open = stream->Write(request);
  }
  pb::ImportChromaResponse response;
  const bool received = stream->Read(&response);
  if (received) context->TryCancel();
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), received ? StatusCode::CANCELLED : StatusCode::RESOURCE_EXHAUSTED);
  return received;
}

TEST_F(ImportChromaTest, ABrokenOffStreamLeavesNothingBehind) {
  const std::string whole = SomeStore();
  for (int round = 0; round < 10; ++round) {
    while (!SendAndBreakOff(server_.admin(), whole)) {
    }
  }
  server_.server().Stop();  // returns when the handlers have
  server_.ExpectNothingSpooled();
  const std::filesystem::path collections = server_.directory().path() / "data/collections";
  if (std::filesystem::exists(collections)) {
    EXPECT_TRUE(std::filesystem::is_empty(collections));
  }
}

TEST_F(ImportChromaTest, AThirdImportAtOnceIsAskedToWait) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<pb::ImportChromaRequest, pb::ImportChromaResponse>>> streams;
  for (int i = 0; i < kImportsMax; ++i) {
    contexts.push_back(As(kAdminToken));
    streams.push_back(server_.admin().ImportChroma(contexts.back().get()));
    pb::ImportChromaRequest request;
    request.mutable_target();
    ASSERT_TRUE(streams.back()->Write(request));
    request.set_chunk("x");
    ASSERT_TRUE(streams.back()->Write(request));
    pb::ImportChromaResponse response;
    ASSERT_TRUE(streams.back()->Read(&response));
  }
  EXPECT_EQ(Import(server_.admin(), {}, "y").status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  for (auto& stream : streams) {
    stream->WritesDone();
    pb::ImportChromaResponse response;
    while (stream->Read(&response)) {
    }
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_EQ(Import(server_.admin(), {}, "y").status.error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST(SweepSpoolsTest, RemovesWhatAKilledImportLeftAndNothingElse) {
  TempDir directory;
  std::filesystem::create_directories(directory.path() / "import-1/deeper");
  WriteFile(directory.path() / "import-1/archive", "x");
  WriteFile(directory.path() / "other", "y");
  SweepSpools(directory.path());
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "import-1"));
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "other"));
  SweepSpools(directory.path() / "missing");
}

}  // namespace
}  // namespace omics::services
