#include "index/internal/collection_impl.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/compiled_filter.h"
#include "index/internal/selection.h"

namespace omics::index {
namespace {

constexpr char kRecordsFile[] = "records.sqlite3";

// Readers kept open for Get; more calls at once open their own for the call.
constexpr std::size_t kReadersKept = 4;

// A segment is written again without its deleted rows once they are more than one in five: beyond, a walk spends more
// on them than the rebuild costs.
constexpr std::int64_t kDeletedShareMax = 5;

constexpr std::chrono::seconds kBuildRetry{30};

// A write that waits for the builder is answered after this long even where the caller set no deadline.
constexpr std::chrono::seconds kBacklogWaitMax{30};

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

// A record reader for the time of one call.
class CollectionImpl::ReaderLease {
 public:
  static absl::StatusOr<ReaderLease> Take(const CollectionImpl& collection) {
    {
      MutexLock lock(collection.readers_mutex_);
      if (!collection.readers_.empty()) {
        ReaderLease lease(collection, std::move(collection.readers_.back()));
        collection.readers_.pop_back();
        return lease;
      }
    }
    OMICS_ASSIGN_OR_RETURN(RecordReader reader, RecordReader::Open(collection.directory_ / kRecordsFile));
    return ReaderLease(collection, std::make_unique<RecordReader>(std::move(reader)));
  }
  ReaderLease(ReaderLease&&) = default;
  ReaderLease& operator=(ReaderLease&&) = delete;
  ~ReaderLease() {
    if (!reader_) return;
    MutexLock lock(collection_->readers_mutex_);
    if (collection_->readers_.size() < kReadersKept) collection_->readers_.push_back(std::move(reader_));
  }
  RecordReader* operator->() { return reader_.get(); }

 private:
  ReaderLease(const CollectionImpl& collection, std::unique_ptr<RecordReader> reader)
      : collection_(&collection), reader_(std::move(reader)) {}
  const CollectionImpl* collection_;
  std::unique_ptr<RecordReader> reader_;
};

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
  if (tail_ && tail_->full()) SealTail();
  if (!tail_) {
    tail_ = std::make_shared<Tail>(metric_, store_.dimension(), options_.tail_rows_max);
    edit.AddPart({tail_, nullptr, 0, std::make_shared<RowSet>()});
  }
  tail_->Append(std::move(row));
  edit.GrowLastPart(tail_->rows());
}

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
      if (!part.segment) backlog_bytes_ -= static_cast<const Tail&>(*part.source).bytes();
    }
    backlog_shrunk_.NotifyAll();
  }
  for (const SnapshotPart& part : input.parts) {
    std::error_code ignored;
    if (part.segment) std::filesystem::remove(part.segment->path(), ignored);
  }
}

// Everything that the selection borrows, beside it.
struct CollectionImpl::Selected {
  std::optional<CompiledFilter> filter;
  std::vector<std::int64_t> positions;
  std::optional<Selection> rows;
};

absl::StatusOr<std::unique_ptr<CollectionImpl::Selected>> CollectionImpl::Select(const Snapshot& snapshot,
                                                                                 const std::vector<std::string>& ids,
                                                                                 const std::optional<Filter>& filter,
                                                                                 Deadline deadline) const {
  auto selected = std::make_unique<Selected>();
  if (filter) {
    OMICS_ASSIGN_OR_RETURN(selected->filter, CompiledFilter::Compile(*filter));
  }
  if (!ids.empty()) {
    OMICS_ASSIGN_OR_RETURN(ReaderLease reader, ReaderLease::Take(*this));
    OMICS_ASSIGN_OR_RETURN(selected->positions, reader->Positions(ids, deadline));
  }
  const Selection::Spec spec = {ids.empty() ? nullptr : &selected->positions,
                                selected->filter ? &*selected->filter : nullptr};
  OMICS_ASSIGN_OR_RETURN(selected->rows, Selection::Make(snapshot, spec, deadline));
  return selected;
}

