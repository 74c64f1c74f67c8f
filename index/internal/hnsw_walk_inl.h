// The body of WalkGraph, a template so that the distance is inlined into the loop.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace omics::index {
namespace walk_detail {

// The nearest rows met so far, sorted, with the mark of which were expanded. Insertion into a short sorted array is
// cheaper than two heaps: most offers are refused by one comparison with the last element.
class Pool {
 public:
  explicit Pool(int ef) : ef_(static_cast<std::size_t>(ef)) { entries_.reserve(ef_ + 1); }

  bool Wants(float distance) const { return entries_.size() < ef_ || distance < entries_.back().hit.distance; }

  void Insert(WalkHit hit) {
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

  std::vector<WalkHit> Take() const {
    std::vector<WalkHit> hits;
    hits.reserve(entries_.size());
    for (const Entry& entry : entries_) hits.push_back(entry.hit);
    return hits;
  }

 private:
  struct Entry {
    WalkHit hit;
    bool expanded;
  };
  std::size_t ef_;
  std::size_t next_ = 0;
  std::vector<Entry> entries_;
};

inline std::span<const std::int32_t> Links(const HnswGraphView& graph, std::int32_t row, int level) {
  const auto m = static_cast<std::size_t>(graph.m);
  const auto r = static_cast<std::size_t>(row);
  if (level == 0) return graph.links0.subspan(r * 2 * m, 2 * m);
  if (graph.upper_offsets[r + 1] - graph.upper_offsets[r] < static_cast<std::uint32_t>(level)) return {};
  return graph.upper_links.subspan((graph.upper_offsets[r] + static_cast<std::size_t>(level) - 1) * m, m);
}

// The upper levels: step to the nearest neighbour until none is nearer, level by level.
template <typename DistanceTo>
WalkHit Descend(const HnswGraphView& graph, DistanceTo& distance_to) {
  WalkHit nearest = {distance_to(graph.entry_point), graph.entry_point};
  for (int level = graph.max_level; level > 0; --level) {
    for (bool moved = true; moved;) {
      moved = false;
      for (const std::int32_t link : Links(graph, nearest.row, level)) {
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

}  // namespace walk_detail

template <typename DistanceTo>
std::vector<WalkHit> WalkGraph(const HnswGraphView& graph, std::int64_t rows, int ef, DistanceTo distance_to) {
  if (graph.entry_point < 0) return {};
  const WalkHit start = walk_detail::Descend(graph, distance_to);
  RowSet met(rows);
  walk_detail::Pool pool(ef);
  met.Insert(start.row);
  pool.Insert(start);
  for (std::int32_t row = pool.Expand(); row >= 0; row = pool.Expand()) {
    for (const std::int32_t link : walk_detail::Links(graph, row, 0)) {
      if (link < 0) break;
      if (!met.Insert(link)) continue;
      const float distance = distance_to(link);
      if (pool.Wants(distance)) pool.Insert({distance, link});
    }
  }
  return pool.Take();
}

}  // namespace omics::index
