#include "index/internal/chroma_log.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace omics::index {
namespace {

enum Operation : std::int64_t { kAdd = 0, kUpdate = 1, kUpsert = 2, kDelete = 3 };

struct LogRow {
  std::int64_t seq_id = 0;
  std::int64_t operation = 0;
  std::string id;
  bool has_vector = false;
};

absl::Status TooMany(std::int64_t records_max) {
  return absl::ResourceExhaustedError(absl::StrCat("the store's log changes more than ", records_max, " records"));
}

// Topics end in "/<collection id>".
absl::Status ForEachRow(const ChromaDatabase& database, std::string_view collection_id, std::int64_t applied,
                        const std::function<absl::Status(LogRow)>& visit) {
  OMICS_ASSIGN_OR_RETURN(ChromaStatement row,
                         database.Prepare("SELECT seq_id, operation, id, vector IS NOT NULL FROM embeddings_queue"
                                          " WHERE seq_id > ?1 AND substr(topic, -length(?2)) = ?2 ORDER BY seq_id"));
  row.Bind(1, applied);
  row.Bind(2, absl::StrCat("/", ToAbsl(collection_id)));
  while (true) {
    OMICS_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    LogRow read{row.Int(0), row.Int(1), std::string(row.Text(2)), row.Int(3) != 0};
    if (read.seq_id <= 0 || read.operation < kAdd || read.operation > kDelete) {
      return absl::InvalidArgumentError(absl::StrCat("embeddings_queue has an unknown operation ", read.operation));
    }
    OMICS_RETURN_IF_ERROR(visit(std::move(read)));
  }
}

absl::StatusOr<bool> LogIsWhole(const ChromaDatabase& database) {
  OMICS_ASSIGN_OR_RETURN(ChromaStatement row, database.Prepare("SELECT min(seq_id) FROM embeddings_queue"));
  OMICS_ASSIGN_OR_RETURN(const bool found, row.Step());
  return found && !row.IsNull(0) && row.Int(0) == 1;
}

class VectorReplay {
 public:
  VectorReplay(const ChromaContainsFn& contains, bool unknown_index, std::int64_t records_max)
      : contains_(contains), unknown_index_(unknown_index), records_max_(records_max) {}

  absl::Status Apply(const LogRow& row) {
    auto known = changes_.find(row.id);
    bool present = false;
    if (known != changes_.end()) {
      present = known->second.seq_id > 0;
    } else if (unknown_index_) {
      present = row.operation == kUpdate;
    } else {
      OMICS_ASSIGN_OR_RETURN(present, contains_(row.id));
    }
    if (row.operation == kDelete) return Set(std::move(row.id), {});
    if (!row.has_vector || (row.operation == kAdd && present) || (row.operation == kUpdate && !present)) {
      return absl::OkStatus();
    }
    return Set(std::move(row.id), {.seq_id = row.seq_id, .doubtful = unknown_index_ && row.operation == kAdd});
  }

  ChromaVectorChanges Take() { return std::move(changes_); }

 private:
  absl::Status Set(std::string id, ChromaVectorChange change) {
    if (static_cast<std::int64_t>(changes_.size()) >= records_max_) return TooMany(records_max_);
    changes_.insert_or_assign(std::move(id), change);
    return absl::OkStatus();
  }

  const ChromaContainsFn& contains_;
  const bool unknown_index_;
  const std::int64_t records_max_;
  ChromaVectorChanges changes_;
};

class RecordReplay {
 public:
  RecordReplay(const ChromaContainsFn& contains, std::int64_t records_max)
      : contains_(contains), records_max_(records_max) {}

  absl::Status Apply(const LogRow& row) {
    const auto known = changes_.by_id.find(row.id);
    bool present = known != changes_.by_id.end() && known->second.live;
    if (known == changes_.by_id.end()) {
      OMICS_ASSIGN_OR_RETURN(present, contains_(row.id));
    }
    if (row.operation == kDelete) return present ? Delete(row.id) : absl::OkStatus();
    if (row.operation == kAdd && present) return absl::OkStatus();
    if (row.operation == kUpdate && !present) return absl::OkStatus();
    if (++rows_ > records_max_) return TooMany(records_max_);
    if (!present) return Make(row);
    changes_.by_id[row.id].seq_ids.push_back(row.seq_id);
    return absl::OkStatus();
  }

