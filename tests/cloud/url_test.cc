#include "cloud/url.h"

#include <gtest/gtest.h>

#include "cloud/json.h"
#include "cloud/xml.h"
#include "tests/support/status_matchers.h"

namespace omics::cloud {
namespace {

TEST(UrlTest, HostPortPathAndQueryComeApart) {
  const auto url = ParseUrl("https://Example.com:8443/a%20b/../c?x=1&y=2#frag");
  ASSERT_OK(url);
  EXPECT_EQ(url->host, "example.com");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->query, "x=1&y=2");
  EXPECT_EQ(url->authority(), "example.com:8443");
  EXPECT_EQ(ParseUrl("http://[::1]/")->host, "::1");
  EXPECT_EQ(ParseUrl("http://[::1]/")->authority(), "[::1]");
}

TEST(UrlTest, WhatIsNoPlainWebAddressIsRefused) {
  for (const char* const bad : {"", "ftp://host/x", "file:///etc/passwd", "gopher://x", "https://", "//host/x",
                                "https://user:pw@host/x", "https://host:99999/", "https://ho st/"}) {
    EXPECT_THAT(ParseUrl(bad), HasCode(absl::StatusCode::kInvalidArgument, "url")) << bad;
  }
  const auto refused = ParseUrl("https://user:hunter2@host/x?X-Amz-Signature=abc");
  EXPECT_EQ(refused.status().ToString().find("hunter2"), std::string::npos);
  EXPECT_EQ(refused.status().ToString().find("abc"), std::string::npos);
}

TEST(UrlTest, SecretsOfAUrlAreNotShown) {
  EXPECT_EQ(MaskUrl("https://u:p@host/a?X-Amz-Signature=s#f"), "https://***@host/a?***");
  EXPECT_EQ(MaskUrl("s3://bucket/key"), "s3://bucket/key");
  EXPECT_EQ(MaskUrl("https://h/a\nb"), "https://h/a\\nb");
}

TEST(UrlTest, RedirectsAreResolved) {
  EXPECT_EQ(ResolveUrl("https://a.b/c/d?x=1", "/e").value(), "https://a.b/e");
  EXPECT_EQ(ResolveUrl("https://a.b/c/d", "https://z/q").value(), "https://z/q");
}

TEST(XmlTest, TextsBetweenTagsAreUnescaped) {
  const std::string xml =
      "<L><Contents><Key>a&amp;b&#x26;&#38;&lt;</Key></Contents><Contents><Key>c&bad;</Key></Contents></L>";
  const auto contents = XmlElements(xml, "Contents");
  ASSERT_EQ(contents.size(), 2u);
  EXPECT_EQ(XmlText(contents[0], "Key"), "a&b&&<");
  EXPECT_EQ(XmlText(contents[1], "Key"), "c&bad;");
  EXPECT_EQ(XmlText("<Key>never closed", "Key"), "");
}

TEST(JsonTest, OnlyAnObjectWithDistinctMembersIsTaken) {
  const auto json = ReadFlatJson(R"({"a":"x","n":1.5,"deep":{"a":"y"},"list":[1]})");
  ASSERT_OK(json);
  EXPECT_EQ(json->Text("a"), "x");
  EXPECT_EQ(json->numbers.at("n"), 1.5);
  EXPECT_EQ(json->Text("deep"), "");
  EXPECT_TRUE(json->others.contains("deep") && json->others.contains("list"));
  EXPECT_EQ(ReadFlatJson(R"({"l":["a","b"],"e":[]})")->lists.at("l"), (std::vector<std::string>{"a", "b"}));
  const std::string deep(1000, '[');
  EXPECT_THAT(ReadFlatJson("{\"a\":" + deep + std::string(1000, ']') + "}"),
              HasCode(absl::StatusCode::kInvalidArgument, "JSON"));
  for (const char* const bad : {"", "[]", "1", "{", R"({"a":"1","a":"2"})", R"({"a":{"b":1,"b":true}})",
                                R"({"a":[{"b":1,"\u0062":1}]})", "{\"a\": \x01}"}) {
    EXPECT_THAT(ReadFlatJson(bad), HasCode(absl::StatusCode::kInvalidArgument, "JSON")) << bad;
  }
}

}  // namespace
}  // namespace omics::cloud
