// What a snapshot is made of: runs of rows that never change, and which of their rows are gone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "index/internal/distance.h"
#include "index/internal/row.h"
#include "index/internal/row_set.h"

namespace omics::index {

// A row found near the query.
struct Candidate {
  float distance = 0;
  std::int64_t position = 0;  // breaks ties: the record inserted first comes first
  std::int32_t part = 0;      // which part of the snapshot
  std::int64_t row = 0;       // which row of the part
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.position < b.position;
  }
};

// The k nearest candidates offered so far.
// Thread safety: one thread at a time.
class TopCandidates {
 public:
  explicit TopCandidates(std::size_t k) : k_(k) { heap_.reserve(k < 1024 ? k : 1024); }

  // A candidate that is not nearer than this need not be offered.
  float worst_distance() const;
  void Offer(const Candidate& candidate);
  // Nearest first; leaves the object empty.
  std::vector<Candidate> Take();

 private:
  std::size_t k_;
  std::vector<Candidate> heap_;
};

// Rows that never change once they can be seen. Row numbers run from 0; positions rise with them.
// Thread safety: const members may be called from any thread.
// Ownership: what is returned lives as long as the source.
class RowSource {
 public:
  virtual ~RowSource() = default;

  virtual const float* Vector(std::int64_t row) const = 0;
  virtual float Scale(std::int64_t row) const = 0;
  virtual RowIdentity Identity(std::int64_t row) const = 0;
  virtual std::string_view Payload(std::int64_t row) const = 0;
  // The row with this identity among the first `rows`, or -1.
  virtual std::int64_t Find(const RowIdentity& identity, std::int64_t rows) const = 0;
};

}  // namespace omics::index
