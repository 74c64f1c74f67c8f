#include "index/internal/chroma_records.h"

#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/internal/chroma_json.h"
#include "index/internal/chroma_keys.h"

namespace omics::index {
namespace {

constexpr std::size_t kBatchRecords = 1000;
// A thousand records with documents of a page each; keeps a store of large documents from filling the memory.
constexpr std::size_t kBatchBytes = 16 << 20;
// Twice what a record may have here, so that one with too many is still refused by name.
constexpr int kMetadataRowsMax = 2 * static_cast<int>(kMetadataKeysMax);
constexpr int kListRowsMax = 100'000;
constexpr std::int64_t kMadeByLog = std::numeric_limits<std::int64_t>::max();

std::size_t Bytes(const RecordChange& record) {
  std::size_t bytes = record.id.size() + record.embedding.size() * sizeof(float);
  if (record.document) bytes += record.document->size();
  for (const auto& [key, value] : record.metadata) {
    const auto* text = std::get_if<std::string>(&value);
    bytes += key.size() + (text ? text->size() : sizeof(MetadataValue));
  }
  return bytes;
}

absl::Status TooMuchMetadata(const std::string& id) {
  return absl::InvalidArgumentError(absl::StrCat("record '", id.substr(0, 200), "' has too much metadata"));
}

// Old rows have their position as a big-endian blob, which only a damaged index makes us look at.
std::int64_t ReadSeqId(const ChromaStatement& row, int column) {
  if (row.Type(column) != ChromaColumnType::kBlob) return row.Int(column);
  std::uint64_t value = 0;
  for (const char c : row.Text(column).substr(0, 8)) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(value);
}

absl::StatusOr<ChromaRecordChanges> ReplayRecords(const ChromaDatabase& database, const ChromaSource& source,
                                                  std::int64_t records_max) {
  OMICS_ASSIGN_OR_RETURN(ChromaStatement row, database.Prepare("SELECT 1 FROM embeddings WHERE segment_id = ?1"
                                                               " AND embedding_id = ?2"));
  const ChromaContainsFn contains = [&row, &source](std::string_view id) {
    row.Bind(1, source.metadata_segment);
    row.Bind(2, id);
    return row.Step();
  };
  return ReplayChromaRecords(database, source.collection.id, source.metadata_applied, contains, records_max);
}

}  // namespace

absl::StatusOr<std::int64_t> CountChromaRecords(const ChromaDatabase& database, const ChromaSource& source,
                                                std::int64_t records_max) {
  OMICS_ASSIGN_OR_RETURN(ChromaStatement row,
                         database.Prepare("SELECT count(*), (SELECT count(*) FROM embeddings WHERE segment_id = ?1"
                                          " AND embedding_id = ?2) FROM embeddings WHERE segment_id = ?1"));
  row.Bind(1, source.metadata_segment);
  OMICS_RETURN_IF_ERROR(row.Step().status());
  std::int64_t count = row.Int(0);
  OMICS_ASSIGN_OR_RETURN(const ChromaRecordChanges changes, ReplayRecords(database, source, records_max));
  for (const auto& [id, change] : changes.by_id) {
    row.Bind(2, id);
    OMICS_RETURN_IF_ERROR(row.Step().status());
    if (change.live) ++count;
    count -= row.Int(1);
  }
  if (count <= records_max) return count;
  return absl::ResourceExhaustedError(
      absl::StrCat("collection '", source.collection.name, "' has more than ", records_max, " records"));
}

absl::StatusOr<std::unique_ptr<ChromaRecordReader>> ChromaRecordReader::Make(const ChromaDatabase& database,
                                                                             const ChromaSource& source,
                                                                             const std::filesystem::path& root,
                                                                             std::int64_t records_max) {
  std::unique_ptr<ChromaRecordReader> reader(new ChromaRecordReader(database, source));
  OMICS_RETURN_IF_ERROR(reader->OpenIndex(root, records_max));
  OMICS_ASSIGN_OR_RETURN(reader->record_changes_, ReplayRecords(database, source, records_max));
  OMICS_RETURN_IF_ERROR(reader->PrepareStatements());
  return reader;
}

absl::Status ChromaRecordReader::OpenIndex(const std::filesystem::path& root, std::int64_t records_max) {
  bool lost = false;
  if (!source_.vector_segment.empty() && dimension_ > 0) {
    auto index = ChromaHnsw::Open(root / source_.vector_segment, dimension_,
                                  source_.collection.metric == Metric::kCosine, records_max);
    lost = absl::IsDataLoss(index.status());
    if (!index.ok() && !lost) return index.status();
    if (!lost) index_ = *std::move(index);
  }
  std::int64_t applied = source_.vector_applied;
  if (index_ && !source_.vector_applied_known) applied = index_->applied_seq_id().value_or(0);
  // SQLite says that there was an index: the directory was lost.
  if (!index_ && applied > 0) lost = true;
  if (!index_) applied = 0;
  const ChromaContainsFn contains = [this](std::string_view id) { return index_ && index_->Contains(id); };
  OMICS_ASSIGN_OR_RETURN(vector_changes_,
                         ReplayChromaVectors(database_, source_.collection.id, applied, lost, contains, records_max));
  return absl::OkStatus();
}

absl::Status ChromaRecordReader::PrepareStatements() {
  OMICS_ASSIGN_OR_RETURN(log_, ChromaLogReader::Make(database_));
  OMICS_ASSIGN_OR_RETURN(records_, database_.Prepare("SELECT id, embedding_id, seq_id FROM embeddings"
                                                     " WHERE segment_id = ?1 ORDER BY id"));
  OMICS_ASSIGN_OR_RETURN(const auto columns, database_.Columns("embedding_metadata"));
  OMICS_ASSIGN_OR_RETURN(metadata_, database_.Prepare(absl::StrCat(
                                        "SELECT key, string_value, int_value, float_value, ",
                                        columns.contains(std::string_view("bool_value")) ? "bool_value" : "NULL",
                                        " FROM embedding_metadata WHERE id = ?1")));
  OMICS_ASSIGN_OR_RETURN(const auto list_columns, database_.Columns("embedding_metadata_array"));
  has_lists_ = !list_columns.empty();
  if (!has_lists_) return absl::OkStatus();
  OMICS_ASSIGN_OR_RETURN(lists_, database_.Prepare("SELECT key, string_value, int_value, float_value, bool_value"
                                                   " FROM embedding_metadata_array WHERE id = ?1 ORDER BY key, rowid"));
  return absl::OkStatus();
}

absl::Status ChromaRecordReader::Run(const Sink& sink, std::vector<std::string>& lost_ids) {
  OMICS_RETURN_IF_ERROR(ReadStored(sink, lost_ids));
  OMICS_RETURN_IF_ERROR(ReadMade(sink, lost_ids));
  return Flush(sink);
}

absl::Status ChromaRecordReader::ReadStored(const Sink& sink, std::vector<std::string>& lost_ids) {
  records_.Bind(1, source_.metadata_segment);
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, records_.Step());
    if (!more) return absl::OkStatus();
    RecordChange record;
    record.id = records_.Text(1);
    const auto change = record_changes_.by_id.find(record.id);
    const bool changed = change != record_changes_.by_id.end();
    if (changed && change->second.replaced) continue;
    OMICS_RETURN_IF_ERROR(ReadMetadataRows(records_.Int(0), record));
    if (has_lists_) OMICS_RETURN_IF_ERROR(ReadMetadataLists(records_.Int(0), record));
    if (changed) OMICS_RETURN_IF_ERROR(ApplyLog(change->second, record));
    OMICS_RETURN_IF_ERROR(Emit(std::move(record), ReadSeqId(records_, 2), sink, lost_ids));
  }
}

