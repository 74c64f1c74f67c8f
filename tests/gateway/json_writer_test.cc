#include "gateway/json_writer.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace omics::gateway {
namespace {

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(out, text);
  return out;
}

std::string Float(float value) {
  std::string out;
  AppendJsonFloat(out, value);
  return out;
}

std::string ReadBack(const std::string& json) {
  simdjson::dom::parser parser;
  return std::string(std::string_view(parser.parse(json).get_string().value()));
}

TEST(JsonWriterTest, EveryByteAndManySequencesReadBack) {
  for (int byte = 0; byte < 0x80; ++byte) {
    const std::string text = std::string("a") + static_cast<char>(byte) + "b";
    EXPECT_EQ(ReadBack(Quoted(text)), text) << byte;
  }
  for (const char* text : {"", "β-cell", "\xf0\x9f\xa7\xac", "\xe2\x80\xa8", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(ReadBack(Quoted(text)), text);
  }
}

TEST(JsonWriterTest, BrokenUtf8BecomesReplacementCharactersAndValidJson) {
  EXPECT_EQ(ReadBack(Quoted("a\xff"
                            "b")),
            "a\xef\xbf\xbd"
            "b");
  constexpr std::uint32_t kSeed = 20241;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = static_cast<char>(random());
    simdjson::dom::parser parser;
    EXPECT_EQ(parser.parse(Quoted(text)).error(), simdjson::SUCCESS) << "seed " << kSeed << " round " << i;
  }
}

TEST(JsonWriterTest, FloatsAreShortestAndLookLikeFloats) {
  EXPECT_EQ(Float(1.0f), "1.0");
  EXPECT_EQ(Float(0.1f), "0.1");
  EXPECT_EQ(Float(-0.0f), "-0.0");
  EXPECT_EQ(Float(1e20f), "1e+20");
  EXPECT_EQ(Float(0.0049628615f), "0.0049628615");
  EXPECT_EQ(Float(std::numeric_limits<float>::quiet_NaN()), "null");
  EXPECT_EQ(Float(-std::numeric_limits<float>::infinity()), "null");
}

TEST(JsonWriterTest, RandomFloatsReadBackBitForBit) {
  constexpr std::uint32_t kSeed = 7;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 200'000; ++i) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    EXPECT_EQ(std::bit_cast<std::uint32_t>(std::strtof(Float(value).c_str(), nullptr)),
              std::bit_cast<std::uint32_t>(value))
        << "seed " << kSeed << " round " << i;
  }
}

TEST(JsonWriterTest, ArraysOfFloatsAreTheirNumbersWithCommasBetween) {
  constexpr std::uint32_t kSeed = 11;
  std::mt19937 random(kSeed);
  for (const std::size_t size : {0, 1, 2, 100, 400, 5000}) {
    std::vector<float> values(size);
    for (float& value : values) value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    std::string expected = "[";
    for (const float value : values) expected += (expected.size() > 1 ? "," : "") + Float(value);
    std::string out = "before";
    AppendJsonFloats(out, values);
    EXPECT_EQ(out, "before" + expected + "]") << "seed " << kSeed << " size " << size;
  }
}

TEST(JsonWriterTest, IntegersKeepAll64Bits) {
  for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
                                   std::numeric_limits<std::int64_t>::max()}) {
    std::string out;
    AppendJsonInt(out, value);
    EXPECT_EQ(out, std::to_string(value));
  }
}

}  // namespace
}  // namespace omics::gateway
