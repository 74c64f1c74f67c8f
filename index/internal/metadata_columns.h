// Which rows have which value under which metadata key.
//
// There is a column for each key and kind of value; lists have columns of their own, in which a row stands under each
// of its elements. A column holds its distinct values in order, and for each the rows that have it, ascending. Of a
// string it holds the XXH3-64 only: strings of one hash are entries of their own, and who looks one up compares it
// with the metadata of the first row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/internal/metadata_bytes.h"
#include "index/internal/number.h"
#include "index/internal/row_lists.h"

namespace omics::index {

// Whole numbers and doubles share a column: they compare by value.
enum class ValueKind : std::uint8_t { kString, kNumber, kBool };
// As the value of the key, or as an element of the list that is.
enum class ValuePlace : std::uint8_t { kScalar, kElement };

std::uint64_t HashText(std::string_view text);

// Where one column lies in a run of bytes.
struct MetadataColumnPlace {
  std::uint32_t key_offset = 0;  // in the array of keys
  std::uint16_t key_size = 0;
  ValueKind kind = ValueKind::kString;
  ValuePlace place = ValuePlace::kScalar;
  Stretch values;  // u64 hashes of strings; Numbers otherwise, of which false is 0 and true is 1
  RowListsPlace lists;
};

// Where all columns lie.
struct MetadataColumnsPlace {
  Stretch columns;  // MetadataColumnPlace each, sorted by key, kind and place
  Stretch keys;     // chars
};

// Gathers the columns of rows, in memory: 24 bytes for each value of each row.
// Thread safety: one thread at a time.
class MetadataColumnsBuilder {
 public:
  MetadataColumnsBuilder();
  ~MetadataColumnsBuilder();

  // Rows come in ascending order. Borrows the strings of `metadata` until Append().
  void Add(std::uint32_t row, const MetadataView& metadata);
  // Appends the columns of a segment with `rows` rows to `out`; call it once.
  MetadataColumnsPlace Append(std::int64_t rows, std::string& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The values from `first` to before `last`.
struct ValueRange {
  std::size_t first = 0;
  std::size_t last = 0;
};

// One column, in place. `hashes` or `numbers` is filled, as its kind is.
struct MetadataColumn {
  std::span<const std::uint64_t> hashes;
  std::span<const Number> numbers;
  RowLists lists;  // one per value

  ValueRange FindHash(std::uint64_t hash) const;
  ValueRange FindNumber(const Number& number) const;
};

// Thread safety: const members may be called from any thread. Borrows the bytes.
class MetadataColumnsView {
 public:
  // `bytes` start at a multiple of 8. DATA_LOSS unless they have columns over `rows` rows where `place` says.
  static absl::StatusOr<MetadataColumnsView> Open(std::string_view bytes, const MetadataColumnsPlace& place,
                                                  std::int64_t rows);

  MetadataColumnsView() = default;  // without columns

  // The column of a key, or nullopt if no row has such a value.
  std::optional<MetadataColumn> Find(std::string_view key, ValueKind kind, ValuePlace place) const;

 private:
  std::string_view KeyOf(const MetadataColumnPlace& column) const;

  std::string_view bytes_;
  std::int64_t rows_ = 0;
  std::span<const MetadataColumnPlace> columns_;
  std::span<const char> keys_;
};

}  // namespace omics::index
