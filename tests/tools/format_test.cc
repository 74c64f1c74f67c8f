#include "tools/format.h"

#include <gtest/gtest.h>

#include <limits>

namespace omics::tools {
namespace {

TEST(FormatTest, NumbersInGroupsOfThree) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(1234567), "1,234,567");
  EXPECT_EQ(WithCommas(-999), "-999");
  EXPECT_EQ(WithCommas(-123456), "-123,456");
  EXPECT_EQ(WithCommas(std::numeric_limits<std::int64_t>::min()), "-9,223,372,036,854,775,808");
}

TEST(FormatTest, BytesInTheUnitThatFits) {
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(1023), "1023 B");
  EXPECT_EQ(Bytes(1536), "1.5 KiB");
  EXPECT_EQ(Bytes(std::int64_t{40} << 20), "40.0 MiB");
  EXPECT_EQ(Bytes(std::int64_t{3} << 40), "3.0 TiB");
  EXPECT_EQ(Bytes(std::int64_t{3} << 50), "3072.0 TiB");
}

TEST(FormatTest, DurationsInTheirTwoLargestUnits) {
  EXPECT_EQ(Duration(std::chrono::seconds(-1)), "0s");
  EXPECT_EQ(Duration(std::chrono::seconds(59)), "59s");
  EXPECT_EQ(Duration(std::chrono::seconds(125)), "2m 05s");
  EXPECT_EQ(Duration(std::chrono::seconds(3 * 3600 + 7 * 60 + 59)), "3h 07m");
  EXPECT_EQ(Duration(std::chrono::seconds(2 * 86400 + 3 * 3600)), "2d 03h");
}

TEST(FormatTest, TableColumnsAlign) {
  EXPECT_EQ(Table({{"NAME", "ROWS"}, {"cells", "12"}, {"x", "1,234,567"}}),
            "NAME        ROWS\n"
            "cells         12\n"
            "x      1,234,567\n");
  EXPECT_EQ(Table({}), "");
}

}  // namespace
}  // namespace omics::tools
