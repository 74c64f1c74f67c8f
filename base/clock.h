// Deadlines, by the monotonic clock.
#pragma once

#include <chrono>

namespace omics {

using Deadline = std::chrono::steady_clock::time_point;

inline constexpr Deadline kNoDeadline = Deadline::max();

inline bool Expired(Deadline deadline) {
  return deadline != kNoDeadline && std::chrono::steady_clock::now() >= deadline;
}

}  // namespace omics
