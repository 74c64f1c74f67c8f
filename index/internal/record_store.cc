#include "index/internal/record_store.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/metadata_bytes.h"

namespace omics::index {
namespace {

constexpr std::int64_t kFormat = 1;

constexpr char kSchema[] = R"sql(
CREATE TABLE records(
  position INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  sequence INTEGER NOT NULL,
  embedding BLOB NOT NULL,
  document TEXT,
  uri TEXT,
  metadata TEXT);
CREATE INDEX records_identity ON records(position, sequence);
CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO state VALUES ('format', 1), ('dimension', 0), ('sequence', 0), ('next_position', 0);
)sql";

// Not part of the format: a store without it is whole, and what opens one ignores it.
constexpr char kOutboxSchema[] =
    "CREATE TABLE IF NOT EXISTS outbox(sequence INTEGER PRIMARY KEY, change BLOB NOT NULL)";

// The columns of every SELECT that makes a record, in this order.
constexpr char kRecordColumns[] = "position, sequence, id, embedding, document, uri, metadata";
enum Column { kPosition, kSequence, kId, kEmbedding, kDocument, kUri, kMetadata };

std::optional<std::string_view> View(const std::optional<std::string>& text) {
  return text ? std::optional<std::string_view>(*text) : std::nullopt;
}

std::optional<std::string> StoredMetadata(const Metadata& metadata) {
  if (metadata.empty()) return std::nullopt;
  return MetadataToJson(metadata);
}

// `later` on top of `earlier`, for two changes to one id in one batch.
void Combine(RecordChange& earlier, RecordChange later) {
  if (!later.embedding.empty()) earlier.embedding = std::move(later.embedding);
  if (later.document) earlier.document = std::move(later.document);
  if (later.uri) earlier.uri = std::move(later.uri);
  for (const std::string& key : later.remove_metadata_keys) earlier.metadata.erase(key);
  earlier.remove_metadata_keys.insert(earlier.remove_metadata_keys.end(), later.remove_metadata_keys.begin(),
                                      later.remove_metadata_keys.end());
  for (auto& [key, value] : later.metadata) earlier.metadata.insert_or_assign(key, std::move(value));
}

std::vector<RecordChange> CombineRepeats(std::vector<RecordChange> changes) {
  std::unordered_map<std::string, std::size_t> place;
  std::vector<RecordChange> combined;
  combined.reserve(changes.size());
  for (RecordChange& change : changes) {
    const auto [entry, is_new] = place.try_emplace(change.id, combined.size());
    if (is_new) {
      combined.push_back(std::move(change));
    } else {
      Combine(combined[entry->second], std::move(change));
    }
  }
  return combined;
}

// The metadata of a payload; empty and absent are the same thing.
std::optional<std::string> PayloadMetadata(const Metadata& metadata) {
  if (metadata.empty()) return std::nullopt;
  return EncodeMetadata(metadata);
}

Row MakeRow(RowIdentity identity, RecordChange& change) {
  const std::optional<std::string> metadata = PayloadMetadata(change.metadata);
  Row row;
  row.identity = identity;
  row.payload = EncodePayload({change.id, View(change.document), View(change.uri), View(metadata)});
  row.embedding = std::move(change.embedding);
  return row;
}

// Parameter 1 + c of `statement` is column c. The texts and the embedding are borrowed until the statement has run.
void BindRecord(RowIdentity identity, const RecordChange& change, const std::optional<std::string>& metadata,
                SqliteStatement& statement) {
  statement.Bind(1 + kPosition, identity.position);
  statement.Bind(1 + kSequence, identity.sequence);
  statement.Bind(1 + kId, std::string_view(change.id));
  statement.Bind(1 + kEmbedding, std::span<const float>(change.embedding));
  statement.Bind(1 + kDocument, change.document);
  statement.Bind(1 + kUri, change.uri);
  statement.Bind(1 + kMetadata, metadata);
}

// The metadata of the row that `row` stands on, in the form of a payload.
absl::StatusOr<std::optional<std::string>> StoredPayloadMetadata(const SqliteStatement& row) {
  if (row.IsNull(kMetadata)) return std::nullopt;
  OMICS_ASSIGN_OR_RETURN(const Metadata metadata, MetadataFromJson(row.Text(kMetadata)));
  return PayloadMetadata(metadata);
}

absl::Status TimeIsUp() { return absl::DeadlineExceededError("the deadline passed while reading records"); }

}  // namespace

