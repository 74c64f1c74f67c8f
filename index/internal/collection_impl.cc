#include "index/internal/collection_impl.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

// A write that waits for the builder is answered after this long even where the caller set no deadline.
constexpr std::chrono::seconds kBacklogWaitMax{30};

}  // namespace

CollectionImpl::CollectionImpl(const Place& place, const CatalogOptions& options, Builder& builder, RecordStore store)
    : directory_(place.directory),
      metric_(place.metric),
      options_(options),
      builder_(builder),
      queue_([this](const std::vector<Request*>& group) { CommitGroup(group); }),
      ef_search_(place.hnsw.ef_search),
      store_(std::move(store)),
      hnsw_(place.hnsw) {
  auto empty = std::make_shared<Snapshot>();
  empty->metric = metric_;
  snapshot_.Store(std::move(empty));
}

absl::StatusOr<std::shared_ptr<CollectionImpl>> CollectionImpl::Create(const Place& place,
                                                                       const CatalogOptions& options,
                                                                       Builder& builder) {
  std::error_code error;
  std::filesystem::create_directory(place.directory, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("make directory ", place.directory.string()));
  OMICS_ASSIGN_OR_RETURN(RecordStore store, RecordStore::Open(place.directory / kRecordsFile, /*must_exist=*/false));
  OMICS_RETURN_IF_ERROR(SyncDirectory(place.directory));
  OMICS_RETURN_IF_ERROR(SyncDirectory(place.directory.parent_path()));
  return std::shared_ptr<CollectionImpl>(new CollectionImpl(place, options, builder, std::move(store)));
}

absl::StatusOr<std::shared_ptr<CollectionImpl>> CollectionImpl::Open(const Place& place, const CatalogOptions& options,
                                                                     Builder& builder) {
  OMICS_ASSIGN_OR_RETURN(RecordStore store, RecordStore::Open(place.directory / kRecordsFile, /*must_exist=*/true));
  std::shared_ptr<CollectionImpl> collection(new CollectionImpl(place, options, builder, std::move(store)));
  OMICS_RETURN_IF_ERROR(collection->LoadSegments());
  return collection;
}

namespace {

// Removes unfinished files and opens the finished ones, the largest first. A segment that cannot be trusted is removed:
// its rows are still in SQLite.
absl::StatusOr<std::vector<std::shared_ptr<const Segment>>> OpenSegments(const std::filesystem::path& directory) {
  std::vector<std::shared_ptr<const Segment>> segments;
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) paths.push_back(entry.path());
  if (error) return ErrnoStatus(error.value(), absl::StrCat("list ", directory.string()));
  for (const std::filesystem::path& path : paths) {
    if (path.extension() == kPartialSuffix) std::filesystem::remove(path, error);
    if (path.extension() != kSegmentSuffix) continue;
    absl::StatusOr<std::shared_ptr<const Segment>> segment = Segment::Open(path);
    if (segment.ok()) {
      segments.push_back(*std::move(segment));
    } else if (absl::IsDataLoss(segment.status())) {
      std::filesystem::remove(path, error);
    } else {
      return segment.status();
    }
  }
  std::sort(segments.begin(), segments.end(), [](const auto& a, const auto& b) { return a->rows() > b->rows(); });
  return segments;
}

// Which rows of `segment` are the live version of their record and not held by a segment before it. `live` is sorted by
// position; `claimed` runs beside it.
std::shared_ptr<const RowSet> DeadRows(const Segment& segment, const std::vector<RowIdentity>& live,
                                       std::vector<bool>& claimed) {
  auto dead = std::make_shared<RowSet>();
  std::size_t next = 0;
  for (std::int64_t row = 0; row < segment.rows(); ++row) {
    const RowIdentity identity = segment.Identity(row);
    while (next < live.size() && live[next].position < identity.position) ++next;
    if (next < live.size() && live[next] == identity && !claimed[next]) {
      claimed[next] = true;
    } else {
      dead->Insert(row);
    }
  }
  return dead;
}

}  // namespace

