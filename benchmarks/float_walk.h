// The walk over float32 rows, as a yardstick for the walk over codes: the same list of results, the same graph.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/internal/hnsw_graph.h"
#include "index/internal/row_set.h"

namespace omics::benchmarks {

// The nearest rows met so far, sorted, with the mark of which were expanded.
class FloatPool {
 public:
  explicit FloatPool(std::size_t ef) : ef_(ef) { entries_.reserve(ef_ + 1); }

  bool Wants(float distance) const { return entries_.size() < ef_ || distance < entries_.back().hit.distance; }

  void Insert(index::WalkHit hit) {
    const auto place =
        std::upper_bound(entries_.begin(), entries_.end(), hit.distance,
                         [](float distance, const Entry& entry) { return distance < entry.hit.distance; });
    const auto index = static_cast<std::size_t>(place - entries_.begin());
    entries_.insert(place, Entry{hit, false});
    if (entries_.size() > ef_) entries_.pop_back();
    next_ = std::min(next_, index);
  }

  // The nearest row not expanded yet, marked as expanded; -1 when there is none.
  std::int32_t Expand() {
    while (next_ < entries_.size() && entries_[next_].expanded) ++next_;
    if (next_ == entries_.size()) return -1;
    entries_[next_].expanded = true;
    return entries_[next_].hit.row;
  }

  std::vector<index::WalkHit> Take() const {
    std::vector<index::WalkHit> hits;
    hits.reserve(entries_.size());
    for (const Entry& entry : entries_) hits.push_back(entry.hit);
    return hits;
  }

 private:
  struct Entry {
    index::WalkHit hit;
    bool expanded;
  };
  std::size_t ef_;
  std::size_t next_ = 0;
  std::vector<Entry> entries_;
};

template <typename DistanceTo>
index::WalkHit Descend(const index::HnswGraphView& graph, DistanceTo& distance_to) {
  index::WalkHit nearest = {distance_to(graph.entry_point), graph.entry_point};
  for (int level = graph.max_level; level > 0; --level) {
    for (bool moved = true; moved;) {
      moved = false;
      for (const std::int32_t link : index::Links(graph, nearest.row, level)) {
        if (link < 0) break;
        const float distance = distance_to(link);
        if (distance >= nearest.distance) continue;
        nearest = {distance, link};
        moved = true;
      }
    }
  }
  return nearest;
}

// The `ef` nearest rows met, nearest first.
template <typename DistanceTo>
std::vector<index::WalkHit> WalkFloats(const index::HnswGraphView& graph, std::int64_t rows, std::size_t ef,
                                       DistanceTo distance_to) {
  const index::WalkHit start = Descend(graph, distance_to);
  index::RowSet met(rows);
  FloatPool pool(ef);
  met.Insert(start.row);
  pool.Insert(start);
  for (std::int32_t row = pool.Expand(); row >= 0; row = pool.Expand()) {
    for (const std::int32_t link : index::Links(graph, row, 0)) {
      if (link < 0) break;
      if (!met.Insert(link)) continue;
      const float distance = distance_to(link);
      if (pool.Wants(distance)) pool.Insert({distance, link});
    }
  }
  return pool.Take();
}

}  // namespace omics::benchmarks
