#include "cloud/lease.h"

#include <time.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "base/uuid.h"
#include "cloud/json.h"

namespace omics::cloud {
namespace {

// Between two looks at a lease that another holds.
constexpr std::chrono::milliseconds kLookInterval{500};
constexpr std::int64_t kContentBytesMax = 64 << 10;

// The lease as it stands in S3.
struct Found {
  std::string etag;
  LeaseHolder last;
  std::chrono::seconds time{0};
  bool released = false;
};

std::string Url(const LeaseOptions& options) { return absl::StrCat("s3://", options.bucket, "/", options.key); }

std::int64_t Whole(const FlatJson& json, const char* name) {
  const auto found = json.numbers.find(name);
  return found == json.numbers.end() ? 0 : static_cast<std::int64_t>(found->second);
}

// Nothing if there is no such object.
absl::StatusOr<std::optional<Found>> Look(const S3& s3, const LeaseOptions& options, const std::atomic<bool>* stop) {
  const auto got = s3.Get(options.bucket, options.key, {.bytes_max = kContentBytesMax}, stop);
  if (absl::IsNotFound(got.status()) && got.status().message().find("NoSuchBucket") == absl::string_view::npos) {
    return std::nullopt;
  }
  OMICS_RETURN_IF_ERROR(got.status());
  const auto json = ReadFlatJson(got->bytes);
  if (!json.ok()) return Annotate(json.status(), absl::StrCat(Url(options), " is no lease"));
  Found found;
  found.etag = got->etag;
  found.last = {json->Text("holder"), json->Text("host"), Whole(*json, "epoch")};
  found.time = std::chrono::seconds(Whole(*json, "seconds"));
  found.released = json->Text("released") == "yes";
  if (found.last.epoch > 0 && found.time.count() > 0) return found;
  return absl::DataLossError(absl::StrCat(Url(options), " is no lease: remove it if no other process uses it"));
}

}  // namespace

BootTime MachineBootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

absl::StatusOr<std::unique_ptr<Lease>> Lease::Take(const S3& s3, LeaseOptions options, const ChooseHolder& choose,
                                                   const std::atomic<bool>* stop) {
  if (!options.now) options.now = MachineBootTime;
  Waiter& waiter = options.waiter ? *options.waiter : MachineWaiter();
  std::unique_ptr<Lease> lease(new Lease(s3, options));
  std::string watched;  // an ETag, and since when it was there
  BootTime since{0};
  while (true) {
    const auto found = Look(s3, options, stop);
    absl::Status status = found.status();
    if (status.ok()) {
      const BootTime now = options.now();
      const bool free = !found->has_value() || (*found)->released;
      if (!free && std::exchange(watched, (*found)->etag) != (*found)->etag) {
        since = now;
        LogInfo(absl::StrCat("waiting for the lease ", Url(options), ", held by ", (*found)->last.host, " (epoch ",
                             (*found)->last.epoch, ")"));
      }
      if (free || now - since > BootTime((*found)->time) * 5 / 4) {
        status = lease->TryTake(choose, free && !found->has_value() ? "" : (*found)->etag,
                                found->has_value() ? (*found)->last : LeaseHolder{});
        if (status.ok()) return lease;
      }
    }
    const bool later = status.ok() || IsRetryable(status) || absl::IsAborted(status) || absl::IsAlreadyExists(status);
    if (!later) return status;
    if (!status.ok()) LogWarning(absl::StrCat("the lease cannot be taken yet: ", status.ToString()));
    if (!waiter.Wait(kLookInterval, stop)) return absl::CancelledError("stopped while waiting for the lease");
  }
}

absl::Status Lease::TryTake(const ChooseHolder& choose, const std::string& etag, const LeaseHolder& last) {
  OMICS_ASSIGN_OR_RETURN(holder_, choose(last));
  epoch_ = last.epoch + 1;
  MutexLock lock(write_mutex_);
  etag_ = etag;
  const absl::Status written = Write(/*released=*/false);
  // Another was quicker.
  return absl::IsFailedPrecondition(written) ? absl::AlreadyExistsError(written.message()) : written;
}

std::string Lease::Content(bool released) const {
  return absl::StrCat("{\"holder\":\"", JsonLine(holder_), "\",\"epoch\":", epoch_,
                      ",\"seconds\":", options_.time.count(), ",\"host\":\"", JsonLine(options_.host),
                      "\",\"renewal\":\"", MakeUuid(), "\",\"released\":\"", released ? "yes" : "no", "\"}\n");
}

absl::Status Lease::Write(bool released) {
  S3PutOptions condition;
  condition.if_match = etag_;
  condition.if_absent = etag_.empty();
  const BootTime sent = options_.now();
  const auto etag = s3_.Put(options_.bucket, options_.key, Content(released), condition, &stop_);
  OMICS_RETURN_IF_ERROR(etag.status());
  etag_ = *etag;
  held_until_ = released ? 0 : (sent + BootTime(options_.time)).count();
  return absl::OkStatus();
}

absl::Status Lease::Renew() {
  MutexLock lock(write_mutex_);
  if (taken_) return absl::FailedPreconditionError(absl::StrCat("the lease ", Url(options_), " was taken over"));
  const absl::Status written = Write(/*released=*/false);
  return absl::IsFailedPrecondition(written) ? Examine(written) : written;
}

// It has another ETag: an earlier renewal of ours may have arrived though its answer did not.
absl::Status Lease::Examine(const absl::Status& refused) {
  OMICS_ASSIGN_OR_RETURN(const std::optional<Found> found, Look(s3_, options_, &stop_));
  if (found && found->last.epoch == epoch_ && found->last.holder == holder_ && !found->released) {
    etag_ = found->etag;
    return Write(/*released=*/false);
  }
  taken_ = true;
  held_until_ = 0;
  const std::string now = found ? absl::StrCat(" by ", found->last.host, " (epoch ", found->last.epoch, ")") : "";
  return absl::FailedPreconditionError(
      absl::StrCat("the lease ", Url(options_), " was taken over", now, ": ", refused.message()));
}

BootTime Lease::Left() const { return std::max(BootTime{0}, BootTime(held_until_.load()) - options_.now()); }

LeaseState Lease::state() const {
  if (taken_) return LeaseState::kTaken;
  return Left() > BootTime{0} ? LeaseState::kHeld : LeaseState::kLate;
}

void Lease::Start(std::function<void(LeaseState)> changed) {
  thread_ = std::thread([this, changed = std::move(changed)] { Run(changed); });
}

void Lease::Run(const std::function<void(LeaseState)>& changed) {
  LeaseState told = LeaseState::kHeld;
  const auto tell = [&] {
    if (const LeaseState now = state(); std::exchange(told, now) != now) changed(now);
  };
  while (!stop_ && !taken_) {
    const BootTime due = Left() - BootTime(options_.time) * 2 / 3;
    if (due > BootTime{0}) {
      MachineWaiter().Wait(std::chrono::ceil<std::chrono::milliseconds>(due), &stop_);
      continue;
    }
    const absl::Status renewed = Renew();
    tell();
    if (renewed.ok() || stop_) continue;
    LogWarning(absl::StrCat("the lease was not renewed: ", renewed.ToString()));
    MachineWaiter().Wait(kLookInterval, &stop_);
    tell();
  }
}

void Lease::StopThread() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

absl::Status Lease::Release() {
  StopThread();
  stop_ = false;  // it also ends requests
  MutexLock lock(write_mutex_);
  if (taken_) return absl::OkStatus();
  held_until_ = 0;
  return Write(/*released=*/true);
}

Lease::~Lease() { StopThread(); }

}  // namespace omics::cloud