absl::StatusOr<RecordStore> RecordStore::Open(const std::filesystem::path& path, bool must_exist) {
  RecordStore store;
  OMICS_ASSIGN_OR_RETURN(store.connection_, SqliteConnection::Open(path, must_exist));
  if (!must_exist) {
    OMICS_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(store.connection_));
    OMICS_RETURN_IF_ERROR(store.connection_.Execute(kSchema));
    OMICS_RETURN_IF_ERROR(transaction.Commit());
  }
  const absl::Status loaded = store.LoadState();
  if (!loaded.ok()) return Annotate(loaded, path.string());
  OMICS_RETURN_IF_ERROR(store.Prepare());
  return store;
}

absl::Status RecordStore::LoadState() {
  OMICS_ASSIGN_OR_RETURN(SqliteStatement read, connection_.Prepare("SELECT key, value FROM state"));
  std::int64_t format = 0;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, read.Step());
    if (!more) break;
    const std::string_view key = read.Text(0);
    if (key == "format") format = read.Int(1);
    if (key == "dimension") state_.dimension = read.Int(1);
    if (key == "sequence") state_.sequence = read.Int(1);
    if (key == "next_position") state_.next_position = read.Int(1);
  }
  committed_ = state_;
  if (format == kFormat) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("record format ", format, " is not ", kFormat,
                                          ", the one this version reads; use the version that wrote it"));
}

absl::Status RecordStore::Prepare() {
  const std::string select = absl::StrCat("SELECT ", kRecordColumns, " FROM records WHERE ");
  OMICS_ASSIGN_OR_RETURN(find_, connection_.Prepare(select + "id = ?"));
  OMICS_ASSIGN_OR_RETURN(read_row_, connection_.Prepare(select + "position = ?"));
  OMICS_ASSIGN_OR_RETURN(
      insert_, connection_.Prepare(absl::StrCat("INSERT INTO records(", kRecordColumns,
                                                ") VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING")));
  OMICS_ASSIGN_OR_RETURN(
      update_, connection_.Prepare("UPDATE records SET sequence = ?2, embedding = ?4, document = ?5, uri = ?6, "
                                   "metadata = ?7 WHERE position = ?1 AND id = ?3"));
  OMICS_ASSIGN_OR_RETURN(delete_, connection_.Prepare("DELETE FROM records WHERE position = ?"));
  OMICS_ASSIGN_OR_RETURN(save_state_, connection_.Prepare("UPDATE state SET value = ?2 WHERE key = ?1"));
  return absl::OkStatus();
}

absl::Status RecordStore::BeginGroup() { return connection_.Execute("BEGIN IMMEDIATE"); }

absl::Status RecordStore::SaveState() {
  const std::pair<std::string_view, std::int64_t> values[] = {
      {"dimension", state_.dimension}, {"sequence", state_.sequence}, {"next_position", state_.next_position}};
  for (const auto& [key, value] : values) {
    save_state_.Bind(1, key);
    save_state_.Bind(2, value);
    OMICS_RETURN_IF_ERROR(save_state_.Run());
  }
  return absl::OkStatus();
}

absl::Status RecordStore::CommitGroup() {
  absl::Status status = absl::OkStatus();
  if (!(state_ == committed_)) status = SaveState();
  if (status.ok()) status = connection_.Execute("COMMIT");
  if (!status.ok()) {
    RollbackGroup();
    return status;
  }
  committed_ = state_;
  return absl::OkStatus();
}

void RecordStore::RollbackGroup() {
  connection_.Execute("ROLLBACK").IgnoreError();
  state_ = committed_;
}

