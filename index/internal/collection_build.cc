#include <malloc.h>

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "index/internal/collection_impl.h"

namespace omics::index {
namespace {

// A segment is written again without its deleted rows once they are more than one in five: beyond, a walk spends more
// on them than the rebuild costs.
constexpr std::int64_t kDeletedShareMax = 5;

constexpr std::chrono::seconds kBuildRetry{30};

bool ManyDeleted(const SnapshotPart& part) { return part.deleted->count() * kDeletedShareMax > part.rows; }

// Those without many deleted rows, the smallest first.
std::vector<SnapshotPart> Segments(const Snapshot& snapshot) {
  std::vector<SnapshotPart> segments;
  for (const SnapshotPart& part : snapshot.parts) {
    if (part.segment && !ManyDeleted(part)) segments.push_back(part);
  }
  std::sort(segments.begin(), segments.end(),
            [](const SnapshotPart& a, const SnapshotPart& b) { return a.live_rows() < b.live_rows(); });
  return segments;
}

// How many of the smallest segments are worth writing again as one, with `gathered` rows beside them: so many that the
// largest is at most twice as large as the rest. So a row is written again only about log(rows) times.
std::size_t WorthMerging(const std::vector<SnapshotPart>& segments, std::int64_t gathered) {
  std::int64_t rows = gathered;
  for (const SnapshotPart& part : segments) rows += part.live_rows();
  std::size_t count = segments.size();
  for (; count > 0; --count) {
    const std::int64_t largest = segments[count - 1].live_rows();
    rows -= largest;
    if (rows > 0 && largest <= 2 * rows) break;
  }
  return count;
}

}  // namespace

void CollectionImpl::SealTail() {
  if (!tail_) return;
  backlog_bytes_ += tail_->bytes();
  tail_ = nullptr;
}

void CollectionImpl::ScheduleBuild() {
  const auto next = NextBuild();
  if (next != std::chrono::steady_clock::time_point::max()) builder_.Schedule(shared_from_this(), next);
}

std::chrono::steady_clock::time_point CollectionImpl::NextBuild() const {
  if (backlog_bytes_ > 0) return std::chrono::steady_clock::now();
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  const bool deleted = std::any_of(snapshot->parts.begin(), snapshot->parts.end(),
                                   [](const SnapshotPart& part) { return part.segment && ManyDeleted(part); });
  const bool due =
      deleted || (tail_ && tail_->rows() >= options_.graph_rows_min) || WorthMerging(Segments(*snapshot), 0);
  return due ? last_write_ + options_.idle_before_build : std::chrono::steady_clock::time_point::max();
}

std::chrono::steady_clock::time_point CollectionImpl::BuildDue(std::chrono::steady_clock::time_point now) {
  bool idle = false;
  {
    MutexLock lock(write_mutex_);
    if (dropped_) return std::chrono::steady_clock::time_point::max();
    idle = !Pressed() && last_write_ + options_.idle_before_build <= now;
    if (idle && tail_ && tail_->rows() >= options_.graph_rows_min) SealTail();
  }
  const absl::Status status = Build(idle ? Extent::kIdle : Extent::kBusy);
  MutexLock lock(write_mutex_);
  // What was stopped for something else is due again.
  build_status_ = absl::IsCancelled(status) ? absl::OkStatus() : status;
  return build_status_.ok() ? NextBuild() : std::chrono::steady_clock::now() + kBuildRetry;
}

absl::Status CollectionImpl::Compact(Deadline deadline) {
  if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed before the build began");
  {
    MutexLock lock(write_mutex_);
    OMICS_RETURN_IF_ERROR(failed_);
    SealTail();
  }
  return Build(Extent::kEverything);
}

bool CollectionImpl::Pressed() const { return backlog_bytes_ > options_.backlog_bytes_max / 2; }

bool CollectionImpl::GivesWay() const {
  MutexLock lock(write_mutex_);
  return Pressed();
}

CollectionImpl::BuildInput CollectionImpl::ChooseInput(Extent extent) {
  BuildInput input;
  std::int64_t gathered = 0;
  MutexLock lock(write_mutex_);
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  for (const SnapshotPart& part : snapshot->parts) {
    if (part.source == tail_ || (part.segment && !ManyDeleted(part))) continue;
    input.parts.push_back(part);
    gathered += part.live_rows();
  }
  std::vector<SnapshotPart> segments = Segments(*snapshot);
  if (extent == Extent::kBusy) {
    std::erase_if(segments,
                  [this](const SnapshotPart& part) { return part.live_rows() > options_.busy_merge_rows_max; });
  }
  if (extent != Extent::kEverything) {
    segments.resize(WorthMerging(segments, gathered));
  } else if (input.parts.empty() && segments.size() == 1 && segments.front().deleted->count() == 0) {
    segments.clear();
  }
  input.parts.insert(input.parts.end(), segments.begin(), segments.end());
  input.spec.metric = metric_;
  input.spec.dimension = snapshot->dimension;
  input.spec.hnsw = hnsw_;
  input.spec.threads = options_.build_threads;
  const bool may_wait = extent == Extent::kIdle;
  input.spec.cancelled = [this, may_wait] { return builder_.stopping() || dropped_ || (may_wait && GivesWay()); };
  input.spec.pace = &builder_.pace();
  return input;
}

absl::Status CollectionImpl::Build(Extent extent) {
  MutexLock lock(build_mutex_);
  BuildInput input = ChooseInput(extent);
  if (input.parts.empty()) return absl::OkStatus();
  for (const SnapshotPart& part : input.parts) {
    for (std::int64_t row = 0; row < part.rows; ++row) {
      if (!part.deleted->Contains(row)) input.rows.push_back({part.source.get(), row});
    }
  }
  std::sort(input.rows.begin(), input.rows.end(), [](const SegmentRow& a, const SegmentRow& b) {
    return a.source->Identity(a.row).position < b.source->Identity(b.row).position;
  });
  building_ = true;
  absl::StatusOr<std::shared_ptr<const Segment>> segment = nullptr;
  if (!input.rows.empty()) segment = WriteSegment(directory_, input.spec, input.rows);
  building_ = false;
  OMICS_RETURN_IF_ERROR(segment.status());
  Install(input, *segment);
  // What the rows took in memory until now goes back to the system: glibc would keep it.
  input = BuildInput();
  malloc_trim(0);
  return absl::OkStatus();
}

void CollectionImpl::Install(const BuildInput& input, const std::shared_ptr<const Segment>& segment) {
  std::vector<const RowSource*> sources;
  for (const SnapshotPart& part : input.parts) sources.push_back(part.source.get());
  {
    MutexLock lock(write_mutex_);
    SnapshotEdit edit(*snapshot_.Load());
    edit.Replace(sources, input.rows, segment);
    snapshot_.Store(edit.Finish());
    for (const SnapshotPart& part : input.parts) {
      if (part.segment) continue;
      backlog_bytes_ -= static_cast<const Tail&>(*part.source).bytes() + (part.flat ? part.flat->bytes() : 0);
    }
    backlog_shrunk_.NotifyAll();
  }
  for (const SnapshotPart& part : input.parts) {
    std::error_code ignored;
    if (part.segment) std::filesystem::remove(part.segment->path(), ignored);
  }
}

}  // namespace omics::index
