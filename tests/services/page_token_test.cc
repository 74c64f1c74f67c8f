#include "services/page_token.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace omics::services {
namespace {

TEST(PageTokenTest, ComesBackAsItWas) {
  for (const PageToken& token : {PageToken{0, -1}, PageToken{1, 0}, PageToken{INT64_MAX, INT64_MAX}}) {
    const auto back = DecodePageToken(EncodePageToken(token));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back->position, token.position);
    EXPECT_EQ(back->remaining, token.remaining);
  }
}

TEST(PageTokenTest, AnythingElseIsRefused) {
  const std::string forged[] = {"",
                                "x",
                                "1,2",
                                EncodePageToken({.position = -1}),
                                EncodePageToken({.remaining = -2}),
                                EncodePageToken({.position = 7}) + "A",
                                std::string("\0\0\0\0", 4)};
  for (const std::string& text : forged) {
    EXPECT_EQ(DecodePageToken(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace omics::services
