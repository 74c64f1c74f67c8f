// What --prewarm accepts, what it says of everything else, and what --print-config shows of it.
#include "services/prewarm_list.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "services/options.h"
#include "tests/services/testing.h"

namespace omics::services {
namespace {

constexpr char kUrl[] = R"("url": "s3://bucket/a.tar.gz")";

std::string Refusal(const std::string& json) {
  const auto list = ParsePrewarmList(json);
  return list.ok() ? "" : std::string(ToStd(list.status().message()));
}

std::string Entry(const std::string& members) { return R"([{"collection": "mondo", )" + members + "}]"; }

TEST(PrewarmListTest, AllKeysAreRead) {
  const std::string digest(64, 'A');
  const auto list = ParsePrewarmList(R"( [{"collection": "mondo_v1", "url": "https://u:p@h/x?sig=1", "sha256": ")" +
                                     digest + R"(", "aliases": ["disease", "illness"]},
                                     {"url": "file:///tmp/u.tar.gz", "collection": "uberon"}] )");
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2U);
  EXPECT_EQ(list->at(0).collection, "mondo_v1");
  EXPECT_EQ(list->at(0).url, "https://u:p@h/x?sig=1");
  EXPECT_EQ(list->at(0).sha256, std::string(64, 'a'));
  EXPECT_EQ(list->at(0).aliases, (std::vector<std::string>{"disease", "illness"}));
  EXPECT_EQ(list->at(1).url, "file:///tmp/u.tar.gz");
  EXPECT_EQ(list->at(1).sha256, "");
  EXPECT_TRUE(ParsePrewarmList("[]")->empty());
}

TEST(PrewarmListTest, AMistakeIsToldByEntryAndKey) {
  struct Case {
    std::string json;
    std::string message;
  };
  const std::string good = R"({"collection": "cells", "url": "file:///a"})";
  const Case cases[] = {
      {"", "not JSON"},
      {"[", "not JSON"},
      {"{}", "must be a JSON list"},
      {"[1]", "entry 1: must be an object"},
      {"[" + good + ", {}]", "entry 2: key \"collection\" is missing"},
      {R"([{"collection": "cells"}])", "entry 1 (\"cells\"): key \"url\" is missing"},
      {Entry(R"("url": 7)"), "entry 1 (\"mondo\"): key \"url\" must be a text"},
      {Entry(R"("url": "ftp://h/x")"), "key \"url\" must begin with s3://"},
      {Entry(R"("url": "mondo.tar.gz")"), "key \"url\" must begin with s3://"},
      {Entry(R"("url": "file://relative")"), "key \"url\" must be file:///"},
      {Entry(R"("url": "s3://bucket")"), "key \"url\" must name a host or bucket"},
      {Entry(R"("url": "https:///x")"), "key \"url\" must name a host or bucket"},
      {Entry(R"("url": "https://h/a b")"), "key \"url\" holds a blank"},
      {Entry(R"("url": "https://h/)" + std::string(8192, 'x') + "\""), "key \"url\" is longer"},
      {Entry(kUrl + std::string(R"(, "sha256": "abc")")), "key \"sha256\" must be 64"},
      {Entry(kUrl + std::string(R"(, "sha256": ")") + std::string(64, 'g') + "\""), "key \"sha256\" must be 64"},
      {Entry(kUrl + std::string(R"(, "aliases": "disease")")), "key \"aliases\" must be a list"},
      {Entry(kUrl + std::string(R"(, "aliases": ["a b c"])")), "key \"aliases\" must be 3 to 512"},
      {Entry(kUrl + std::string(R"(, "aliases": ["mondo"])")), "key \"aliases\" has \"mondo\", which is taken"},
      {Entry(kUrl + std::string(R"(, "alias": "disease")")), "key \"alias\" is not known"},
      {Entry(kUrl + std::string(", ") + kUrl), "key \"url\" is there twice"},
      {R"([{"collection": "../x", "url": "file:///a"}])", "entry 1: key \"collection\" must be 3 to 512"},
      {"[" + good + "," + good + "]", "entry 2 (\"cells\"): key \"collection\" is a name that the list has already"},
  };
  for (const Case& one : cases) {
    EXPECT_NE(Refusal(one.json).find(one.message), std::string::npos)
        << one.json.substr(0, 200) << "\n said: " << Refusal(one.json) << "\n wanted: " << one.message;
  }
}

TEST(PrewarmListTest, TheLimitsHold) {
  const auto list = [](std::size_t entries) {
    std::string json = "[";
    for (std::size_t i = 0; i < entries; ++i) {
      json +=
          (i ? "," : "") + std::string(R"({"collection": "cells)") + std::to_string(i) + R"(", "url": "file:///a"})";
    }
    return json + "]";
  };
  EXPECT_EQ(Refusal(list(kPrewarmEntriesMax)), "");
  EXPECT_NE(Refusal(list(kPrewarmEntriesMax + 1)).find("more than 64 entries"), std::string::npos);
  EXPECT_NE(Refusal("[" + std::string(kPrewarmListBytesMax, ' ') + "]").find("1 MiB"), std::string::npos);
}

TEST(PrewarmListTest, AFileMayHoldTheList) {
  const TempDir directory;
  WriteFile(directory / "list.json", R"([{"collection": "cells", "url": "file:///a"}])");
  const auto list = LoadPrewarmList(directory / "list.json");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->size(), 1U);
  WriteFile(directory / "list.json", R"([{"collection": "cells"}])");
  Options options;
  options.prewarm = directory / "list.json";
  const std::string said(ToStd(CheckOptions(options).message()));
  EXPECT_EQ(said.find("--prewarm: " + directory / "list.json"), 0U) << said;
  options.prewarm = directory / "none.json";
  EXPECT_NE(std::string(ToStd(CheckOptions(options).message())).find("cannot be read"), std::string::npos);
}

TEST(PrewarmListTest, TheConfigurationIsShownWithoutSecrets) {
  const std::string json = R"([{"collection": "mondo", "url": "https://user:pass@h/x?X-Amz-Signature=hushhush"}])";
  const std::string shown = MaskPrewarmList(json);
  for (const char* secret : {"user", "pass", "hushhush"}) EXPECT_EQ(shown.find(secret), std::string::npos) << shown;
  EXPECT_NE(shown.find("/x"), std::string::npos) << shown;
  EXPECT_NE(shown.find("mondo"), std::string::npos) << shown;
  EXPECT_EQ(MaskPrewarmList("/etc/prewarm.json"), "/etc/prewarm.json");
  EXPECT_EQ(MaskPrewarmList("[\"https://u:p@h\""), "***");
  Options options;
  Config config("vector-service", "");
  AddOptions(config, options);
  const std::string flag = "--prewarm=" + json;
  const char* const argv[] = {"vector-service", flag.c_str(), "--print-config"};
  testing::internal::CaptureStdout();
  EXPECT_EQ(config.Parse(3, argv), 0);
  const std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_NE(printed.find("prewarm = "), std::string::npos);
  EXPECT_EQ(printed.find("hushhush"), std::string::npos) << printed;
}

}  // namespace
}  // namespace omics::services