absl::StatusOr<AppliedWrite> RecordStore::Apply(WriteMode mode, std::vector<RecordChange> changes) {
  if (mode != WriteMode::kInsert) changes = CombineRepeats(std::move(changes));
  const State before = state_;
  const std::string kept = keeps_changes_ ? EncodeWrite(mode, changes) : "";
  OMICS_RETURN_IF_ERROR(connection_.Execute("SAVEPOINT request"));
  AppliedWrite applied;
  ++state_.sequence;
  const absl::Status status = ApplyChanges(mode, changes, applied);
  if (!status.ok()) {
    state_ = before;
    connection_.Execute("ROLLBACK TO request; RELEASE request").IgnoreError();
    return status;
  }
  OMICS_RETURN_IF_ERROR(connection_.Execute("RELEASE request"));
  if (applied.effects.empty()) {
    state_.sequence = before.sequence;
  } else {
    OMICS_RETURN_IF_ERROR(Keep(kept));
  }
  applied.result.sequence_number = state_.sequence;
  return applied;
}

absl::Status RecordStore::ApplyChanges(WriteMode mode, std::vector<RecordChange>& changes, AppliedWrite& applied) {
  applied.effects.reserve(changes.size());
  for (RecordChange& change : changes) {
    OMICS_RETURN_IF_ERROR(CheckDimension(change));
    OMICS_RETURN_IF_ERROR(mode == WriteMode::kInsert ? Insert(change, applied) : Change(mode, change, applied));
  }
  return absl::OkStatus();
}

absl::Status RecordStore::CheckDimension(const RecordChange& change) {
  const auto size = static_cast<std::int64_t>(change.embedding.size());
  if (size == 0 || state_.dimension == 0 || size == state_.dimension) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError(absl::StrCat("record '", change.id, "' has an embedding of dimension ",
                                                            size, ", the collection has dimension ", state_.dimension)),
                    "DIMENSION_MISMATCH");
}

absl::Status RecordStore::Insert(RecordChange& change, AppliedWrite& applied) {
  if (change.embedding.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("record '", change.id, "' is new and has no embedding"));
  }
  const RowIdentity identity = {state_.next_position, state_.sequence};
  const std::optional<std::string> metadata = StoredMetadata(change.metadata);
  BindRecord(identity, change, metadata, insert_);
  OMICS_RETURN_IF_ERROR(insert_.Run());
  if (connection_.Changes() == 0) {
    ++applied.result.skipped;
    return absl::OkStatus();
  }
  ++state_.next_position;
  if (state_.dimension == 0) state_.dimension = static_cast<std::int64_t>(change.embedding.size());
  ++applied.result.inserted;
  applied.effects.push_back({std::nullopt, MakeRow(identity, change)});
  return absl::OkStatus();
}

absl::Status RecordStore::Change(WriteMode mode, RecordChange& change, AppliedWrite& applied) {
  find_.Bind(1, std::string_view(change.id));
  OMICS_ASSIGN_OR_RETURN(const bool found, find_.Step());
  if (!found && mode == WriteMode::kUpsert) return Insert(change, applied);
  if (!found) {
    ++applied.result.skipped;
    return absl::OkStatus();
  }
  const RowIdentity removed = {find_.Int(kPosition), find_.Int(kSequence)};
  const absl::Status merged = Merge(change);
  find_.Reset();
  OMICS_RETURN_IF_ERROR(merged);
  const RowIdentity added = {removed.position, state_.sequence};
  const std::optional<std::string> metadata = StoredMetadata(change.metadata);
  BindRecord(added, change, metadata, update_);
  OMICS_RETURN_IF_ERROR(update_.Run());
  ++applied.result.updated;
  applied.effects.push_back({removed, MakeRow(added, change)});
  return absl::OkStatus();
}

// Fills what `change` leaves out from the stored record that find_ stands on.
absl::Status RecordStore::Merge(RecordChange& change) {
  if (change.embedding.empty()) {
    OMICS_ASSIGN_OR_RETURN(const std::span<const float> stored, find_.Floats(kEmbedding));
    change.embedding.assign(stored.begin(), stored.end());
  }
  if (!change.document) change.document = find_.OptionalText(kDocument);
  if (!change.uri) change.uri = find_.OptionalText(kUri);
  if (find_.IsNull(kMetadata)) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(Metadata metadata, MetadataFromJson(find_.Text(kMetadata)));
  for (const std::string& key : change.remove_metadata_keys) metadata.erase(key);
  for (auto& [key, value] : change.metadata) metadata.insert_or_assign(key, std::move(value));
  change.metadata = std::move(metadata);
  return ValidateMetadata(change.metadata);
}