absl::Status CollectionImpl::LoadSegments() {
  OMICS_ASSIGN_OR_RETURN(std::vector<std::shared_ptr<const Segment>> segments, OpenSegments(directory_));
  std::vector<RowIdentity> missing;
  {
    MutexLock lock(write_mutex_);
    OMICS_ASSIGN_OR_RETURN(const std::vector<RowIdentity> live, store_.ListIdentities());
    std::vector<bool> claimed(live.size());
    SnapshotEdit edit(*snapshot_.Load());
    for (const std::shared_ptr<const Segment>& segment : segments) {
      const bool fits = segment->metric() == metric_ && segment->dimension() == store_.dimension();
      std::shared_ptr<const RowSet> dead = fits ? DeadRows(*segment, live, claimed) : nullptr;
      if (!dead || dead->count() == segment->rows()) {
        std::error_code ignored;
        std::filesystem::remove(segment->path(), ignored);
        continue;
      }
      edit.AddPart({segment, segment.get(), segment->rows(), std::move(dead)});
    }
    edit.SetDimension(store_.dimension());
    edit.SetSequence(store_.sequence());
    snapshot_.Store(edit.Finish());
    for (std::size_t i = 0; i < live.size(); ++i) {
      if (!claimed[i]) missing.push_back(live[i]);
    }
  }
  return LoadTail(std::move(missing));
}

absl::Status CollectionImpl::LoadTail(std::vector<RowIdentity> missing) {
  // In the order in which they were written, as Tail::Find expects.
  std::sort(missing.begin(), missing.end(), [](const RowIdentity& a, const RowIdentity& b) {
    return a.sequence != b.sequence ? a.sequence < b.sequence : a.position < b.position;
  });
  std::vector<std::int64_t> positions;
  positions.reserve(missing.size());
  for (const RowIdentity& identity : missing) positions.push_back(identity.position);
  MutexLock lock(write_mutex_);
  SnapshotEdit edit(*snapshot_.Load());
  OMICS_RETURN_IF_ERROR(
      store_.ReadRows(positions, [&](Row row) ABSL_NO_THREAD_SAFETY_ANALYSIS { AppendRow(std::move(row), edit); }));
  snapshot_.Store(edit.Finish());
  ScheduleBuild();
  return absl::OkStatus();
}

absl::StatusOr<CollectionImpl::Pinned> CollectionImpl::Pin() const {
  // No write and no removal of a segment that is still searched can come in between.
  MutexLock lock(write_mutex_);
  OMICS_RETURN_IF_ERROR(failed_);
  OMICS_ASSIGN_OR_RETURN(RecordSnapshot records, RecordSnapshot::Take(directory_ / kRecordsFile));
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  Pinned pinned = {std::move(records), {}, snapshot->dimension, snapshot->live_rows(), snapshot->sequence};
  for (const SnapshotPart& part : snapshot->parts) {
    if (!part.segment) continue;
    const std::filesystem::path& path = part.segment->path();
    OMICS_ASSIGN_OR_RETURN(FileDescriptor file, OpenForReading(path));
    pinned.segments.push_back({path.filename().string(), std::move(file), part.segment->bytes()});
  }
  return pinned;
}

void CollectionImpl::SetHnsw(const HnswParameters& hnsw) {
  ef_search_ = hnsw.ef_search;
  MutexLock lock(write_mutex_);
  hnsw_ = hnsw;
}

void CollectionImpl::MarkDropped() {
  dropped_ = true;
  MutexLock lock(write_mutex_);
  failed_ = WithReason(absl::NotFoundError("the collection was deleted"), "COLLECTION_NOT_FOUND");
  backlog_shrunk_.NotifyAll();
}

