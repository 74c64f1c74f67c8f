#include "cloud/retry.h"

#include <array>
#include <charconv>
#include <string>
#include <thread>

#include "absl/strings/cord.h"

namespace omics::cloud {
namespace {

constexpr char kRetryAfterUrl[] = "vector.omics-os.com/retry-after-seconds";
// A server that asks for more is not believed.
constexpr std::int64_t kRetryAfterMax = 3600;

class Machine final : public Waiter {
 public:
  std::chrono::steady_clock::time_point Now() const override { return std::chrono::steady_clock::now(); }
  bool Wait(std::chrono::milliseconds time, const std::atomic<bool>* stop) override {
    constexpr std::chrono::milliseconds kSlice{50};
    const auto end = Now() + time;
    while (stop == nullptr || !stop->load()) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Now());
      if (left.count() <= 0) return true;
      std::this_thread::sleep_for(stop == nullptr ? left : std::min(left, kSlice));
    }
    return false;
  }
};

std::optional<std::int64_t> ParseSeconds(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || seconds < 0) return std::nullopt;
  return std::min(seconds, kRetryAfterMax);
}

bool MeansLater(std::string_view aws_code) {
  constexpr std::array<std::string_view, 12> kLater = {"SlowDown",
                                                       "RequestTimeout",
                                                       "RequestTimeoutException",
                                                       "Throttling",
                                                       "ThrottlingException",
                                                       "ThrottledException",
                                                       "TooManyRequestsException",
                                                       "RequestLimitExceeded",
                                                       "InternalError",
                                                       "InternalServiceError",
                                                       "ServiceUnavailable",
                                                       "PriorRequestNotComplete"};
  return std::find(kLater.begin(), kLater.end(), aws_code) != kLater.end();
}

absl::StatusCode CodeOfAnswer(int status, std::string_view aws_code) {
  if (MeansLater(aws_code) || status == 408 || status == 429) return absl::StatusCode::kUnavailable;
  if (status >= 500 && status != 501) return absl::StatusCode::kUnavailable;
  switch (status) {
    case 401:
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kAborted;
    case 412:
      return absl::StatusCode::kFailedPrecondition;
    case 416:
      return absl::StatusCode::kOutOfRange;
    default:
      return absl::StatusCode::kInvalidArgument;
  }
}

}  // namespace

Waiter& MachineWaiter() {
  static Machine machine;
  return machine;
}

bool IsRetryable(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status); }

absl::Status WithRetryAfter(absl::Status status, std::chrono::seconds time) {
  if (!status.ok()) status.SetPayload(kRetryAfterUrl, absl::Cord(absl::StrCat(time.count())));
  return status;
}

std::optional<std::chrono::seconds> RetryAfterOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfterUrl);
  if (!payload) return std::nullopt;
  const auto seconds = ParseSeconds(std::string(*payload));
  return seconds ? std::optional(std::chrono::seconds(*seconds)) : std::nullopt;
}

absl::Status StatusOfAnswer(const HttpResponse& response, std::string_view aws_code, std::string_view message) {
  absl::Status status(CodeOfAnswer(response.status, aws_code), ToAbsl(message));
  const auto seconds = ParseSeconds(response.Header("Retry-After"));
  return seconds ? WithRetryAfter(std::move(status), std::chrono::seconds(*seconds)) : status;
}

Attempts::Attempts(const RetryOptions& options, Waiter& waiter, std::uint64_t seed)
    : options_(options), waiter_(waiter), random_(seed != 0 ? seed : std::random_device()()), begin_(waiter.Now()) {}

std::chrono::milliseconds Attempts::NextDelay(const absl::Status& failure) {
  if (const auto asked = RetryAfterOf(failure)) {
    return std::min<std::chrono::milliseconds>(*asked, options_.delay_max);
  }
  const int doublings = std::min(made_ - 1, 30);
  const std::int64_t most =
      std::min<std::int64_t>(options_.delay_first.count() << doublings, options_.delay_max.count());
  return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, most)(random_));
}

bool Attempts::Again(const absl::Status& failure, const std::atomic<bool>* stop) {
  if (!IsRetryable(failure) || made_ >= options_.attempts_max) return false;
  const std::chrono::milliseconds delay = NextDelay(failure);
  if (waiter_.Now() + delay - begin_ > options_.total_max) return false;
  if (!waiter_.Wait(delay, stop)) return false;
  ++made_;
  return true;
}

void Attempts::Progressed() {
  made_ = 1;
  begin_ = waiter_.Now();
}

}  // namespace omics::cloud