  ChromaRecordChanges Take() { return std::move(changes_); }

 private:
  absl::Status Delete(const std::string& id) {
    if (++rows_ > records_max_) return TooMany(records_max_);
    changes_.by_id[id] = {.live = false, .replaced = true, .place = 0, .seq_ids = {}};
    return absl::OkStatus();
  }

  absl::Status Make(const LogRow& row) {
    changes_.by_id[row.id] = {.live = true, .replaced = true, .place = changes_.made.size(), .seq_ids = {row.seq_id}};
    changes_.made.push_back(row.id);
    return absl::OkStatus();
  }

  const ChromaContainsFn& contains_;
  const std::int64_t records_max_;
  std::int64_t rows_ = 0;
  ChromaRecordChanges changes_;
};

template <typename T>
bool Decode(std::string_view bytes, std::vector<float>& vector) {
  if (bytes.empty() || bytes.size() % sizeof(T) != 0) return false;
  std::vector<T> numbers(bytes.size() / sizeof(T));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  vector.assign(numbers.begin(), numbers.end());
  return std::all_of(vector.begin(), vector.end(), [](float x) { return std::isfinite(x); });
}

}  // namespace

absl::StatusOr<ChromaVectorChanges> ReplayChromaVectors(const ChromaDatabase& database, std::string_view collection_id,
                                                        std::int64_t applied, bool index_lost,
                                                        const ChromaContainsFn& contains, std::int64_t records_max) {
  OMICS_ASSIGN_OR_RETURN(const bool whole, LogIsWhole(database));
  VectorReplay replay(contains, index_lost && !whole, records_max);
  OMICS_RETURN_IF_ERROR(
      ForEachRow(database, collection_id, applied, [&replay](LogRow row) { return replay.Apply(std::move(row)); }));
  return replay.Take();
}

absl::StatusOr<ChromaRecordChanges> ReplayChromaRecords(const ChromaDatabase& database, std::string_view collection_id,
                                                        std::int64_t applied, const ChromaContainsFn& contains,
                                                        std::int64_t records_max) {
  RecordReplay replay(contains, records_max);
  OMICS_RETURN_IF_ERROR(
      ForEachRow(database, collection_id, applied, [&replay](LogRow row) { return replay.Apply(std::move(row)); }));
  return replay.Take();
}

absl::StatusOr<ChromaLogReader> ChromaLogReader::Make(const ChromaDatabase& database) {
  ChromaLogReader reader;
  OMICS_ASSIGN_OR_RETURN(reader.vector_,
                         database.Prepare("SELECT vector, encoding FROM embeddings_queue WHERE seq_id = ?1"));
  OMICS_ASSIGN_OR_RETURN(reader.metadata_, database.Prepare("SELECT metadata FROM embeddings_queue WHERE seq_id = ?1"));
  return reader;
}

absl::StatusOr<bool> ChromaLogReader::ReadVector(std::int64_t seq_id, int dimension, std::vector<float>& vector) {
  vector_.Bind(1, seq_id);
  OMICS_ASSIGN_OR_RETURN(const bool found, vector_.Step());
  if (!found) return false;
  const bool decoded = vector_.Text(1) == "INT32"
                           ? Decode<std::int32_t>(vector_.Text(0), vector)
                           : vector_.Text(1) == "FLOAT32" && Decode<float>(vector_.Text(0), vector);
  if (!decoded) return false;
  return dimension == 0 || vector.size() == static_cast<std::size_t>(dimension);
}

absl::StatusOr<std::string> ChromaLogReader::ReadMetadata(std::int64_t seq_id) {
  metadata_.Bind(1, seq_id);
  OMICS_ASSIGN_OR_RETURN(const bool found, metadata_.Step());
  return found ? std::string(metadata_.Text(0)) : std::string();
}

}  // namespace omics::index
