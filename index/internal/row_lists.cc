#include "index/internal/row_lists.h"

#include <algorithm>
#include <bit>

#include "base/status.h"

namespace omics::index {
namespace {

// Entries that hold a bit for each of `rows` rows, in whole words of RowSet.
std::size_t BitsSize(std::int64_t rows) { return static_cast<std::size_t>((rows + 63) / 64 * 2); }

bool RowsAreBelow(std::span<const std::uint32_t> entries, std::int64_t rows) {
  std::uint32_t highest = 0;
  for (const std::uint32_t row : entries) highest = std::max(highest, row);
  return entries.empty() || highest < rows;
}

bool BitsAreBelow(std::span<const std::uint32_t> entries, std::int64_t rows) {
  for (std::int64_t row = rows; row < std::ssize(entries) * 32; ++row) {
    if ((entries[static_cast<std::size_t>(row / 32)] >> (row % 32) & 1) != 0) return false;
  }
  return true;
}

}  // namespace

void PadRun(std::string& out) { out.resize((out.size() + 7) / 8 * 8); }

absl::Status CheckArray(std::string_view bytes, const Stretch& stretch, std::size_t element_size) {
  if (stretch.offset > bytes.size() || stretch.offset % 8 != 0) return DamagedFilterIndex();
  if (stretch.count > (bytes.size() - stretch.offset) / element_size) return DamagedFilterIndex();
  return absl::OkStatus();
}

void RowList::InsertInto(RowSet& rows) const { is_bits_ ? rows.InsertBits(entries_) : rows.InsertAll(entries_); }

void RowList::IntersectInto(RowSet& rows) const {
  is_bits_ ? rows.IntersectBits(entries_) : rows.IntersectSorted(entries_);
}

std::int64_t RowList::First() const {
  if (!is_bits_) return entries_.empty() ? -1 : entries_[0];
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i] != 0) return static_cast<std::int64_t>(i * 32) + std::countr_zero(entries_[i]);
  }
  return -1;
}

RowListsWriter::RowListsWriter(std::int64_t rows) : bits_size_(BitsSize(rows)) {}

void RowListsWriter::Add(std::span<const std::uint32_t> list) {
  if (list.size() < bits_size_) {
    entries_.insert(entries_.end(), list.begin(), list.end());
  } else {
    entries_.resize(entries_.size() + bits_size_);
    const std::span<std::uint32_t> bits = std::span(entries_).last(bits_size_);
    for (const std::uint32_t row : list) bits[row / 32] |= std::uint32_t{1} << (row % 32);
  }
  begins_.push_back(entries_.size());
}

RowListsPlace RowListsWriter::Append(std::string& out) {
  const Stretch begins = AppendArray(std::span<const std::uint64_t>(begins_), out);
  const Stretch entries = AppendArray(std::span<const std::uint32_t>(entries_), out);
  begins_ = {0};
  entries_ = {};
  return {begins, entries};
}

RowLists::RowLists(std::string_view bytes, const RowListsPlace& place, std::int64_t rows)
    : begins_(ArrayAt<std::uint64_t>(bytes, place.begins)),
      entries_(ArrayAt<std::uint32_t>(bytes, place.entries)),
      bits_size_(BitsSize(rows)) {}

absl::Status CheckRowLists(std::string_view bytes, const RowListsPlace& place, std::uint64_t lists, std::int64_t rows) {
  OMICS_RETURN_IF_ERROR(CheckArray(bytes, place.begins, sizeof(std::uint64_t)));
  OMICS_RETURN_IF_ERROR(CheckArray(bytes, place.entries, sizeof(std::uint32_t)));
  const RowLists read(bytes, place, rows);
  if (read.begins_.empty() || read.size() != lists) return DamagedFilterIndex();
  const bool ordered = std::is_sorted(read.begins_.begin(), read.begins_.end());
  if (!ordered || read.begins_.front() != 0 || read.begins_.back() != read.entries_.size()) return DamagedFilterIndex();
  for (std::size_t i = 0; i < read.size(); ++i) {
    const auto entries = read.entries_.subspan(read.begins_[i], read.begins_[i + 1] - read.begins_[i]);
    if (!(read[i].is_bits() ? BitsAreBelow(entries, rows) : RowsAreBelow(entries, rows))) return DamagedFilterIndex();
  }
  return absl::OkStatus();
}

absl::Status DamagedFilterIndex() { return absl::DataLossError("the filter index of a segment is damaged"); }

}  // namespace omics::index
