#include "base/text.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace omics {
namespace {

TEST(OneLineTest, OrdinaryTextOfAnyLanguageStays) {
  const std::string text = "a\\b \"c\" caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80";
  EXPECT_EQ(OneLine(text), text);
  EXPECT_EQ(OneLine(""), "");
}

TEST(OneLineTest, WhatSteersATerminalOrEndsALineIsSpelledOut) {
  EXPECT_EQ(OneLine("a\nb\r\x1b[2J\x7f"), "a\\nb\\u000d\\u001b[2J\\u007f");
  EXPECT_EQ(OneLine(std::string("\0\t", 2)), "\\u0000\\u0009");
  EXPECT_EQ(OneLine("\xc2\x85\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9"), "\\u0085\\u009b\\u2028\\u2029");
}

TEST(OneLineTest, BytesThatAreNotUtf8AreReplacedOneByOne) {
  const std::string replacement = "\xef\xbf\xbd";
  EXPECT_EQ(OneLine("\xff"), replacement);
  EXPECT_EQ(OneLine("a\xc3"), "a" + replacement);
  EXPECT_EQ(OneLine("\xc0\xaf"), replacement + replacement) << "overlong";
  EXPECT_EQ(OneLine("\xe0\x80\xaf"), replacement + replacement + replacement) << "overlong";
  EXPECT_EQ(OneLine("\xed\xa0\x80"), replacement + replacement + replacement) << "half of a surrogate pair";
  EXPECT_EQ(OneLine("\xf4\x90\x80\x80").size(), 12u) << "beyond Unicode";
}

TEST(JsonLineTest, QuotesAndBackslashesAreEscaped) { EXPECT_EQ(JsonLine("\"\\\n"), "\\\"\\\\\\n"); }

TEST(OneLineTest, RandomBytesNeverGiveAControlCharacter) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const std::string line = OneLine(bytes);
    for (const unsigned char c : line) ASSERT_TRUE(c >= 0x20 && c != 0x7f);
    EXPECT_EQ(OneLine(line), line);
  }
}

}  // namespace
}  // namespace omics
