#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace omics {
namespace {

TEST(ReasonTest, StaysWithTheStatusThroughAnnotations) {
  const absl::Status status = WithReason(absl::NotFoundError("no collection cells"), "COLLECTION_NOT_FOUND");
  EXPECT_EQ(Reason(status), "COLLECTION_NOT_FOUND");
  const absl::Status annotated = Annotate(Annotate(status, "inner"), "outer");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(annotated.message(), "outer: inner: no collection cells");
  EXPECT_EQ(Reason(annotated), "COLLECTION_NOT_FOUND");
}

TEST(ReasonTest, OkAndPlainErrorsHaveNone) {
  EXPECT_TRUE(WithReason(absl::OkStatus(), "DISK_FULL").ok());
  EXPECT_TRUE(Annotate(absl::OkStatus(), "context").ok());
  EXPECT_EQ(Reason(absl::OkStatus()), "");
  EXPECT_EQ(Reason(absl::InternalError("x")), "");
}

TEST(ErrnoStatusTest, TheCodeSaysWhatToDoNext) {
  EXPECT_EQ(ErrnoStatus(ENOENT, "open a").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrnoStatus(EACCES, "open a").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoStatus(EPERM, "open a").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoStatus(EIO, "open a").code(), absl::StatusCode::kUnavailable);
  for (const int full : {ENOSPC, EDQUOT}) {
    const absl::Status status = ErrnoStatus(full, "write /data/x");
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(Reason(status), "DISK_FULL");
  }
  EXPECT_EQ(ErrnoStatus(ENOENT, "open a").message(), "open a: No such file or directory");
}

absl::StatusOr<int> Half(int number) {
  if (number % 2 != 0) return absl::InvalidArgumentError("odd");
  return number / 2;
}

absl::StatusOr<int> Quarter(int number) {
  OMICS_ASSIGN_OR_RETURN(const int half, Half(number));
  OMICS_RETURN_IF_ERROR(Half(half).status());
  return Half(half);
}

TEST(MacrosTest, LeaveAtTheFirstError) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(3).status().message(), "odd");
}

}  // namespace
}  // namespace omics
