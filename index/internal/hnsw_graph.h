// An HNSW graph as flat arrays. FAISS builds it (hnsw_builder.h); the walk over it is ours (hnsw_walk.h).
//
// Links of row r on level 0 stand at links0[r * 2m], unused ones are -1. A row of level L > 0 has L blocks of m links
// in upper_links, from block upper_offsets[r] on, lowest level first; upper_offsets has rows + 1 members.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace omics::index {

// Borrowed arrays, as a segment maps them.
struct HnswGraphView {
  int m = 0;
  std::int32_t entry_point = -1;
  std::int32_t max_level = 0;
  std::span<const std::int32_t> links0;
  std::span<const std::uint32_t> upper_offsets;
  std::span<const std::int32_t> upper_links;
};

// The arrays, owned.
struct HnswGraph {
  int m = 0;
  std::int32_t entry_point = -1;
  std::int32_t max_level = 0;
  std::vector<std::int32_t> links0;
  std::vector<std::uint32_t> upper_offsets;
  std::vector<std::int32_t> upper_links;

  HnswGraphView view() const { return {m, entry_point, max_level, links0, upper_offsets, upper_links}; }
};

// DATA_LOSS unless every link, offset and the entry point lie within `rows` rows, so that a walk cannot leave the
// arrays.
absl::Status CheckGraph(const HnswGraphView& graph, std::int64_t rows);

// A row reached by the walk.
struct WalkHit {
  float distance = 0;
  std::int32_t row = 0;
};

// The links of a row on a level; empty where the row is not on it. The first -1 ends them.
inline std::span<const std::int32_t> Links(const HnswGraphView& graph, std::int32_t row, int level) {
  const auto m = static_cast<std::size_t>(graph.m);
  const auto r = static_cast<std::size_t>(row);
  if (level == 0) return graph.links0.subspan(r * 2 * m, 2 * m);
  if (graph.upper_offsets[r + 1] - graph.upper_offsets[r] < static_cast<std::uint32_t>(level)) return {};
  return graph.upper_links.subspan((graph.upper_offsets[r] + static_cast<std::size_t>(level) - 1) * m, m);
}

}  // namespace omics::index
