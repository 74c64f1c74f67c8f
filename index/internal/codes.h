// Rows as short strings of bytes, near enough to the truth for a walk to find its way by them; the best rows found are
// then compared in float32.
//
// A row (of length 1 for cosine) is taken relative to the centre of all rows. Where a few hundred directions hold
// nearly all of what is left, as in embeddings of text, it is written by its coordinates along those; otherwise by its
// own numbers. Either is scaled so that the largest is 127 and rounded. Its last eight bytes are two floats, `scale`
// and `bias`, so that a distance touches nothing but the row's own bytes:
//
//     order = bias - scale * weight * (row . query)       smaller is nearer, within one table
//
// with a weight of the query's. For cosine and inner product the bias is 0: what the centre adds is the same for all
// rows. For squared L2 it is half the squared length of the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "index/collection.h"
#include "index/internal/int8_dot.h"
#include "index/internal/pace.h"

namespace omics::index {

// How rows and queries of one table become codes. Small (the directions: one byte per number), made from the rows
// alone.
struct CodeSpace {
  Metric metric = Metric::kSquaredL2;
  std::uint32_t dimension = 0;
  std::uint32_t code_dimension =
      0;                          // numbers per row that are written: directions, or `dimension` where there are none
  double unit = 1;                // rows are multiplied by this, so that the longest has length 1
  std::span<const float> centre;  // dimension
  std::span<const std::uint8_t> directions;  // code_dimension x PaddedCodes(dimension), or empty
  std::span<const float> direction_scales;   // code_dimension, or empty

  bool projects() const { return !directions.empty(); }
  // Bytes of a row of codes.
  std::size_t stride() const;
};

// The table itself, as a segment maps it.
struct CodesView {
  CodeSpace space;
  std::span<const std::uint8_t> rows;  // rows x stride(), aligned to kCodeAlignment
};

// The bytes of `numbers` codes with their padding.
constexpr std::size_t PaddedCodes(std::size_t numbers) {
  return (numbers + kCodeAlignment - 1) / kCodeAlignment * kCodeAlignment;
}

// The code of zero in a row, and what its padding holds; a query's is 0.
inline constexpr std::uint8_t kZeroCode = 128;

// The last bytes of a row.
struct RowTrailer {
  float scale = 0;
  float bias = 0;
};
inline constexpr std::size_t kRowTrailerBytes = sizeof(RowTrailer);
static_assert(kRowTrailerBytes == 8);

inline RowTrailer ReadTrailer(const std::uint8_t* row, std::size_t stride) {
  RowTrailer trailer;
  std::memcpy(&trailer, row + stride - sizeof(trailer), sizeof(trailer));
  return trailer;
}

// The bytes of a row of `numbers` codes with its scale and bias.
constexpr std::size_t RowStride(std::size_t numbers) { return PaddedCodes(numbers + kRowTrailerBytes); }
inline std::size_t CodeSpace::stride() const { return RowStride(code_dimension); }

// Bytes at a multiple of kCodeAlignment, reused without allocation once they are large enough.
// Thread safety: one thread at a time.
class CodeBuffer {
 public:
  // `size` bytes, their content undefined.
  std::int8_t* Get(std::size_t size) {
    if (bytes_.size() < size + kCodeAlignment) bytes_.resize(size + kCodeAlignment);
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (kCodeAlignment - address % kCodeAlignment) % kCodeAlignment;
  }

 private:
  std::vector<std::int8_t> bytes_;
};

// A query, ready to be compared with the rows of one table. Reusable; allocates only while it grows.
// Thread safety: one thread at a time.
class QueryCode {
 public:
  // `query` has space.dimension finite floats.
  void Encode(const CodeSpace& space, const float* query, DotCodesFn dot);

  // The numbers by which the rows of `table` are ordered: out[i] for rows[i]. Never NaN.
  void Order(const CodesView& table, std::span<const std::uint32_t> rows, DotCodesFn dot, float* out);

 private:
  double MakeRelative(const CodeSpace& space, const float* query);
  void Project(const CodeSpace& space, std::span<const float> numbers, DotCodesFn dot);
  void Quantise(std::span<const float> numbers, std::size_t stride);

  CodeBuffer buffer_;
  const std::int8_t* codes_ = nullptr;
  std::int32_t sum_ = 0;
  float weight_ = 0;
  std::vector<float> numbers_;
  std::vector<std::uint32_t> every_direction_;
  std::vector<std::int32_t> dots_;
};

// A CodeSpace and the rows in it, owned.
struct CodeTable {
  CodeSpace space;  // its spans point into the vectors below
  std::vector<float> centre;
  std::vector<std::uint8_t> directions;
  std::vector<float> direction_scales;
  std::vector<std::uint8_t> rows;

  CodeTable() = default;
  CodeTable(CodeTable&&) = default;  // vectors keep their memory when moved
  CodeTable& operator=(CodeTable&&) = default;
};

// What is to be written as codes.
struct CodeInput {
  Metric metric = Metric::kSquaredL2;
  std::size_t dimension = 0;
  std::span<const float> vectors;  // rows x dimension, finite
  std::span<const float> scales;   // one RowScale per row
  const Pace* pace = nullptr;      // rests while queries come; null: never. Borrowed.
  bool find_directions = true;     // takes seconds, for codes of a third of the length
};

// Makes the space that suits the rows, and the codes of all of them. Equal input gives equal codes.
CodeTable MakeCodes(const CodeInput& input);

}  // namespace omics::index
