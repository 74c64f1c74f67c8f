// Trying again what may go well later: exponential back-off with full jitter, bounded in number and time.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cloud/http.h"

namespace omics::cloud {

struct RetryOptions {
  int attempts_max = 8;                        // the first one included
  std::chrono::milliseconds delay_first{200};  // the longest that the first wait can be; doubled for each one after
  std::chrono::milliseconds delay_max{20'000};
  std::chrono::milliseconds total_max{300'000};  // no further attempt is begun after this
};

// Where time comes from. The one of the machine unless a test has its own.
//
// Thread safety: as the implementation says; the machine's may be shared by all threads.
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual std::chrono::steady_clock::time_point Now() const = 0;
  // False if `stop` (may be null) became true before the time was over.
  virtual bool Wait(std::chrono::milliseconds time, const std::atomic<bool>* stop) = 0;
};

// The machine's clock; notices `stop` within a twentieth of a second.
Waiter& MachineWaiter();

// UNAVAILABLE and DEADLINE_EXCEEDED: no connection, broken off, told to come later.
bool IsRetryable(const absl::Status& status);

// A status that says how long its sender asked to wait.
absl::Status WithRetryAfter(absl::Status status, std::chrono::seconds time);
std::optional<std::chrono::seconds> RetryAfterOf(const absl::Status& status);

// What an answer with a status other than 2xx says: `message` (with what it is about) under the code that fits, with
// its Retry-After. 408, 429, every 5xx but 501, and the AWS error codes that mean "later" (SlowDown, RequestTimeout,
// ThrottlingException and the like) are UNAVAILABLE; 401 and 403 PERMISSION_DENIED; 404 NOT_FOUND; 409 ABORTED; 412
// FAILED_PRECONDITION; 416 OUT_OF_RANGE; all others INVALID_ARGUMENT.
absl::Status StatusOfAnswer(const HttpResponse& response, std::string_view aws_code, std::string_view message);

// One piece of work's attempts.
//
// Thread safety: none; one thread uses it.
class Attempts {
 public:
  // `seed` 0 takes one from the machine.
  Attempts(const RetryOptions& options, Waiter& waiter, std::uint64_t seed = 0);

  // Waits and returns true if the work should be tried again after `failure`; false if it should not: `failure` is no
  // transient one, there were attempts or time enough, or `stop` is true. A Retry-After is obeyed, up to delay_max.
  bool Again(const absl::Status& failure, const std::atomic<bool>* stop);
  // The work came further: the count and the time begin anew, so that a large download survives any number of cuts.
  void Progressed();
  int made() const { return made_; }

 private:
  std::chrono::milliseconds NextDelay(const absl::Status& failure);

  const RetryOptions options_;
  Waiter& waiter_;
  std::mt19937_64 random_;
  std::chrono::steady_clock::time_point begin_;
  int made_ = 1;
};

// Calls `attempt` (which returns a Status or StatusOr) until it succeeds or there is no sense in more. The last error
// comes back, with the number of attempts where there were several; CANCELLED if stopped while waiting.
template <typename Attempt>
auto WithRetries(const RetryOptions& options, Waiter& waiter, const std::atomic<bool>* stop, Attempt&& attempt)
    -> decltype(attempt()) {
  Attempts attempts(options, waiter);
  while (true) {
    auto result = attempt();
    if (result.ok()) return result;
    absl::Status failure;
    if constexpr (std::is_same_v<decltype(result), absl::Status>) {
      failure = result;
    } else {
      failure = result.status();
    }
    if (attempts.Again(failure, stop)) continue;
    if (stop != nullptr && stop->load() && IsRetryable(failure)) return absl::CancelledError(failure.message());
    if (attempts.made() == 1) return failure;
    return absl::Status(failure.code(), absl::StrCat(failure.message(), " (after ", attempts.made(), " attempts)"));
  }
}

}  // namespace omics::cloud
