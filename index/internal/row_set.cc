#include "index/internal/row_set.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace omics::index {
namespace {

// Above this many listed rows for one of the set, looking each row of the set up is cheaper than reading the list.
constexpr std::size_t kLookUpRatio = 32;

// The bits are at a multiple of 4 bytes only.
std::uint64_t WordOf(std::span<const std::uint32_t> bits, std::size_t word) {
  std::uint64_t value;
  std::memcpy(&value, bits.data() + 2 * word, sizeof(value));
  return value;
}

}  // namespace

RowSet RowSet::All(std::int64_t size) {
  RowSet set;
  set.Complement(size);
  return set;
}

RowSet RowSet::FromWords(std::span<const std::uint64_t> words) {
  RowSet set;
  set.words_.assign(words.begin(), words.end());
  set.Recount();
  return set;
}

void RowSet::InsertAll(std::span<const std::uint32_t> rows) {
  for (const std::uint32_t row : rows) {
    assert(row >> 6 < words_.size());
    std::uint64_t& word = words_[row >> 6];
    count_ += ~word >> (row & 63) & 1;
    word |= std::uint64_t{1} << (row & 63);
  }
}

void RowSet::InsertBits(std::span<const std::uint32_t> bits) {
  assert(bits.size() % 2 == 0 && bits.size() / 2 <= words_.size());
  for (std::size_t word = 0; word < bits.size() / 2; ++word) words_[word] |= WordOf(bits, word);
  Recount();
}

void RowSet::IntersectBits(std::span<const std::uint32_t> bits) {
  assert(bits.size() % 2 == 0 && bits.size() / 2 <= words_.size());
  for (std::size_t word = 0; word < bits.size() / 2; ++word) words_[word] &= WordOf(bits, word);
  std::fill(words_.begin() + static_cast<std::ptrdiff_t>(bits.size() / 2), words_.end(), 0);
  Recount();
}

void RowSet::IntersectSorted(std::span<const std::uint32_t> rows) {
  if (rows.size() / kLookUpRatio > static_cast<std::size_t>(count_)) {
    IntersectFew(rows);
  } else {
    IntersectMany(rows);
  }
}

void RowSet::IntersectFew(std::span<const std::uint32_t> rows) {
  auto from = rows.begin();
  for (std::size_t word = 0; word < words_.size(); ++word) {
    for (std::uint64_t bits = words_[word]; bits != 0; bits &= bits - 1) {
      const auto row = static_cast<std::uint32_t>(word * 64) + static_cast<std::uint32_t>(std::countr_zero(bits));
      from = std::lower_bound(from, rows.end(), row);
      if (from != rows.end() && *from == row) continue;
      words_[word] &= ~(bits & -bits);
      --count_;
    }
  }
}

void RowSet::IntersectMany(std::span<const std::uint32_t> rows) {
  count_ = 0;
  std::size_t i = 0;
  for (std::size_t word = 0; word < words_.size(); ++word) {
    std::uint64_t bits = 0;
    for (; i < rows.size() && rows[i] >> 6 <= word; ++i) bits |= std::uint64_t{1} << (rows[i] & 63);
    words_[word] &= bits;
    count_ += std::popcount(words_[word]);
  }
}

void RowSet::Intersect(const RowSet& other) {
  words_.resize(std::min(words_.size(), other.words_.size()));
  for (std::size_t word = 0; word < words_.size(); ++word) words_[word] &= other.words_[word];
  Recount();
}

void RowSet::Unite(const RowSet& other) {
  words_.resize(std::max(words_.size(), other.words_.size()));
  for (std::size_t word = 0; word < other.words_.size(); ++word) words_[word] |= other.words_[word];
  Recount();
}

void RowSet::Subtract(const RowSet& other) {
  const std::size_t both = std::min(words_.size(), other.words_.size());
  for (std::size_t word = 0; word < both; ++word) words_[word] &= ~other.words_[word];
  Recount();
}

void RowSet::Complement(std::int64_t size) {
  words_.resize(WordsFor(size));
  for (std::uint64_t& word : words_) word = ~word;
  if (size % 64 != 0) words_.back() &= (std::uint64_t{1} << (size % 64)) - 1;
  Recount();
}

std::int64_t RowSet::Next(std::int64_t row) const {
  auto word = static_cast<std::size_t>(row >> 6);
  if (word >= words_.size()) return -1;
  std::uint64_t bits = words_[word] >> (row & 63) << (row & 63);
  while (bits == 0) {
    if (++word == words_.size()) return -1;
    bits = words_[word];
  }
  return static_cast<std::int64_t>(word * 64) + std::countr_zero(bits);
}

bool operator==(const RowSet& a, const RowSet& b) {
  const std::size_t both = std::min(a.words_.size(), b.words_.size());
  return a.count_ == b.count_ &&
         std::equal(a.words_.begin(), a.words_.begin() + static_cast<std::ptrdiff_t>(both), b.words_.begin());
}

void RowSet::Recount() {
  count_ = 0;
  for (const std::uint64_t word : words_) count_ += std::popcount(word);
}

}  // namespace omics::index
