// Builds an HNSW graph with FAISS. The only file that talks to FAISS.
//
// FAISS 1.7.3 as Debian builds it has scalar distance kernels and per-query costs that a search path cannot afford, so
// it is used for the construction only, through its storage seam: an index whose distance computer is ours.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/internal/hnsw_graph.h"

namespace omics::index {

struct HnswBuild {
  Metric metric = Metric::kSquaredL2;
  int dimension = 0;
  int m = 16;
  int ef_construction = 200;
  int threads = 1;
  std::span<const float> vectors;  // rows x dimension
  std::span<const float> scales;   // one RowScale per row
  // Asked between batches of rows; true stops the build.
  std::function<bool()> cancelled = [] { return false; };
};

// CANCELLED when asked to stop; RESOURCE_EXHAUSTED when memory runs out. `build.vectors` must not be empty.
absl::StatusOr<HnswGraph> BuildHnsw(const HnswBuild& build);

}  // namespace omics::index