absl::StatusOr<AppliedDelete> RecordStore::ApplyDelete(const std::vector<std::string>& ids) {
  AppliedDelete applied;
  for (const std::string& id : ids) {
    find_.Bind(1, std::string_view(id));
    OMICS_ASSIGN_OR_RETURN(const bool found, find_.Step());
    if (!found) continue;
    const RowIdentity removed = {find_.Int(kPosition), find_.Int(kSequence)};
    find_.Reset();
    delete_.Bind(1, removed.position);
    OMICS_RETURN_IF_ERROR(delete_.Run());
    applied.effects.push_back({removed, std::nullopt});
  }
  applied.result.deleted = static_cast<std::int64_t>(applied.effects.size());
  if (applied.result.deleted > 0) {
    ++state_.sequence;
    if (keeps_changes_) OMICS_RETURN_IF_ERROR(Keep(EncodeDelete(ids)));
  }
  applied.result.sequence_number = state_.sequence;
  return applied;
}

absl::Status RecordStore::KeepChanges() {
  if (keeps_changes_) return absl::OkStatus();
  OMICS_RETURN_IF_ERROR(connection_.Execute(kOutboxSchema));
  OMICS_ASSIGN_OR_RETURN(keep_, connection_.Prepare("INSERT INTO outbox(sequence, change) VALUES (?, ?)"));
  OMICS_ASSIGN_OR_RETURN(
      read_kept_, connection_.Prepare("SELECT sequence, change FROM outbox WHERE sequence > ? ORDER BY sequence"));
  OMICS_ASSIGN_OR_RETURN(drop_kept_, connection_.Prepare("DELETE FROM outbox WHERE sequence <= ?"));
  keeps_changes_ = true;
  return absl::OkStatus();
}

absl::Status RecordStore::Keep(const std::string& change) {
  if (!keeps_changes_) return absl::OkStatus();
  keep_.Bind(1, state_.sequence);
  keep_.BindBlob(2, change);
  return keep_.Run();
}

absl::StatusOr<std::vector<NumberedChange>> RecordStore::ChangesAfter(std::int64_t sequence, std::int64_t bytes_max) {
  if (!keeps_changes_) return absl::FailedPreconditionError("the collection keeps no changes");
  std::vector<NumberedChange> changes;
  read_kept_.Bind(1, sequence);
  for (std::int64_t bytes = 0; bytes < bytes_max;) {
    OMICS_ASSIGN_OR_RETURN(const bool more, read_kept_.Step());
    if (!more) return changes;
    if (read_kept_.Int(0) != sequence + std::ssize(changes) + 1) break;
    bytes += std::ssize(read_kept_.Text(1));
    changes.push_back({read_kept_.Int(0), std::string(read_kept_.Text(1))});
  }
  read_kept_.Reset();
  return changes;
}

absl::Status RecordStore::DropChanges(std::int64_t up_to) {
  if (!keeps_changes_) return absl::OkStatus();
  drop_kept_.Bind(1, up_to);
  return drop_kept_.Run();
}

absl::Status RecordStore::Replay(const NumberedChange& change, std::vector<RowEffect>& effects) {
  if (change.sequence != state_.sequence + 1) {
    return absl::DataLossError(
        absl::StrCat("change ", change.sequence, " does not follow ", state_.sequence, ", the last one that is here"));
  }
  OMICS_ASSIGN_OR_RETURN(const LoggedChange decoded, DecodeChange(change.bytes));
  const bool keeps = std::exchange(keeps_changes_, false);
  const absl::Status replayed = ReplayOnto(decoded, effects);
  keeps_changes_ = keeps;
  if (absl::IsInvalidArgument(replayed)) return absl::DataLossError(replayed.message());
  OMICS_RETURN_IF_ERROR(replayed);
  if (state_.sequence == change.sequence) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("change ", change.sequence, " changes nothing here: it was made elsewhere"));
}

