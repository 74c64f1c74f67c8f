#include "services/status_to_grpc.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

bool MayRetry(const grpc::Status& status) {
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const auto& any : details.details()) {
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&retry)) return retry.retry_delay().seconds() > 0;
  }
  return false;
}

TEST(StatusToGrpcTest, OkStaysOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

TEST(StatusToGrpcTest, CodeMessageAndReasonTravel) {
  const grpc::Status status = ToGrpc(WithReason(absl::NotFoundError("no collection 'x'"), "COLLECTION_NOT_FOUND"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no collection 'x'");
  EXPECT_EQ(ReasonOf(status), "COLLECTION_NOT_FOUND");
  EXPECT_FALSE(MayRetry(status));
}

TEST(StatusToGrpcTest, OnlyWhatMayBeTriedAgainSaysWhen) {
  EXPECT_TRUE(MayRetry(ToGrpc(WithReason(absl::ResourceExhaustedError("full"), "BUILD_BACKLOG"))));
  EXPECT_TRUE(MayRetry(ToGrpc(absl::UnavailableError("draining"))));
  EXPECT_FALSE(MayRetry(ToGrpc(absl::InvalidArgumentError("k"))));
  EXPECT_FALSE(MayRetry(ToGrpc(absl::InternalError("bug"))));
}

TEST(StatusToGrpcTest, ALongMessageIsCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "\xc3\xa4";
  for (const std::string& prefix : {std::string(), std::string("x")}) {
    const std::string message = ToGrpc(absl::InternalError(prefix + text)).error_message();
    ASSERT_LE(message.size(), kErrorMessageBytesMax);
    ASSERT_GE(message.size(), kErrorMessageBytesMax - 2);
    EXPECT_EQ(message.substr(message.size() - 5), "\xc3\xa4...");
  }
}

}  // namespace
}  // namespace omics::services
