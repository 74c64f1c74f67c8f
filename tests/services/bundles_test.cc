// Bundles through real streams: there and back, and everything that can go wrong on the way.
#include "services/bundles.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

using grpc::StatusCode;

constexpr char kBoundToken[] = "bound-token-0123456789abcdef";
constexpr std::size_t kPieceBytes = 100'000;

struct Saved {
  grpc::Status status;
  pb::BundleSummary summary;
  std::string bytes;
};

struct Loaded {
  grpc::Status status;
  pb::LoadBundleResponse response;
};

class BundlesTest : public testing::Test {
 protected:
  BundlesTest()
      : server_([](Options& options) {
          WriteFile(options.tokens_file,
                    absl::StrCat(TokensText(), "bound admin ", kBoundToken, " collections=lab_*\n"));
        }) {}

  Saved Save(const std::string& collection, const std::string& token = kAdminToken) {
    pb::SaveBundleRequest request;
    *request.mutable_collection() = Named(collection);
    const auto context = As(token);
    const auto stream = server_.admin().SaveBundle(context.get(), request);
    Saved saved;
    pb::SaveBundleResponse message;
    while (stream->Read(&message)) {
      if (message.has_summary()) saved.summary = message.summary();
      saved.bytes += message.chunk();
    }
    saved.status = stream->Finish();
    return saved;
  }

  Loaded Load(const pb::LoadBundleTarget& target, const std::string& bytes, const std::string& token = kAdminToken) {
    const auto context = As(token);
    Loaded loaded;
    const auto stream = server_.admin().LoadBundle(context.get(), &loaded.response);
    pb::LoadBundleRequest message;
    *message.mutable_target() = target;
    bool open = stream->Write(message);
    for (std::size_t at = 0; open && at < bytes.size(); at += kPieceBytes) {
      message.clear_target();
      message.set_chunk(bytes.substr(at, kPieceBytes));
      open = stream->Write(message);
    }
    stream->WritesDone();
    loaded.status = stream->Finish();
    return loaded;
  }

  static pb::LoadBundleTarget Target(const std::string& name, const std::string& alias = "") {
    pb::LoadBundleTarget target;
    target.set_name(name);
    if (!alias.empty()) target.add_aliases(alias);
    return target;
  }

