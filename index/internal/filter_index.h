// The index of a segment over metadata and documents: which rows hold a value (metadata_columns.h), which documents
// hold three bytes in a row (document_windows.h). It is one run of bytes in the segment's file, little-endian, mapped
// and read in place (docs/formats.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/internal/document_windows.h"
#include "index/internal/metadata_columns.h"
#include "index/internal/row_set.h"

namespace omics::index {

// Rows of one segment that may match a filter.
struct RowSelection {
  RowSet rows;
  bool exact = true;  // every row of the set matches
};

// What stands in for the segment here: the payload of a row, which stays where it is during the call.
using PayloadOf = absl::FunctionRef<std::string_view(std::int64_t row)>;

// The bytes of the index over rows 0 to `rows` - 1 (at most INT32_MAX), a multiple of 8. DATA_LOSS if a payload cannot
// be decoded. Needs about 24 bytes for each metadata value of each row, and twice the size of the result.
absl::StatusOr<std::string> BuildFilterIndex(std::int64_t rows, PayloadOf payload);

// Thread safety: const members may be called from any thread. Borrows the bytes.
class FilterIndexView {
 public:
  // `bytes` start at a multiple of 8. DATA_LOSS unless every offset and row lies where it must, so that no selection
  // can leave the bytes. Reads them all, about 0.1 ms for each MB.
  static absl::StatusOr<FilterIndexView> Open(std::string_view bytes, std::int64_t rows);

  FilterIndexView() = default;  // over no rows
  std::int64_t rows() const { return rows_; }
  const MetadataColumnsView& metadata() const { return metadata_; }
  const DocumentWindowsView& documents() const { return documents_; }

 private:
  std::int64_t rows_ = 0;
  MetadataColumnsView metadata_;
  DocumentWindowsView documents_;
};

}  // namespace omics::index
