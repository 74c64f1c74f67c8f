#include "cloud/retry.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/cloud/manual_waiter.h"
#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

using std::chrono::milliseconds;
using testing::ManualWaiter;

const absl::Status kLater = absl::UnavailableError("later");

TEST(RetryTest, WaitsWithFullJitterBelowDoublingBoundsAndGivesUp) {
  std::set<milliseconds> first_waits;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    ManualWaiter waiter;
    Attempts attempts({.attempts_max = 7, .delay_first = milliseconds(100), .delay_max = milliseconds(900)}, waiter,
                      seed);
    while (attempts.Again(kLater, nullptr)) {
    }
    EXPECT_EQ(attempts.made(), 7);
    const auto waits = waiter.waits();
    const std::vector<milliseconds> most = {milliseconds(100), milliseconds(200), milliseconds(400),
                                            milliseconds(800), milliseconds(900), milliseconds(900)};
    ASSERT_EQ(waits.size(), most.size());
    for (std::size_t i = 0; i < most.size(); ++i) EXPECT_LE(waits[i], most[i]) << "seed " << seed;
    first_waits.insert(waits[0]);
  }
  EXPECT_GT(first_waits.size(), 50u) << "the waits hardly differ";
  EXPECT_LT(*first_waits.begin(), milliseconds(10));
}

TEST(RetryTest, ObeysRetryAfterUpToTheLongestWait) {
  ManualWaiter waiter;
  Attempts attempts({.delay_max = milliseconds(20'000)}, waiter, 1);
  EXPECT_TRUE(attempts.Again(WithRetryAfter(kLater, std::chrono::seconds(7)), nullptr));
  EXPECT_TRUE(attempts.Again(WithRetryAfter(kLater, std::chrono::seconds(999)), nullptr));
  EXPECT_EQ(waiter.waits(), (std::vector<milliseconds>{milliseconds(7'000), milliseconds(20'000)}));
}

TEST(RetryTest, EndsWithTheTotalTimeAndWithStop) {
  ManualWaiter waiter;
  const RetryOptions options{.attempts_max = 1000, .total_max = milliseconds(10'000)};
  Attempts attempts(options, waiter, 1);
  while (attempts.Again(WithRetryAfter(kLater, std::chrono::seconds(3)), nullptr)) {
  }
  EXPECT_EQ(waiter.waits().size(), 3u);
  const std::atomic<bool> stop{true};
  EXPECT_FALSE(Attempts(options, waiter, 1).Again(kLater, &stop));
}

TEST(RetryTest, ProgressBeginsTheCountAnew) {
  ManualWaiter waiter;
  Attempts attempts({.attempts_max = 2}, waiter, 1);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(attempts.Again(kLater, nullptr));
    ASSERT_FALSE(attempts.Again(kLater, nullptr));
    attempts.Progressed();
  }
}

TEST(RetryTest, OnlyTransientFailuresAreTriedAgain) {
  for (const absl::Status& failure :
       {absl::NotFoundError("x"), absl::PermissionDeniedError("x"), absl::DataLossError("x"), absl::CancelledError("x"),
        absl::FailedPreconditionError("x")}) {
    ManualWaiter waiter;
    int calls = 0;
    EXPECT_EQ(WithRetries({}, waiter, nullptr, [&] { return ++calls, failure; }), failure);
    EXPECT_EQ(calls, 1);
  }
  ManualWaiter waiter;
  int calls = 0;
  const auto value = WithRetries({}, waiter, nullptr, [&]() -> absl::StatusOr<int> {
    if (++calls < 4) return kLater;
    return calls;
  });
  EXPECT_EQ(value.value(), 4);
  EXPECT_THAT(WithRetries({.attempts_max = 3}, waiter, nullptr, [&] { return kLater; }),
              HasCode(absl::StatusCode::kUnavailable, "later (after 3 attempts)"));
}

TEST(RetryTest, AnswersBecomeTheCodeThatSaysWhatToDo) {
  const auto code = [](int status, const char* aws) {
    HttpResponse response;
    response.status = status;
    return StatusOfAnswer(response, aws, "m").code();
  };
  for (const int status : {408, 429, 500, 502, 503, 504}) EXPECT_EQ(code(status, ""), absl::StatusCode::kUnavailable);
  for (const char* const aws : {"SlowDown", "RequestTimeout", "ThrottlingException"}) {
    EXPECT_EQ(code(400, aws), absl::StatusCode::kUnavailable) << aws;
  }
  EXPECT_EQ(code(501, ""), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(403, "AccessDenied"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(404, "NoSuchKey"), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(409, ""), absl::StatusCode::kAborted);
  EXPECT_EQ(code(412, ""), absl::StatusCode::kFailedPrecondition);
  HttpResponse response;
  response.status = 503;
  response.headers = {{"retry-after", "12"}};
  EXPECT_EQ(RetryAfterOf(StatusOfAnswer(response, "", "m")), std::chrono::seconds(12));
  response.headers = {{"Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"}};
  EXPECT_EQ(RetryAfterOf(StatusOfAnswer(response, "", "m")), std::nullopt);
}

}  // namespace
}  // namespace omics::cloud
