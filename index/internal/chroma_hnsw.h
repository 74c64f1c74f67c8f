// Reads the vectors of one persisted HNSW index of Chroma: the directory with header.bin, data_level0.bin, length.bin
// and index_metadata.pickle.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace omics::index {

// Thread safety: one thread at a time. Holds the ids and 16 bytes for each, no vectors.
class ChromaHnsw {
 public:
  // Null if the directory has no index_metadata.pickle: Chroma preallocates the other files before it persists
  // anything. `unit_vectors`: stored vectors have length 1 and length.bin holds what they had (the cosine metric).
  // DATA_LOSS naming the file and what is wrong with it: then nothing of the directory can be trusted.
  static absl::StatusOr<std::unique_ptr<ChromaHnsw>> Open(const std::filesystem::path& directory, int dimension,
                                                          bool unit_vectors, std::int64_t records_max);
  ~ChromaHnsw();

  // The log position that the index holds, where the pickle says so (Chroma up to 0.5.5).
  std::optional<std::int64_t> applied_seq_id() const { return applied_seq_id_; }

  bool Contains(std::string_view id) const { return Find(id) >= 0; }

  // False if the index has no (or only a deleted or damaged) vector for `id`. UNAVAILABLE if the file cannot be read.
  absl::StatusOr<bool> Read(std::string_view id, std::vector<float>& vector) const;

 private:
  struct Files;
  struct Layout {
    std::int64_t slots = 0;
    std::int64_t slot_bytes = 0;
    std::int64_t vector_offset = 0;
    std::int64_t label_offset = 0;
  };

  ChromaHnsw();
  static absl::StatusOr<Layout> ReadLayout(std::string_view header, int dimension, std::int64_t records_max);
  absl::Status CheckSizes() const;
  absl::Status ReadNorms();
  // Live labels with their slots, sorted; a label that stands in two slots is left out.
  absl::StatusOr<std::vector<std::pair<std::uint64_t, std::int64_t>>> ReadLabels() const;
  absl::Status ReadIds(std::int64_t records_max);
  std::int64_t Find(std::string_view id) const;

  std::unique_ptr<Files> files_;
  Layout layout_;
  int dimension_ = 0;
  bool unit_vectors_ = false;
  std::string pickle_;                                            // the ids point into it
  std::vector<std::pair<std::string_view, std::int64_t>> slots_;  // by id
  std::vector<float> norms_;                                      // by slot, unit vectors only
  std::optional<std::int64_t> applied_seq_id_;
};

}  // namespace omics::index
