// Builds an HNSW graph with FAISS. The only file that talks to FAISS.
//
// FAISS 1.7.3 as Debian builds it has scalar distance kernels and per-query costs that a search path cannot afford, so
// it is used for the construction only, through its storage seam: an index whose distance computer is ours. Distances
// are those between codes (codes.h): a build waits for memory as a walk does, and what a walk goes by must be what the
// links were chosen by.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "index/internal/codes.h"
#include "index/internal/hnsw_graph.h"
#include "index/internal/pace.h"

namespace omics::index {

struct HnswBuild {
  CodesView codes;
  int m = 16;
  int ef_construction = 200;
  int threads = 1;
  std::span<const float> vectors;  // of which the codes were made: rows x dimension
  std::span<const float> scales;   // one RowScale per row
  // Asked between batches of rows; true stops the build.
  std::function<bool()> cancelled = [] { return false; };
  const Pace* pace = nullptr;  // rests while queries come; null: never. Borrowed.
};

// CANCELLED when asked to stop; RESOURCE_EXHAUSTED when memory runs out. There must be a row.
absl::StatusOr<HnswGraph> BuildHnsw(const HnswBuild& build);

}  // namespace omics::index
