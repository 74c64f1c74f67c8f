#include "index/internal/row_source.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace omics::index {
float TopCandidates::worst_distance() const {
  return heap_.size() < k_ ? std::numeric_limits<float>::infinity() : heap_.front().distance;
}

void TopCandidates::Offer(const Candidate& candidate) {
  if (heap_.size() == k_) {
    if (k_ == 0 || !(candidate < heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.back() = candidate;
  } else {
    heap_.push_back(candidate);
  }
  std::push_heap(heap_.begin(), heap_.end());
}

std::vector<Candidate> TopCandidates::Take() {
  std::sort_heap(heap_.begin(), heap_.end());
  return std::move(heap_);
}

}  // namespace omics::index
