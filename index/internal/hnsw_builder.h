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
#include "index/collection.h"
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

// The parameters for a graph of `rows` rows: where nothing else than the default is asked for, one of many rows gets
// twice the links. On 50,000 mixed rows of 768 numbers that gives .991 of the 10 nearest at ef 80 instead of 120, some
// 1.3 times as many queries a second, and is built as soon; on 10,000 it gives nothing (docs/performance.md).
HnswParameters SuitedTo(HnswParameters hnsw, std::int64_t rows);

// CANCELLED when asked to stop; RESOURCE_EXHAUSTED when memory runs out. There must be a row.
absl::StatusOr<HnswGraph> BuildHnsw(const HnswBuild& build);

}  // namespace omics::index
