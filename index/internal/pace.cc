#include "index/internal/pace.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace omics::index {

PacedWork::PacedWork(const Pace* pace, std::chrono::microseconds work_min) : pace_(pace), work_min_(work_min) {
  if (pace_ == nullptr) return;
  seen_ = pace_->queries();
  since_ = std::chrono::steady_clock::now();
}

bool PacedWork::Rest() {
  if (pace_ == nullptr) return false;
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::steady_clock::duration worked = now - since_;
  if (worked < work_min_) return false;
  since_ = now;
  const std::int64_t queries = pace_->queries();
  if (std::exchange(seen_, queries) == queries || pace_->hurried()) return false;
  std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(kRestsPerWork * worked, kRestMax));
  since_ = std::chrono::steady_clock::now();
  return true;
}

}  // namespace omics::index