CollectionStats CollectionImpl::Stats() const {
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  CollectionStats stats;
  for (const SnapshotPart& part : snapshot->parts) {
    (part.segment ? stats.graph_rows : stats.tail_rows) += part.live_rows();
    if (!part.segment) continue;
    stats.deleted_rows += part.deleted->count();
    ++stats.segments;
    const double recall = part.segment->calibrated_ef().recall;
    if (part.segment->walkable() && recall > 0) stats.recall = std::min(stats.recall, recall);
  }
  stats.records = stats.graph_rows + stats.tail_rows;
  stats.building = building_;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const std::uintmax_t bytes = entry.file_size(error);
    if (!error) stats.disk_bytes += static_cast<std::int64_t>(bytes);
  }
  return stats;
}

absl::StatusOr<WriteResult> CollectionImpl::Write(WriteMode mode, std::vector<RecordChange> changes,
                                                  Deadline deadline) {
  for (const RecordChange& change : changes) OMICS_RETURN_IF_ERROR(ValidateChange(change));
  WriteResult result;
  Request request;
  request.deadline = deadline;
  request.apply = [&](RecordStore& store, std::vector<RowEffect>& effects) -> absl::Status {
    OMICS_ASSIGN_OR_RETURN(AppliedWrite applied, store.Apply(mode, std::move(changes)));
    result = applied.result;
    effects = std::move(applied.effects);
    return absl::OkStatus();
  };
  OMICS_RETURN_IF_ERROR(queue_.Submit(request, deadline));
  return result;
}

absl::StatusOr<DeleteResult> CollectionImpl::Delete(const DeleteSpec& spec, Deadline deadline) {
  if (spec.ids.empty() && !spec.filter) {
    return absl::InvalidArgumentError("a delete names no records: give their ids or a filter");
  }
  if (spec.filter) OMICS_RETURN_IF_ERROR(ValidateFilter(*spec.filter));
  DeleteResult result;
  Request request;
  request.deadline = deadline;
  request.alone = spec.filter.has_value();
  request.apply = [&](RecordStore& store, std::vector<RowEffect>& effects) -> absl::Status {
    std::vector<std::string> matching;
    if (spec.filter) {
      OMICS_ASSIGN_OR_RETURN(matching, MatchingIds(spec, deadline));
    }
    OMICS_ASSIGN_OR_RETURN(AppliedDelete applied, store.ApplyDelete(spec.filter ? matching : spec.ids));
    result = applied.result;
    effects = std::move(applied.effects);
    return absl::OkStatus();
  };
  OMICS_RETURN_IF_ERROR(queue_.Submit(request, deadline));
  return result;
}

absl::Status CollectionImpl::KeepChanges() {
  MutexLock lock(write_mutex_);
  return store_.KeepChanges();
}

absl::StatusOr<ChangeBatch> CollectionImpl::ChangesAfter(std::int64_t sequence, std::int64_t bytes_max) const {
  std::vector<NumberedChange> changes;
  {
    MutexLock lock(write_mutex_);
    OMICS_RETURN_IF_ERROR(failed_);
    OMICS_ASSIGN_OR_RETURN(changes, store_.ChangesAfter(sequence, bytes_max));
  }
  ChangeBatch batch;
  if (changes.empty()) return batch;
  batch.first = changes.front().sequence;
  batch.last = changes.back().sequence;
  OMICS_ASSIGN_OR_RETURN(batch.bytes, PackChanges(changes));
  return batch;
}

absl::Status CollectionImpl::DropChanges(std::int64_t up_to) {
  MutexLock lock(write_mutex_);
  OMICS_RETURN_IF_ERROR(failed_);
  return store_.DropChanges(up_to);
}

absl::Status CollectionImpl::ApplyChanges(std::string_view batch) {
  OMICS_ASSIGN_OR_RETURN(const std::vector<NumberedChange> changes, UnpackChanges(batch));
  Request request;
  request.alone = true;
  request.apply = [&](RecordStore& store, std::vector<RowEffect>& effects) -> absl::Status {
    for (const NumberedChange& change : changes) {
      if (change.sequence > store.sequence()) OMICS_RETURN_IF_ERROR(store.Replay(change, effects));
    }
    return absl::OkStatus();
  };
  return queue_.Submit(request, kNoDeadline);
}

