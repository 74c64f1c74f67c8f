#include "gateway/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace omics::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(GatewayOptionsTest, OriginsAreTakenAsAListAndAsChromasJson) {
  EXPECT_THAT(CleanOrigins({"https://a.example", " https://b.example "}),
              ElementsAre("https://a.example", "https://b.example"));
  EXPECT_THAT(CleanOrigins({"[\"https://a.example\"", " \"https://b.example\"]"}),
              ElementsAre("https://a.example", "https://b.example"));
  EXPECT_THAT(CleanOrigins({"['*']"}), ElementsAre("*"));
  EXPECT_THAT(CleanOrigins({"[]", ""}), IsEmpty());
}

TEST(GatewayOptionsTest, FlagsAreReadAndTheirBoundsKept) {
  const auto parse = [](std::vector<const char*> flags, Options& options) {
    flags.insert(flags.begin(), "vector-gateway");
    return ParseOptions(static_cast<int>(flags.size()), flags.data(), options);
  };
  Options options;
  EXPECT_EQ(parse({"--rest-address=127.0.0.1:0", "--cors-allow-origins=https://a.example,https://b.example",
                   "--insecure-no-auth", "--body-bytes-max=1024"},
                  options),
            std::nullopt);
  EXPECT_EQ(options.rest_address, "127.0.0.1:0");
  EXPECT_THAT(options.cors_allow_origins, ElementsAre("https://a.example", "https://b.example"));
  EXPECT_TRUE(options.tokens.insecure_no_auth);
  EXPECT_EQ(options.body_bytes_max, 1024);
  for (const char* flag : {"--body-bytes-max=1023", "--body-bytes-max=1073741825", "--threads=-1", "--threads=257",
                           "--drain-seconds=3601", "--no-such-flag", "stray"}) {
    Options other;
    EXPECT_EQ(parse({flag}, other), 2) << flag;
  }
}

}  // namespace
}  // namespace omics::gateway