  std::string NearestTo(const std::string& collection, const std::vector<float>& vector) {
    pb::QueryRequest request;
    *request.mutable_collection() = Named(collection);
    request.add_vectors()->mutable_values()->Assign(vector.begin(), vector.end());
    pb::QueryResponse response;
    const grpc::Status status = server_.vectors().Query(As(kReadToken).get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return status.ok() && response.results_size() > 0 ? response.results(0).hits(0).record().id() : "";
  }

  TestServer server_;
};

TEST_F(BundlesTest, ThereAndBack) {
  server_.Create("cells");
  const auto vectors = server_.Fill("cells", 2000, 16, 5);
  const Saved saved = Save("cells");
  ASSERT_TRUE(saved.status.ok()) << saved.status.error_message();
  EXPECT_EQ(saved.summary.bytes(), std::ssize(saved.bytes));
  EXPECT_EQ(saved.summary.records(), 2000);
  EXPECT_EQ(saved.summary.sha256().size(), 64U);
  const Loaded loaded = Load(Target("cells_v2", "latest"), saved.bytes);
  ASSERT_TRUE(loaded.status.ok()) << loaded.status.error_message();
  EXPECT_EQ(loaded.response.collection().name(), "cells_v2");
  EXPECT_EQ(loaded.response.collection().dimension(), 16);
  EXPECT_EQ(loaded.response.records(), 2000);
  EXPECT_EQ(loaded.response.sequence_number(), saved.summary.sequence_number());
  for (const int i : {0, 700, 1999}) EXPECT_EQ(NearestTo("latest", vectors[i]), absl::StrCat("r", i));
  server_.ExpectNothingSpooled();
}

TEST_F(BundlesTest, ATakenNameIsRefusedUnlessItIsToBeReplaced) {
  server_.Create("cells");
  server_.Fill("cells", 10, 4, 5);
  const std::string bytes = Save("cells").bytes;
  for (const char* name : {"", "cells"}) {
    const Loaded refused = Load(Target(name), bytes);
    EXPECT_EQ(refused.status.error_code(), StatusCode::ALREADY_EXISTS);
    EXPECT_EQ(ReasonOf(refused.status), "COLLECTION_EXISTS");
  }
  pb::UpsertRequest more;
  *more.mutable_collection() = Named("cells");
  *more.add_records() = Change("more", {1, 2, 3, 4});
  pb::UpsertResponse upserted;
  ASSERT_TRUE(server_.vectors().Upsert(As(kWriteToken).get(), more, &upserted).ok());
  pb::LoadBundleTarget target;
  target.set_replace(true);
  const Loaded loaded = Load(target, bytes);
  EXPECT_TRUE(loaded.status.ok()) << loaded.status.error_message();
  EXPECT_EQ(loaded.response.records(), 10);
  EXPECT_EQ(server_.Collections(), 1);
}

TEST_F(BundlesTest, WhatIsDamagedOrNoBundleLeavesNothingBehind) {
  server_.Create("cells");
  server_.Fill("cells", 100, 4, 5);
  const std::string bytes = Save("cells").bytes;
  std::string flipped = bytes;
  flipped[bytes.size() / 2] = static_cast<char>(flipped[bytes.size() / 2] ^ 4);
  const std::pair<std::string, StatusCode> cases[] = {{flipped, StatusCode::DATA_LOSS},
                                                      {bytes.substr(0, bytes.size() - 1), StatusCode::DATA_LOSS},
                                                      {bytes + "x", StatusCode::INVALID_ARGUMENT},
                                                      {"no bundle", StatusCode::INVALID_ARGUMENT},
                                                      {"", StatusCode::INVALID_ARGUMENT}};
  for (const auto& [sent, code] : cases) {
    const Loaded loaded = Load(Target("other"), sent);
    EXPECT_EQ(loaded.status.error_code(), code) << loaded.status.error_message();
    EXPECT_FALSE(loaded.status.error_message().empty());
    EXPECT_EQ(server_.Collections(), 1);
    server_.ExpectNothingSpooled();
  }
}

TEST_F(BundlesTest, TheFirstMessageMustHoldTheTargetAndNoOther) {
  pb::LoadBundleResponse response;
  pb::LoadBundleRequest chunk, target;
  chunk.set_chunk("x");
  target.mutable_target();
  for (const auto& messages : {std::vector{chunk}, std::vector{target, target}}) {
    const auto context = As(kAdminToken);
    const auto stream = server_.admin().LoadBundle(context.get(), &response);
    for (const auto& message : messages) stream->Write(message);
    stream->WritesDone();
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(BundlesTest, AStreamThatBreaksOffLeavesNothingBehind) {
  server_.Create("cells");
  server_.Fill("cells", 100, 4, 5);
  const std::string bytes = Save("cells").bytes;
  pb::LoadBundleResponse response;
  const auto context = As(kAdminToken);
  const auto stream = server_.admin().LoadBundle(context.get(), &response);
  pb::LoadBundleRequest message;
  *message.mutable_target() = Target("other");
  ASSERT_TRUE(stream->Write(message));
  message.clear_target();
  message.set_chunk(bytes);
  stream->Write(message);
  context->TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  server_.server().Stop();  // returns when the handlers have
  server_.ExpectNothingSpooled();
  int directories = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(server_.directory().path() / "data/collections")) {
    ++directories;
  }
  EXPECT_EQ(directories, 1);
}

TEST_F(BundlesTest, AMissingCollectionAndTooManyAliasesAreRefused) {
  EXPECT_EQ(Save("missing").status.error_code(), StatusCode::NOT_FOUND);
  pb::LoadBundleTarget target = Target("cells");
  for (int i = 0; i < 17; ++i) target.add_aliases(absl::StrCat("alias", i));
  EXPECT_EQ(Load(target, "x").status.error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(BundlesTest, ABoundTokenStaysInItsScope) {
  server_.Create("lab_cells");
  server_.Fill("lab_cells", 10, 4, 5);
  server_.Create("hidden");
  server_.Fill("hidden", 10, 4, 5);
  EXPECT_EQ(Save("hidden", kBoundToken).status.error_code(), StatusCode::NOT_FOUND);
  const std::string mine = Save("lab_cells", kBoundToken).bytes, other = Save("hidden").bytes;
  ASSERT_FALSE(mine.empty());
  // Under its own name, which it brings along, a name of another scope, or an alias of one.
  for (const auto& [target, bytes] :
       {std::pair{Target(""), other}, {Target("hidden_too"), mine}, {Target("lab_new", "hidden_alias"), mine}}) {
    const Loaded refused = Load(target, bytes, kBoundToken);
    EXPECT_EQ(refused.status.error_code(), StatusCode::PERMISSION_DENIED) << refused.status.error_message();
    EXPECT_EQ(ReasonOf(refused.status), "NOT_IN_SCOPE");
  }
  pb::SetAliasRequest alias;
  alias.set_alias("lab_latest");
  *alias.mutable_collection() = Named("hidden");
  pb::SetAliasResponse response;
  ASSERT_TRUE(server_.admin().SetAlias(As(kAdminToken).get(), alias, &response).ok());
  const Loaded taken = Load(Target("lab_new", "lab_latest"), mine, kBoundToken);
  EXPECT_EQ(ReasonOf(taken.status), "ALIAS_EXISTS") << taken.status.error_message();
  EXPECT_TRUE(Load(Target("lab_new", "lab_mine"), mine, kBoundToken).status.ok());
}

}  // namespace
}  // namespace omics::services
