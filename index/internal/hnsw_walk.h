// The walk over an HNSW graph by codes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "index/internal/codes.h"
#include "index/internal/hnsw_graph.h"
#include "index/internal/row_source.h"

namespace omics::index {

// Which rows may be results. All are walked through: the others carry links that the walk needs.
struct RowChoice {
  const RowSet* only = nullptr;    // null: all
  const RowSet* except = nullptr;  // null: none

  bool all() const { return !only && (!except || except->count() == 0); }
  bool Accepts(std::int64_t row) const { return (!only || only->Contains(row)) && !(except && except->Contains(row)); }
};

struct CodeWalkSpec {
  int ef = 1;  // results wanted, at least 1
  RowChoice choice;
  std::int64_t distances_max = INT64_MAX;  // a walk that needs more gives up, for the caller to scan instead
};

struct CodeWalkResult {
  std::span<const WalkHit> hits;  // nearest first, by the codes' order (not a distance); lives until the next walk
  std::int64_t distances = 0;     // computed
  std::int64_t expanded = 0;      // rows whose links on level 0 were read
  bool gave_up = false;           // `hits` is what was met until then
};

// What a walk needs besides its input, kept from query to query so that a walk allocates nothing: the query's codes,
// the rows met (a bit each, of which only those set are cleared) and the lists of rows.
// Thread safety: one thread at a time.
class WalkScratch {
 public:
  WalkScratch() = default;
  WalkScratch(const WalkScratch&) = delete;
  WalkScratch& operator=(const WalkScratch&) = delete;

 private:
  friend class CodeWalk;
  friend class CodeScan;

  QueryCode query_;
  std::vector<std::uint64_t> met_;
  std::vector<std::uint32_t> words_met_;  // words of `met_` that may not be 0
  std::vector<WalkHit> results_;          // sorted
  std::vector<WalkHit> frontier_;         // filtered walk: a heap of what to expand
  std::vector<std::uint32_t> links_;      // of the row at hand, those not met before
  std::vector<float> order_;              // of `links_`
};

// Walks `graph` towards `query` (as many floats as the codes' dimension).
// `graph` has passed CheckGraph for as many rows as `codes` has.
CodeWalkResult WalkCodes(const HnswGraphView& graph, const CodesView& codes, const float* query,
                         const CodeWalkSpec& spec, WalkScratch& scratch);

// The rows nearest to a query out of those added, by codes.
// Thread safety: one thread at a time. Borrows everything.
class CodeScan {
 public:
  // Keeps the `most` nearest (at least 1).
  CodeScan(const CodesView& codes, const float* query, std::size_t most, WalkScratch& scratch);

  void Add(std::uint32_t row) {
    s_.links_.push_back(row);
    if (s_.links_.size() == kBatchRows) CompareBatch();
  }
  // Nearest first, of equals the lower row; lives until the scratch is used again.
  std::span<const WalkHit> Finish();

 private:
  static constexpr std::size_t kBatchRows = 256;

  void CompareBatch();

  const CodesView& codes_;
  const std::size_t most_;
  WalkScratch& s_;
};

// Scratch for as many walks as run at once, made when first needed.
// Thread safety: all members may be called from any thread; no lock is taken.
class ScratchPool {
 public:
  // Returned to its pool when it goes; the pool must live longer.
  class Lease {
   public:
    Lease(ScratchPool& pool, std::unique_ptr<WalkScratch> scratch) : pool_(pool), scratch_(std::move(scratch)) {}
    ~Lease() { pool_.Return(std::move(scratch_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    WalkScratch& operator*() { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<WalkScratch> scratch_;
  };

  ScratchPool() = default;
  ~ScratchPool();
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;

  Lease Take();

 private:
  // More walks at once than this make and drop their own.
  static constexpr std::size_t kKept = 16;

  void Return(std::unique_ptr<WalkScratch> scratch);

  std::array<std::atomic<WalkScratch*>, kKept> free_ = {};
};

}  // namespace omics::index
