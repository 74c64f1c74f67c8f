#include "index/internal/document_windows.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/status.h"

namespace omics::index {
namespace {

constexpr std::uint32_t kWindowEnd = 1u << 24;  // windows are below

// Intersecting more lists than this seldom removes enough rows to pay.
constexpr std::size_t kListsMax = 8;
// So few rows are looked at sooner than another list.
constexpr std::int64_t kFewRows = 16;

// Calls `visit(window)` for the window at each byte of `document`.
template <typename Visit>
void ForEachWindow(std::string_view document, Visit visit) {
  const auto byte = [document](std::size_t i) -> std::uint32_t {
    return i < document.size() ? static_cast<unsigned char>(document[i]) : 0;
  };
  std::uint32_t window = byte(0) << 8 | byte(1);
  for (std::size_t i = 0; i < document.size(); ++i) {
    window = (window << 8 | byte(i + 2)) & (kWindowEnd - 1);
    visit(window);
  }
}

// Numbers the windows that occur, in their order.
class WindowNumbers {
 public:
  void Add(std::uint32_t window) { words_[window / 64] |= std::uint64_t{1} << (window % 64); }

  // Call once, after all are added: all windows, ascending.
  std::vector<std::uint32_t> Finish() {
    std::vector<std::uint32_t> windows;
    for (std::uint32_t word = 0; word < words_.size(); ++word) {
      before_[word] = static_cast<std::uint32_t>(windows.size());
      for (std::uint64_t bits = words_[word]; bits != 0; bits &= bits - 1) {
        windows.push_back(word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits)));
      }
    }
    return windows;
  }

  std::uint32_t NumberOf(std::uint32_t window) const {
    const std::uint64_t lower = words_[window / 64] & ((std::uint64_t{1} << (window % 64)) - 1);
    return before_[window / 64] + static_cast<std::uint32_t>(std::popcount(lower));
  }

 private:
  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(kWindowEnd / 64);
  std::vector<std::uint32_t> before_ = std::vector<std::uint32_t>(kWindowEnd / 64);
};

// Calls `visit(row, number)` once for each distinct window of each document, row by row.
template <typename Visit>
void ForEachDistinct(std::int64_t rows, DocumentOf document, const WindowNumbers& numbers, std::size_t windows,
                     Visit visit) {
  std::vector<std::int64_t> last(windows, -1);
  for (std::int64_t row = 0; row < rows; ++row) {
    ForEachWindow(document(row), [&](std::uint32_t window) {
      const std::uint32_t number = numbers.NumberOf(window);
      if (last[number] == row) return;
      last[number] = row;
      visit(static_cast<std::uint32_t>(row), number);
    });
  }
}

std::uint32_t WindowAt(std::string_view piece, std::size_t i) {
  const auto byte = [&](std::size_t k) -> std::uint32_t { return static_cast<unsigned char>(piece[i + k]); };
  return byte(0) << 16 | byte(1) << 8 | byte(2);
}

}  // namespace

DocumentWindowsPlace AppendDocumentWindows(std::int64_t rows, DocumentOf document, std::string& out) {
  std::vector<std::uint64_t> documents(static_cast<std::size_t>((rows + 63) / 64));
  WindowNumbers numbers;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::string_view text = document(row);
    if (text.data() != nullptr) documents[static_cast<std::size_t>(row / 64)] |= std::uint64_t{1} << (row % 64);
    ForEachWindow(text, [&](std::uint32_t window) { numbers.Add(window); });
  }
  const std::vector<std::uint32_t> windows = numbers.Finish();

  std::vector<std::uint64_t> begins(windows.size() + 1);
  ForEachDistinct(rows, document, numbers, windows.size(), [&](std::uint32_t, std::uint32_t n) { ++begins[n + 1]; });
  for (std::size_t i = 1; i < begins.size(); ++i) begins[i] += begins[i - 1];
  std::vector<std::uint32_t> list_rows(begins.back());
  std::vector<std::uint64_t> ends(begins.begin(), begins.end() - 1);
  ForEachDistinct(rows, document, numbers, windows.size(),
                  [&](std::uint32_t row, std::uint32_t n) { list_rows[ends[n]++] = row; });

  DocumentWindowsPlace place;
  place.documents = AppendArray(std::span<const std::uint64_t>(documents), out);
  place.windows = AppendArray(std::span<const std::uint32_t>(windows), out);
  RowListsWriter lists(rows);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    lists.Add(std::span<const std::uint32_t>(list_rows).subspan(begins[i], begins[i + 1] - begins[i]));
  }
  place.lists = lists.Append(out);
  return place;
}

absl::StatusOr<DocumentWindowsView> DocumentWindowsView::Open(std::string_view bytes, const DocumentWindowsPlace& place,
                                                              std::int64_t rows) {
  OMICS_RETURN_IF_ERROR(CheckArray(bytes, place.documents, sizeof(std::uint64_t)));
  OMICS_RETURN_IF_ERROR(CheckArray(bytes, place.windows, sizeof(std::uint32_t)));
  OMICS_RETURN_IF_ERROR(CheckRowLists(bytes, place.lists, place.windows.count, rows));
  DocumentWindowsView view;
  view.rows_ = rows;
  view.documents_ = ArrayAt<std::uint64_t>(bytes, place.documents);
  view.windows_ = ArrayAt<std::uint32_t>(bytes, place.windows);
  view.lists_ = RowLists(bytes, place.lists, rows);
  if (view.documents_.size() != static_cast<std::uint64_t>((rows + 63) / 64)) return DamagedFilterIndex();
  if (rows % 64 != 0 && view.documents_.back() >> (rows % 64) != 0) return DamagedFilterIndex();
  return view;
}

RowList DocumentWindowsView::RowsOfWindow(std::uint32_t window) const {
  const auto found = std::lower_bound(windows_.begin(), windows_.end(), window);
  if (found == windows_.end() || *found != window) return {};
  return lists_[static_cast<std::size_t>(found - windows_.begin())];
}

RowSet DocumentWindowsView::RowsOfShort(std::string_view piece) const {
  const auto byte = [piece](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(piece[i]); };
  const std::uint32_t first = byte(0) << 16 | (piece.size() > 1 ? byte(1) << 8 : 0);
  const std::uint32_t count = piece.size() > 1 ? 1u << 8 : 1u << 16;
  RowSet rows(rows_);
  auto window = std::lower_bound(windows_.begin(), windows_.end(), first);
  for (; window != windows_.end() && *window - first < count; ++window) {
    lists_[static_cast<std::size_t>(window - windows_.begin())].InsertInto(rows);
  }
  return rows;
}

RowSet DocumentWindowsView::MayContain(std::span<const std::string_view> pieces) const {
  std::vector<RowList> lists;
  for (const std::string_view piece : pieces) {
    for (std::size_t i = 0; i + 3 <= piece.size(); ++i) lists.push_back(RowsOfWindow(WindowAt(piece, i)));
  }
  std::sort(lists.begin(), lists.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  RowSet rows = lists.empty() ? RowsWithDocument() : RowSet(rows_);
  if (!lists.empty()) lists[0].InsertInto(rows);
  for (std::size_t i = 1; i < std::min(lists.size(), kListsMax) && rows.count() > kFewRows; ++i) {
    lists[i].IntersectInto(rows);
  }
  if (!lists.empty()) return rows;  // pieces below three bytes would remove little
  for (const std::string_view piece : pieces) rows.Intersect(RowsOfShort(piece));
  return rows;
}

}  // namespace omics::index
