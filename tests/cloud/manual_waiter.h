// Time that passes only by waiting, at once.
#pragma once

#include <mutex>
#include <vector>

#include "cloud/retry.h"

namespace omics::cloud::testing {

class ManualWaiter final : public Waiter {
 public:
  std::chrono::steady_clock::time_point Now() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return now_;
  }
  bool Wait(std::chrono::milliseconds time, const std::atomic<bool>* stop) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stop != nullptr && stop->load()) return false;
    waits_.push_back(time);
    now_ += time;
    return true;
  }
  std::vector<std::chrono::milliseconds> waits() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waits_;
  }

 private:
  mutable std::mutex mutex_;
  std::chrono::steady_clock::time_point now_;
  std::vector<std::chrono::milliseconds> waits_;
};

}  // namespace omics::cloud::testing