void CollectionImpl::CommitGroup(const std::vector<Request*>& group) {
  MutexLock lock(write_mutex_);
  for (auto begin = group.begin(); begin != group.end();) {
    const auto alone = std::find_if(begin, group.end(), [](const Request* request) { return request->alone; });
    const auto end = alone == begin ? begin + 1 : alone;
    CommitTogether({begin, end});
    begin = end;
  }
}

void CollectionImpl::CommitTogether(const std::vector<Request*>& group) {
  absl::Status status = failed_;
  if (status.ok()) status = WaitForBacklog(group.front()->deadline);
  if (status.ok()) status = CommitRequests(group);
  if (!status.ok()) {
    for (Request* request : group) {
      if (request->status.ok()) request->status = status;
    }
    return;
  }
  ApplyEffects(group);
}

absl::Status CollectionImpl::WaitForBacklog(Deadline deadline) {
  const Deadline latest = std::min(deadline, std::chrono::steady_clock::now() + kBacklogWaitMax);
  const Pace::Hurry hurry(builder_.pace());
  while (backlog_bytes_ > options_.backlog_bytes_max) {
    OMICS_RETURN_IF_ERROR(failed_);
    if (backlog_shrunk_.WaitUntil(write_mutex_, latest)) continue;
    std::string message = "writes are ahead of the graph builder: try again in a few seconds";
    if (!build_status_.ok()) absl::StrAppend(&message, "; the last build failed: ", build_status_.message());
    return WithReason(absl::ResourceExhaustedError(message), "BUILD_BACKLOG");
  }
  return absl::OkStatus();
}

absl::Status CollectionImpl::CommitRequests(const std::vector<Request*>& group) {
  OMICS_RETURN_IF_ERROR(store_.BeginGroup());
  for (Request* request : group) {
    request->status = request->apply(store_, request->effects);
    if (request->status.ok() || absl::IsInvalidArgument(request->status)) continue;
    // Not the request's fault: SQLite may have ended the transaction, so none of the group is written.
    store_.RollbackGroup();
    return request->status;
  }
  const absl::Status committed = store_.CommitGroup();
  // What a failed write to disk left behind is not known until SQLite has recovered its log: accept nothing till then.
  if (absl::IsUnavailable(committed)) failed_ = Annotate(committed, "the disk failed; restart the service to recover");
  return committed;
}

void CollectionImpl::ApplyEffects(const std::vector<Request*>& group) {
  SnapshotEdit edit(*snapshot_.Load());
  for (Request* request : group) {
    if (!request->status.ok()) continue;
    for (RowEffect& effect : request->effects) {
      if (effect.removed) edit.Remove(*effect.removed);
      if (effect.added) AppendRow(*std::move(effect.added), edit);
    }
  }
  edit.SetDimension(store_.dimension());
  edit.SetSequence(store_.sequence());
  snapshot_.Store(edit.Finish());
  last_write_ = std::chrono::steady_clock::now();
  ScheduleBuild();
}

void CollectionImpl::AppendRow(Row row, SnapshotEdit& edit) {
  if (tail_ && tail_->full()) {
    if (auto codes = FlatCodes::Make(*tail_)) {
      backlog_bytes_ += codes->bytes();
      edit.SealLastPart(std::move(codes));
    }
    SealTail();
  }
  if (!tail_) {
    tail_ = std::make_shared<Tail>(metric_, store_.dimension(), options_.tail_rows_max);
    edit.AddPart({tail_, nullptr, 0, std::make_shared<RowSet>()});
  }
  tail_->Append(std::move(row));
  edit.GrowLastPart(tail_->rows());
}

}  // namespace omics::index
