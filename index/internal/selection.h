// Which rows of a snapshot a search may find: those of some ids, those that match a filter, or both.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "index/internal/compiled_filter.h"
#include "index/internal/snapshot.h"

namespace omics::index {

// Thread safety: immutable once made. Borrows the snapshot and the filter.
class Selection {
 public:
  // What to select: the live rows at `positions` (sorted) that match `filter`; absent or null admits every one.
  struct Spec {
    const std::vector<std::int64_t>* positions = nullptr;
    const CompiledFilter* filter = nullptr;
  };
  // DEADLINE_EXCEEDED if time runs out.
  static absl::StatusOr<Selection> Make(const Snapshot& snapshot, const Spec& spec, Deadline deadline);

  // The rows of a part among which the selected ones are: never a deleted one.
  const RowSet& Candidates(std::size_t part) const { return parts_[part].rows; }
  // Whether a candidate is selected. May read the row.
  bool Admits(std::size_t part, std::int64_t row) const {
    return parts_[part].exact || filter_->Matches(snapshot_->parts[part].source->Payload(row));
  }

 private:
  Selection(const Snapshot& snapshot, const CompiledFilter* filter) : snapshot_(&snapshot), filter_(filter) {}

  const Snapshot* snapshot_;
  const CompiledFilter* filter_;
  std::vector<RowSelection> parts_;  // one for each part of the snapshot
};

// A row's place in a snapshot.
struct RowPlace {
  std::int64_t position = 0;
  std::size_t part = 0;
  std::int64_t row = 0;
};

// Goes through the selected rows in the order of insertion.
// Thread safety: one thread at a time. Borrows the snapshot and the selection.
class SelectionCursor {
 public:
  // Begins behind the position `after`; -1 for the first.
  SelectionCursor(const Snapshot& snapshot, const Selection& selection, std::int64_t after);
  // The next one; nullopt at the end.
  std::optional<RowPlace> Next();

 private:
  // What is left of one part. A segment's rows are in order already; those of a tail are sorted at the start.
  struct Lane {
    RowPlace head;
    std::vector<RowPlace> later;  // of a tail, last first
  };
  // Moves `lane` to its next candidate; false at its end.
  bool Advance(Lane& lane) const;
  void AddTail(std::size_t part, std::int64_t after);
  void AddSegment(std::size_t part, std::int64_t after);

  const Snapshot& snapshot_;
  const Selection& selection_;
  std::vector<Lane> lanes_;
};

}  // namespace omics::index
