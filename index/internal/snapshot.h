// What queries read: all changes up to one sequence number, as parts that never change; and the search over it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "index/collection.h"
#include "index/internal/flat_codes.h"
#include "index/internal/row_source.h"
#include "index/internal/segment.h"
#include "index/internal/tail.h"

namespace omics::index {

// The rows of one source, without the deleted ones.
struct SnapshotPart {
  std::shared_ptr<const RowSource> source;
  const Segment* segment = nullptr;       // `source`, where it is a segment; null for a tail, which has no graph
  std::int64_t rows = 0;                  // the first `rows` of the source count
  std::shared_ptr<const RowSet> deleted;  // never null
  std::shared_ptr<const FlatCodes> flat;  // of a full tail, where they are good enough; else it is compared exactly

  std::int64_t live_rows() const { return rows - deleted->count(); }
  // By what to scan it; only for a segment and a full tail.
  bool coded() const { return segment != nullptr || flat != nullptr; }
  CodesView codes() const { return segment ? segment->codes() : flat->view(); }
  ScratchPool::Lease TakeScratch() const { return segment ? segment->TakeScratch() : flat->TakeScratch(); }
};

// Thread safety: immutable once published.
struct Snapshot {
  Metric metric = Metric::kSquaredL2;
  int dimension = 0;  // 0 until the first record
  std::int64_t sequence = 0;
  std::vector<SnapshotPart> parts;  // every live record is live in exactly one

  std::int64_t live_rows() const;
};

class Selection;

struct SearchSpec {
  std::span<const float> query;  // `dimension` floats
  std::size_t k = 10;
  int ef = 0;  // 0: as calibrated for each segment
  bool exact = false;
  const Selection* selection = nullptr;  // only these rows, of this snapshot; null means all
};

// The k nearest of the live (or selected) rows, nearest first; ties go to the record inserted first. Fewer than k only
// where there are fewer.
// DEADLINE_EXCEEDED when time runs out.
absl::StatusOr<std::vector<Candidate>> SearchSnapshot(const Snapshot& snapshot, const SearchSpec& spec,
                                                      Deadline deadline);

// Makes the snapshot that follows another one. What is not touched is shared with it.
// Thread safety: one thread at a time.
class SnapshotEdit {
 public:
  explicit SnapshotEdit(const Snapshot& before);

  // The row with this identity, live in some part, is deleted.
  void Remove(const RowIdentity& identity);
  void AddPart(SnapshotPart part);
  // The last part, a tail, has `rows` rows now.
  void GrowLastPart(std::int64_t rows);
  // The last part, a full tail, can be scanned by these.
  void SealLastPart(std::shared_ptr<const FlatCodes> codes);
  // Puts the segment written from `rows` in the place of the parts whose sources they came from; rows deleted since
  // then are deleted in it. `segment` is null where no row was left.
  void Replace(std::span<const RowSource* const> sources, const std::vector<SegmentRow>& rows,
               const std::shared_ptr<const Segment>& segment);
  void SetDimension(int dimension) { next_.dimension = dimension; }
  void SetSequence(std::int64_t sequence) { next_.sequence = sequence; }

  std::shared_ptr<const Snapshot> Finish();

 private:
  RowSet& DeletedRows(std::size_t part);

  Snapshot next_;
  std::vector<std::shared_ptr<RowSet>> fresh_;  // copied on the first change of a part
};

}  // namespace omics::index
