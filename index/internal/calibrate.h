// How wide a walk over one graph must be to find what a full scan finds.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/internal/codes.h"
#include "index/internal/hnsw_graph.h"

namespace omics::index {

// Of the k nearest rows, this share is to be found.
inline constexpr double kRecallTarget = 0.99;

// The `ef` that reaches the target for few and for many hits.
struct CalibratedEf {
  static constexpr int kFewHits = 10;
  static constexpr int kManyHits = 100;

  int few = 0;
  int many = 0;
  // For few hits, as found when it was calibrated; 0: not known.
  float recall = 0;

  // For k hits, on the line through the two; at least k.
  int For(int k) const;
};

// Rows that are compared in float32 out of those that a search by codes found, for k hits: enough that none of the k
// nearest is lost to the codes' coarseness (docs/adr/0007-int8-codes.md).
constexpr int RowsToRerank(int k) { return k < 20 ? k + 20 : 2 * k; }

// The same where every row was compared by its codes: nothing is to be lost.
constexpr int RowsToRerankAfterScan(int k) { return 2 * RowsToRerank(k); }

struct CalibrationInput {
  Metric metric = Metric::kSquaredL2;
  std::span<const float> vectors;
  std::span<const float> scales;
  HnswGraphView graph;
  CodesView codes;
  const Pace* pace = nullptr;  // rests while queries come; null: never. Borrowed.
};

// Asks the graph for the neighbours of some of its rows and compares with a scan. A row is moved towards another one
// before it is asked for: what users ask for is not among the rows, and is harder to find. Equal input gives equal
// results. CANCELLED if asked to stop (null: never).
absl::StatusOr<CalibratedEf> Calibrate(const CalibrationInput& input, const std::function<bool()>& cancelled);

}  // namespace omics::index
