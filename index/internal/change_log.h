// Changes as bytes: what a collection's outbox keeps and what is shipped (docs/formats.md).
//
// A change is kept as it was asked for, not as the rows it made: on the same state it has the same effects, and its
// size is that of the request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/collection.h"
#include "index/record.h"

namespace omics::index {

// Of several changes together, unpacked: a request has 16 MiB at most, and metadata takes a few bytes more here.
inline constexpr std::size_t kChangesBytesMax = std::size_t{256} << 20;

// Either records to write or ids to delete.
struct LoggedChange {
  bool is_delete = false;
  WriteMode mode = WriteMode::kInsert;
  std::vector<RecordChange> changes;
  std::vector<std::string> ids;
};

std::string EncodeWrite(WriteMode mode, const std::vector<RecordChange>& changes);
std::string EncodeDelete(const std::vector<std::string>& ids);
// DATA_LOSS unless `bytes` is what one of the two wrote.
absl::StatusOr<LoggedChange> DecodeChange(std::string_view bytes);

// A change with the sequence number that it got.
struct NumberedChange {
  std::int64_t sequence = 0;
  std::string bytes;
};

absl::StatusOr<std::string> PackChanges(const std::vector<NumberedChange>& changes);
// DATA_LOSS for anything else, or where the numbers do not follow one on the other.
absl::StatusOr<std::vector<NumberedChange>> UnpackChanges(std::string_view packed);

}  // namespace omics::index