absl::Status ChromaRecordReader::ReadMade(const Sink& sink, std::vector<std::string>& lost_ids) {
  for (std::size_t i = 0; i < record_changes_.made.size(); ++i) {
    const ChromaRecordChange& change = record_changes_.by_id[record_changes_.made[i]];
    if (!change.live || change.place != i) continue;
    RecordChange record;
    record.id = record_changes_.made[i];
    OMICS_RETURN_IF_ERROR(ApplyLog(change, record));
    OMICS_RETURN_IF_ERROR(Emit(std::move(record), kMadeByLog, sink, lost_ids));
  }
  return absl::OkStatus();
}

absl::Status ChromaRecordReader::ReadMetadataRows(std::int64_t row, RecordChange& record) {
  metadata_.Bind(1, row);
  for (int rows = 0;; ++rows) {
    OMICS_ASSIGN_OR_RETURN(const bool more, metadata_.Step());
    if (!more) return absl::OkStatus();
    if (rows >= kMetadataRowsMax) return TooMuchMetadata(record.id);
    if (auto value = ReadChromaValue(metadata_, 1)) SetChromaField(metadata_.Text(0), *std::move(value), record);
  }
}

absl::Status ChromaRecordReader::ReadMetadataLists(std::int64_t row, RecordChange& record) {
  std::map<std::string, std::vector<MetadataValue>> lists;
  lists_.Bind(1, row);
  for (int rows = 0;; ++rows) {
    OMICS_ASSIGN_OR_RETURN(const bool more, lists_.Step());
    if (!more) break;
    if (rows >= kListRowsMax) return TooMuchMetadata(record.id);
    if (auto value = ReadChromaValue(lists_, 1)) lists[std::string(lists_.Text(0))].push_back(*std::move(value));
  }
  for (auto& [key, values] : lists) {
    absl::StatusOr<MetadataValue> joined = JoinChromaList(std::move(values));
    if (!joined.ok()) return Annotate(joined.status(), absl::StrCat("record '", record.id, "'"));
    SetChromaField(key, *std::move(joined), record);
  }
  return absl::OkStatus();
}

