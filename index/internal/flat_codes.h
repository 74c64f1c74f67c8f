// The codes of a full tail, by which queries scan its rows until a segment takes them over.
//
// Ingest outruns the builder, so tens of thousands of rows may wait for their graph. Reading all their float32 rows
// takes a query longer than everything else together, and takes the memory's bandwidth from the builder.
#pragma once

#include <cstdint>
#include <memory>

#include "index/internal/codes.h"
#include "index/internal/hnsw_walk.h"
#include "index/internal/tail.h"

namespace omics::index {

// Thread safety: all members may be called from any thread.
class FlatCodes {
 public:
  // Of all rows of `tail`, which must be full. Null where an exact scan finds rows that one by codes does not: a tail
  // is to lose nothing. Some 4 µs for a row of 768 floats.
  static std::shared_ptr<const FlatCodes> Make(const Tail& tail);

  CodesView view() const { return {table_.space, table_.rows}; }
  ScratchPool::Lease TakeScratch() const { return scratch_.Take(); }
  std::int64_t bytes() const { return std::ssize(table_.rows); }

 private:
  explicit FlatCodes(CodeTable table) : table_(std::move(table)) {}
  // Tried with some of the tail's rows, each moved towards another one.
  bool FindWhatIsNearest(const Tail& tail) const;

  const CodeTable table_;
  mutable ScratchPool scratch_;
};

}  // namespace omics::index