absl::Status RecordStore::ReplayOnto(const LoggedChange& change, std::vector<RowEffect>& effects) {
  std::vector<RowEffect> made;
  if (change.is_delete) {
    OMICS_ASSIGN_OR_RETURN(AppliedDelete applied, ApplyDelete(change.ids));
    made = std::move(applied.effects);
  } else {
    OMICS_ASSIGN_OR_RETURN(AppliedWrite applied, Apply(change.mode, change.changes));
    made = std::move(applied.effects);
  }
  effects.insert(effects.end(), std::make_move_iterator(made.begin()), std::make_move_iterator(made.end()));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RowIdentity>> RecordStore::ListIdentities() {
  OMICS_ASSIGN_OR_RETURN(
      SqliteStatement list,
      connection_.Prepare("SELECT position, sequence FROM records INDEXED BY records_identity ORDER BY position"));
  std::vector<RowIdentity> identities;
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, list.Step());
    if (!more) return identities;
    identities.push_back({list.Int(0), list.Int(1)});
  }
}

absl::Status RecordStore::ReadRows(const std::vector<std::int64_t>& positions, const std::function<void(Row)>& visit) {
  for (const std::int64_t position : positions) {
    read_row_.Bind(1, position);
    OMICS_ASSIGN_OR_RETURN(const bool found, read_row_.Step());
    if (!found) return absl::DataLossError(absl::StrCat("the record at position ", position, " is missing"));
    OMICS_ASSIGN_OR_RETURN(const std::span<const float> embedding, read_row_.Floats(kEmbedding));
    if (static_cast<std::int64_t>(embedding.size()) != state_.dimension) {
      return absl::DataLossError(absl::StrCat("the record at position ", position, " has a wrong dimension"));
    }
    const std::optional<std::string> document = read_row_.OptionalText(kDocument);
    const std::optional<std::string> uri = read_row_.OptionalText(kUri);
    OMICS_ASSIGN_OR_RETURN(const std::optional<std::string> metadata, StoredPayloadMetadata(read_row_));
    Row row;
    row.identity = {position, read_row_.Int(kSequence)};
    row.embedding.assign(embedding.begin(), embedding.end());
    row.payload = EncodePayload({read_row_.Text(kId), View(document), View(uri), View(metadata)});
    read_row_.Reset();
    visit(std::move(row));
  }
  return absl::OkStatus();
}

std::string_view RecordSchema() { return kSchema; }

absl::StatusOr<RecordSnapshot> RecordSnapshot::Take(const std::filesystem::path& path) {
  RecordSnapshot snapshot;
  OMICS_ASSIGN_OR_RETURN(snapshot.connection_, SqliteConnection::OpenReader(path));
  OMICS_RETURN_IF_ERROR(snapshot.connection_.Execute("BEGIN; SELECT value FROM state LIMIT 1"));
  return snapshot;
}

absl::Status RemoveOutbox(const std::filesystem::path& copy) {
  OMICS_ASSIGN_OR_RETURN(SqliteConnection connection, SqliteConnection::Open(copy, /*must_exist=*/true));
  return connection.Execute("DROP TABLE IF EXISTS outbox");
}

absl::StatusOr<RecordReader> RecordReader::Open(const std::filesystem::path& path) {
  RecordReader reader;
  OMICS_ASSIGN_OR_RETURN(reader.connection_, SqliteConnection::OpenReader(path));
  OMICS_ASSIGN_OR_RETURN(reader.find_, reader.connection_.Prepare("SELECT position FROM records WHERE id = ?"));
  return reader;
}

absl::StatusOr<std::vector<std::int64_t>> RecordReader::Positions(const std::vector<std::string>& ids,
                                                                  Deadline deadline) {
  std::vector<std::int64_t> positions;
  for (const std::string& id : ids) {
    if (Expired(deadline)) return TimeIsUp();
    find_.Bind(1, std::string_view(id));
    OMICS_ASSIGN_OR_RETURN(const bool found, find_.Step());
    if (!found) continue;
    positions.push_back(find_.Int(0));
    find_.Reset();
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  return positions;
}

}  // namespace omics::index