absl::Status ChromaRecordReader::ApplyLog(const ChromaRecordChange& change, RecordChange& record) {
  for (const std::int64_t seq_id : change.seq_ids) {
    OMICS_ASSIGN_OR_RETURN(const std::string json, log_.ReadMetadata(seq_id));
    const absl::Status applied = ApplyChromaMetadata(json, record);
    if (!applied.ok()) return Annotate(applied, absl::StrCat("record '", record.id, "'"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ChromaRecordReader::ReadVector(const std::string& id, std::int64_t record_seq_id,
                                                    std::vector<float>& vector) {
  const auto change = vector_changes_.find(id);
  if (change == vector_changes_.end()) {
    if (!index_) return false;
    return index_->Read(id, vector);
  }
  const bool ignored_add = change->second.doubtful && change->second.seq_id > record_seq_id;
  if (change->second.seq_id == 0 || ignored_add) return false;
  return log_.ReadVector(change->second.seq_id, dimension_, vector);
}

absl::Status ChromaRecordReader::Emit(RecordChange record, std::int64_t record_seq_id, const Sink& sink,
                                      std::vector<std::string>& lost_ids) {
  OMICS_ASSIGN_OR_RETURN(const bool found, ReadVector(record.id, record_seq_id, record.embedding));
  if (!found) {
    lost_ids.push_back(std::move(record.id));
    return absl::OkStatus();
  }
  dimension_ = static_cast<int>(record.embedding.size());
  batch_bytes_ += Bytes(record);
  batch_.push_back(std::move(record));
  return batch_.size() >= kBatchRecords || batch_bytes_ >= kBatchBytes ? Flush(sink) : absl::OkStatus();
}

absl::Status ChromaRecordReader::Flush(const Sink& sink) {
  if (batch_.empty()) return absl::OkStatus();
  batch_bytes_ = 0;
  return sink(std::exchange(batch_, {}));
}

}  // namespace omics::index
