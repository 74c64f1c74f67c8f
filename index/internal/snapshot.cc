#include "index/internal/snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/base/macros.h"
#include "base/status.h"
#include "index/internal/calibrate.h"
#include "index/internal/hnsw_walk.h"
#include "index/internal/selection.h"

namespace omics::index {
namespace {

// Rows compared between two looks at the clock: about 0.1 ms.
constexpr std::int64_t kRowsPerDeadlineCheck = 1024;

// Fewer rows are compared in float32 at once: as fast as anything, and exact.
constexpr std::int64_t kRowsForExactScan = 500;

// Float32 rows fetched ahead of the one that is compared.
constexpr std::size_t kVectorsAhead = 3;

// A walk computes about this many distances for each of its `ef`, and that again for every row that is passed over on
// the way to one that counts. One distance of a walk costs about five of a scan by codes.
constexpr double kWalkDistancesPerEf = 10;
constexpr double kWalkDistanceCost = 5;

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
      if (const absl::Status status = SearchPart(i); !status.ok()) return status;
    }
    return top_.Take();
  }

 private:
  // What the search of one part is about.
  struct Task {
    const SnapshotPart& part;
    std::size_t number;
    RowChoice choice;
    std::int64_t rows;  // that may be found
  };

  absl::Status SearchPart(std::size_t number) {
    const SnapshotPart& part = snapshot_.parts[number];
    Task task = {part, number, {nullptr, part.deleted.get()}, part.live_rows()};
    if (spec_.selection) {
      const RowSet& candidates = spec_.selection->Candidates(number);
      task.choice = {&candidates, nullptr};
      task.rows = candidates.count();
    }
    if (!part.coded() || spec_.exact || task.rows <= kRowsForExactScan) return ScanRows(task);
    if (part.segment && part.segment->walkable() && WorthWalking(task) && Walk(task)) return absl::OkStatus();
    return ScanCodes(task);
  }

  int K() const { return static_cast<int>(spec_.k); }

  int Ef(const Task& task) const {
    return spec_.ef == 0 ? task.part.segment->calibrated_ef().For(K()) : std::max(spec_.ef, K());
  }

  bool WorthWalking(const Task& task) const {
    const double passed = static_cast<double>(task.part.rows) / static_cast<double>(task.rows);
    return Ef(task) * kWalkDistancesPerEf * passed * kWalkDistanceCost < static_cast<double>(task.rows);
  }

  // False, with nothing offered, when the walk took too long or met fewer rows than were wanted.
  bool Walk(const Task& task) {
    const Segment& segment = *task.part.segment;
    ScratchPool::Lease scratch = segment.TakeScratch();
    const CodeWalkSpec spec = {Ef(task), task.choice, task.rows / 2};
    const CodeWalkResult walked = WalkCodes(segment.graph(), segment.codes(), spec_.query.data(), spec, *scratch);
    const auto wanted = std::min(spec_.k, static_cast<std::size_t>(task.rows));
    return !walked.gave_up && walked.hits.size() >= wanted && Rerank(task, walked.hits, RowsToRerank(K()));
  }

  // Compares the best `most` of `hits`, nearest first by their codes, in float32. False, with nothing offered, if a row
  // that is nearer may not be among them: the filter refuses too many, or a tail, which is to lose nothing, holds more
  // rows that the codes do not tell apart.
  bool Rerank(const Task& task, std::span<const WalkHit> hits, int most) {
    hits = hits.first(std::min(hits.size(), static_cast<std::size_t>(most)));
    std::vector<WalkHit> admitted;
    admitted.reserve(hits.size());
    for (const WalkHit& hit : hits) {
      if (!Admits(task, hit.row)) continue;
      admitted.push_back(hit);
    }
    const bool all = std::ssize(hits) == task.rows;
    if (!all && admitted.size() < hits.size() && std::ssize(admitted) < RowsToRerank(K())) return false;
    for (std::size_t i = 0; i < admitted.size(); ++i) {
      WalkHit& hit = admitted[i];
      if (i + kVectorsAhead < admitted.size()) FetchVector(task, admitted[i + kVectorsAhead].row);
      hit.distance = distance_(task.part.source->Vector(hit.row), task.part.source->Scale(hit.row));
    }
    if (!all && task.part.flat && !NearestComeFirst(admitted)) return false;
    for (const WalkHit& hit : admitted) Offer(task, hit.row, hit.distance);
    return true;
  }

  // Whether the k nearest, and all that are as near, are in the first half of `hits`, which are in the codes' order
  // with their true distances: the codes' errors are then smaller than what lies between them and the rows left out.
  bool NearestComeFirst(const std::vector<WalkHit>& hits) const {
    if (hits.size() < spec_.k) return false;
    std::vector<float> distances;
    distances.reserve(hits.size());
    for (const WalkHit& hit : hits) distances.push_back(hit.distance);
    const auto kth = distances.begin() + static_cast<std::ptrdiff_t>(spec_.k) - 1;
    std::nth_element(distances.begin(), kth, distances.end());
    const auto half = hits.begin() + std::ssize(hits) / 2;
    return std::all_of(half, hits.end(), [&](const WalkHit& hit) { return hit.distance > *kth; });
  }

  void FetchVector(const Task& task, std::int64_t row) const {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(task.part.source->Vector(row));
    FetchRow(bytes, spec_.query.size() * sizeof(float));
  }

  bool Admits(const Task& task, std::int64_t row) const {
    return !spec_.selection || spec_.selection->Admits(task.number, row);
  }

  absl::Status CheckDeadline() const {
    if (!Expired(deadline_)) return absl::OkStatus();
    return absl::DeadlineExceededError("the deadline passed during the scan");
  }

  // Compares every row in float32. A row is read for the filter only where its distance would earn it a place: seldom.
  absl::Status ScanRows(const Task& task) {
    std::int64_t seen = 0;
    for (std::int64_t row = NextRow(task, 0); row >= 0; row = NextRow(task, row + 1)) {
      if (seen++ % kRowsPerDeadlineCheck == 0) OMICS_RETURN_IF_ERROR(CheckDeadline());
      const float distance = distance_(task.part.source->Vector(row), task.part.source->Scale(row));
      if (distance <= top_.worst_distance() && Admits(task, row)) Offer(task, row, distance);
    }
    return absl::OkStatus();
  }

  // The first row at or after `row` that may be found, or -1.
  static std::int64_t NextRow(const Task& task, std::int64_t row) {
    if (task.choice.only) return task.choice.only->Next(row);
    while (row < task.part.rows && task.choice.except->Contains(row)) ++row;
    return row < task.part.rows ? row : -1;
  }

  // Compares every row by its codes and the best of them in float32.
  absl::Status ScanCodes(const Task& task) {
    const int most = RowsToRerankAfterScan(K());
    ScratchPool::Lease scratch = task.part.TakeScratch();
    const CodesView codes = task.part.codes();
    CodeScan scan(codes, spec_.query.data(), static_cast<std::size_t>(most), *scratch);
    for (std::int64_t row = NextRow(task, 0); row >= 0;) {
      OMICS_RETURN_IF_ERROR(CheckDeadline());
      for (std::int64_t i = 0; row >= 0 && i < kRowsPerDeadlineCheck; ++i, row = NextRow(task, row + 1)) {
        scan.Add(static_cast<std::uint32_t>(row));
      }
    }
    if (Rerank(task, scan.Finish(), most)) return absl::OkStatus();
    return ScanRows(task);
  }

  void Offer(const Task& task, std::int64_t row, float distance) {
    if (distance > top_.worst_distance()) return;
    top_.Offer({distance, task.part.source->Identity(row).position, static_cast<std::int32_t>(task.number), row});
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

void SnapshotEdit::SealLastPart(std::shared_ptr<const FlatCodes> codes) { next_.parts.back().flat = std::move(codes); }

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
