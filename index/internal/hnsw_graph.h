// An HNSW graph as flat arrays, and the walk over it. FAISS builds the graph (hnsw_builder.h); the walk is ours.
//
// Links of row r on level 0 stand at links0[r * 2m], unused ones are -1. A row of level L > 0 has L blocks of m links
// in upper_links, from block upper_offsets[r] on, lowest level first; upper_offsets has rows + 1 members.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "index/internal/row_source.h"

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
};

// DATA_LOSS unless every link, offset and the entry point lie within `rows` rows, so that a walk cannot leave the
// arrays.
absl::Status CheckGraph(const HnswGraphView& graph, std::int64_t rows);

// A row reached by the walk.
struct WalkHit {
  float distance = 0;
  std::int32_t row = 0;
};

// Walks from the entry point towards the query and returns the `ef` nearest rows met, nearest first (deleted ones too:
// they carry links that the walk needs).
// `distance_to(row)` is called about 10 to 20 times `ef` times.
template <typename DistanceTo>
std::vector<WalkHit> WalkGraph(const HnswGraphView& graph, std::int64_t rows, int ef, DistanceTo distance_to);

}  // namespace omics::index

#include "index/internal/hnsw_walk_inl.h"
