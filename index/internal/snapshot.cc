#include "index/internal/snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/base/macros.h"
#include "index/internal/hnsw_graph.h"
#include "index/internal/selection.h"

namespace omics::index {
namespace {

// Rows compared between two looks at the clock: about 0.1 ms.
constexpr std::int64_t kRowsPerDeadlineCheck = 1024;

// The search over one snapshot for one query vector.
class Search {
 public:
  Search(const Snapshot& snapshot, const SearchSpec& spec, Deadline deadline)
      : snapshot_(snapshot),
        spec_(spec),
        deadline_(deadline),
        distance_(snapshot.metric, spec.query.data(), spec.query.size()),
        top_(spec.k) {}

  absl::StatusOr<std::vector<Candidate>> Run() {
    for (std::size_t i = 0; i < snapshot_.parts.size(); ++i) {
      const SnapshotPart& part = snapshot_.parts[i];
      const auto number = static_cast<std::int32_t>(i);
      const bool walk =
          part.segment && part.segment->walkable() && !spec_.exact && !spec_.selection && part.live_rows() > spec_.ef;
      if (walk && Walk(part, number)) continue;
      const absl::Status scanned = spec_.selection ? ScanSelected(part, number) : Scan(part, number);
      if (!scanned.ok()) return scanned;
    }
    return top_.Take();
  }

 private:
  // False, with nothing offered, when the walk met fewer live rows than were wanted: deleted rows took their places.
  bool Walk(const SnapshotPart& part, std::int32_t number) {
    const std::int64_t wanted = std::max<std::int64_t>(spec_.ef, static_cast<std::int64_t>(spec_.k));
    const std::int64_t ef = std::min(part.rows, wanted * part.rows / std::max<std::int64_t>(1, part.live_rows()));
    const Segment& segment = *part.segment;
    const std::vector<WalkHit> hits =
        WalkGraph(segment.graph(), part.rows, static_cast<int>(ef),
                  [&](std::int32_t row) { return distance_(segment.Vector(row), segment.Scale(row)); });
    std::vector<WalkHit> live;
    for (const WalkHit& hit : hits) {
      if (!part.deleted->Contains(hit.row)) live.push_back(hit);
    }
    if (std::ssize(live) < std::min<std::int64_t>(static_cast<std::int64_t>(spec_.k), part.live_rows())) return false;
    for (const WalkHit& hit : live) Offer(part, number, hit.row, hit.distance);
    return true;
  }

  absl::Status Scan(const SnapshotPart& part, std::int32_t number) {
    for (std::int64_t row = 0; row < part.rows; ++row) {
      if (row % kRowsPerDeadlineCheck == 0 && Expired(deadline_)) {
        return absl::DeadlineExceededError("the deadline passed during the exact scan");
      }
      if (part.deleted->Contains(row)) continue;
      Offer(part, number, row, distance_(part.source->Vector(row), part.source->Scale(row)));
    }
    return absl::OkStatus();
  }

  // A row is read for the filter only where its distance would earn it a place: seldom.
  absl::Status ScanSelected(const SnapshotPart& part, std::int32_t number) {
    const auto index = static_cast<std::size_t>(number);
    const RowSet& rows = spec_.selection->Candidates(index);
    std::int64_t seen = 0;
    for (std::int64_t row = rows.Next(0); row >= 0; row = rows.Next(row + 1)) {
      if (seen++ % kRowsPerDeadlineCheck == 0 && Expired(deadline_)) {
        return absl::DeadlineExceededError("the deadline passed during the scan of the matching rows");
      }
      const float distance = distance_(part.source->Vector(row), part.source->Scale(row));
      if (distance > top_.worst_distance() || !spec_.selection->Admits(index, row)) continue;
      Offer(part, number, row, distance);
    }
    return absl::OkStatus();
  }

  void Offer(const SnapshotPart& part, std::int32_t number, std::int64_t row, float distance) {
    if (distance > top_.worst_distance()) return;
    top_.Offer({distance, part.source->Identity(row).position, number, row});
  }

  const Snapshot& snapshot_;
  const SearchSpec& spec_;
  const Deadline deadline_;
  const RowDistance distance_;
  TopCandidates top_;
};

}  // namespace

std::int64_t Snapshot::live_rows() const {
  std::int64_t rows = 0;
  for (const SnapshotPart& part : parts) rows += part.live_rows();
  return rows;
}

absl::StatusOr<std::vector<Candidate>> SearchSnapshot(const Snapshot& snapshot, const SearchSpec& spec,
                                                      Deadline deadline) {
  return Search(snapshot, spec, deadline).Run();
}

SnapshotEdit::SnapshotEdit(const Snapshot& before) : next_(before), fresh_(before.parts.size()) {}

RowSet& SnapshotEdit::DeletedRows(std::size_t part) {
  if (!fresh_[part]) {
    fresh_[part] = std::make_shared<RowSet>(*next_.parts[part].deleted);
    next_.parts[part].deleted = fresh_[part];
  }
  return *fresh_[part];
}

void SnapshotEdit::Remove(const RowIdentity& identity) {
  for (std::size_t i = next_.parts.size(); i-- > 0;) {
    const SnapshotPart& part = next_.parts[i];
    const std::int64_t row = part.source->Find(identity, part.rows);
    if (row < 0 || part.deleted->Contains(row)) continue;
    DeletedRows(i).Insert(row);
    return;
  }
  ABSL_ASSERT(false && "a committed change removed a row that no part holds");
}

void SnapshotEdit::AddPart(SnapshotPart part) {
  next_.parts.push_back(std::move(part));
  fresh_.emplace_back();
}

void SnapshotEdit::GrowLastPart(std::int64_t rows) { next_.parts.back().rows = rows; }

void SnapshotEdit::Replace(std::span<const RowSource* const> sources, const std::vector<SegmentRow>& rows,
                           const std::shared_ptr<const Segment>& segment) {
  const auto replaced = [&](const SnapshotPart& part) {
    return std::find(sources.begin(), sources.end(), part.source.get()) != sources.end();
  };
  if (segment) {
    auto deleted = std::make_shared<RowSet>();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const SnapshotPart& part : next_.parts) {
        if (part.source.get() == rows[i].source && part.deleted->Contains(rows[i].row)) {
          deleted->Insert(static_cast<std::int64_t>(i));
        }
      }
    }
    AddPart({segment, segment.get(), segment->rows(), std::move(deleted)});
    std::rotate(next_.parts.begin(), next_.parts.end() - 1, next_.parts.end());
    std::rotate(fresh_.begin(), fresh_.end() - 1, fresh_.end());
  }
  for (std::size_t i = next_.parts.size(); i-- > 0;) {
    if (!replaced(next_.parts[i])) continue;
    next_.parts.erase(next_.parts.begin() + static_cast<std::ptrdiff_t>(i));
    fresh_.erase(fresh_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

std::shared_ptr<const Snapshot> SnapshotEdit::Finish() { return std::make_shared<const Snapshot>(std::move(next_)); }

}  // namespace omics::index
