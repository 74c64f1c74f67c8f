#include "base/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace omics {
namespace {

TEST(ParseHostPortTest, HostsOfAllKindsWithTheirPorts) {
  struct Case {
    std::string text, host;
    int port;
  };
  for (const Case& c : {Case{"127.0.0.1:8000", "127.0.0.1", 8000}, Case{"localhost:0", "localhost", 0},
                        Case{"[::1]:65535", "::1", 65535}, Case{"vector.omics-os.com:443", "vector.omics-os.com", 443},
                        Case{"0.0.0.0:50051", "0.0.0.0", 50051}}) {
    const auto parsed = ParseHostPort(c.text);
    ASSERT_TRUE(parsed.ok()) << c.text << ": " << parsed.status();
    EXPECT_EQ(parsed->host, c.host);
    EXPECT_EQ(parsed->port, c.port);
  }
}

TEST(ParseHostPortTest, WhatIsNotHostAndPortIsNamedInTheError) {
  for (const std::string text : {"", ":", "localhost", "localhost:", ":8000", "localhost:65536", "localhost:-1",
                                 "localhost:80x", "localhost: 80", "::1:80", "[::1]", "[]:80", "[localhost]:80",
                                 "[::1:80", "unix:/tmp/socket", "http://localhost:80", "a b:80", "a/b:80"}) {
    const auto parsed = ParseHostPort(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(parsed.status().message()), testing::HasSubstr("\"" + text + "\""));
  }
}

TEST(IsLoopbackTest, OnlyAddressesOfThisMachine) {
  for (const char* host : {"127.0.0.1", "127.255.0.3", "::1", "0:0:0:0:0:0:0:1", "localhost", "LocalHost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host :
       {"0.0.0.0", "128.0.0.1", "::", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "", "127.1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace omics
