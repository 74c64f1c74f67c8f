// Dot products of eight-bit codes: the inner loop of the walk over an HNSW graph.
//
// A row's codes are bytes 1 to 255 that stand for themselves less 128; a query's are -127 to 127. The row is the
// unsigned one because that is how AVX-512 VNNI multiplies; the 128 costs one multiplication by the query's sum.
// Sums are exact: 65,536 products of at most 255 * 127 fit into 32 bits, so every kernel gives the same number.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace omics::index {

inline constexpr std::size_t kCodeAlignment = 64;

// Some rows of a table of codes, and a query for them.
struct CodeBatch {
  const std::uint8_t* table = nullptr;
  std::size_t stride = 0;               // bytes from row to row and codes that count, a multiple of kCodeAlignment
  std::span<const std::uint32_t> rows;  // which
  const std::int8_t* query = nullptr;   // `stride` codes; zero where a row's bytes do not count
  std::int32_t query_sum = 0;           // of the query's codes
};

// Rows that the caller has fetched by FetchRow before it calls a kernel, which then keeps this many ahead: enough to
// cover a cache miss, few enough not to fill the CPU's miss buffers.
inline constexpr std::size_t kRowsAhead = 6;

// Asks the CPU to bring a row of codes into its cache.
inline void FetchRow(const std::uint8_t* row, std::size_t stride) {
  constexpr std::size_t kBytesMax = 4096;  // the CPU follows longer ones by itself
  for (std::size_t offset = 0; offset < stride && offset < kBytesMax; offset += kCodeAlignment) {
    __builtin_prefetch(row + offset);
  }
}

// out[i] = sum over the codes of (row rows[i] - 128) * query.
using DotCodesFn = void (*)(const CodeBatch& batch, std::int32_t* out);

struct DotKernel {
  const char* name;
  DotCodesFn dot;
};

// The kernels that this CPU can run, best first; the last is a plain loop.
std::span<const DotKernel> DotKernels();

// The best of them.
inline DotCodesFn BestDotKernel() { return DotKernels().front().dot; }

}  // namespace omics::index
