#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

namespace omics {
namespace {

using testing::HasSubstr;

std::string Logged(const std::string& level, const std::string& format, const std::function<void()>& log) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(InitLog("test-program", level, format).ok());
  log();
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, JsonLinesHaveTimeLevelProgramAndMessage) {
  const std::string text = Logged("info", "json", [] { LogWarning("disk is 90 % full {} %v"); });
  EXPECT_THAT(text,
              testing::MatchesRegex("\\{\"time\":\"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z\","
                                    "\"level\":\"warning\",\"program\":\"test-program\","
                                    "\"msg\":\"disk is 90 % full \\{\\} %v\"\\}\n"));
}

TEST(LogTest, AutoIsJsonWhereStandardErrorIsNoTerminal) {
  EXPECT_EQ(Logged("info", "auto", [] { LogInfo("ready"); }).front(), '{');
}

TEST(LogTest, NothingInAMessageCanForgeALine) {
  const std::string evil =
      "a\nb\r\"c\\d\x1b[2J\x7f\xc2\x85\xe2\x80\xa8 \xff\xc0\xaf\xed\xa0\x80 \xc3\xa9\xf0\x9f\x98\x80";
  for (const std::string format : {"json", "text"}) {
    const std::string text = Logged("info", format, [&] { LogInfo(evil); });
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    for (const unsigned char c : text.substr(0, text.size() - 1)) EXPECT_TRUE(c >= 0x20 && c != 0x7f) << int{c};
    EXPECT_THAT(text, testing::Not(HasSubstr("\xc2\x85")));
    EXPECT_THAT(text, testing::Not(HasSubstr("\xe2\x80\xa8")));
    EXPECT_THAT(text, testing::Not(HasSubstr("\xff")));
    EXPECT_THAT(text, testing::Not(HasSubstr("\xed\xa0\x80")));
    EXPECT_THAT(text, HasSubstr("\xc3\xa9\xf0\x9f\x98\x80"));
    EXPECT_THAT(text, HasSubstr(format == "json" ? R"(a\nb\u000d\"c\\d\u001b[2J)" : R"(a\nb\u000d"c\d\u001b[2J)"));
  }
}

TEST(LogTest, AnEndlessMessageIsCut) {
  const std::string text = Logged("info", "json", [] { LogInfo(std::string(1 << 20, 'x')); });
  EXPECT_LT(text.size(), 20'000u);
  EXPECT_THAT(text, HasSubstr("x...\"}"));
}

TEST(LogTest, OnlyTheLevelAskedForAndAbove) {
  const auto all = [] {
    LogDebug("m-debug");
    LogInfo("m-info");
    LogWarning("m-warning");
    LogError("m-error");
  };
  EXPECT_THAT(Logged("debug", "text", all), HasSubstr("m-debug"));
  const std::string text = Logged("warn", "text", all);
  EXPECT_THAT(text, testing::Not(HasSubstr("m-info")));
  EXPECT_THAT(text, HasSubstr("m-warning"));
  EXPECT_THAT(text, HasSubstr("m-error"));
  EXPECT_THAT(Logged("error", "text",
                     [] {
                       ASSERT_TRUE(SetLogLevel("info").ok());
                       LogInfo("m-after");
                     }),
              HasSubstr("m-after"));
}

TEST(LogTest, UnknownWordsAreAnsweredWithTheKnownOnes) {
  const absl::Status level = InitLog("p", "loud", "json");
  EXPECT_EQ(level.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(level.message()), HasSubstr("trace, debug, info, warn or error, was \"loud\""));
  const absl::Status format = InitLog("p", "info", "xml");
  EXPECT_THAT(std::string(format.message()), HasSubstr("auto, json or text, was \"xml\""));
  EXPECT_FALSE(SetLogLevel("").ok());
}

}  // namespace
}  // namespace omics
