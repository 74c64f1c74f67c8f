// Group commit: writers that come together share one durable commit.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace omics::index {

// A queue of write requests. The first in line leads: it takes every request that waits and commits them as one group;
// the others sleep until theirs is done.
//
// Thread safety: all members may be called from any thread.
template <typename Request>
class CommitQueue {
 public:
  // Commits a group; sets each request's `status`. Runs on the leader's thread, one group at a time.
  using Commit = std::function<void(const std::vector<Request*>&)>;

  explicit CommitQueue(Commit commit) : commit_(std::move(commit)) {}

  // Returns when `request` is committed or has failed, with its status. `request` has members
  // `absl::Status status` and `bool done` (false at the start).
  // DEADLINE_EXCEEDED if its turn did not come in time; then it was not written.
  absl::Status Submit(Request& request, Deadline deadline) {
    MutexLock lock(mutex_);
    waiting_.push_back(&request);
    while (!request.done && (leading_ || waiting_.front() != &request)) {
      if (changed_.WaitUntil(mutex_, deadline) || request.done) continue;
      if (Withdraw(request)) return absl::DeadlineExceededError("the deadline passed while waiting to write");
      deadline = kNoDeadline;  // a leader has taken it: it will be written, so the answer is worth waiting for
    }
    if (!request.done) Lead();
    return request.status;
  }

 private:
  // Requests in one group: bounds how long a follower waits behind a large group.
  static constexpr std::size_t kGroupMax = 256;

  bool Withdraw(Request& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto place = waiting_.begin(); place != waiting_.end(); ++place) {
      if (*place != &request) continue;
      waiting_.erase(place);
      return true;
    }
    return false;
  }

  void Lead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<Request*> group;
    while (!waiting_.empty() && group.size() < kGroupMax) {
      group.push_back(waiting_.front());
      waiting_.pop_front();
    }
    leading_ = true;
    mutex_.Unlock();
    commit_(group);
    mutex_.Lock();
    leading_ = false;
    for (Request* member : group) member->done = true;
    changed_.NotifyAll();
  }

  const Commit commit_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Request*> waiting_ ABSL_GUARDED_BY(mutex_);
  bool leading_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace omics::index
