#include "index/internal/tail.h"

#include <algorithm>
#include <utility>

namespace omics::index {

Tail::Tail(Metric metric, int dimension, std::int64_t rows_max)
    : metric_(metric),
      dimension_(static_cast<std::size_t>(dimension)),
      rows_max_(rows_max),
      chunks_(static_cast<std::size_t>((rows_max + kChunkRows - 1) / kChunkRows)) {}

void Tail::Append(Row row) {
  auto& chunk = chunks_[static_cast<std::size_t>(rows_ / kChunkRows)];
  if (!chunk) {
    chunk = std::make_unique<Chunk>();
    chunk->vectors.resize(kChunkRows * dimension_);
    chunk->scales.resize(kChunkRows);
    chunk->identities.resize(kChunkRows);
    chunk->payloads.resize(kChunkRows);
    bytes_ += static_cast<std::int64_t>(kChunkRows * (dimension_ * sizeof(float) + 64));
  }
  const auto slot = static_cast<std::size_t>(rows_ % kChunkRows);
  std::copy(row.embedding.begin(), row.embedding.end(),
            chunk->vectors.begin() + static_cast<std::ptrdiff_t>(slot * dimension_));
  chunk->scales[slot] = RowScale(metric_, row.embedding.data(), dimension_);
  chunk->identities[slot] = row.identity;
  bytes_ += static_cast<std::int64_t>(row.payload.size());
  chunk->payloads[slot] = std::move(row.payload);
  ++rows_;
}

const float* Tail::Vector(std::int64_t row) const {
  return ChunkOf(row).vectors.data() + static_cast<std::size_t>(row % kChunkRows) * dimension_;
}

float Tail::Scale(std::int64_t row) const { return ChunkOf(row).scales[static_cast<std::size_t>(row % kChunkRows)]; }

RowIdentity Tail::Identity(std::int64_t row) const {
  return ChunkOf(row).identities[static_cast<std::size_t>(row % kChunkRows)];
}

std::string_view Tail::Payload(std::int64_t row) const {
  return ChunkOf(row).payloads[static_cast<std::size_t>(row % kChunkRows)];
}

std::int64_t Tail::Find(const RowIdentity& identity, std::int64_t rows) const {
  // From the end: what is changed or deleted soon after it was written is the common case. Numbers of changes never
  // fall along the tail, so the search can stop early.
  for (std::int64_t row = rows - 1; row >= 0; --row) {
    const RowIdentity found = Identity(row);
    if (found == identity) return row;
    if (found.sequence < identity.sequence) return -1;
  }
  return -1;
}

}  // namespace omics::index
