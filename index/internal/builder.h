// The background thread that turns tails into segments.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "base/mutex.h"
#include "index/internal/pace.h"

namespace omics::index {

// Work that the builder does for one collection.
class BuildTarget {
 public:
  virtual ~BuildTarget() = default;
  // Builds what is due, on the builder's thread. Returns when it wants to be called again; time_point::max() if not.
  virtual std::chrono::steady_clock::time_point BuildDue(std::chrono::steady_clock::time_point now) = 0;
};

// One thread for a whole catalog, of lower priority than those that answer; sleeps unless something is due.
// Thread safety: all members may be called from any thread.
class Builder {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  Builder();
  // Stops the thread; a build under way is cancelled.
  ~Builder();

  // Calls BuildDue() at `when`, in the place of an earlier request of this target. A target that has ended is
  // forgotten.
  void Schedule(const std::shared_ptr<BuildTarget>& target, TimePoint when);

  // True once the builder is to end: long builds ask now and then.
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

  // Of all builds of the catalog, also of those that other threads make.
  Pace& pace() { return pace_; }

 private:
  struct Entry {
    std::weak_ptr<BuildTarget> target;
    TimePoint when;
  };
  void Run();
  // The first target that is due, taken off the list; null, with `next` set to when one is, if none is due now.
  std::shared_ptr<BuildTarget> TakeDue(TimePoint now, TimePoint& next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::atomic<bool> stopping_ = false;
  Pace pace_;
  Mutex mutex_;
  CondVar changed_;
  std::map<BuildTarget*, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: starts when everything else is there
};

}  // namespace omics::index
