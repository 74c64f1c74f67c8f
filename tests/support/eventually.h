// Waiting in a test for what another thread or process does.
#pragma once

#include <chrono>
#include <thread>

namespace omics {

// Whether `condition` comes true before a minute is over, which is patience enough for a busy machine.
template <typename Condition>
bool Eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace omics
