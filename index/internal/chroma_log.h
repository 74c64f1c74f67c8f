// What of Chroma's write-ahead log (the table embeddings_queue) a collection's segments do not hold yet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "index/internal/chroma_sqlite.h"

namespace omics::index {

// Where the log puts a record's vector.
struct ChromaVectorChange {
  std::int64_t seq_id = 0;  // the log row that holds the vector; 0: the record was deleted
  // By an ADD of which it is not known whether the record existed: valid only if it is not younger than the record.
  bool doubtful = false;
};
using ChromaVectorChanges = std::unordered_map<std::string, ChromaVectorChange>;

// What the log does to a record's metadata.
struct ChromaRecordChange {
  bool live = true;
  bool replaced = false;              // made anew by the log: what the metadata segment has does not count
  std::size_t place = 0;              // if made: where in `made`
  std::vector<std::int64_t> seq_ids;  // log rows whose metadata apply, in order
};
struct ChromaRecordChanges {
  std::unordered_map<std::string, ChromaRecordChange> by_id;
  std::vector<std::string> made;  // ids in the order in which the log made them, each time they were
};

using ChromaContainsFn = std::function<absl::StatusOr<bool>(std::string_view id)>;

// Replays the vectors after position `applied`: ADD only if absent, UPDATE only if present, UPSERT, DELETE.
// `contains` says whether the index has an id; where the index is lost (`index_lost`) and the log no longer begins at
// 1, an unknown id counts as absent for ADD and as present for UPDATE.
absl::StatusOr<ChromaVectorChanges> ReplayChromaVectors(const ChromaDatabase& database, std::string_view collection_id,
                                                        std::int64_t applied, bool index_lost,
                                                        const ChromaContainsFn& contains, std::int64_t records_max);

// The same for metadata; `contains` says whether the metadata segment has an id. Almost always empty: Chroma writes
// metadata and log together.
absl::StatusOr<ChromaRecordChanges> ReplayChromaRecords(const ChromaDatabase& database, std::string_view collection_id,
                                                        std::int64_t applied, const ChromaContainsFn& contains,
                                                        std::int64_t records_max);

// Reads single rows of the log. Thread safety: one thread at a time.
class ChromaLogReader {
 public:
  static absl::StatusOr<ChromaLogReader> Make(const ChromaDatabase& database);

  // False if the row has no usable vector of `dimension` finite numbers (0: of any dimension).
  absl::StatusOr<bool> ReadVector(std::int64_t seq_id, int dimension, std::vector<float>& vector);
  // "" if the row has none.
  absl::StatusOr<std::string> ReadMetadata(std::int64_t seq_id);

 private:
  ChromaStatement vector_;
  ChromaStatement metadata_;
};

}  // namespace omics::index
