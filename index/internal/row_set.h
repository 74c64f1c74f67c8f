// A set of rows, one bit each.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace omics::index {

// Row numbers run from 0. Rows above the size of a set are simply not in it; Insert() makes it grow.
// Thread safety: const members may be called from any thread while nobody changes the set.
class RowSet {
 public:
  RowSet() = default;
  // Empty, with room for the rows below `size`.
  explicit RowSet(std::int64_t size) : words_(WordsFor(size)) {}
  // Every row below `size`.
  static RowSet All(std::int64_t size);
  // From a bit per row, the lowest first.
  static RowSet FromWords(std::span<const std::uint64_t> words);

  bool Contains(std::int64_t row) const {
    const auto word = static_cast<std::size_t>(row >> 6);
    return word < words_.size() && (words_[word] >> (row & 63) & 1) != 0;
  }
  // True if the row was not in the set before. Grows as needed.
  bool Insert(std::int64_t row) {
    const auto word = static_cast<std::size_t>(row >> 6);
    if (word >= words_.size()) words_.resize(word + 1);
    const std::uint64_t bit = std::uint64_t{1} << (row & 63);
    if ((words_[word] & bit) != 0) return false;
    words_[word] |= bit;
    ++count_;
    return true;
  }

  // Inserts rows that the set has room for, in any order.
  void InsertAll(std::span<const std::uint32_t> rows);
  // Keeps what is also among `rows`, which ascend.
  void IntersectSorted(std::span<const std::uint32_t> rows);
  // As these two, of rows given as a bit each, the lowest first. The set has room for as many.
  void InsertBits(std::span<const std::uint32_t> bits);
  void IntersectBits(std::span<const std::uint32_t> bits);

  void Intersect(const RowSet& other);
  void Unite(const RowSet& other);
  void Subtract(const RowSet& other);
  // Becomes the rows below `size` that it did not have.
  void Complement(std::int64_t size);

  // Rows below this can be inserted without growing.
  std::int64_t room() const { return static_cast<std::int64_t>(words_.size() * 64); }
  std::int64_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

  // The first row at or after `row` that is in the set, or -1.
  std::int64_t Next(std::int64_t row) const;

  // Calls `visit(row)` with every row, ascending.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (std::size_t word = 0; word < words_.size(); ++word) {
      for (std::uint64_t bits = words_[word]; bits != 0; bits &= bits - 1) {
        visit(static_cast<std::int64_t>(word * 64) + std::countr_zero(bits));
      }
    }
  }

  // The same rows, whatever the room.
  friend bool operator==(const RowSet& a, const RowSet& b);

 private:
  static std::size_t WordsFor(std::int64_t size) { return static_cast<std::size_t>((size + 63) / 64); }
  void IntersectFew(std::span<const std::uint32_t> rows);
  void IntersectMany(std::span<const std::uint32_t> rows);
  void Recount();

  std::vector<std::uint64_t> words_;
  std::int64_t count_ = 0;
};

}  // namespace omics::index
