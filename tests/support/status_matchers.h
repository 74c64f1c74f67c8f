// Matchers for absl::Status and StatusOr; a test names the error it expects.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status.h"

namespace omics {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

// IsOk(): OK.
MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).ok();
}

// HasCode(code, part): this code, and a message that contains `part`.
MATCHER_P2(HasCode, code, part, "") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status;
  return status.code() == code && std::string(status.message()).find(part) != std::string::npos;
}

// HasReason(code, reason): this code and the reason attached with WithReason().
MATCHER_P2(HasReason, code, reason, "") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status << " reason " << Reason(status);
  return status.code() == code && Reason(status) == reason;
}

}  // namespace omics

#define ASSERT_OK(expression) ASSERT_THAT(expression, ::omics::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT(expression, ::omics::IsOk())
