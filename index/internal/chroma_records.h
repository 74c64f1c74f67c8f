// Streams the records of one collection of a Chroma store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/internal/chroma_catalog.h"
#include "index/internal/chroma_hnsw.h"
#include "index/internal/chroma_log.h"
#include "index/internal/chroma_sqlite.h"
#include "index/record.h"

namespace omics::index {

// Live records of a collection: those of its metadata segment, with what the log changes about them.
absl::StatusOr<std::int64_t> CountChromaRecords(const ChromaDatabase& database, const ChromaSource& source,
                                                std::int64_t records_max);

// Reads a collection once. Memory: one batch, the ids of the vector index, and what the log holds beyond the segments.
class ChromaRecordReader {
 public:
  using Sink = std::function<absl::Status(std::vector<RecordChange>)>;

  // `root` is the folder that holds chroma.sqlite3. `database` and `source` are borrowed.
  static absl::StatusOr<std::unique_ptr<ChromaRecordReader>> Make(const ChromaDatabase& database,
                                                                  const ChromaSource& source,
                                                                  const std::filesystem::path& root,
                                                                  std::int64_t records_max);

  // Gives all records to `sink`, in order of insertion. Ids without a vector go to `lost_ids`.
  absl::Status Run(const Sink& sink, std::vector<std::string>& lost_ids);

 private:
  ChromaRecordReader(const ChromaDatabase& database, const ChromaSource& source)
      : database_(database), source_(source), dimension_(source.collection.dimension) {}

  absl::Status OpenIndex(const std::filesystem::path& root, std::int64_t records_max);
  absl::Status PrepareStatements();
  absl::Status ReadStored(const Sink& sink, std::vector<std::string>& lost_ids);
  absl::Status ReadMade(const Sink& sink, std::vector<std::string>& lost_ids);
  absl::Status ReadMetadataRows(std::int64_t row, RecordChange& record);
  absl::Status ReadMetadataLists(std::int64_t row, RecordChange& record);
  absl::Status ApplyLog(const ChromaRecordChange& change, RecordChange& record);
  absl::StatusOr<bool> ReadVector(const std::string& id, std::int64_t record_seq_id, std::vector<float>& vector);
  absl::Status Emit(RecordChange record, std::int64_t record_seq_id, const Sink& sink,
                    std::vector<std::string>& lost_ids);
  absl::Status Flush(const Sink& sink);

  const ChromaDatabase& database_;
  const ChromaSource& source_;
  int dimension_;                      // 0 until a vector tells
  std::unique_ptr<ChromaHnsw> index_;  // null if nothing was persisted, or what was is damaged
  ChromaVectorChanges vector_changes_;
  ChromaRecordChanges record_changes_;
  ChromaLogReader log_;
  ChromaStatement records_;
  ChromaStatement metadata_;
  ChromaStatement lists_;
  bool has_lists_ = false;
  std::vector<RecordChange> batch_;
  std::size_t batch_bytes_ = 0;
};

}  // namespace omics::index
