// The collection: SQLite's truth, the snapshot that queries read, and what keeps the two together.
//
// Its members are defined by what they are about: collection_impl.cc (opening, writes, changes for the outbox),
// collection_queries.cc (what only reads), collection_build.cc (when segments are built, and of what).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "index/catalog.h"
#include "index/collection.h"
#include "index/internal/builder.h"
#include "index/internal/commit_queue.h"
#include "index/internal/file.h"
#include "index/internal/published.h"
#include "index/internal/record_store.h"
#include "index/internal/snapshot.h"
#include "index/internal/tail.h"

namespace omics::index {

// In a collection's directory: records.sqlite3 (the truth) and *.segment (derived).
class CollectionImpl : public Collection, public BuildTarget, public std::enable_shared_from_this<CollectionImpl> {
 public:
  struct Place {
    std::filesystem::path directory;
    Metric metric = Metric::kSquaredL2;
    HnswParameters hnsw;
  };

  // Makes the directory and an empty record store in it.
  static absl::StatusOr<std::shared_ptr<CollectionImpl>> Create(const Place& place, const CatalogOptions& options,
                                                                Builder& builder);
  // Opens what Create() made: verifies the segments, removes those that are damaged, empty or unfinished, and reads the
  // rows that no segment holds from SQLite.
  static absl::StatusOr<std::shared_ptr<CollectionImpl>> Open(const Place& place, const CatalogOptions& options,
                                                              Builder& builder);

  // All that is on disk of the changes up to one sequence number, for as long as it lives, whatever is written, built
  // and removed meanwhile. Rows that no segment holds are in the records.
  struct Pinned {
    struct SegmentFile {
      std::string name;
      FileDescriptor file;
      std::int64_t bytes = 0;
    };
    RecordSnapshot records;
    std::vector<SegmentFile> segments;
    int dimension = 0;
    std::int64_t rows = 0;
    std::int64_t sequence = 0;
  };
  absl::StatusOr<Pinned> Pin() const;

  // For segments built from now on.
  void SetHnsw(const HnswParameters& hnsw);
  // The files are going away: writes fail with NOT_FOUND and nothing is built any more.
  void MarkDropped();

  Metric metric() const override { return metric_; }
  int dimension() const override { return snapshot_.Load()->dimension; }
  std::int64_t sequence_number() const override { return snapshot_.Load()->sequence; }
  std::int64_t Count() const override { return snapshot_.Load()->live_rows(); }
  CollectionStats Stats() const override;

  absl::StatusOr<WriteResult> Write(WriteMode mode, std::vector<RecordChange> changes, Deadline deadline) override;
  absl::StatusOr<DeleteResult> Delete(const DeleteSpec& spec, Deadline deadline) override;
  absl::StatusOr<GetPage> Get(const GetSpec& spec, Deadline deadline) const override;
  absl::StatusOr<std::vector<std::vector<Hit>>> Query(const QuerySpec& spec, Deadline deadline) const override;
  absl::Status Compact(Deadline deadline) override;
  absl::StatusOr<RecallSample> MeasureRecall(int k, int ef, int samples, Deadline deadline) const override;

  // From now on changes are kept for ChangesAfter().
  absl::Status KeepChanges();
  absl::StatusOr<ChangeBatch> ChangesAfter(std::int64_t sequence, std::int64_t bytes_max) const override;
  absl::Status DropChanges(std::int64_t up_to) override;
  absl::Status ApplyChanges(std::string_view batch) override;

  std::chrono::steady_clock::time_point BuildDue(std::chrono::steady_clock::time_point now) override;

 private:
  struct Request {
    std::function<absl::Status(RecordStore&, std::vector<RowEffect>&)> apply;
    Deadline deadline = kNoDeadline;
    bool alone = false;  // sees what was written before it: in a group of its own
    std::vector<RowEffect> effects;
    absl::Status status;
    bool done = false;
  };
  // What a build takes in.
  struct BuildInput {
    std::vector<SnapshotPart> parts;
    std::vector<SegmentRow> rows;  // the live rows of the parts, sorted by position
    SegmentSpec spec;
  };
  // What a build merges: with the sealed tails, and the segments with many deleted rows,
  enum class Extent {
    kBusy,       // the small segments that are worth it
    kIdle,       // any that are worth it, unless writes come and press
    kEverything  // all
  };
  class ReaderLease;

  static constexpr char kRecordsFile[] = "records.sqlite3";

  CollectionImpl(const Place& place, const CatalogOptions& options, Builder& builder, RecordStore store);

  absl::Status LoadSegments();
  absl::Status LoadTail(std::vector<RowIdentity> missing);

  void CommitGroup(const std::vector<Request*>& group);
  void CommitTogether(const std::vector<Request*>& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status WaitForBacklog(Deadline deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status CommitRequests(const std::vector<Request*>& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  void ApplyEffects(const std::vector<Request*>& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  void AppendRow(Row row, SnapshotEdit& edit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  void SealTail() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  void ScheduleBuild() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // When something will be due, by what is known now; max() for never.
  std::chrono::steady_clock::time_point NextBuild() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  // True when the backlog is half full: what can wait gives way.
  bool Pressed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  bool GivesWay() const ABSL_LOCKS_EXCLUDED(write_mutex_);
  BuildInput ChooseInput(Extent extent);
  absl::Status Build(Extent extent);
  void Install(const BuildInput& input, const std::shared_ptr<const Segment>& segment);

  // What `ids` and `filter` select; both empty or absent select every live row.
  struct Selected;
  absl::StatusOr<std::unique_ptr<Selected>> Select(const Snapshot& snapshot, const std::vector<std::string>& ids,
                                                   const std::optional<Filter>& filter, Deadline deadline) const;
  absl::StatusOr<std::vector<std::string>> MatchingIds(const DeleteSpec& spec, Deadline deadline) const;
  absl::Status CheckQuery(const QuerySpec& spec, int dimension) const;
  // `ef`, or the collection's own; 0 where each segment uses what it was calibrated for.
  int EffectiveEf(int ef) const;

  // Constant after construction.
  const std::filesystem::path directory_;
  const Metric metric_;
  const CatalogOptions options_;
  Builder& builder_;

  // Synchronise themselves.
  Published<Snapshot> snapshot_;
  CommitQueue<Request> queue_;
  std::atomic<int> ef_search_;  // that of hnsw_, read without waiting for a write
  std::atomic<bool> dropped_ = false;
  std::atomic<bool> building_ = false;

  Mutex build_mutex_;  // one build at a time; taken before write_mutex_

  mutable Mutex write_mutex_;
  CondVar backlog_shrunk_;
  mutable RecordStore store_ ABSL_GUARDED_BY(write_mutex_);
  HnswParameters hnsw_ ABSL_GUARDED_BY(write_mutex_);
  std::shared_ptr<Tail> tail_ ABSL_GUARDED_BY(write_mutex_);  // the one that grows; null before the next row makes it
  std::int64_t backlog_bytes_ ABSL_GUARDED_BY(write_mutex_) = 0;  // of sealed tails
  std::chrono::steady_clock::time_point last_write_ ABSL_GUARDED_BY(write_mutex_);
  absl::Status failed_ ABSL_GUARDED_BY(write_mutex_);        // after a commit that may or may not be on disk
  absl::Status build_status_ ABSL_GUARDED_BY(write_mutex_);  // of the last build

  mutable Mutex readers_mutex_;
  mutable std::vector<std::unique_ptr<RecordReader>> readers_ ABSL_GUARDED_BY(readers_mutex_);  // not in use now
};

}  // namespace omics::index
