// The truth of one collection: its SQLite file. Everything else can be rebuilt from it.
//
//   records(position, id, sequence, embedding, document, uri, metadata)   one row per live record
//   state(key, value)                                                     format, dimension, sequence, next_position
//   outbox(sequence, change)                                              changes that are not shipped yet; only there
//                                                                         once KeepChanges() was called
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/internal/change_log.h"
#include "index/internal/row.h"
#include "index/internal/sqlite.h"

namespace omics::index {

// What one change did to one record: the version that is gone, the version that is new, or both.
struct RowEffect {
  std::optional<RowIdentity> removed;
  std::optional<Row> added;
};

struct AppliedWrite {
  WriteResult result;
  std::vector<RowEffect> effects;
};

struct AppliedDelete {
  DeleteResult result;
  std::vector<RowEffect> effects;
};

// The writing side. Changes are applied inside a group, which becomes durable as a whole by CommitGroup().
// Thread safety: one thread at a time.
class RecordStore {
 public:
  // `must_exist` is false only for a new collection. DATA_LOSS if the file is not a record store or of a newer format.
  static absl::StatusOr<RecordStore> Open(const std::filesystem::path& path, bool must_exist);

  int dimension() const { return static_cast<int>(state_.dimension); }
  std::int64_t sequence() const { return state_.sequence; }

  absl::Status BeginGroup();
  // All of the changes or none. The changes must have passed ValidateChange.
  // INVALID_ARGUMENT (DIMENSION_MISMATCH) naming the record; after it the group can go on with the next request.
  absl::StatusOr<AppliedWrite> Apply(WriteMode mode, std::vector<RecordChange> changes);
  absl::StatusOr<AppliedDelete> ApplyDelete(const std::vector<std::string>& ids);
  // Durable when it returns OK; on an error nothing of the group happened.
  absl::Status CommitGroup();
  void RollbackGroup();

  // From now on every change is also kept in the outbox, in the same commit. Not inside a group.
  absl::Status KeepChanges();
  // Those that directly follow `sequence`, until they have `bytes_max` (at least one is given); none where the next one
  // is not kept. Not inside a group; after KeepChanges().
  absl::StatusOr<std::vector<NumberedChange>> ChangesAfter(std::int64_t sequence, std::int64_t bytes_max);
  absl::Status DropChanges(std::int64_t up_to);
  // Inside a group: a change that another store made on the state that this one has now; it is not kept. DATA_LOSS if
  // it cannot be that.
  absl::Status Replay(const NumberedChange& change, std::vector<RowEffect>& effects);

  // Every live version, sorted by position. Reads an index only, not the records.
  absl::StatusOr<std::vector<RowIdentity>> ListIdentities();
  // The rows at `positions`, in their order; DATA_LOSS if one is not there.
  absl::Status ReadRows(const std::vector<std::int64_t>& positions, const std::function<void(Row)>& visit);

 private:
  struct State {
    std::int64_t dimension = 0;
    std::int64_t sequence = 0;
    std::int64_t next_position = 0;
    friend bool operator==(const State&, const State&) = default;
  };

  RecordStore() = default;
  absl::Status Prepare();
  absl::Status LoadState();
  absl::Status SaveState();
  absl::Status ApplyChanges(WriteMode mode, std::vector<RecordChange>& changes, AppliedWrite& applied);
  absl::Status Insert(RecordChange& change, AppliedWrite& applied);
  absl::Status Change(WriteMode mode, RecordChange& change, AppliedWrite& applied);
  absl::Status Merge(RecordChange& change);
  absl::Status CheckDimension(const RecordChange& change);
  absl::Status Keep(const std::string& change);
  absl::Status ReplayOnto(const LoggedChange& change, std::vector<RowEffect>& effects);

  SqliteConnection connection_;
  SqliteStatement find_, insert_, update_, delete_, save_state_, read_row_, keep_, read_kept_, drop_kept_;
  bool keeps_changes_ = false;
  State state_;      // of the group under way
  State committed_;  // of the last commit
};

// The statements that make the tables of a new record store.
std::string_view RecordSchema();

// All records as of one moment, whatever is written afterwards. SQLite's log cannot shrink below that moment while this
// object lives.
// Thread safety: one thread at a time.
class RecordSnapshot {
 public:
  // As of now: the caller keeps the writer away meanwhile.
  static absl::StatusOr<RecordSnapshot> Take(const std::filesystem::path& path);

  // SqliteConnection::CopyTo.
  absl::Status CopyTo(const std::filesystem::path& path,
                      absl::FunctionRef<absl::Status(std::int64_t bytes_done, std::int64_t bytes_total)> tick) {
    return connection_.CopyTo(path, tick);
  }

 private:
  RecordSnapshot() = default;

  SqliteConnection connection_;  // in a read transaction
};

// Takes the outbox, if there is one, out of a copy that is going elsewhere.
absl::Status RemoveOutbox(const std::filesystem::path& copy);

// The reading side: where ids stand. A connection of its own beside the writer's, each call one short read transaction.
// Thread safety: one thread at a time.
class RecordReader {
 public:
  static absl::StatusOr<RecordReader> Open(const std::filesystem::path& path);

  // The positions of `ids`, those that exist, sorted, without repeats.
  absl::StatusOr<std::vector<std::int64_t>> Positions(const std::vector<std::string>& ids, Deadline deadline);

 private:
  RecordReader() = default;

  SqliteConnection connection_;
  SqliteStatement find_;
};

}  // namespace omics::index
