// The one place where a writer hands a new state to readers.
#pragma once

#include <memory>
#include <utility>

#include "base/mutex.h"

namespace omics::index {

// A shared pointer that one thread replaces and many read. Readers hold the lock for the copy of a pointer only.
// (Not std::atomic<std::shared_ptr>: GCC's takes a spin lock that TSan cannot see through.)
//
// Thread safety: all members may be called from any thread.
template <typename T>
class Published {
 public:
  std::shared_ptr<const T> Load() const {
    MutexLock lock(mutex_);
    return value_;
  }
  void Store(std::shared_ptr<const T> value) {
    {
      MutexLock lock(mutex_);
      value_.swap(value);
    }
    // The old value, if this was its last owner, ends here: outside the lock.
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace omics::index
