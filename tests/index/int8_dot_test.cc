#include "index/internal/int8_dot.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <vector>

#include "index/internal/codes.h"

namespace omics::index {
namespace {

// The sum that all kernels must give, by the definition.
std::int64_t Model(const std::uint8_t* row, const std::int8_t* query, std::size_t n) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += (static_cast<int>(row[i]) - 128) * static_cast<int>(query[i]);
  return sum;
}

struct Table {
  Table(std::size_t row_count, std::size_t width) : stride(width), bytes(row_count * width + 64), query(width + 64) {}
  CodeBatch Batch(std::span<const std::uint32_t> rows, std::size_t shift = 0) const {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < stride; ++i) sum += query[shift + i];
    return {bytes.data() + shift, stride, rows, query.data() + shift, sum};
  }
  std::size_t stride;
  std::vector<std::uint8_t> bytes;
  std::vector<std::int8_t> query;
};

TEST(Int8DotTest, EveryKernelGivesWhatAPlainSumGives) {
  std::mt19937 rng(3);
  for (const std::size_t width : {64, 128, 192, 256, 320, 768, 832, 1536, 4160}) {
    Table table(9, width);
    for (std::uint8_t& byte : table.bytes) byte = static_cast<std::uint8_t>(rng());
    for (std::int8_t& code : table.query) code = static_cast<std::int8_t>(static_cast<int>(rng() % 255) - 127);
    const std::vector<std::uint32_t> rows = {8, 0, 3, 3, 7, 1, 2, 4, 5, 6, 8};
    for (const std::size_t shift : {0, 1, 17, 63}) {
      for (const DotKernel& kernel : DotKernels()) {
        std::vector<std::int32_t> dots(rows.size(), -1);
        kernel.dot(table.Batch(rows, shift), dots.data());
        for (std::size_t i = 0; i < rows.size(); ++i) {
          ASSERT_EQ(dots[i], Model(table.bytes.data() + shift + rows[i] * width, table.query.data() + shift, width))
              << kernel.name << " width " << width << " shift " << shift << " row " << rows[i];
        }
      }
    }
  }
}

// On x86-64 and ARM64 every CPU has a better one. A run that knows its CPU says which (scripts/cross_arm64.sh).
TEST(Int8DotTest, TheBestKernelIsTheOneThatThisCpuShouldHave) {
  for (const DotKernel& kernel : DotKernels()) std::cout << "kernel " << kernel.name << "\n";
  const char* expected = std::getenv("OMICS_VECTOR_TEST_DOT_KERNEL");
  if (expected != nullptr) {
    EXPECT_STREQ(DotKernels().front().name, expected);
  }
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_STRNE(DotKernels().front().name, "plain");
#endif
}

TEST(Int8DotTest, TheLargestSumsDoNotOverflow) {
  const std::size_t width = RowStride(65536);
  for (const int row_code : {0, 1, 255}) {
    for (const int query_code : {-127, 127}) {
      Table table(1, width);
      std::fill(table.bytes.begin(), table.bytes.end(), static_cast<std::uint8_t>(row_code));
      // As in a row of codes: what is behind the dimension does not count.
      std::fill(table.query.begin(), table.query.begin() + 65536, static_cast<std::int8_t>(query_code));
      const std::uint32_t rows[] = {0};
      for (const DotKernel& kernel : DotKernels()) {
        std::int32_t dot = 0;
        kernel.dot(table.Batch(rows), &dot);
        EXPECT_EQ(dot, std::int64_t{65536} * (row_code - 128) * query_code) << kernel.name;
      }
    }
  }
}

TEST(Int8DotTest, APlainLoopIsAlwaysThereAndNoRowsAreFine) {
  ASSERT_FALSE(DotKernels().empty());
  EXPECT_STREQ(DotKernels().back().name, "plain");
  for (const DotKernel& kernel : DotKernels()) {
    Table table(1, 64);
    std::int32_t dot = 77;
    kernel.dot(table.Batch({}), &dot);
    EXPECT_EQ(dot, 77) << kernel.name;
  }
}

}  // namespace
}  // namespace omics::index
