#include "gateway/chroma_errors.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "gateway/chroma_body.h"
#include "tests/gateway/testing.h"

namespace omics::gateway {
namespace {

using testing::ErrorName;
using testing::Member;

constexpr Dialect kV1{Api::kV1, Client::kPythonRequests};
constexpr Dialect kV2{Api::kV2, Client::kPythonModern};

const ErrorSubject kSubject{"t", "d", "mondo", false};

TEST(ChromaErrorsTest, EveryRowOfTheTable) {
  using Code = absl::StatusCode;
  const struct {
    Code code;
    const char* reason;
    int v1;
    const char* v1_name;
    int v2;
    const char* v2_name;
  } kRows[] = {
      {Code::kUnauthenticated, "TOKEN_MISSING", 401, "AuthorizationError", 403, "AuthError"},
      {Code::kUnauthenticated, "TOKEN_INVALID", 401, "AuthorizationError", 403, "AuthError"},
      {Code::kPermissionDenied, "ROLE_TOO_LOW", 403, "AuthorizationError", 403, "AuthError"},
      {Code::kNotFound, "COLLECTION_NOT_FOUND", 400, "InvalidCollection", 404, "NotFoundError"},
      {Code::kNotFound, "TENANT_NOT_FOUND", 404, "NotFoundError", 404, "NotFoundError"},
      {Code::kNotFound, "DATABASE_NOT_FOUND", 404, "NotFoundError", 404, "NotFoundError"},
      {Code::kAlreadyExists, "COLLECTION_EXISTS", 409, "UniqueConstraintError", 409, "ChromaError"},
      {Code::kAlreadyExists, "ALIAS_EXISTS", 409, "UniqueConstraintError", 409, "ChromaError"},
      {Code::kAlreadyExists, "TENANT_EXISTS", 409, "UniqueConstraintError", 409, "ChromaError"},
      {Code::kAlreadyExists, "DATABASE_EXISTS", 409, "UniqueConstraintError", 409, "ChromaError"},
      {Code::kInvalidArgument, "DIMENSION_MISMATCH", 400, "InvalidDimension", 400, "InvalidArgumentError"},
      {Code::kInvalidArgument, kReasonJsonSyntax, 400, "InvalidArgumentError", 400, "InvalidArgumentError"},
      {Code::kInvalidArgument, kReasonJsonShape, 422, "InvalidArgumentError", 422, "ChromaError"},
      {Code::kInvalidArgument, kReasonNotAUuid, 400, "InvalidUUID", 400, "InvalidArgumentError"},
      {Code::kInvalidArgument, kReasonBodyTooLarge, 413, "InvalidArgumentError", 413, "ChromaError"},
      {Code::kInvalidArgument, kReasonMediaType, 415, "InvalidArgumentError", 415, "ChromaError"},
      {Code::kInvalidArgument, "", 400, "InvalidArgumentError", 400, "InvalidArgumentError"},
      {Code::kUnimplemented, "", 501, "NotImplementedError", 501, "ChromaError"},
      {Code::kFailedPrecondition, "RESET_DISABLED", 403, "AuthorizationError", 403, "AuthError"},
      {Code::kResourceExhausted, "DISK_FULL", 507, "InternalError", 507, "InternalError"},
      {Code::kResourceExhausted, "BUILD_BACKLOG", 429, "RateLimitError", 429, "RateLimitError"},
      {Code::kUnavailable, "NOT_READY", 503, "InternalError", 503, "InternalError"},
      {Code::kDeadlineExceeded, "", 504, "InternalError", 504, "InternalError"},
      {Code::kDataLoss, "", 500, "InternalError", 500, "InternalError"},
      {Code::kInternal, "", 500, "InternalError", 500, "InternalError"},
  };
  for (const auto& row : kRows) {
    absl::Status status(row.code, "what happened");
    if (*row.reason != '\0') status = WithReason(status, row.reason);
    const Response v1 = ErrorResponse(status, kV1, kSubject);
    const Response v2 = ErrorResponse(status, kV2, kSubject);
    EXPECT_EQ(v1.status, row.v1) << status;
    EXPECT_EQ(v2.status, row.v2) << status;
    EXPECT_EQ(ErrorName(v1.body), row.v1_name) << status;
    EXPECT_EQ(ErrorName(v2.body), row.v2_name) << status;
    EXPECT_EQ(v1.retry_after_seconds > 0, row.v1 == 503 || row.v1 == 429) << status;
    EXPECT_NE(Member(v2.body, "message"), "") << status;
  }
}

TEST(ChromaErrorsTest, MessagesAreChromasOwn) {
  const absl::Status missing = WithReason(absl::NotFoundError("x"), "COLLECTION_NOT_FOUND");
  EXPECT_EQ(Member(ErrorResponse(missing, kV1, kSubject).body, "message"), R"("Collection mondo does not exist.")");
  EXPECT_EQ(Member(ErrorResponse(missing, kV2, kSubject).body, "message"), R"("Collection [mondo] does not exist")");
  const absl::Status taken = WithReason(absl::AlreadyExistsError("x"), "COLLECTION_EXISTS");
  EXPECT_EQ(Member(ErrorResponse(taken, kV1, kSubject).body, "message"), R"("Collection mondo already exists")");
  EXPECT_EQ(Member(ErrorResponse(taken, kV2, kSubject).body, "message"), R"("Collection [mondo] already exists")");
}

TEST(ChromaErrorsTest, CreatingInAMissingDatabaseIsARequestError) {
  ErrorSubject subject = kSubject;
  subject.creates = true;
  const absl::Status missing = WithReason(absl::NotFoundError("x"), "DATABASE_NOT_FOUND");
  const Response response = ErrorResponse(missing, kV2, subject);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Member(response.body, "message"), R"("Database [d] does not exist")");
}

TEST(ChromaErrorsTest, Python05OnV2GetsTheNamesOfV1ButItsOwnRefusals) {
  constexpr Dialect kPython06{Api::kV2, Client::kPythonHttpx};
  const absl::Status missing = WithReason(absl::NotFoundError("x"), "COLLECTION_NOT_FOUND");
  EXPECT_EQ(ErrorResponse(missing, kPython06, kSubject).status, 400);
  EXPECT_EQ(ErrorName(ErrorResponse(missing, kPython06, kSubject).body), "InvalidCollection");
  const absl::Status refused = absl::UnauthenticatedError("no token");
  EXPECT_EQ(ErrorResponse(refused, kPython06, kSubject).status, 403);
  EXPECT_EQ(ErrorName(ErrorResponse(refused, kPython06, kSubject).body), "AuthError");
}

TEST(ChromaErrorsTest, InternalCausesStayInside) {
  const Response response = ErrorResponse(absl::InternalError("open /secret/path failed"), kV2, kSubject);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
}

TEST(ChromaErrorsTest, OldJavaScriptGetsTheFormItsPatternReads) {
  const absl::Status taken = WithReason(absl::AlreadyExistsError("x"), "COLLECTION_EXISTS");
  EXPECT_EQ(ErrorName(ErrorResponse(taken, {Api::kV1, Client::kNode}, kSubject).body),
            "UniqueConstraintError('Collection mondo already exists')");
  EXPECT_EQ(ErrorName(ErrorResponse(taken, {Api::kV2, Client::kPythonHttpx}, kSubject).body), "UniqueConstraintError");
}

}  // namespace
}  // namespace omics::gateway