namespace {

absl::StatusOr<Record> RecordAt(const Snapshot& snapshot, std::size_t part, std::int64_t row, const Include& include) {
  const RowSource& source = *snapshot.parts[part].source;
  OMICS_ASSIGN_OR_RETURN(const PayloadView payload, DecodePayload(source.Payload(row)));
  OMICS_ASSIGN_OR_RETURN(Record record, RecordFromPayload(payload, include));
  if (include.embedding) {
    const float* embedding = source.Vector(row);
    record.embedding.assign(embedding, embedding + snapshot.dimension);
  }
  return record;
}

// About what a record takes in an answer: metadata is written as text there, so it counts twice.
std::int64_t AnswerBytes(const Snapshot& snapshot, const RowPlace& place, const Include& include) {
  const PayloadView payload =
      DecodePayload(snapshot.parts[place.part].source->Payload(place.row)).value_or(PayloadView{});
  std::size_t bytes = payload.id.size() + 16;
  if (include.document && payload.document) bytes += payload.document->size();
  if (include.uri && payload.uri) bytes += payload.uri->size();
  if (include.metadata && payload.metadata) bytes += 2 * payload.metadata->size();
  if (include.embedding) bytes += static_cast<std::size_t>(snapshot.dimension) * sizeof(float);
  return static_cast<std::int64_t>(bytes);
}

// Fills a page from the place where `cursor` stands; `next` is set where more would follow.
absl::Status FillPage(const Snapshot& snapshot, const GetSpec& spec, SelectionCursor& cursor, Deadline deadline,
                      GetPage& page) {
  std::int64_t bytes = 0;
  std::int64_t last = spec.after;
  while (const std::optional<RowPlace> place = cursor.Next()) {
    if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed while records were read");
    bytes += AnswerBytes(snapshot, *place, spec.include);
    const bool full = !page.records.empty() && bytes > spec.bytes_max;
    if (full || std::ssize(page.records) == spec.limit) {
      page.next = last;
      return absl::OkStatus();
    }
    OMICS_ASSIGN_OR_RETURN(Record record, RecordAt(snapshot, place->part, place->row, spec.include));
    page.records.push_back(std::move(record));
    last = place->position;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GetPage> CollectionImpl::Get(const GetSpec& spec, Deadline deadline) const {
  GetPage page;
  if (spec.limit <= 0) return page;
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<Selected> selected, Select(*snapshot, spec.ids, spec.filter, deadline));
  SelectionCursor cursor(*snapshot, *selected->rows, spec.after);
  for (std::int64_t i = 0; spec.after < 0 && i < spec.offset; ++i) {
    if (!cursor.Next()) return page;
  }
  OMICS_RETURN_IF_ERROR(FillPage(*snapshot, spec, cursor, deadline, page));
  return page;
}

absl::StatusOr<std::vector<std::string>> CollectionImpl::MatchingIds(const DeleteSpec& spec, Deadline deadline) const {
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  OMICS_ASSIGN_OR_RETURN(const std::unique_ptr<Selected> selected, Select(*snapshot, spec.ids, spec.filter, deadline));
  std::vector<std::string> ids;
  SelectionCursor cursor(*snapshot, *selected->rows, -1);
  while (const std::optional<RowPlace> place = cursor.Next()) {
    if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed before anything was deleted");
    OMICS_ASSIGN_OR_RETURN(Record record, RecordAt(*snapshot, place->part, place->row, Include{}));
    ids.push_back(std::move(record.id));
  }
  return ids;
}

absl::Status CollectionImpl::CheckQuery(const QuerySpec& spec, int dimension) const {
  if (spec.k < 1 || spec.k > kHitsMax) {
    return absl::InvalidArgumentError(absl::StrCat("k must be 1 to ", kHitsMax, ", was ", spec.k));
  }
  if (spec.ef < 0 || spec.ef > kEfMax) {
    return absl::InvalidArgumentError(absl::StrCat("ef must be 0 to ", kEfMax, ", was ", spec.ef));
  }
  if (spec.vectors.empty() || spec.vectors.size() > kQueryVectorsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a query has 1 to ", kQueryVectorsMax, " vectors, this one has ", spec.vectors.size()));
  }
  for (std::size_t i = 0; i < spec.vectors.size(); ++i) {
    const std::vector<float>& vector = spec.vectors[i];
    if (dimension != 0 && std::ssize(vector) != dimension) {
      return WithReason(absl::InvalidArgumentError(absl::StrCat("query vector ", i, " has dimension ", vector.size(),
                                                                ", the collection has dimension ", dimension)),
                        "DIMENSION_MISMATCH");
    }
    if (!std::all_of(vector.begin(), vector.end(), [](float value) { return std::isfinite(value); })) {
      return absl::InvalidArgumentError(absl::StrCat("query vector ", i, " holds NaN or an infinity"));
    }
  }
  return absl::OkStatus();
}

int CollectionImpl::EffectiveEf(int ef) const { return ef == 0 ? ef_search_.load(std::memory_order_relaxed) : ef; }

absl::StatusOr<std::vector<std::vector<Hit>>> CollectionImpl::Query(const QuerySpec& spec, Deadline deadline) const {
  builder_.pace().QueryBegins();
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  OMICS_RETURN_IF_ERROR(CheckQuery(spec, snapshot->dimension));
  std::unique_ptr<Selected> selected;
  if (!spec.ids.empty() || spec.filter) {
    OMICS_ASSIGN_OR_RETURN(selected, Select(*snapshot, spec.ids, spec.filter, deadline));
  }
  const int ef = EffectiveEf(spec.ef);
  std::vector<std::vector<Hit>> results;
  results.reserve(spec.vectors.size());
  for (const std::vector<float>& vector : spec.vectors) {
    if (Expired(deadline)) return absl::DeadlineExceededError("the deadline passed between two query vectors");
    SearchSpec search = {vector, static_cast<std::size_t>(spec.k), ef, spec.exact,
                         selected ? &*selected->rows : nullptr};
    OMICS_ASSIGN_OR_RETURN(const std::vector<Candidate> candidates, SearchSnapshot(*snapshot, search, deadline));
    std::vector<Hit>& hits = results.emplace_back();
    hits.reserve(candidates.size());
    for (const Candidate& candidate : candidates) {
      OMICS_ASSIGN_OR_RETURN(
          Record record, RecordAt(*snapshot, static_cast<std::size_t>(candidate.part), candidate.row, spec.include));
      hits.push_back({std::move(record), candidate.distance});
    }
  }
  return results;
}

absl::StatusOr<RecallSample> CollectionImpl::MeasureRecall(int k, int ef, int samples, Deadline deadline) const {
  const std::shared_ptr<const Snapshot> snapshot = snapshot_.Load();
  RecallSample sample;
  const int wanted_ef = EffectiveEf(ef);
  sample.ef = std::max(wanted_ef, k);
  for (const SnapshotPart& part : snapshot->parts) {
    if (wanted_ef == 0 && part.segment) sample.ef = std::max(sample.ef, part.segment->calibrated_ef().For(k));
  }
  std::int64_t found = 0, wanted = 0, seen = 0;
  const std::int64_t step = std::max<std::int64_t>(1, snapshot->live_rows() / std::max(1, samples));
  for (const SnapshotPart& part : snapshot->parts) {
    for (std::int64_t row = 0; row < part.rows && sample.samples < samples; ++row) {
      if (part.deleted->Contains(row) || seen++ % step != 0) continue;
      SearchSpec search = {{part.source->Vector(row), static_cast<std::size_t>(snapshot->dimension)},
                           static_cast<std::size_t>(k),
                           wanted_ef,
                           true,
                           nullptr};
      OMICS_ASSIGN_OR_RETURN(const std::vector<Candidate> exact, SearchSnapshot(*snapshot, search, deadline));
      search.exact = false;
      OMICS_ASSIGN_OR_RETURN(const std::vector<Candidate> walked, SearchSnapshot(*snapshot, search, deadline));
      std::unordered_set<std::int64_t> truth;
      for (const Candidate& candidate : exact) truth.insert(candidate.position);
      for (const Candidate& candidate : walked) found += truth.contains(candidate.position) ? 1 : 0;
      wanted += std::ssize(exact);
      ++sample.samples;
    }
  }
  sample.recall = wanted == 0 ? 1.0 : static_cast<double>(found) / static_cast<double>(wanted);
  return sample;
}

}  // namespace omics::index
