// Which documents hold which three bytes in a row.
//
// Each document counts as followed by two zero bytes, so that a window begins at each of its bytes: then a one- or
// two-byte piece is the beginning of a window. For each distinct window there is the list of the rows that have it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/internal/row_lists.h"
#include "index/internal/row_set.h"

namespace omics::index {

// The document of a row; data() is null where there is none.
using DocumentOf = absl::FunctionRef<std::string_view(std::int64_t row)>;

// Where the windows of documents lie in a run of bytes.
struct DocumentWindowsPlace {
  Stretch documents;  // u64 words, a bit per row that has a document
  Stretch windows;    // u32 each, ascending, the first byte highest
  RowListsPlace lists;
};

// Appends the windows of the rows 0 to `rows` - 1 to `out`. Reads each document three times; needs 3 MiB and 4
// bytes for each distinct window of each document, and appends at most that.
DocumentWindowsPlace AppendDocumentWindows(std::int64_t rows, DocumentOf document, std::string& out);

// Thread safety: const members may be called from any thread. Borrows the bytes.
class DocumentWindowsView {
 public:
  // `bytes` start at a multiple of 8. DATA_LOSS unless they are windows of documents of `rows` rows.
  static absl::StatusOr<DocumentWindowsView> Open(std::string_view bytes, const DocumentWindowsPlace& place,
                                                  std::int64_t rows);

  DocumentWindowsView() = default;  // over no rows

  RowSet RowsWithDocument() const { return RowSet::FromWords(documents_); }

  // All rows that have every one of `pieces` in their document, possibly with some that have not: look at those again.
  // None of `pieces` is empty.
  RowSet MayContain(std::span<const std::string_view> pieces) const;

  // Whether MayContain({piece}) gives the very rows that have it.
  static bool IsExact(std::string_view piece) {
    return piece.size() <= 3 && piece.find('\0') == std::string_view::npos;
  }

 private:
  RowSet RowsOfShort(std::string_view piece) const;
  RowList RowsOfWindow(std::uint32_t window) const;

  std::int64_t rows_ = 0;
  std::span<const std::uint64_t> documents_;
  std::span<const std::uint32_t> windows_;
  RowLists lists_;
};

}  // namespace omics::index
