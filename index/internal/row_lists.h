// Lists of rows one after the other in a run of bytes, and how the indexes over a segment's rows lay arrays out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "index/internal/row_set.h"

namespace omics::index {

// Where an array lies in a run of bytes.
struct Stretch {
  std::uint64_t offset = 0;  // in bytes, a multiple of 8
  std::uint64_t count = 0;   // of elements
};

// Makes `out` a multiple of 8 bytes long.
void PadRun(std::string& out);

// Appends an array at the next multiple of 8 bytes.
template <typename T>
Stretch AppendArray(std::span<const T> array, std::string& out) {
  static_assert(std::is_trivially_copyable_v<T>);
  PadRun(out);
  const Stretch stretch = {out.size(), array.size()};
  out.append(reinterpret_cast<const char*>(array.data()), array.size_bytes());
  return stretch;
}

// DATA_LOSS unless an array of elements of `element_size` bytes lies in `bytes` where `stretch` says.
absl::Status CheckArray(std::string_view bytes, const Stretch& stretch, std::size_t element_size);

// The array, in place, once checked. `bytes` start at a multiple of 8.
template <typename T>
std::span<const T> ArrayAt(std::string_view bytes, const Stretch& stretch) {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);
  return {reinterpret_cast<const T*>(bytes.data() + stretch.offset), stretch.count};
}

// Rows of a segment, ascending: as their numbers, or as a bit per row of the segment where that takes no more room.
// Borrows the bytes.
class RowList {
 public:
  RowList() = default;
  RowList(std::span<const std::uint32_t> entries, bool is_bits) : entries_(entries), is_bits_(is_bits) {}

  bool is_bits() const { return is_bits_; }
  // Of the stored form: a list of fewer rows is never larger.
  std::size_t size() const { return entries_.size(); }

  // `rows` has room for the segment's rows.
  void InsertInto(RowSet& rows) const;
  void IntersectInto(RowSet& rows) const;
  // The lowest row, or -1 of an empty list.
  std::int64_t First() const;

 private:
  std::span<const std::uint32_t> entries_;
  bool is_bits_ = false;
};

// Where row lists lie.
struct RowListsPlace {
  Stretch begins;   // u64: list i has the entries from begins[i] to begins[i + 1]
  Stretch entries;  // u32
};

// Packs lists of the rows of a segment, one after the other.
// Thread safety: one thread at a time.
class RowListsWriter {
 public:
  // Of a segment with `rows` rows.
  explicit RowListsWriter(std::int64_t rows);
  // `list` ascends.
  void Add(std::span<const std::uint32_t> list);
  // Leaves the object empty.
  RowListsPlace Append(std::string& out);

 private:
  std::size_t bits_size_;
  std::vector<std::uint64_t> begins_ = {0};
  std::vector<std::uint32_t> entries_;
};

// Borrows the bytes. A list is bits if it has exactly as many entries as the bits of all rows take; rows come as
// numbers only where they are fewer.
class RowLists {
 public:
  RowLists() = default;                                                             // no lists
  RowLists(std::string_view bytes, const RowListsPlace& place, std::int64_t rows);  // once checked

  std::size_t size() const { return begins_.empty() ? 0 : begins_.size() - 1; }
  RowList operator[](std::size_t list) const {
    const std::uint64_t size = begins_[list + 1] - begins_[list];
    return {entries_.subspan(begins_[list], size), size == bits_size_};
  }

 private:
  friend absl::Status CheckRowLists(std::string_view bytes, const RowListsPlace& place, std::uint64_t lists,
                                    std::int64_t rows);
  std::span<const std::uint64_t> begins_;
  std::span<const std::uint32_t> entries_;
  std::uint64_t bits_size_ = 0;
};

// DATA_LOSS unless there are `lists` of them and every row is below `rows`.
absl::Status CheckRowLists(std::string_view bytes, const RowListsPlace& place, std::uint64_t lists, std::int64_t rows);

// What a damaged index is answered with.
absl::Status DamagedFilterIndex();

}  // namespace omics::index
