// A lease: an object in S3 that one process at a time holds, so that only one writes.
//
// The object is JSON: {"holder": TEXT, "epoch": N, "seconds": N, "host": TEXT, "renewal": TEXT, "released": "yes" or
// "no"}. It is made and changed by conditional writes alone (If-None-Match: *, If-Match). No two processes' clocks are
// ever compared: a newcomer takes the lease over once it has seen the same ETag for the lease's time and a quarter more
// by its own monotonic clock, or at once if it was released. Each time it is taken, the epoch is one higher.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "cloud/retry.h"
#include "cloud/s3.h"

namespace omics::cloud {

// Time that also passes while the machine sleeps (CLOCK_BOOTTIME): a process that wakes must see that time is up.
using BootTime = std::chrono::nanoseconds;
using BootClock = std::function<BootTime()>;
BootTime MachineBootTime();

// Who held the lease last. Nobody ever: epoch 0.
struct LeaseHolder {
  std::string holder;
  std::string host;
  std::int64_t epoch = 0;
};

struct LeaseOptions {
  std::string bucket;
  std::string key;
  std::chrono::seconds time{15};
  std::string host;          // for whoever waits
  BootClock now;             // null: MachineBootTime
  Waiter* waiter = nullptr;  // null: MachineWaiter(). Waits for another's lease; renewals come by Renew() or Start()
};

// How a lease stands. kLate: time ran out, but nobody is known to have taken it, and a renewal may still succeed.
// kTaken: another took it; it does not come back.
enum class LeaseState { kHeld, kLate, kTaken };

// Thread safety: all members may be called from any thread, Start(), Release() and the destructor from one.
class Lease {
 public:
  // Names the new holder, given the last one; called before each try to take the lease. An error ends Take() with it.
  using ChooseHolder = std::function<absl::StatusOr<std::string>(const LeaseHolder& last)>;

  // Waits until the lease can be taken, however long that is, and takes it; while S3 cannot be reached it tries on.
  // `s3` is borrowed and must outlive the lease; it should give up soon (RetryOptions), a renewal that comes late is
  // of no use. CANCELLED once `stop` is true; errors of S3 that no later try mends.
  static absl::StatusOr<std::unique_ptr<Lease>> Take(const S3& s3, LeaseOptions options, const ChooseHolder& choose,
                                                     const std::atomic<bool>* stop);
  // Does not release.
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  std::int64_t epoch() const { return epoch_; }
  LeaseState state() const;
  // Until it runs out, counted from before the last successful renewal was sent; 0 if it has, or was taken.
  BootTime Left() const;

  // One renewal. FAILED_PRECONDITION once another has it; other errors may be mended by a later one.
  absl::Status Renew();
  // Renews every third of its time on a thread of its own, which tells `changed` of every new state.
  void Start(std::function<void(LeaseState)> changed);
  // Ends the renewals and gives it up, so that the next one need not wait. Nothing may be written under it after that.
  absl::Status Release();

 private:
  Lease(const S3& s3, LeaseOptions options) : s3_(s3), options_(std::move(options)) {}
  absl::Status TryTake(const ChooseHolder& choose, const std::string& etag, const LeaseHolder& last);
  absl::Status Write(bool released) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status Examine(const absl::Status& refused) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  std::string Content(bool released) const;
  void Run(const std::function<void(LeaseState)>& changed);
  void StopThread();

  const S3& s3_;
  const LeaseOptions options_;
  std::string holder_;
  std::int64_t epoch_ = 0;

  Mutex write_mutex_;  // one write at a time
  std::string etag_ ABSL_GUARDED_BY(write_mutex_);

  std::atomic<std::int64_t> held_until_ = 0;  // BootTime's count
  std::atomic<bool> taken_ = false;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace omics::cloud
