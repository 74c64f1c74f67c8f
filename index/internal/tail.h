// Rows that are not in a segment yet: in memory, rebuilt from SQLite at start.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "index/internal/row_source.h"

namespace omics::index {

// Grows at its end while readers look at what was there before.
//
// Thread safety: one thread may Append() while others read rows below a count that they were told after those rows were
// appended (a snapshot's `rows`); rows are written once and never move.
class Tail : public RowSource {
 public:
  // Holds at most `rows_max` rows of `dimension` floats.
  Tail(Metric metric, int dimension, std::int64_t rows_max);

  // The caller is the only writer. The tail must not be full. Positions need not rise here: a changed record keeps its
  // position and comes again.
  void Append(Row row);

  Metric metric() const { return metric_; }
  int dimension() const { return static_cast<int>(dimension_); }
  std::int64_t rows() const { return rows_; }
  bool full() const { return rows_ == rows_max_; }
  // Bytes of memory held.
  std::int64_t bytes() const { return bytes_; }

  const float* Vector(std::int64_t row) const override;
  float Scale(std::int64_t row) const override;
  RowIdentity Identity(std::int64_t row) const override;
  std::string_view Payload(std::int64_t row) const override;
  std::int64_t Find(const RowIdentity& identity, std::int64_t rows) const override;

 private:
  // A run of rows whose arrays are as long as they will ever be.
  struct Chunk {
    std::vector<float> vectors;
    std::vector<float> scales;
    std::vector<RowIdentity> identities;
    std::vector<std::string> payloads;
  };
  static constexpr std::int64_t kChunkRows = 64;

  const Chunk& ChunkOf(std::int64_t row) const { return *chunks_[static_cast<std::size_t>(row / kChunkRows)]; }

  const Metric metric_;
  const std::size_t dimension_;
  const std::int64_t rows_max_;
  std::vector<std::unique_ptr<Chunk>> chunks_;  // sized once; a reader touches only chunks of its rows
  std::int64_t rows_ = 0;                       // the writer's
  std::int64_t bytes_ = 0;                      // the writer's
};

}  // namespace omics::index
